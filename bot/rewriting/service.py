"""Answers /shorten and /expand: new words for a prompt, to be painted, edited or taken back by a press."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from bot import prompts
from bot.accounts.access import Access
from bot.actions import Name
from bot.errors import Offer, Refusal
from bot.i18n import _
from bot.jobs import offers
from bot.jobs.planning import Planner
from bot.messages import job_cards
from bot.messages.types import Button, Card, Form
from bot.models import Origin
from bot.moderation.reviews import Reviews
from bot.options import clip
from bot.prompts import Draft, permutations
from bot.rewriting import rules
from bot.rewriting.rules import Change
from bot.rewriting.text_model import LateWords, NoWords, TextModel
from bot.store import Store

MAX_NAME = 60  # characters of a prompt, for screen readers

_TITLES: dict[Change, str] = {"shorten": _("Shorter"), "expand": _("Longer")}
_NOTHING: dict[Change, str] = {
    "shorten": _("There is nothing to leave out: the prompt is short already."),
    "expand": _("There is nothing to add: the prompt already says how it is lit, seen and set."),
}
_LATE = _("By rules. The text model is still working: ask again in a moment for its words.")
_DOWN = _("By rules: the text model gives no answer now.")


@dataclass(eq=False)
class RewriteService:
    """Methods raise Refusal and StoreError. Rewriting costs nothing."""

    _store: Store
    _access: Access
    _planner: Planner
    _reviews: Reviews
    _model: TextModel | None = None

    async def shorten(self, options: Mapping[str, Any], origin: Origin) -> Card:
        """Answer `/shorten`."""
        return await self._changed("shorten", str(options["prompt"]), origin)

    async def expand(self, options: Mapping[str, Any], origin: Origin) -> Card:
        """Answer `/expand`."""
        return await self._changed("expand", str(options["prompt"]), origin)

    def edit(self, text: str) -> Form:
        """Return the form of /imagine with these words."""
        draft = prompts.parse(text, ranged=False)
        return Form(command="imagine", title=_("Edit and generate"), values=prompts.said(draft))

    async def former(self, text: str, origin: Origin) -> Card:
        """Return a card with the words before they were changed."""
        draft = prompts.parse(text, ranged=False)
        buttons = await self._buttons(draft, origin)
        return Card(
            kind="text",
            title=_("The prompt as it was"),
            body=(draft.prompt,),
            rows=(buttons,) if buttons else (),
            private=True,
        )

    async def close(self) -> None:
        if self._model:
            await self._model.close()

    async def _changed(self, change: Change, text: str, origin: Origin) -> Card:
        """Return the new words beside the old ones. Raises Refusal for what /imagine would refuse."""
        await self._check(text, origin)
        before = prompts.parse(text, ranged=False)
        words, note = await self._words(change, before, origin)
        if words == before.prompt:
            return Card(kind="text", title=_TITLES[change], body=(_NOTHING[change],), private=True)
        after = replace(before, prompt=words)
        undo = await self._kept("former_words", before, origin)
        buttons = (*await self._buttons(after, origin), undo)
        lines = (words, _("Before: {prompt}", prompt=before.prompt), *((note,) if note else ()))
        return Card(kind="text", title=_TITLES[change], body=lines, rows=(buttons,), private=True)

    async def _words(self, change: Change, before: Draft, origin: Origin) -> tuple[str, str]:
        """Return new words, and a note where they are not the text model's though there is one."""
        by_rules = rules.rewritten(change, before.prompt)
        if self._model is None:
            return by_rules, ""
        try:
            words = await self._model.rewrite(change, before.prompt)
            await self._check(prompts.render(replace(before, prompt=words)), origin, by_person=False)
        except LateWords:
            return by_rules, _LATE
        except (NoWords, Refusal):
            return by_rules, _DOWN
        return words, ""

    async def _check(self, text: str, origin: Origin, *, by_person: bool = True) -> None:
        """Raise Refusal for what /imagine would not read, or moderation refuses."""
        if len(permutations.expanded(text)) > 1:
            raise Refusal(_("Rewrite one prompt at a time: leave out the choices in braces."), code="series")
        found = await self._access.rules_to_paint(origin)
        for plan in await self._planner.plans({"prompt": text}, origin, found):
            judged = found.moderation(adult=origin.adult)
            await self._reviews.check(plan.request, plan.draft.prompt, origin, judged, counts=by_person)

    async def _buttons(self, draft: Draft, origin: Origin) -> tuple[Button, ...]:
        """Return the buttons that paint and edit a draft."""
        edit = await self._kept("edit_words", draft, origin)
        text = prompts.render(draft)
        try:
            await self._planner.accepts({"prompt": text}, origin)
        except Refusal:
            return (edit,)
        keep = partial(self._store.keep_offer, origin.member.id)
        offer = await offers.pressable(Offer(_("Paint this"), text), keep)
        name = _("Paint “{text}”", text=clip(draft.prompt, MAX_NAME))
        return Button(id=offers.press_of(offer), label=offer.label, name=name, style="primary"), edit

    async def _kept(self, name: Name, draft: Draft, origin: Origin) -> Button:
        """Return a button for a draft's text, which is kept for the person."""
        return job_cards.button(name, await self._store.keep_offer(origin.member.id, prompts.render(draft)))

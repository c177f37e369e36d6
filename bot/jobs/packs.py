"""One picture in all sizes of a pack: what a press offers, and what is said of it before it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from bot import actions, prompts
from bot.accounts.access import Access
from bot.accounts.access_rules import AccessRules
from bot.actions import Action
from bot.errors import Offer, Refusal
from bot.i18n import _, ngettext
from bot.jobs import offers, remake
from bot.jobs.planning import Planner
from bot.messages import job_cards
from bot.messages.types import Button, Card
from bot.models import Job, Origin
from bot.prompts import Draft, extending, packs
from bot.store import Store
from engine.types import Engine, ModelInfo

MOST_OFFERED = 5  # packs on one card

_UNSAID: dict[str, Any] = {
    "seed": None,
    "strength": None,
    "count": None,
    "edit": None,
    "draft": None,
    **dict.fromkeys(("aspect", "mask", "region", "extend", "background"), ""),
    **dict.fromkeys(("images", "weights", "sref", "cref"), ()),
    "size": None,
}
"""What the sizes of a finished picture do not take from the job that made it."""


@dataclass(eq=False)
class PackService:
    """Methods raise Refusal and StoreError."""

    _store: Store
    _engine: Engine
    _access: Access
    _planner: Planner

    async def choose(self, action: Action, job: Job, origin: Origin) -> Card:
        """Ask which of a job's pictures is meant; of one alone, go on with it."""
        first = actions.picture(job, job.singles[0].index if job.singles else 0)
        if len(job.singles) == 1:
            return await self.offered(replace(action, name="sizes_image", index=first.index), job, origin)
        return job_cards.which(job, "sizes_image")

    async def offered(self, action: Action, job: Job, origin: Origin) -> Card:
        """Return the packs that there are for a picture, with what each costs."""
        picture = actions.picture(job, action.index or 0)
        rules = await self._access.rules(origin.member)
        models = rules.models(self._engine.models())
        source = f"{job.id}:{picture.index + 1}"
        draft = remake.recalled(job, rules, models, rules.preferences())
        draft = replace(draft, **_UNSAID, pack="", source=source)
        offered = list(packs.known().values())[:MOST_OFFERED]
        rows: list[list[Button | None]] = [
            [await self._button(each.label, replace(draft, pack=each.name), origin) for each in offered]
        ]
        if able := _able(models, draft):
            wide = replace(draft, model=able.name, extend=extending.FIT)
            rows.append(
                [await self._extending(replace(wide, pack=each.name), origin, rules) for each in offered]
            )
        card = job_cards.card_of(
            job,
            "text",
            facts=(_("image {number}", number=picture.index + 1),),
            body=(
                *(f"{each.label}: {packs.listed(each.sizes)}" for each in offered),
                _("Cropped around what the image shows: free."),
                *(
                    (_("Or painted on around it, for the GPU seconds that the button tells."),)
                    if able
                    else ()
                ),
            ),
            pictures=job_cards.pictures_of(replace(job, pictures=(picture,))),
            rows=tuple(tuple(filter(None, row)) for row in rows),
        )
        return replace(card, private=True)

    async def _extending(self, draft: Draft, origin: Origin, rules: AccessRules) -> Button | None:
        """Return the button that paints around the picture first; None where that would be refused."""
        try:
            plan = await self._planner.plan({"prompt": prompts.render(draft)}, origin, rules)
        except Refusal:
            return None
        cost = max(1, round(self._engine.estimate(plan.request)))
        name = packs.label(draft.pack)
        label = ngettext("{pack}, {count} s", "{pack}, {count} s", cost, pack=name)
        return await self._button(label, draft, origin)

    async def _button(self, label: str, draft: Draft, origin: Origin) -> Button:
        keep = partial(self._store.keep_offer, origin.member.id)
        offer = await offers.pressable(Offer(label, prompts.render(draft)), keep)
        return Button(id=offers.press_of(offer), label=label, name=label)


def _able(models: Sequence[ModelInfo], draft: Draft) -> ModelInfo | None:
    """Return a model that paints around pictures: that of the draft, if it does."""
    found = [each for each in models if "outpaint" in each.tasks]
    return next((each for each in found if each.name == draft.model), found[0] if found else None)

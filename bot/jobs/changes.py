"""What a person's words lead to: a change of a job's picture, a question whether to paint it, or nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

from bot import actions, prompts
from bot.accounts.access import Access
from bot.accounts.access_rules import AccessRules
from bot.actions import Action
from bot.adapters.base import Heard, NoAnswer
from bot.errors import Refusal
from bot.i18n import _, ngettext
from bot.i18n.speech import Speech
from bot.jobs import remake
from bot.jobs.planning import Planner
from bot.jobs.visibility import Visibility
from bot.messages.types import Button, Card
from bot.models import Job, Origin
from bot.options import clip
from bot.prompts import Draft, talk
from bot.prompts.merging import merged
from bot.prompts.turns import Back
from bot.store import Store
from engine.types import Engine

MOST_TURNS = 50  # of a conversation that can be gone back
MAX_QUOTED, MAX_NAME = 26, 60  # characters of a prompt on a button, and for screen readers

_NO_PICTURES: dict[str, Any] = {
    "edit": None,
    "images": (),
    "weights": (),
    "sref": (),
    "cref": (),
    "reference_weight": None,
    "control": "",
    "control_weight": None,
    "control_as_is": None,
}

SHAPES = ("9:21", "9:16", "1:1", "16:9", "21:9")
"""The aspect ratios that "taller" and "wider" step through."""


@dataclass(eq=False)
class Changes:
    """Methods raise Refusal and StoreError."""

    _store: Store
    _engine: Engine
    _access: Access
    _visibility: Visibility
    _planner: Planner
    _speech: Speech

    async def heard(self, origin: Origin) -> Heard:
        """Return what words lead to in a channel, as an administrator has set it."""
        said = (await self._store.policy(origin.member.tenant)).words.get(origin.channel, "paint")
        return next((each for each in get_args(Heard) if each == said), "paint")

    async def changed(self, parent: str, words: str, which: str, origin: Origin) -> dict[str, object]:
        """Return what /imagine takes to change a job's picture: its own prompt with the words behind it.

        All else is as the job was, but for the seed, and for what the words say themselves.
        """
        job = await self._visibility.job(parent, origin.member, origin.here)
        rules = await self._access.rules(origin.member)
        before = remake.recalled(job, rules, self._engine.models(), rules.preferences())
        change, said = _read(words, job)
        start: dict[str, Any] = {"source": "", "seed": None, "strength": None, **_NO_PICTURES}
        start["prompt"] = job.prompt
        if "image_to_image" in await self._access.tasks(origin.member):
            start["source"] = f"{job.id}:{_chosen(job, which) + 1}"
        if said.aspect or said.size:
            start |= {"aspect": "", "size": None}
        if change and start["source"]:
            start |= {"prompt": change, "edit": True, "model": self._editor(before.model, rules)}
        elif change:
            start["prompt"] = merged(job.prompt, change)
        draft = replace(before, **start)
        own = {name: value for name, value in prompts.said(said).items() if name != "prompt"}
        return {**prompts.said(draft), **own}

    async def turned(self, parent: str, back: Back, origin: Origin) -> Job:
        """Return the job that words go back to, in the history of a job's picture. Raises Refusal."""
        turns = [await self._visibility.job(parent, origin.member, origin.here)]
        while turns[0].parent and len(turns) < MOST_TURNS:
            turns.insert(0, await self._visibility.job(turns[0].parent, origin.member, origin.here))
        at = len(turns) - 2 if back.number is None else back.number - 1
        if not 0 <= at < len(turns):
            notice = ngettext(
                "There is nothing to go back to: this is the only image.",
                "There are {count} images in this conversation. Say which, for example “back to the first”.",
                len(turns),
            )
            raise Refusal(notice, code="no_picture")
        return turns[at]

    def _editor(self, name: str, rules: AccessRules) -> str:
        """Return the model that follows an instruction about a picture; empty: whichever can."""
        models = rules.models(self._engine.models())
        model = next((each for each in models if each.name == name), models[0])
        return "" if not model.references and any(each.references for each in models) else name

    async def ask_to_paint(self, options: Mapping[str, object], origin: Origin) -> Card | NoAnswer:
        """Return a card that asks whether to paint these options of /imagine; NoAnswer if it refuses them."""
        try:
            await self._planner.accepts(options, origin)
        except Refusal:
            return NoAnswer()
        given = {name: value for name, value in options.items() if name != "prompt"}
        draft = prompts.parse(str(options["prompt"]), given, ranged=False)
        key = await self._store.keep_offer(origin.member.id, prompts.render(draft))
        return self._speech.said(_question(draft, key), origin)


def _question(draft: Draft, key: str) -> Card:
    label, name = (_("Paint “{text}”", text=clip(draft.prompt, room)) for room in (MAX_QUOTED, MAX_NAME))
    button = Button(id=Action(name="paint", job=key).id, label=label, name=name, style="primary")
    return Card(kind="text", body=(_("Shall Easel paint that?"),), rows=((button,),))


def source_job(text: str) -> str:
    """Return the job whose picture an offered text starts from, or an empty text."""
    source = prompts.parse(text, ranged=False).source
    return source.partition(":")[0] if isinstance(source, str) else ""


def _chosen(job: Job, which: str) -> int:
    """Return the index of the picture that is meant. Raises Refusal where there is none."""
    there = [each.index for each in job.singles]
    index = talk.index_of(which, len(there)) if which else min(there, default=0)
    return actions.picture(job, index).index


_STAND_IN = "picture"
"""A prompt to put before a change: shapes and styles are only read behind other words."""
_RESHAPED = re.compile(
    r"(?:\A|,\s*)(?:make it |mach es )?(?:(?P<wider>wider|breiter)|taller|higher|höher)[\s.!]*\Z",
    re.IGNORECASE,
)


def _read(words: str, job: Job) -> tuple[str, Draft]:
    """Return what is to be changed, and the options that are said beside it. Raises Refusal."""
    options: dict[str, Any] = {}
    if found := _RESHAPED.search(words):
        words = words[: found.start()]
        options["aspect"] = _reshaped(job, 1 if found["wider"] else -1)
    said = prompts.parse(f"{_STAND_IN}, {words}".rstrip(", "), options, ranged=False)
    return said.prompt.removeprefix(_STAND_IN).lstrip(", "), said


def _reshaped(job: Job, step: int) -> str:
    """Return the next wider (1) or taller (-1) shape than the job's."""
    request = job.request.before_upscale()
    ratios = [int(across) / int(down) for across, _, down in (each.partition(":") for each in SHAPES)]
    mine = request.width / request.height
    at = min(range(len(SHAPES)), key=lambda each: abs(math.log(ratios[each] / mine)))
    return SHAPES[min(max(at + step, 0), len(SHAPES) - 1)]

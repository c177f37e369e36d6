"""Changing a part of a finished picture, and painting around it: what presses and commands ask for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from bot import actions, prompts
from bot.accounts.access import Access
from bot.accounts.logins import Logins
from bot.actions import Action, Name
from bot.adapters.base import Receipt
from bot.i18n import _
from bot.jobs import remake
from bot.jobs.regions import Regions
from bot.jobs.service import JobService
from bot.jobs.visibility import Visibility
from bot.messages import job_cards
from bot.messages.types import Card, Form
from bot.models import Job, Origin
from bot.prompts import Draft
from engine.types import Engine, TaskKind

_UNSAID: dict[str, Any] = {
    "seed": None,
    "strength": None,
    "aspect": "",
    "size": None,
    "mask": "",
    "region": "",
    "extend": "",
    "control": "",
    "control_weight": None,
    "control_as_is": None,
}
"""What another part of a picture does not take from the job that made it."""


@dataclass(eq=False)
class PartService:
    """Methods raise Refusal and StoreError."""

    _engine: Engine
    _access: Access
    _visibility: Visibility
    _regions: Regions
    _jobs: JobService
    _logins: Logins

    # ---- presses

    async def choose(self, action: Action, job: Job, origin: Origin) -> Card:
        """Ask which of a job's pictures is meant; of one alone, go on with it."""
        actions.picture(job, job.singles[0].index if job.singles else 0)
        name: Name = f"{action.name}_image"
        if len(job.singles) == 1:
            return await self.shown(Action(name=name, job=job.id, index=job.singles[0].index), job, origin)
        return job_cards.which(job, name)

    async def shown(self, action: Action, job: Job, origin: Origin) -> Card:
        """Return what can be done with one picture: how it is extended, or its cells."""
        index = actions.picture(job, action.index or 0).index
        if action.name == "extend_image":
            return job_cards.extending(job, index)
        return await self._marking(job, index, origin)

    async def _marking(self, job: Job, index: int, origin: Origin) -> Card:
        picture = actions.picture(job, index)
        brush = await self._logins.brush(origin, job.id, index)
        return Card(
            kind="text",
            title=job.prompt,
            body=(
                _("Say what to change: its cells, words such as “top right” or “the cup”, or a box."),
                *((_("Or paint over it in the web studio:"),) if brush else ()),
            ),
            link=brush,
            pictures=(await self._regions.grid(picture),),
            rows=((job_cards.button("region_form", job.id, index),),),
            private=True,
            adult=picture.adult,
        )

    async def form(self, action: Action, job: Job, origin: Origin) -> Form:
        """Return the form that changes a region of a picture."""
        draft = await self._draft(job, action.index or 0, "inpaint", origin)
        values = {**prompts.said(draft), "prompt": "", "region": ""}
        return Form(command="imagine", title=_("Change a region"), values=values, parent=job.id)

    async def extend(self, action: Action, job: Job, origin: Origin) -> Receipt | Card:
        """Paint around a picture as the pressed button says."""
        relax = {"relax": True} if action.relax else {}
        return await self._extended(job, action.index or 0, actions.EXTENDING[action.name], relax, origin)

    # ---- commands

    async def extend_command(self, options: dict[str, Any], origin: Origin) -> Receipt | Card:
        """Answer `/extend`."""
        job = await self._visibility.job(options["job"], origin.member, origin.here)
        index, how = options.get("picture", 1) - 1, options.get("to", "1.5x")
        return await self._extended(job, index, how, _said(options), origin)

    async def region_command(self, options: dict[str, Any], origin: Origin) -> Receipt | Card:
        """Answer `/region`."""
        job = await self._visibility.job(options["job"], origin.member, origin.here)
        draft = await self._draft(job, options.get("picture", 1) - 1, "inpaint", origin)
        part: dict[str, Any] = {name: options[name] for name in ("region", "mask") if name in options}
        return await self._jobs.imagine({**prompts.said(draft), **_said(options), **part}, origin, job.id)

    # ---- both

    async def _extended(
        self, job: Job, index: int, how: str, more: dict[str, Any], origin: Origin
    ) -> Receipt | Card:
        draft = await self._draft(job, index, "outpaint", origin)
        return await self._jobs.imagine({**prompts.said(draft), "extend": how, **more}, origin, job.id)

    async def _draft(self, job: Job, index: int, task: TaskKind, origin: Origin) -> Draft:
        """Return a job's draft with one of its pictures as source, and a model that does the task."""
        index = actions.picture(job, index).index
        rules = await self._access.rules(origin.member)
        models = rules.models(self._engine.models())
        draft = remake.recalled(job, rules, models, rules.preferences())
        able = [each.name for each in remake.able(models, task)]
        named = draft.model or models[0].name
        model = draft.model if named in able else able[0]
        return replace(draft, **_UNSAID, model=model, source=f"{job.id}:{index + 1}")


def _said(options: dict[str, Any]) -> dict[str, Any]:
    """Return what the words of a command say, flags among them; nothing where there are none."""
    return prompts.said(prompts.parse(options["prompt"], ranged=False)) if "prompt" in options else {}

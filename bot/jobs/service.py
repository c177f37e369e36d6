"""Asks for pictures and takes jobs away: what commands and buttons change about jobs."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import structlog

from bot import actions, papers, prompts
from bot.accounts import audit
from bot.accounts.access import Access
from bot.accounts.access_rules import AccessRules
from bot.actions import Action
from bot.adapters.base import Receipt
from bot.errors import Refusal
from bot.i18n import _, join
from bot.images import controls, printing
from bot.images.service import Images
from bot.jobs import admission, remake, rewording
from bot.jobs.admission import OfferContext
from bot.jobs.cards import JobCards
from bot.jobs.endings import Endings
from bot.jobs.planning import Planner
from bot.jobs.regions import Regions
from bot.jobs.series import SeriesService
from bot.jobs.tracker import JobTracker
from bot.jobs.visibility import Visibility
from bot.messages import job_cards
from bot.messages.types import Card
from bot.models import UNFINISHED, AuditLine, Job, Origin, new_id
from bot.moderation.reviews import Reviews
from bot.options import Unusable
from bot.store import Store
from engine.types import SEED_LIMIT, TRANSPARENT, Engine, GenerationRequest

log = structlog.stdlib.get_logger(__name__)


@dataclass(eq=False)
class JobService:
    """Methods raise Refusal and StoreError."""

    _store: Store
    _engine: Engine
    _access: Access
    _visibility: Visibility
    _planner: Planner
    _reviews: Reviews
    _tracker: JobTracker
    _endings: Endings
    _cards: JobCards
    _series: SeriesService
    _regions: Regions
    _images: Images

    # ---- asking for pictures

    async def imagine(self, options: dict[str, Any], origin: Origin, parent: str = "") -> Receipt | Card:
        """Answer `/imagine`, a series of jobs by a question; `parent` is the job whose form is answered."""
        rules = await self._access.rules_to_paint(origin)
        plan, *more = plans = await self._planner.plans(options, origin, rules)
        parent = parent or plan.parent
        edited = await self._visibility.job(parent, origin.member, origin.here) if parent else None
        if more:
            return await self._series.ask(options, plans, origin, rules)
        if plan.found and plan.found.guess:
            await self._reviews.check(
                plan.request, plan.draft.prompt, origin, rules.moderation(adult=origin.adult)
            )
            return await self._regions.ask(plan.typed, plan.sources[0], plan.found, origin)
        request = await self._planner.stored(plan)
        request = rewording.reworded(edited, request)
        moved = remake.moved(edited, request, self._engine.models()) if edited else ""
        return await self._submit(
            request,
            replace(origin, private=origin.private or plan.private),
            rules,
            self._planner.offer_context(plan),
            prompt=plan.draft.prompt,
            style=plan.style,
            relaxed=plan.relaxed,
            parent=parent or None,
            parent_index=_index_in(parent, plan.typed.source),
            action="edit" if edited else "imagine",
            note=join(" ", (moved, plan.note)),
            control=await asyncio.to_thread(controls.shown, plan.control) if plan.control else b"",
        )

    async def upscale(self, options: dict[str, Any], origin: Origin) -> Receipt:
        """Answer `/upscale`."""
        creative = options.get("kind") == "creative"
        name = "upscale_creative" if creative else "upscale"
        if "print" in options:
            return await self._of_picture(name, options, origin, printed=await self._print(options, origin))
        if "bleed" in options:
            raise Refusal(_("A bleed needs a paper: --print a4 --bleed 3mm."), code="print")
        return await self._of_picture(name, options, origin, to=options.get("to", ""))

    async def _print(self, options: dict[str, Any], origin: Origin) -> actions.Print:
        """Return what of a picture is printed on the paper that was asked for, without its words."""
        paper = papers.read_paper(options["print"], options.get("bleed", ""))
        job = await self._visibility.job(options["job"], origin.member, origin.here)
        chosen = actions.picture(job, options.get("picture", 1) - 1)
        size = chosen.width, chosen.height
        to = paper.pixels(wide=chosen.width > chosen.height)
        box = printing.cropped(size, to)
        part = box[2] - box[0], box[3] - box[1]
        try:
            blob = chosen.unlettered if part == size else await self._images.cut(chosen.unlettered, box)
        except KeyError as error:
            raise Refusal(_("An image of this job is gone."), code="no_picture") from error
        return actions.Print(blob, part, to, papers.to_keep(paper, options.get("file", "pdf")))

    async def cut_out(self, options: dict[str, Any], origin: Origin) -> Receipt:
        """Answer `/cutout`."""
        try:
            background = prompts.read_background(options.get("background", TRANSPARENT))
        except Unusable as error:
            raise Refusal(error.notice) from error
        return await self._of_picture("cut_out", options, origin, background=background)

    async def vary(self, options: dict[str, Any], origin: Origin) -> Receipt:
        """Answer `/vary`."""
        strong = options.get("strength") == "strong"
        return await self._of_picture("vary_strong" if strong else "vary_subtle", options, origin)

    async def _of_picture(
        self, name: actions.Name, options: dict[str, Any], origin: Origin, **how: Any
    ) -> Receipt:
        job = await self._visibility.job(options["job"], origin.member, origin.here)
        action = Action(name=name, job=job.id, index=options.get("picture", 1) - 1)
        return await self.derive(action, job, origin, **how)

    async def derive(self, action: Action, parent: Job, origin: Origin, **how: Any) -> Receipt:
        """Answer a press that makes a job of another one; `how` is what was said of it besides."""
        rules = await self._access.rules_to_paint(origin)
        if action.name == "full" and rules.tier.draft:
            notice = _("Your tier, {title}, generates drafts only.", title=rules.tier.title)
            raise Refusal(notice, code="draft")
        request = actions.derive(action, parent, random.randrange(SEED_LIMIT), **how)
        now = remake.remade(request, parent, rules, self._engine.models())
        mine = parent.relaxed and await self._visibility.owns(parent, origin.member)
        return await self._submit(
            now.request,
            replace(origin, private=origin.private or not parent.is_open(origin.here)),
            rules,
            OfferContext(
                model=now.model, estimate=self._engine.estimate, relaxing=replace(action, relax=True).id
            ),
            prompt=parent.prompt,
            style=now.style,
            note=join(" ", (now.note, remake.cut_by(now.request, now.model))),
            relaxed=rules.relaxed(action.relax or None) or (mine and "relax" in rules.tier.priorities),
            parent=parent.id,
            parent_index=action.index,
            action=action.name,
        )

    async def _submit(
        self,
        request: GenerationRequest,
        origin: Origin,
        rules: AccessRules,
        context: OfferContext,
        *,
        control: bytes = b"",
        **more: Any,
    ) -> Receipt:
        """Admit a job and hand it to the engine, once for each event of the platform.

        `control` is what is shown of its control picture, as WebP.
        """
        await self._reviews.check(request, more["prompt"], origin, rules.moderation(adult=origin.adult))
        estimate = self._engine.estimate(request)
        balances = await self._access.balances(rules, origin)
        context = replace(context, balances=tuple(balances))
        wanted = Job(
            id=new_id(),
            origin=origin,
            request=request,
            estimate=estimate,
            created=datetime.now(UTC),
            **more,
        )
        job, new = await admission.admit(self._store, wanted, rules, context)
        if not new:
            return Receipt(job=job)
        # No await from here on: what is admitted reaches the engine.
        log.info("job accepted", job_id=job.id, action=job.action, estimate=round(estimate, 2))
        self._tracker.begin(job, rules.tier, home=rules.home, control=control)
        return Receipt(job=job)

    # ---- taking jobs away

    async def cancel_command(self, options: dict[str, Any], origin: Origin) -> Card:
        """Answer `/cancel`: for one job, or for the newest of the person's that has not ended."""
        member = origin.member
        if "job" in options:
            return await self._cancel(await self._visibility.job(options["job"], member, origin.here), origin)
        mine = await self._visibility.jobs(member, user=member.id, states=UNFINISHED, limit=1)
        if not mine:
            raise Refusal(_("You have no unfinished job."), code="ended")
        return await self._cancel(mine[0], origin)

    async def _cancel(self, job: Job, origin: Origin) -> Card:
        return await self.cancel(Action(name="cancel", job=job.id), job, origin)

    async def cancel(self, action: Action, job: Job, origin: Origin) -> Card:
        """Cancel a job, for its owner or a moderator."""
        line = await self._line(action, job, origin, "cancelled")
        if job.state.ended:
            raise Refusal(_("That job has ended already."), code="ended")
        return self._cards.present(await self._endings.cancel(job, line))

    async def cancel_series(self, action: Action, job: Job, origin: Origin) -> Card:
        """Cancel all unfinished jobs of a job's series, for its owner or a moderator."""
        await self._visibility.check_whose(action, job, origin.member)
        unfinished = [each for each in await self._store.series(job) if not each.state.ended]
        if not unfinished:
            raise Refusal(_("Those jobs have ended already."), code="ended")
        for each in unfinished:
            await self._endings.cancel(each, await self._line(action, each, origin, "cancelled"))
        return self._cards.present(await self._visibility.job(job.id, origin.member, origin.here))

    async def delete(self, action: Action, job: Job, origin: Origin) -> Card:
        """Delete a job, for its owner or a moderator."""
        await self._endings.delete(job, await self._line(action, job, origin, "deleted"))
        return job_cards.deleted(job)

    async def _line(self, action: Action, job: Job, origin: Origin, after: str) -> AuditLine | None:
        """Return what to write down where a moderator does what the owner may do too. Raises Refusal."""
        if await self._visibility.check_whose(action, job, origin.member):
            return None
        return audit.line(origin, action.name, job.id, job.state.value, after)


def _index_in(parent: str, source: str | bytes) -> int | None:
    """Return which picture of the parent a source is; None where it is none of them."""
    job, _colon, number = ("", "", "") if isinstance(source, bytes) else source.partition(":")
    return int(number) - 1 if parent and job == parent and number.isdecimal() else None

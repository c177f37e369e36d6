"""What moderation says to people: refused words, strikes, reports and what is decided about them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import structlog

from bot import moderation, telemetry
from bot.accounts import access_rules, audit
from bot.errors import Refusal
from bot.i18n import _, join
from bot.messages import answers, marks
from bot.messages.types import Card
from bot.models import INSTANCE, Job, Origin, Review, State, Strike
from bot.options import CHOICES, clip
from bot.settings import CoreSettings
from bot.store import Store
from bot.store.reviews import LIMIT
from engine import weights
from engine.types import Edit, GenerationRequest

log = structlog.stdlib.get_logger(__name__)

DECISIONS = ("keep", "remove")


class Reviews:
    """`show` is told of every job that an administrator removed, `tell` what a place's log is to say."""

    def __init__(
        self,
        settings: CoreSettings,
        store: Store,
        show: Callable[[Job], None],
        tell: Callable[[str, str], None],
    ) -> None:
        self._tell_place = tell
        self._settings = settings
        self._store = store
        self._show = show

    # ---- words

    async def check(
        self,
        request: GenerationRequest,
        typed: str,
        origin: Origin,
        rules: moderation.ModerationRules,
        *,
        counts: bool = True,
    ) -> None:
        """Raise Refusal for words that may not be painted here.

        Serious ones are a strike where it `counts`: not where a model has said them.
        """
        await self._tell(origin)
        told = (request.task.instruction,) if isinstance(request.task, Edit) else ()
        words = (typed, request.prompt, weights.read(request.prompt).plain, request.lettering, *told)
        verdict = await asyncio.to_thread(moderation.judge, words, (request.negative_prompt,), rules)
        if not verdict.category:
            return
        log.info("words refused", category=verdict.category, surface=origin.surface)
        telemetry.REFUSED.labels(verdict.category).inc()
        notice = verdict.notice
        if verdict.certain and counts:
            notice = join(" ", (notice, await self._strike(verdict.category, origin)))
        raise Refusal(notice, code="moderation")

    async def _strike(self, category: str, origin: Origin) -> str:
        """Write a strike down; what to tell the person."""
        member = origin.member
        tenant = INSTANCE if category == moderation.MINORS else member.tenant
        key = f"{origin.surface}/{origin.event}"
        strike = Strike(key=key, member=member.id, tenant=tenant, category=category, told=True)
        given = await self._store.strike(strike)
        if given.cool_off:
            who, until = marks.person(member.id, member.name), answers.when(given.cool_off, self._store.now())
            self._tell_place(
                member.tenant, _("{who} is blocked by moderation until {until}.", who=who, until=until)
            )
        return await self._explain(given)

    async def _explain(self, strike: Strike) -> str:
        if strike.cool_off:
            until = answers.when(strike.cool_off, self._store.now())
            return join(" ", (strike.explained, _("You can use Easel again from {until}.", until=until)))
        count = len(await self._store.strikes(strike.member, strike.tenant))
        return _(
            "This counts as strike {number}; {most} within 30 days bring a cool-off of a day.",
            number=count,
            most=LIMIT,
        )

    async def _tell(self, origin: Origin) -> None:
        """Raise Refusal, once, for each strike that was given while the person was away."""
        strike = await self._store.untold(origin.member.id, origin.member.tenant)
        if strike:
            raise Refusal(
                _(
                    "An administrator removed your images of job {job} after a report. {strike} Ask "
                    "once more to go on.",
                    job=strike.job,
                    strike=await self._explain(strike),
                ),
                code="strike",
            )

    # ---- reports

    async def report(self, job: Job, origin: Origin) -> Card:
        """Report a job that the person can see to administrators. Raises Refusal."""
        if job.state is not State.RENDERED:
            raise Refusal(_("Only finished images can be reported."), code="no_picture")
        if job.origin.member.id in await self._store.sharing(origin.member.id):
            raise Refusal(_("These images are yours: Delete removes them."), code="own")
        new = await self._store.report(job.id, origin.member.id, job.origin.member.tenant)
        log.info("job reported", job_id=job.id, again=not new)
        if new:
            owner = job.origin.member
            who = marks.person(owner.id, owner.name)
            line = _("Images of {who} were reported (job {id}). /reports shows them.", who=who, id=job.id)
            self._tell_place(owner.tenant, line)
        return answers.reported(new)

    async def queue(self, origin: Origin) -> Card:
        """Return the card of the reported job that waits longest, with the buttons to decide about it."""
        everywhere = access_rules.runs_easel(origin, self._settings.operators)
        waiting = await self._store.open_reviews("" if everywhere else origin.member.tenant)
        job = await self._store.job(waiting[0].job) if waiting else None
        return answers.review(job, waiting[0], len(waiting)) if job else answers.nothing_to_review()

    async def listed(self, origin: Origin, rules: access_rules.AccessRules) -> Card:
        """Return the card of reported jobs that a moderator moderates and may see. Raises Refusal."""
        if not (rules.moderator or origin.member.moderates):
            raise Refusal(_("Only an administrator or a moderator may see reports."), code="forbidden")
        found: list[tuple[Job, Review]] = []
        for each in await self._store.open_reviews(origin.member.tenant):
            job = await self._store.job(each.job)
            if job and rules.moderates(job) and job.is_seen_by(origin.member, origin.here):
                found.append((job, each))
        return answers.reports(found)

    async def decide(self, id: str, decision: str, origin: Origin) -> Card:
        """Keep or remove a reported job; then the next one. Raises Refusal."""
        job = await self._reviewed(id, origin)
        strike = None
        if decision == "remove":
            owner = job.origin.member
            strike = Strike(
                key=f"review/{id}", member=owner.id, tenant=owner.tenant, category="removed", job=id
            )
        tenant = job.origin.member.tenant
        line = audit.line(origin, "admin decide", id, "reported", decision, tenant=tenant)
        if not await self._store.decide(id, decision, line, strike):
            raise Refusal(_("Someone decided about that job before you."), code="decided")
        if strike:
            self._show(replace(job, state=State.DELETED, delivered=None))
        log.info("report decided", job_id=id, decision=decision)
        self._tell_place(
            tenant,
            _(
                "{name} decided about job {id}: {decision}.",
                name=line.name,
                id=id,
                decision=CHOICES[decision],
            ),
        )
        following = await self.queue(origin)
        kept = _("job {id} kept", id=id)
        removed = _("job {id} removed; its owner was given a strike", id=id)
        return replace(following, facts=(removed if strike else kept, *following.facts))

    async def _reviewed(self, id: str, origin: Origin) -> Job:
        """Return the reported job, for an administrator of its place. Raises Refusal."""
        everywhere = access_rules.runs_easel(origin, self._settings.operators)
        if not (origin.member.admin or everywhere):
            raise Refusal(_("Only an administrator can decide about reports."), code="forbidden")
        job = await self._store.job(id)
        if job is None or not (everywhere or job.origin.member.tenant == origin.member.tenant):
            notice = _("No job {id} was reported here. /reports shows those that were.", id=clip(id))
            raise Refusal(notice, code="unknown")
        if job.state is State.DELETED:
            raise Refusal(_("Those images were deleted already."), code="deleted")
        return job

"""Several jobs of one request, by choices in braces or `--repeat`: asked about, then started all or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import structlog

from bot import prompts
from bot.accounts.access import Access
from bot.accounts.access_rules import AccessRules
from bot.actions import Action
from bot.adapters.base import Receipt
from bot.errors import Refusal
from bot.i18n import _
from bot.jobs import admission
from bot.jobs.planning import Plan, Planner
from bot.jobs.tracker import JobTracker
from bot.messages import answers
from bot.messages.types import Card
from bot.models import Job, JobSeries, Origin, new_id
from bot.moderation.reviews import Reviews
from bot.store import Store
from engine.types import Engine, GenerationRequest

log = structlog.stdlib.get_logger(__name__)


@dataclass(eq=False)
class SeriesService:
    """Methods raise Refusal and StoreError."""

    _store: Store
    _engine: Engine
    _access: Access
    _planner: Planner
    _reviews: Reviews
    _tracker: JobTracker

    async def ask(
        self, options: Mapping[str, object], plans: Sequence[Plan], origin: Origin, rules: AccessRules
    ) -> Card:
        """Ask once whether to start all of these jobs; refuse what could not be started now."""
        given = {name: value for name, value in options.items() if name != "prompt"}
        text = prompts.with_options(str(options["prompt"]), given)
        await self._check(plans, origin, rules)
        cost = sum(self._engine.estimate(each.request) for each in plans if not each.relaxed)
        balances = await self._access.balances(rules, origin)
        waiting = await self._store.waiting(rules.account)
        admission.check_series(text, len(plans), cost, waiting, balances, rules, self._store.now())
        key = await self._store.keep_offer(origin.member.id, text)
        return answers.series(plans_of(plans), cost, f"{key}_{new_id()}")

    async def start(self, action: Action, text: str, origin: Origin) -> Receipt | Card:
        """Start the jobs that were asked about, in one transaction; pressed again, it starts none."""
        rules = await self._access.rules_to_paint(origin)
        plans = await self._planner.plans({"prompt": text}, origin, rules)
        await self._check(plans, origin, rules)
        wanted = [
            self._job(
                plan, await self._planner.stored(plan), JobSeries(action.job, number, len(plans)), origin
            )
            for number, plan in enumerate(plans, start=1)
        ]
        balances = await self._access.balances(rules, origin)
        contexts = [self._planner.offer_context(each, balances) for each in plans]
        jobs, new = await admission.admit_all(self._store, wanted, rules, contexts)
        if not new:
            return answers.started_already(len(jobs))
        # No await from here on: what is admitted reaches the engine.
        log.info("series accepted", series=action.job, jobs=[each.id for each in jobs])
        for job in jobs:
            self._tracker.begin(job, rules.tier, home=rules.home)
        first, *others = jobs
        return Receipt(job=first, others=tuple(others))

    async def _check(self, plans: Sequence[Plan], origin: Origin, rules: AccessRules) -> None:
        if any(plan.found and plan.found.guess for plan in plans):
            raise Refusal(
                _("Easel cannot tell where that is. Say it by a position, as in “top right”, or by a box."),
                code="region",
            )
        if len(plans) > rules.tier.waiting:
            raise Refusal(
                _(
                    "That is {count} jobs; your tier, {title}, allows {most} at once. Leave some out.",
                    count=len(plans),
                    title=rules.tier.title,
                    most=rules.tier.waiting,
                ),
                code="series",
            )
        allowed = rules.moderation(adult=origin.adult)
        for each in plans:
            await self._reviews.check(each.request, each.draft.prompt, origin, allowed)

    def _job(self, plan: Plan, request: GenerationRequest, series: JobSeries, origin: Origin) -> Job:
        private = origin.private or plan.private
        return Job(
            id=new_id(),
            origin=replace(origin, private=private, event=series.event),
            request=request,
            prompt=plan.draft.prompt,
            style=plan.style,
            estimate=self._engine.estimate(plan.request),
            created=datetime.now(UTC),
            relaxed=plan.relaxed,
            note=plan.note,
        )


def plans_of(plans: Sequence[Plan]) -> list[tuple[str, int]]:
    """Return what a question about a series tells of each job: its prompt, and how many images."""
    return [(prompts.render(replace(each.typed, repeat=None)), each.request.count) for each in plans]

"""What those who run Easel see of it: the queue, people, use over time, places, reports, changes, health.

Reading only: whatever changes something is a command of the group "admin". Private prompts, and those of
direct messages, are not shown even to an operator: that there is such a job is enough to steer the queue.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Literal

from bot.accounts import access_rules
from bot.accounts.access_rules import AccessRules
from bot.accounts.tiers import Tiers
from bot.errors import Refusal
from bot.i18n import _
from bot.jobs.holds import Holds
from bot.jobs.live import LiveJob, LiveJobs
from bot.models import (
    INSTANCE,
    Accuracy,
    AuditLine,
    Balance,
    Budget,
    Job,
    Known,
    LedgerLine,
    Member,
    Origin,
    Person,
    Policy,
    Review,
    State,
    Strike,
    Tier,
    Use,
    Wait,
)
from bot.settings import CoreSettings
from bot.store import Store
from bot.store.usage import By
from engine.types import Engine, EngineStatus, Lane, ModelInfo

LATELY = timedelta(days=90)  # who asked within it is among the people
QUEUED = 200  # jobs shown in line
PEOPLE = 20  # on a page
AUDIT = 30  # lines on a page
REVIEWS = 20
SERIES = 5
"""Models or people whose use is told on its own; that of the others is added up."""

Doing = Literal["painting", "waiting", "on hold"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One unfinished job."""

    job: Job
    doing: Doing
    held: bool  # by itself, not because its place is paused
    position: int | None = None  # in line
    wait: float = 0.0  # seconds until it starts, expected

    @property
    def words(self) -> str:
        """Its prompt; empty where that is not for others."""
        return "" if is_private(self.job) else self.job.prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Someone:
    """A person, with what holds for them."""

    known: Known
    tier: Tier
    balances: tuple[Balance, ...]
    persons: tuple[Person, ...]  # what is set about all who share the account, in any place
    account: str
    sharing: tuple[str, ...]  # members

    @property
    def strikes(self) -> int:
        return sum(each.strikes for each in self.persons)

    def blocks(self, now: datetime) -> list[Person]:
        return [each for each in self.persons if each.is_blocked(now)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """Use over time, up to now."""

    since: datetime
    bucket: timedelta
    models: tuple[Use, ...]
    people: tuple[Use, ...]
    states: tuple[Use, ...]
    waits: tuple[Wait, ...]

    @property
    def starts(self) -> list[datetime]:
        """When each bucket begins, those without any job too."""
        step = self.bucket.total_seconds()
        first = math.floor(self.since.timestamp() / step)
        last = math.floor(datetime.now(UTC).timestamp() / step)
        return [datetime.fromtimestamp(number * step, UTC) for number in range(first, last + 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceSummary:
    """A tenant, and what is set there."""

    tenant: str
    policy: Policy
    balances: tuple[Balance, ...]  # of its budgets


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How it all goes."""

    version: str
    engine: EngineStatus
    accuracy: Mapping[str, Accuracy]  # by model
    database: str
    books: str  # "ok", or what is wrong; empty: not checked
    disk_free: int  # bytes, where pictures are kept
    disk_total: int  # bytes


class Dashboard:
    """Answers for an operator; `opened_to` lets nobody else in. Methods raise StoreError."""

    def __init__(
        self,
        *,
        settings: CoreSettings,
        store: Store,
        engine: Engine,
        tiers: Tiers,
        lives: LiveJobs,
        holds: Holds,
    ) -> None:
        self._settings = settings
        self._store = store
        self._engine = engine
        self._tiers = tiers
        self._lives = lives
        self._holds = holds

    def opened_to(self, origin: Origin) -> Dashboard:
        """Return this, for those who run Easel. Raises Refusal."""
        if not access_rules.runs_easel(origin, self._settings.operators):
            raise Refusal(_("Only those who run this Easel may see this."), code="forbidden")
        return self

    @property
    def tiers(self) -> tuple[Tier, ...]:
        return self._tiers.all

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        return self._engine.models()

    @property
    def status(self) -> EngineStatus:
        return self._engine.status()

    # ---- the queue

    async def queue(self) -> tuple[list[Waiting], int]:
        """Return the first `QUEUED` unfinished jobs, and the number of further ones, from memory.

        Running jobs come first, then queued ones in the order of the queue, then those on hold.
        """
        return await asyncio.to_thread(self._first, self._engine.lanes())

    def _first(self, lanes: Sequence[Lane]) -> tuple[list[Waiting], int]:
        found = [each for lane in lanes for each in self._lane(lane)]
        shown = heapq.nsmallest(QUEUED, found, key=lambda each: _order(*each))
        return [self._waiting(life, doing) for life, doing in shown], max(0, len(found) - QUEUED)

    def _lane(self, lane: Lane) -> list[tuple[LiveJob, Doing]]:
        jobs: dict[Doing, Sequence[str]] = {
            "painting": lane.running,
            "waiting": lane.waiting,
            "on hold": lane.held,
        }
        lives = self._lives
        return [(life, doing) for doing, ids in jobs.items() for id in ids if (life := lives.get(id))]

    def _waiting(self, life: LiveJob, doing: Doing) -> Waiting:
        position = life.position if doing == "waiting" else None
        return Waiting(
            job=life.job,
            doing=doing,
            held=self._holds.is_held_itself(life.job.id),
            position=position.number if position else None,
            wait=position.wait if position else 0.0,
        )

    async def policies(self) -> dict[str, Policy]:
        return {INSTANCE: Policy(), **await self._store.policies()}

    # ---- people

    async def people(self, search: str = "", page: int = 0) -> tuple[list[Someone], bool]:
        """Return one page of the people whose name or id contains the words, and whether there are more."""
        since = datetime.now(UTC) - LATELY
        found = await self._store.known(since, search=search, skip=page * PEOPLE, limit=PEOPLE + 1)
        return list(await asyncio.gather(*map(self._someone, found[:PEOPLE]))), len(found) > PEOPLE

    async def person(self, id: str) -> tuple[Someone, list[Job], list[Strike]]:
        """Return somebody, known or not, with their last jobs and the strikes that count."""
        known = await self._store.acquaintance(datetime.now(UTC) - LATELY, id)
        someone = await self._someone(known or Known(member=Member(tenant=INSTANCE, id=id, name=id)))
        member = someone.known.member
        jobs = await self._store.jobs(member.tenant, user=id, limit=8)
        return someone, jobs, await self._store.strikes(id, member.tenant)

    async def _someone(self, known: Known) -> Someone:
        member = known.member
        standing = await self._store.standing(member)
        rules = AccessRules(standing, self._tiers, member)
        return Someone(
            known=known,
            tier=rules.tier,
            balances=tuple(await self._store.balances(standing.account, rules.tier)),
            persons=standing.persons,
            account=standing.account,
            sharing=tuple(await self._store.members_of(standing.account)),
        )

    # ---- use, places, records

    async def usage(self, span: timedelta, bucket: timedelta) -> Spell:
        since = datetime.now(UTC) - span
        by: tuple[By, ...] = ("model", "person", "state")
        models, people, states = [
            await self._store.usage(since, bucket, each, most=0 if each == "state" else SERIES) for each in by
        ]
        return Spell(
            since=since,
            bucket=bucket,
            models=tuple(models),
            people=tuple(people),
            states=tuple(states),
            waits=tuple(await self._store.waits(since, bucket)),
        )

    async def places(self) -> list[str]:
        """Return HOUSE, then every tenant where somebody asked lately or a policy is set."""
        asked = await self._store.tenants(datetime.now(UTC) - LATELY)
        tenants = asked | set(await self._store.policies())
        return [INSTANCE, *sorted(tenants - {INSTANCE})]

    async def place(self, tenant: str) -> PlaceSummary:
        found = await self._store.policy(tenant)
        shared = [*access_rules.budgets(Policy(), replace(found, channel_budgets={}), tenant, "")]
        shared += [
            Budget(account=f"budget:{tenant}/{channel}", name=f"channel {channel}", allowance=allowance)
            for channel, allowance in found.channel_budgets.items()
        ]
        balances = await self._store.balances("", Tier(name=""), shared)
        return PlaceSummary(tenant=tenant, policy=found, balances=tuple(balances))

    async def reviews(self) -> list[tuple[Review, Job]]:
        """Return the reported jobs that wait for a decision, the longest waiting first."""
        found = await self._store.open_reviews(limit=REVIEWS)
        jobs = [(each, await self._store.job(each.job)) for each in found]
        return [(review, job) for review, job in jobs if job and job.state is State.RENDERED]

    async def audit(self, search: str = "", page: int = 0) -> tuple[list[AuditLine], bool]:
        """Return one page of changes, newest first, and whether there are more."""
        lines = await self._store.audit(search=search, skip=page * AUDIT, limit=AUDIT + 1)
        return lines[:AUDIT], len(lines) > AUDIT

    def ledger(self, days: int) -> AsyncIterator[LedgerLine]:
        """Return the ledger lines of the last `days` days, oldest first."""
        return self._store.lines(since=datetime.now(UTC) - timedelta(days=days))

    async def health(self, *, check: bool = False) -> Health:
        """Measure the state of engine, database and disk; `check` reads the whole database."""
        disk = await asyncio.to_thread(shutil.disk_usage, self._settings.data_dir)
        return Health(
            version=version("easel"),
            engine=self.status,
            accuracy=await self._store.accuracy(),
            database=await self._store.database(),
            books=await self._store.check() if check else "",
            disk_free=disk.free,
            disk_total=disk.total,
        )


_ORDER: Mapping[Doing, int] = {"painting": 0, "waiting": 1, "on hold": 2}


def _order(life: LiveJob, doing: Doing) -> tuple[int, float]:
    position = life.position if doing == "waiting" else None
    return _ORDER[doing], position.number if position else math.inf


def is_private(job: Job) -> bool:
    """Tell whether others may not see its words: asked privately, in a closed channel or a direct message."""
    return not job.is_open() or ":dm:" in job.origin.member.tenant

"""Continues the jobs that the last process left, while new requests are already served."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

import structlog

from bot.accounts.access_rules import AccessRules
from bot.accounts.tiers import Tiers
from bot.i18n import _
from bot.jobs.tracker import JobTracker
from bot.models import Job, Member
from bot.store import Store

log = structlog.stdlib.get_logger(__name__)

PAGE = 1000  # jobs that are read at once
SLICE = 100  # jobs that are queued before other tasks may run

Who = tuple[str, str, tuple[str, ...]]


@contextmanager
def _fewer_collections() -> Iterator[None]:
    """Collect garbage less often: what is made now stays, and each collection would visit all of it."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 50, 1000)
    try:
        yield
    finally:
        gc.set_threshold(*before)


class Recovery:
    """The jobs that had not ended run again, with the same ids and seeds; ends that are owed are shown."""

    def __init__(self, store: Store, tracker: JobTracker, tiers: Tiers, show: Callable[[Job], None]) -> None:
        self._store = store
        self._tracker = tracker
        self._tiers = tiers
        self._show = show
        self._left: Collection[str] = ()  # the ids of what waited when this process began
        self._rules: dict[Who, AccessRules] = {}

    async def begin(self) -> None:
        """Note which jobs the last process left, before a new one is accepted. Raises StoreError."""
        self._left = await self._store.requeue()

    async def run(self) -> None:
        """Queue unfinished jobs again and show the ends that were not delivered. Raises StoreError."""
        with _fewer_collections():
            await self._requeue()
        owed = await self._store.undelivered()
        for job in owed:
            self._show(job)
        if self._left or owed:
            log.info("continuing jobs of the last run", unfinished=len(self._left), undelivered=len(owed))
        self._left, self._rules = (), {}

    async def _requeue(self) -> None:
        """Queue again what the last process left queued or running, a page at a time."""
        unseen, end = set(self._left), None
        while unseen:
            page, end = await self._store.queued(end, PAGE)
            await self._resume([job for job in page if job.id in unseen])
            unseen.difference_update(job.id for job in page)
            if len(page) == PAGE:
                gc.freeze()  # these objects live until their jobs end: no later collection visits them
            if end is None:
                break
        if unseen:  # unreadable, or ended meanwhile
            await self._store.set_aside(unseen, _("It could not be read any more."))

    async def _resume(self, jobs: Sequence[Job]) -> None:
        await self._load_rules({_who(job.origin.member): job.origin.member for job in jobs})
        for start in range(0, len(jobs), SLICE):
            some = [(job, self._rules[_who(job.origin.member)]) for job in jobs[start : start + SLICE]]
            self._tracker.resume([(job, rules.tier, rules.home) for job, rules in some])
            await asyncio.sleep(0)

    async def _load_rules(self, members: Mapping[Who, Member]) -> None:
        """Load the rules of each person who is not known yet, once however many jobs they have."""
        new = {who: member for who, member in members.items() if who not in self._rules}
        if new:
            standings = await self._store.standings(new.values())
            for who, member in new.items():
                self._rules[who] = AccessRules(standings[member.tenant, member.id], self._tiers, member)


def _who(member: Member) -> Who:
    """Return what a member's rules depend on: tenant, id and roles."""
    return member.tenant, member.id, member.roles

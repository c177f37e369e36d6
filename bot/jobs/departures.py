"""What a platform takes away: messages, channels, and whole places that Easel was removed from.

What was shown in a deleted message stays with its owner alone; what waits or runs for a place where nothing
can be shown any more is cancelled, and its hold released.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

import structlog

from bot.errors import StoreError
from bot.jobs.endings import Endings
from bot.jobs.live import LiveJobs
from bot.models import AuditLine, Job
from bot.store import Store

log = structlog.stdlib.get_logger(__name__)

T = TypeVar("T")

SHORTEST_DELAY, LONGEST_DELAY = 1.0, 60.0  # seconds between two attempts to save


@dataclass(eq=False)
class Departures:
    """Called by adapters; each method repeats until it is saved, however long the database is away."""

    _store: Store
    _lives: LiveJobs
    _endings: Endings
    _lost: Callable[[str, str], Awaitable[None]]  # a place, or one of its channels: contests end there

    async def lost(self, tenant: str, channel: str = "") -> None:
        """End what else was going on in a place, or in one of its channels, that Easel was removed from."""
        await _until_saved(lambda: self._lost(tenant, channel))

    async def deleted(
        self, surface: str, *, tenant: str = "", channel: str = "", messages: Collection[str] = ()
    ) -> None:
        """Hide from all but their owners what a tenant, a channel or messages showed.

        A message is named "<channel>:<message>".
        """
        if tenant and not messages:
            await self.lost(tenant, channel)
        await self._hidden(
            await _until_saved(
                lambda: self._store.hide(surface, tenant=tenant, channel=channel, messages=messages)
            )
        )

    async def deleted_jobs(self, ids: Collection[str], tenant: str, *, but: str = "") -> None:
        """Hide from all but their owners a tenant's jobs whose messages were deleted.

        `but`: not those whose result has replaced this message.
        """
        await self._hidden(await _until_saved(lambda: self._store.hide_jobs(ids, tenant, but=but)))

    async def _hidden(self, ids: Collection[str]) -> None:
        for id in ids:
            await asyncio.sleep(0)  # there may be very many
            log.info("job hidden: its message was deleted", job_id=id)
            if life := self._lives.get(id):
                life.job = replace(life.job, hidden=True)

    async def left(
        self, surface: str, reason: str, *, tenant: str = "", which: Callable[[Job], bool] = lambda job: True
    ) -> int:
        """Cancel waiting and running jobs of a place that Easel was removed from; return their number.

        Their holds are released. The reason, one sentence, is written into their rows and the place's audit.
        """

        def lines(jobs: Sequence[Job]) -> list[AuditLine]:
            counts = Counter(job.origin.member.tenant for job in jobs)
            return [_line(surface, where, count, reason) for where, count in counts.items()]

        ended = await _until_saved(
            lambda: self._store.cancel_all(surface, which, tenant=tenant, reason=reason, lines=lines)
        )
        if ended:
            log.warning("jobs cancelled", surface=surface, place=tenant, cause=reason, jobs=len(ended))
        await self._endings.take_out(ended)
        return len(ended)

    async def tenants(self, surface: str, which: Callable[[Job], bool]) -> set[str]:
        """Return the tenants for which something of the surface waits or runs."""
        return {
            life.job.origin.member.tenant
            async for life in self._lives.each()
            if life.job.origin.surface == surface and which(life.job)
        }


async def _until_saved(work: Callable[[], Awaitable[T]]) -> T:
    """Do the work again and again until it raises no StoreError; return its result."""
    delay = SHORTEST_DELAY
    while True:
        try:
            return await work()
        except StoreError as error:
            log.error("a removal is not saved yet; trying again", cause=str(error), after=delay)
        await asyncio.sleep(delay)
        delay = min(LONGEST_DELAY, 2 * delay)


def _line(surface: str, tenant: str, count: int, reason: str) -> AuditLine:
    return AuditLine(
        at=datetime.now(UTC),
        by=surface,
        name=surface.capitalize(),
        surface=surface,
        tenant=tenant,
        what="removed",
        after=f"{'1 job' if count == 1 else f'{count} jobs'} cancelled: {reason}",
    )

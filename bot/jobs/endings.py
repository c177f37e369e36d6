"""Ends jobs early: in their rows, in the engine, and in what their messages show."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from bot.jobs.tracker import JobTracker
from bot.models import AuditLine, Job, State
from bot.store import Store
from engine.types import Engine


@dataclass(eq=False)
class Endings:
    """Cancels and deletes jobs. Methods raise StoreError.

    The row is written first, with the audit's line: the engine's own event of the end comes too late then.
    """

    _store: Store
    _engine: Engine
    _tracker: JobTracker

    async def cancel(self, job: Job, line: AuditLine | None = None) -> Job:
        """Cancel a job wherever it is, and return it as its row is now."""
        ended, first = await self._store.end(job.id, State.CANCELLED, line=line)
        self._engine.cancel(job.id)
        if first:
            self._tracker.finish(ended)
        return ended

    async def delete(self, job: Job, line: AuditLine | None = None) -> None:
        """End a job wherever it is, and delete it. Its files are left to the sweep."""
        self._take_out(await self._store.delete(job.id, line))

    async def take_out(self, jobs: Iterable[Job]) -> None:
        """Remove jobs whose rows say that they have ended from the engine, and show their ends."""
        for job in jobs:
            await asyncio.sleep(0)  # there may be very many
            self._take_out(job)

    def _take_out(self, job: Job) -> None:
        self._engine.cancel(job.id)
        self._tracker.finish(job)

"""What adapters report about jobs' messages: where they are shown, and by which ways they can be edited."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bot.adapters.base import MessageRef
from bot.jobs.live import LiveJobs
from bot.jobs.message_sync import MessageSync
from bot.models import Job, Origin
from bot.store import Store


@dataclass(eq=False)
class JobMessages:
    """Writes down what adapters report, and shows what follows from it. Methods raise StoreError."""

    _store: Store
    _lives: LiveJobs
    _sync: MessageSync

    async def shown_at(self, surface: str, message: str) -> Job | None:
        """Return the job that a message "<channel>:<message>" shows; None where it shows none."""
        return await self._store.job_posted(surface, message)

    async def shared(self, job: Job, ref: MessageRef, there: Origin) -> None:
        """Record another place where a job's result is shown, so that people there may see it."""
        await self._store.publish(job.id, there, ref)

    def redraw(self, job: Job) -> None:
        """Show a job's message anew, though its card has not changed."""
        self._sync.show(job, anew=True)

    async def owe(self, surface: str, reasons: Collection[str]) -> None:
        """Show the ends of jobs whose messages were given up for one of these reasons."""
        undelivered = [f"It could not be delivered: {each}" for each in reasons]
        for job in await self._store.owe(surface, undelivered):
            self._sync.show(job)

    async def reach(self, job: Job, reply: Mapping[str, Any]) -> None:
        """Add ways to answer the job's person, such as a fresh token, which are used until the job ends."""
        reached = await self._store.reach(job.id, reply)
        if life := self._lives.get(job.id):
            life.job = replace(life.job, origin=reached.origin)
            self._sync.show(life.job, anew=True)

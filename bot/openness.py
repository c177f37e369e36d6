"""Whether what was asked for in an open place may still be shown outside of it.

A channel may be made private at any time, and a surface may not be told. So before a job of an open place is
shown elsewhere, the surface is asked anew; what has been closed is closed in the rows as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from bot.adapters.base import ChatAdapter, KnowsPlaces
from bot.follower import AT_ONCE, Life
from bot.models import Job, Member
from bot.store import Store


class Openness:
    """Asks the surfaces that know. `lives` are the unfinished jobs."""

    def __init__(self, store: Store, lives: Mapping[str, Life]) -> None:
        self._store = store
        self._lives = lives
        self._surfaces: dict[str, KnowsPlaces] = {}

    def add(self, adapter: ChatAdapter) -> None:
        """Ask this surface about its places, if it knows of any."""
        if isinstance(adapter, KnowsPlaces):
            self._surfaces[adapter.name] = adapter

    async def seen(self, jobs: Sequence[Job], member: Member, here: Collection[str]) -> list[Job]:
        """Return those of the jobs that a member in the places `here` may see still. Raises StoreError."""
        others = [job for job in jobs if job.origin.member.id != member.id]
        changed = {job.id: now for job, now in await self._refreshed(others, here) if now is not job}
        if not changed:
            return list(jobs)
        mine = {member.id, *await self._store.sharing(member.id)}
        return [
            changed.get(job.id, job)
            for job in jobs
            if job.id not in changed
            or job.origin.member.id in mine
            or changed[job.id].is_seen_by(member, here)
        ]

    async def now(self, job: Job, here: Collection[str]) -> Job:
        """Return the job as it may be seen at this moment. Raises StoreError."""
        return (await self._refreshed([job], here))[0][1]

    async def close(self, tenant: str, channel: str, before: datetime | None = None) -> None:
        """A place is closed: so is all that was asked for in it, up to `before`. Raises StoreError."""
        await self._store.close_place(tenant, channel, before)
        for number, life in enumerate(list(self._lives.values())):
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
            origin = life.job.origin
            if (origin.member.tenant, origin.channel) == (tenant, channel) and life.job.is_open():
                life.job = _closed(life.job)

    async def _refreshed(self, jobs: Sequence[Job], here: Collection[str]) -> list[tuple[Job, Job]]:
        """Each job with what it is now; every place is asked about once."""
        asked = {_place(job): job for job in jobs if self._is_asked_about(job, here)}
        answers = await asyncio.gather(
            *(self._surfaces[job.origin.surface].closed(job) for job in asked.values())
        )
        closed = {place: answer for place, answer in zip(asked, answers, strict=True) if answer is not False}
        for (tenant, channel), answer in closed.items():
            if answer:  # None: the surface does not tell, so it is closed for the moment alone
                await self.close(tenant, channel)
        return [
            (job, _closed(job) if _place(job) in closed and self._is_asked_about(job, here) else job)
            for job in jobs
        ]

    def _is_asked_about(self, job: Job, here: Collection[str]) -> bool:
        channel = job.origin.channel
        return (
            job.origin.surface in self._surfaces and job.is_open() and bool(channel) and channel not in here
        )


def _place(job: Job) -> tuple[str, str]:
    return job.origin.member.tenant, job.origin.channel


def _closed(job: Job) -> Job:
    return replace(job, origin=replace(job.origin, seen_in=(job.origin.channel,)))

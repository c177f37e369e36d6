"""Which jobs a member may see, and which are theirs.

A channel may be made private at any time without an event. So before a job of an open place is shown
elsewhere, the surface is asked whether the place is still open; if not, its jobs' rows are changed as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bot.accounts.access import Access
from bot.actions import Action
from bot.adapters.base import ChatAdapter, KnowsPlaces
from bot.errors import Refusal
from bot.i18n import _
from bot.jobs.live import LiveJobs
from bot.models import Job, Member, State
from bot.options import clip
from bot.store import Store


@dataclass(eq=False)
class Visibility:
    """Finds jobs for members, and asks the surfaces that know whether a place is still open.

    Methods raise StoreError.
    """

    _store: Store
    _lives: LiveJobs
    _access: Access
    _adapters: Mapping[str, ChatAdapter]

    async def job(self, id: str, member: Member, here: Collection[str] = ()) -> Job:
        """Return a job, for a member who is in the places `here`.

        Raises Refusal if it is unknown, deleted, of another tenant, private to someone else, or of a closed
        place elsewhere; for a guest, also of any other place.
        """
        job = await self._store.job(id)
        job = job and (await self._refreshed([job], here))[0][1]
        if job is None or not (job.is_seen_by(member, here) or await self.owns(job, member)):
            raise Refusal(_("There is no job {id} here. /history lists them.", id=clip(id)), code="unknown")
        if job.state is State.DELETED:
            raise Refusal(_("Those images were deleted."), code="deleted")
        return job

    async def jobs(self, member: Member, **filters: Any) -> list[Job]:
        """Return what `Store.jobs` finds, as far as the member may see it."""
        found = await self._store.jobs(member.tenant, viewer=member.id, guest=member.guest, **filters)
        return await self.seen(found, member, filters.get("here", ()))

    async def owns(self, job: Job, member: Member) -> bool:
        """Return whether the job is the member's: asked for here, or anywhere under a linked name."""
        owner = job.origin.member
        if (owner.id, owner.tenant) == (member.id, member.tenant):
            return True
        names = await self._store.sharing(member.id)
        return len(names) > 1 and owner.id in names

    async def check_whose(self, action: Action, job: Job, member: Member) -> bool:
        """Return whether the job is the member's own. Raises Refusal where they may not press it."""
        own = await self.owns(job, member)
        if own and "owner" in action.spec.whose:
            return own
        if "moderator" not in action.spec.whose:
            raise Refusal(_("Only the person who asked for these images can do that."), code="forbidden")
        if not (await self._access.rules(member)).moderates(job):
            owner = job.origin.member.name
            raise Refusal(_("Only {owner} or an administrator can do that.", owner=owner), code="forbidden")
        return own

    async def seen(self, jobs: Sequence[Job], member: Member, here: Collection[str]) -> list[Job]:
        """Return those of the jobs that a member in the places `here` may still see."""
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

    async def those_seen(self, jobs: Sequence[Job], member: Member, here: Collection[str]) -> list[Job]:
        """Return those of any jobs that a member in the places `here` may see; none that was deleted."""
        names = await self._store.sharing(member.id)
        linked = set(names) if len(names) > 1 else set()
        found = [
            job
            for job in jobs
            if job.state is not State.DELETED
            and (job.is_seen_by(member, here) or job.origin.member.id in linked)
        ]
        return await self.seen(found, member, here)

    async def close_place(self, tenant: str, channel: str, before: datetime | None = None) -> None:
        """Show what was asked for in a channel, up to `before`, to its people alone: it was made private."""
        await self._store.close_place(tenant, channel, before)
        async for life in self._lives.each():
            origin = life.job.origin
            if (origin.member.tenant, origin.channel) == (tenant, channel) and life.job.is_open():
                life.job = _closed(life.job)

    async def _refreshed(self, jobs: Sequence[Job], here: Collection[str]) -> list[tuple[Job, Job]]:
        """Return each job as it was and as it is now. Each place is asked about once."""
        asked = {_place(job): job for job in jobs if self._is_asked_about(job, here)}
        answers = await asyncio.gather(*map(self._is_closed, asked.values()))
        closed = {place: answer for place, answer in zip(asked, answers, strict=True) if answer is not False}
        for (tenant, channel), answer in closed.items():
            if answer:  # None: the surface does not tell, so it is closed for the moment alone
                await self.close_place(tenant, channel)
        return [
            (job, _closed(job) if _place(job) in closed and self._is_asked_about(job, here) else job)
            for job in jobs
        ]

    def _is_asked_about(self, job: Job, here: Collection[str]) -> bool:
        channel, adapter = job.origin.channel, self._adapters.get(job.origin.surface)
        return isinstance(adapter, KnowsPlaces) and job.is_open() and bool(channel) and channel not in here

    async def _is_closed(self, job: Job) -> bool | None:
        adapter = self._adapters[job.origin.surface]
        assert isinstance(adapter, KnowsPlaces)
        return await adapter.closed(job)


def _place(job: Job) -> tuple[str, str]:
    return job.origin.member.tenant, job.origin.channel


def _closed(job: Job) -> Job:
    return replace(job, origin=replace(job.origin, seen_in=(job.origin.channel,)))

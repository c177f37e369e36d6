"""Administrators and the queue: its state, single jobs, pauses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from bot import formats
from bot.admin.asked import AdminRequest, Commands, Policies, done, titled
from bot.errors import Refusal
from bot.jobs.endings import Endings
from bot.jobs.holds import Holds
from bot.jobs.live import LiveJobs
from bot.jobs.tracker import JobTracker
from bot.messages.types import Card
from bot.models import INSTANCE, Job, State
from bot.options import clip
from bot.store import Store
from engine.types import Engine, Lane, Loading, WorkerStatus

SHOWN = 15  # people in the line


@dataclass(eq=False)
class QueueCommands:
    """`show` is told of jobs whose messages have changed."""

    _store: Store
    _engine: Engine
    _lives: LiveJobs
    _tracker: JobTracker
    _endings: Endings
    _holds: Holds
    _policies: Policies
    _show: Callable[[Job], None]

    @property
    def commands(self) -> Commands:
        return {
            "admin status": self._status,
            "admin job": self._job,
            "admin pause": self._pause,
            "admin drain": self._drain,
            "admin resume": self._resume,
        }

    async def _status(self, asked: AdminRequest) -> Card:
        state = self._engine.status()
        facts = [f"{state.inside} painting", f"{state.waiting} waiting"]
        facts += [f"{state.held} on hold"] if state.held else []
        facts += [f"{state.relaxed} relaxed"] if state.relaxed else []
        lines = [
            *await self._stopped(asked.tenant),
            f"The device gave {state.last_minute:.0f} s in the last minute and "
            f"{state.last_five_minutes:.0f} s in the last five, for {state.rows:.1f} pictures at a time.",
            *map(_worker, state.workers),
            *(_loading(worker.device, worker.loading) for worker in state.workers if worker.loading),
            *await self._accuracy(),
            *await self._longest(),
            *self._line(asked),
        ]
        return titled("Status", lines, facts=facts)

    async def _longest(self) -> list[str]:
        """Return a line with the longest wait so far and the longest that is expected."""
        oldest, expected = None, 0.0
        async for life in self._lives.each():
            if life.job.state is State.QUEUED:
                oldest = min(oldest or life.job.created, life.job.created)
                expected = max(expected, life.place.wait if life.place else 0.0)
        if oldest is None:
            return ["Nobody waits."]
        so_far = formats.span(max(0.0, (datetime.now(UTC) - oldest).total_seconds()))
        return [f"The longest wait so far is {so_far}; the last in line starts in {formats.about(expected)}."]

    async def _stopped(self, tenant: str) -> list[str]:
        """Return a line for each pause that stops jobs here and each drain that stops new requests."""
        found = await self._store.policies()
        here = [each for each in dict.fromkeys((INSTANCE, tenant)) if each in found]
        where = {INSTANCE: "everywhere", tenant: "here"} if tenant != INSTANCE else {INSTANCE: "everywhere"}
        lines = [f"Paused {where[each]}: /admin resume goes on." for each in here if found[each].paused]
        return lines + [
            f"Takes nothing new {where[each]}: /admin resume goes on." for each in here if found[each].drained
        ]

    async def _accuracy(self) -> list[str]:
        return [
            f"Estimates for {model}: half are within {each.median:.0%} of the cost, nine in ten within "
            f"{each.p90:.0%} ({each.jobs} jobs)."
            for model, each in (await self._store.accuracy()).items()
        ]

    def _line(self, asked: AdminRequest) -> list[str]:
        lanes = self._engine.line()
        lines = [
            f"{number}. {self._who(lane, asked)}: {_doing(lane)}"
            for number, lane in enumerate(lanes[:SHOWN], 1)
        ]
        return lines + ([f"and {len(lanes) - SHOWN} more"] if len(lanes) > SHOWN else [])

    def _who(self, lane: Lane, asked: AdminRequest) -> str:
        """Return a person's name in this place. People of other places stay nameless."""
        lives = self._lives
        ids = (*lane.running, *lane.waiting, *lane.held)
        members = [lives[id].job.origin.member for id in ids if id in lives]
        here = [each.name for each in members if asked.tenant in (INSTANCE, each.tenant)]
        return here[0] if here else "someone elsewhere"

    async def _job(self, asked: AdminRequest) -> Card:
        job = await self._found(asked)
        if job.state.ended:
            raise Refusal("That job has ended already.", code="ended")
        match asked.options["do"]:
            case "cancel":
                return await self._cancel(job, asked)
            case "relax":
                return await self._relax(job, asked)
            case do:
                return await self._hold(job, asked, held=do == "hold")

    async def _found(self, asked: AdminRequest) -> Job:
        job = await self._store.job(asked.options["job"])
        if job is None or asked.tenant not in (INSTANCE, job.origin.member.tenant):
            raise Refusal(f"There is no job {clip(asked.options['job'])} here.", code="unknown")
        return job

    async def _cancel(self, job: Job, asked: AdminRequest) -> Card:
        await self._endings.cancel(job, asked.line(job.id, job.state.value, "cancelled"))
        return done(f"Job {job.id} of {_owner(job)} is cancelled; nothing was charged.")

    async def _relax(self, job: Job, asked: AdminRequest) -> Card:
        if not await self._store.relax(job.id, asked.line(job.id, "fast", "relaxed")):
            raise Refusal("Only a job that waits, and is not relaxed yet, can be moved behind the others.")
        self._tracker.relaxed(job.id)
        return done(f"Job {job.id} of {_owner(job)} is free now, and painted when nobody else waits.")

    async def _hold(self, job: Job, asked: AdminRequest, *, held: bool) -> Card:
        if job.state is not State.QUEUED:
            raise Refusal("Only a job that waits can be held; cancel it instead.", code="running")
        if job.id not in self._lives:
            raise Refusal("Easel is not running, so nothing starts. Use /admin pause before it does.")
        await self._store.note(asked.line(job.id, after="on hold" if held else "released"))
        self._holds.set_job(job.id, held=held)
        await self._apply_holds()
        if held:
            return done(f"Job {job.id} of {_owner(job)} is on hold. Let it go on with /admin job … release.")
        return done(f"Job {job.id} of {_owner(job)} is in line again.")

    async def _apply_holds(self) -> None:
        async for life in self._lives.each():
            self._holds.apply([life.job])
            if life.job.state is State.QUEUED:
                self._show(life.job)

    async def _pause(self, asked: AdminRequest) -> Card:
        await self._stop(asked, paused=True)
        return done("Paused: nothing more starts and nothing new is taken. /admin resume goes on.")

    async def _drain(self, asked: AdminRequest) -> Card:
        await self._stop(asked, drained=True)
        return done("Nothing new is taken; what was accepted is painted. /admin resume takes requests again.")

    async def _resume(self, asked: AdminRequest) -> Card:
        await self._stop(asked, paused=False, drained=False)
        house = await self._store.policy(INSTANCE)
        if asked.tenant != INSTANCE and (house.paused or house.drained):
            return done("Resumed here; but those who run this Easel have stopped it everywhere.")
        return done("Easel goes on.")

    async def _stop(self, asked: AdminRequest, **changes: Any) -> None:
        await self._policies.change(asked, lambda before: replace(before, **changes))
        await self._policies.load()
        await self._apply_holds()


def _owner(job: Job) -> str:
    return job.origin.member.name


def _worker(worker: WorkerStatus) -> str:
    state = f"{worker.jobs} jobs inside" if worker.ready else "is starting, or being replaced"
    if worker.out:
        state = "is out of service since it paints nothing, and the log tells why"
    loaded = f", {worker.models[-1]} loaded" if worker.models else ""
    return f"{worker.device}: {state}{loaded}, lost {worker.restarts} times since the start."


def _loading(device: str, loading: Loading) -> str:
    if not loading.fetched:
        return f"{device} loads {loading.model}."
    return f"{device} fetches {loading.model}: {loading.fetched / 1e9:.1f} GB are here so far."


def _doing(lane: Lane) -> str:
    counts = {"painting": lane.running, "waiting": lane.waiting, "on hold": lane.held}
    parts = [f"{len(ids)} {what}" for what, ids in counts.items() if ids]
    return (
        ", ".join(parts)
        + f"; {formats.span(lane.served)} since the start"
        + (" (relaxed)" if lane.relaxed else "")
    )

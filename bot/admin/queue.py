"""Administrators and the queue: its state, single jobs, pauses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from bot import formats
from bot.admin.asked import AdminRequest, Commands, Policies, done, titled
from bot.errors import Refusal
from bot.i18n import _, join, ngettext
from bot.jobs.endings import Endings
from bot.jobs.holds import Holds
from bot.jobs.live import LiveJobs
from bot.jobs.tracker import JobTracker
from bot.messages.job_cards import coming_model
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
        facts = [_("{inside} generating", inside=state.inside), _("{waiting} waiting", waiting=state.waiting)]
        facts += [_("{held} on hold", held=state.held)] if state.held else []
        facts += [_("{relaxed} relaxed", relaxed=state.relaxed)] if state.relaxed else []
        lines = [
            *await self._stopped(asked.tenant),
            _(
                "GPU busy {last_minute} s of the last 60 s and {last_five_minutes} s of the last "
                "300 s; average batch {rows}.",
                last_minute=f"{state.last_minute:.0f}",
                last_five_minutes=f"{state.last_five_minutes:.0f}",
                rows=f"{state.rows:.1f}",
            ),
            *map(_worker, state.workers),
            *(_loading(worker.device, worker.loading) for worker in state.workers if worker.loading),
            *await self._accuracy(),
            *await self._longest(),
            *self._line(asked),
        ]
        return titled(_("Status"), lines, facts=facts)

    async def _longest(self) -> list[str]:
        """Return a line with the longest wait so far and the longest that is expected."""
        oldest, expected = None, 0.0
        async for life in self._lives.each():
            if life.job.state is State.QUEUED:
                oldest = min(oldest or life.job.created, life.job.created)
                expected = max(expected, life.position.wait if life.position else 0.0)
        if oldest is None:
            return [_("The queue is empty.")]
        so_far = formats.span(max(0.0, (datetime.now(UTC) - oldest).total_seconds()))
        return [
            _(
                "The longest wait so far is {so_far}; the last in the queue starts in {wait}.",
                so_far=so_far,
                wait=formats.about(expected),
            )
        ]

    async def _stopped(self, tenant: str) -> list[str]:
        """Return a line for each pause that stops jobs here and each drain that stops new requests."""
        found = await self._store.policies()
        here = [each for each in dict.fromkeys((INSTANCE, tenant)) if each in found]
        return [
            *(_PAUSED[each == INSTANCE] for each in here if found[each].paused),
            *(_DRAINED[each == INSTANCE] for each in here if found[each].drained),
        ]

    async def _accuracy(self) -> list[str]:
        return [
            _(
                "Estimates for {model}: median error {median}, 90th percentile {p90} ({jobs} jobs).",
                model=model,
                median=f"{each.median:.0%}",
                p90=f"{each.p90:.0%}",
                jobs=each.jobs,
            )
            for model, each in (await self._store.accuracy()).items()
        ]

    def _line(self, asked: AdminRequest) -> list[str]:
        lanes = self._engine.lanes()
        lines = [
            _("{number}. {who}: {doing}", number=number, who=self._who(lane, asked), doing=_doing(lane))
            for number, lane in enumerate(lanes[:SHOWN], 1)
        ]
        return lines + ([_("and {count} more", count=len(lanes) - SHOWN)] if len(lanes) > SHOWN else [])

    def _who(self, lane: Lane, asked: AdminRequest) -> str:
        """Return a person's name in this place. People of other places stay nameless."""
        lives = self._lives
        ids = (*lane.running, *lane.waiting, *lane.held)
        members = [lives[id].job.origin.member for id in ids if id in lives]
        here = [each.name for each in members if asked.tenant in (INSTANCE, each.tenant)]
        return here[0] if here else _("someone elsewhere")

    async def _job(self, asked: AdminRequest) -> Card:
        job = await self._found(asked)
        if job.state.ended:
            raise Refusal(_("That job has ended already."), code="ended")
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
            raise Refusal(_("There is no job {id} here.", id=clip(asked.options["job"])), code="unknown")
        return job

    async def _cancel(self, job: Job, asked: AdminRequest) -> Card:
        await self._endings.cancel(job, asked.line(job.id, job.state.value, "cancelled"))
        return done(_("Job {id} of {owner} is cancelled; nothing was charged.", id=job.id, owner=_owner(job)))

    async def _relax(self, job: Job, asked: AdminRequest) -> Card:
        if not await self._store.relax(job.id, asked.line(job.id, "fast", "relaxed")):
            raise Refusal(_("Only a waiting job that is not relaxed yet can be moved behind the others."))
        self._tracker.relaxed(job.id)
        return done(
            _(
                "Job {id} of {owner} is free now, and runs when no one else is waiting.",
                id=job.id,
                owner=_owner(job),
            )
        )

    async def _hold(self, job: Job, asked: AdminRequest, *, held: bool) -> Card:
        if job.state is not State.QUEUED:
            raise Refusal(_("Only a waiting job can be held; cancel it instead."), code="running")
        if job.id not in self._lives:
            raise Refusal(_("Easel is not running, so nothing starts. Use /admin pause before it does."))
        await self._store.note(asked.line(job.id, after="on hold" if held else "released"))
        self._holds.set_job(job.id, held=held)
        await self._apply_holds()
        if held:
            return done(
                _(
                    "Job {id} of {owner} is on hold. Resume it with /admin job … release.",
                    id=job.id,
                    owner=_owner(job),
                )
            )
        return done(_("Job {id} of {owner} is back in the queue.", id=job.id, owner=_owner(job)))

    async def _apply_holds(self) -> None:
        async for life in self._lives.each():
            self._holds.apply([life.job])
            if life.job.state is State.QUEUED:
                self._show(life.job)

    async def _pause(self, asked: AdminRequest) -> Card:
        await self._stop(asked, paused=True)
        return done(_("Paused: nothing starts and nothing new is accepted. /admin resume continues."))

    async def _drain(self, asked: AdminRequest) -> Card:
        await self._stop(asked, drained=True)
        return done(
            _(
                "Draining: nothing new is accepted; accepted jobs still run. /admin resume "
                "accepts requests again."
            )
        )

    async def _resume(self, asked: AdminRequest) -> Card:
        await self._stop(asked, paused=False, drained=False)
        house = await self._store.policy(INSTANCE)
        if asked.tenant != INSTANCE and (house.paused or house.drained):
            return done(_("Resumed here, but those who run this Easel have stopped it everywhere."))
        return done(_("Resumed."))

    async def _stop(self, asked: AdminRequest, **changes: Any) -> None:
        await self._policies.change(asked, lambda before: replace(before, **changes))
        await self._policies.load()
        await self._apply_holds()


_PAUSED = (_("Paused here: /admin resume continues."), _("Paused everywhere: /admin resume continues."))
_DRAINED = (
    _("Draining here: /admin resume continues."),
    _("Draining everywhere: /admin resume continues."),
)


def _owner(job: Job) -> str:
    return job.origin.member.name


def _worker(worker: WorkerStatus) -> str:
    jobs = ngettext("{count} job inside", "{count} jobs inside", worker.jobs)
    state = jobs if worker.ready else _("is starting, or being replaced")
    if worker.out:
        state = _("is out of service since it produces no images, and the log tells why")
    loaded = _("{model} loaded", model=worker.models[-1]) if worker.models else ""
    lost = ngettext(
        "lost {count} time since the start", "lost {count} times since the start", worker.restarts
    )
    return _("{device}: {state}.", device=worker.device, state=join(", ", (state, loaded, lost)))


def _loading(device: str, loading: Loading) -> str:
    return _("{device}: {state}.", device=device, state=coming_model(loading))


def _doing(lane: Lane) -> str:
    running, waiting, held = len(lane.running), len(lane.waiting), len(lane.held)
    parts = [_("{inside} generating", inside=running)] if running else []
    parts += [_("{waiting} waiting", waiting=waiting)] if waiting else []
    parts += [_("{held} on hold", held=held)] if held else []
    served = _("{span} since the start", span=formats.span(lane.served))
    return join(", ", parts) + "; " + served + (_(" (relaxed)") if lane.relaxed else "")

"""Fair queue → workers → events: one loop for each worker, which replaces it when it is lost.

Runs in the studio's event loop and never waits for torch. What a worker is, a process here or an actor
elsewhere, is behind `Worker`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Protocol

from engine.catalog import Catalog, Entry
from engine.errors import Cancelled, EngineError, InvalidRequest, ModelNotLoaded, WorkerLost
from engine.fitness import OUT_SECONDS, TRIAL, Fitness, trial
from engine.scheduling.cost_model import LoadingCosts, RequestCosts
from engine.scheduling.job_queue import FairQueue
from engine.scheduling.placement import DeviceModels, Placement
from engine.text import _
from engine.types import (
    BlobRef,
    EngineEvent,
    EngineJob,
    EngineStatus,
    Failed,
    Finished,
    GenerationRequest,
    Lane,
    Loading,
    ModelInfo,
    Picture,
    Progress,
    QueuePosition,
    Restarted,
    Started,
    WorkerStatus,
)
from engine.workers.messages import Capacity, ModelLoaded, Pulse, Ready, Report, Start
from engine.workers.utilization import MINUTE, Utilization

_log = logging.getLogger(__name__)

DEATHS = 2  # a job that was running when so many workers died is set aside
STARTS = 3  # attempts to start a worker before all waiting jobs fail
TRIES = 2  # devices on which a job may end in an engine's error
LONGEST_PAUSE = 30.0  # seconds between attempts to replace a worker
GATE_PAUSE = 0.25  # seconds after which it is asked again whether a job may be started


class Worker(Protocol):
    """One device's worker, seen from outside."""

    async def send(self, order: Start) -> None: ...

    def cancel(self, job_id: str) -> Coroutine[Any, Any, None]: ...

    def events(self) -> AsyncGenerator[Report, None]:
        """Yield the worker's reports until it is gone, or gives no sign of life for long."""
        ...

    def suspects(self) -> frozenset[str]:
        """Return the jobs that were running when the worker died; empty when nobody knows."""
        ...

    async def close(self) -> None:
        """Stop the worker, by force if need be. The jobs it had running are not reported."""
        ...


Spawn = Callable[[], Awaitable[Worker]]


class Dispatcher:
    """An engine over workers of any kind. `spawns`: each device, with a function that starts its worker.

    `may_start` is asked before each job is started; while it says no, all wait. `memory` is what each device
    has for models, in bytes; `size(model)` returns what a model takes of it, before it was ever loaded. At
    most `jobs_each` jobs are on a device at once, as long as another device can take them. `served` names the
    one model of a device that is a server elsewhere; all other devices have all other models.
    """

    def __init__(
        self,
        catalog: Catalog,
        spawns: Sequence[tuple[str, Spawn]],
        read: Callable[[BlobRef], bytes],
        *,
        queue: FairQueue | None = None,
        clock: Callable[[], float] = time.monotonic,
        may_start: Callable[[], Awaitable[bool]] | None = None,
        memory: Sequence[float] | None = None,
        size: Callable[[Entry], float] = lambda entry: 0.0,
        jobs_each: float = math.inf,
        served: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._may_start = may_start
        self._catalog = catalog
        self._spawns = spawns
        self._read = read
        self._queue = FairQueue() if queue is None else queue  # an empty queue is falsy
        self._costs = RequestCosts(catalog)
        self._events: asyncio.Queue[EngineEvent | None] = asyncio.Queue()
        self._clock = clock
        self._usage = Utilization()
        each = memory if memory is not None else [math.inf] * len(spawns)
        elsewhere = frozenset(served.values())
        self._slots = [
            WorkerSlot(device, bytes, jobs_each, only=served.get(device, ""), elsewhere=elsewhere)
            for (device, _), bytes in zip(spawns, each, strict=True)
        ]
        self._models = LoadingCosts(catalog, size)
        self._placement = Placement(self._slots, self._models.size, self._models.seconds, self._queue.waiting)
        self._loops: list[asyncio.Task[None]] = []
        self._workers_changed = asyncio.Event()  # some worker is ready, or another one than before
        self._failed_on: dict[str, set[WorkerSlot]] = {}  # by job: where it ended in an engine's error
        self._last_progress = self._clock()  # of any device; or when work came for an idle engine

    async def start(self) -> None:
        await asyncio.to_thread(self._models.prepare)
        self._loops = [asyncio.create_task(self._feed(), name="feeder")]
        for (_device, spawn), slot in zip(self._spawns, self._slots, strict=True):
            self._loops.append(
                asyncio.create_task(self._supervise(spawn, slot), name=f"worker-{slot.device}")
            )

    def models(self) -> tuple[ModelInfo, ...]:
        return self._catalog.models()

    def estimate(self, request: GenerationRequest) -> float:
        return self._costs.estimate(request)

    def learn(self, request: GenerationRequest, seconds: float) -> None:
        self._costs.observe(request, seconds)

    def _expect_progress(self) -> None:
        """Begin to measure for how long nothing moves, now that work comes for an idle engine."""
        if not self._has_work:
            self._last_progress = self._clock()

    def resume(self, jobs: Iterable[EngineJob]) -> dict[str, EngineError]:
        self._expect_progress()
        taken, refused = [], {}
        for job in jobs:
            try:
                taken.append(self._priced(job))
            except EngineError as error:
                refused[job.id] = error
        self._queue.put_former(taken)
        return refused

    def _priced(self, job: EngineJob) -> EngineJob:
        """Return the job with its estimated cost, unless it has one. Raises UnknownModel.

        What needs no painting model is done on a device here, where there is one.
        """
        entry = self._catalog.entry(job.request.model)
        here = next((each for each in self.models() if self._catalog.entry(each.name).remote is None), None)
        if entry.remote and here and not job.request.paints:
            job = replace(job, request=replace(job.request, model=here.name))
        return job if job.cost else replace(job, cost=self.estimate(job.request))

    def submit(self, job: EngineJob) -> QueuePosition:
        job = self._priced(job)
        self._expect_progress()
        self._queue.put(job)
        position = self.position(job.id)
        assert position is not None
        return position

    def cancel(self, job: str) -> bool:
        if self._queue.remove(job):
            self._end(Failed(job=job, error=Cancelled(f"job {job} was waiting"), device_seconds=0))
            return True
        for slot in self._slots:
            if job in slot.jobs:
                slot.cancel(job)
                return True
        return False

    def hold(self, job: str) -> bool:
        for slot in self._slots:
            slot.hold(job)
        return self._queue.hold(job)

    def unhold(self, job: str) -> bool:
        for slot in self._slots:
            slot.unhold(job)
        return self._queue.unhold(job)

    def relax(self, job: str) -> bool:
        return self._queue.relax(job)

    def move(self, job: str, tenant: str, user: str) -> bool:
        return self._queue.move(job, tenant, user)

    def position(self, job: str) -> QueuePosition | None:
        busy, relaxed = (sum(slot.remaining(relaxed=kind) for slot in self._slots) for kind in (False, True))
        devices = max(1, len(self._slots))
        return self._queue.position(job, busy=busy, relaxed_busy=relaxed, devices=devices)

    def lanes(self) -> tuple[Lane, ...]:
        return self._queue.lanes()

    def status(self) -> EngineStatus:
        return EngineStatus(
            workers=tuple(slot.status() for slot in self._slots),
            inside=sum(len(slot.jobs) for slot in self._slots),
            waiting=len(self._queue),
            held=self._queue.held,
            relaxed=self._queue.relaxed,
            last_minute=self._usage.seconds(MINUTE),
            last_five_minutes=self._usage.seconds(),
            rows=self._usage.rows(),
            stalled=float(int(self._clock() - self._last_progress)) if self._has_work else 0.0,
        )

    @property
    def _has_work(self) -> bool:
        return bool(len(self._queue)) or any(slot.jobs for slot in self._slots)

    async def events(self) -> AsyncIterator[EngineEvent]:
        while (event := await self._events.get()) is not None:
            yield event

    async def close(self, drain: float = 0.0) -> None:
        if self._loops:
            self._loops[0].cancel()
        for slot in self._slots:
            for job_id in slot.unsent():
                self._queue.settle(slot.remove(job_id).id, 0.0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain):
                for slot in self._slots:
                    await slot.idle.wait()
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._events.put_nowait(None)

    async def _feed(self) -> None:
        """Start jobs in fair order, each on the device where it would end first."""
        while True:
            await self._workers_changed.wait()
            await self._queue.ready(self._placement.may_take)
            if self._may_start is not None and not await self._may_start():
                await asyncio.sleep(GATE_PAUSE)
                continue
            if (job := self._take()) is None:
                continue  # taken out while `may_start` was asked
            slot = self._choose(job)
            if slot is None:
                self._queue.settle(job.id, 0.0)
                self._queue.put(job, first=True)
                self._workers_changed.clear()
                continue
            leave = self._placement.admit(slot, job.request.model, job.relaxed)
            slot.admit(job)
            slot.run_apart(self._hand_over(slot, job, self._queue.used(job), leave), job.id)

    def _take(self) -> EngineJob | None:
        """Take out the first job in fair order whose model has room."""
        first = self._queue.first()
        job = self._queue.take(self._placement.has_room) or self._queue.take(self._placement.may_take)
        if first is not None and job is not None and first is not job:
            self._placement.pass_over(first.request.model, job.cost)
        return job

    def _choose(self, job: EngineJob) -> WorkerSlot | None:
        """Return the slot for a job; None while no worker is ready on a device that has not failed it."""
        model, tried = job.request.model, self._failed_on.get(job.id, ())
        for eager in (False, True):
            if slot := self._placement.choose(model, job.relaxed, eager=eager, but_for=tried):
                return slot
        # No device has room, but the job may not wait for those that have failed it.
        serving = [each for each in self._slots if each.serves(model)]
        able = [each for each in serving if self._may_do(each, job)] or serving
        ready = [each for each in able if each.ready]
        return min(ready, key=lambda each: (model not in each.loaded.sizes, each.load()), default=None)

    def _may_do(self, slot: WorkerSlot, job: EngineJob) -> bool:
        """Tell whether a device is in service, has not failed this job, and may have its model."""
        return slot.able(job.request.model) and slot not in self._failed_on.get(job.id, ())

    async def _hand_over(self, slot: WorkerSlot, job: EngineJob, used: float, leave: tuple[str, ...]) -> None:
        order = await self._start_order(job, used, leave)
        if slot.worker is None:
            return  # lost meanwhile, and the job queued again
        if order is not None:
            await slot.worker.send(order)
            slot.sent(job.id)
        else:
            error = InvalidRequest("no source", advice=_("The source image is gone. Choose another."))
            self._on_event(slot, Failed(job=job.id, error=error, device_seconds=0))

    # --- one loop for each worker ---

    async def _supervise(self, spawn: Spawn, slot: WorkerSlot) -> None:
        """Run one worker after the other on a device, for ever."""
        while True:
            await asyncio.sleep(slot.pause)
            slot.pause = min(LONGEST_PAUSE, slot.pause * 2 or 0.1)
            try:
                await self._run_worker(spawn, slot)
            except Exception:  # whatever it was: the other workers go on, and this one is replaced
                _log.exception("a worker failed")
            self._requeue_all(slot)

    async def _run_worker(self, spawn: Spawn, slot: WorkerSlot) -> None:
        """Run one worker and handle its events until it is gone or has to be replaced."""
        slot.begin()
        worker = slot.worker = await spawn()
        try:
            async with contextlib.aclosing(worker.events()) as events:
                async for event in events:
                    self._on_event(slot, event)
                    if slot.condemned:
                        break
        finally:
            slot.worker, slot.ready, slot.models, slot.loading = None, False, (), None
            slot.loaded.clear()
            if slot.fitness.trying:
                self._condemn(slot, WorkerLost("its worker was lost over a trial"))
            self._count_devices()
            await worker.close()
            slot.suspects = worker.suspects()

    def _count_devices(self) -> None:
        """Tell the queue how many devices are ready, and wake the loop that waits for a worker."""
        self._queue.devices = sum(slot.ready for slot in self._slots)
        self._workers_changed.set()

    async def _start_order(self, job: EngineJob, used: float, leave: tuple[str, ...]) -> Start | None:
        """Return the order that starts a job, with its source pictures; None if one cannot be read."""
        try:
            sources = [await asyncio.to_thread(self._read, each) for each in job.request.sources]
            return Start(job=job, sources=tuple(sources), used=used, leave=leave)
        except Exception as error:  # whatever the store of pictures raises, only this job suffers
            _log.warning("source picture unreadable", extra={"job_id": job.id}, exc_info=error)
            return None

    def _on_event(self, slot: WorkerSlot, event: Report) -> None:
        self._last_progress = self._clock()
        match event:
            case Ready(error=error):
                self._on_ready(slot, error)
            case ModelLoaded():
                self._on_loaded(slot, event)
            case Capacity(jobs=jobs):
                slot.jobs_each = jobs
                self._queue.look_again()
            case Pulse():
                slot.models, slot.loading = event.models, event.loading
                self._usage.add(event)
            case _:
                self._on_job_event(slot, event)

    def _on_loaded(self, slot: WorkerSlot, event: ModelLoaded) -> None:
        """Note what loading took."""
        slot.loads += 1
        if event.size:
            self._models.observe(event.model, event.seconds, event.size)
        if event.model in slot.loaded.sizes:
            slot.loaded.sizes[event.model] = event.size
        self._queue.look_again()

    def _on_job_event(self, slot: WorkerSlot, event: EngineEvent) -> None:
        """Handle an event about a job: note its progress, queue it again, end it, or pass the event on."""
        if event.job == TRIAL:
            self._on_trial(slot, event)
            return
        if event.job not in slot.jobs:
            return  # it was reported as ended, or queued again
        if isinstance(event, Started):
            slot.begun.add(event.job)
        if isinstance(event, Progress):
            slot.spent[event.job] = event.device_seconds
        if isinstance(event, Picture):
            job = slot.jobs[event.job]
            slot.jobs[event.job] = replace(job, done=job.done | {event.index})
        if isinstance(event, Restarted):
            self._requeue(slot, event)
            return
        if isinstance(event, Finished | Failed):
            self._on_end(slot, event)
            return
        self._events.put_nowait(event)

    def _on_end(self, slot: WorkerSlot, event: Finished | Failed) -> None:
        job = slot.jobs[event.job]
        slot.spent[job.id] = event.device_seconds
        broken = isinstance(event, Failed) and event.error.of_engine
        if broken and self._goes_elsewhere(slot, job, event):
            self._requeue(slot, Restarted(job=job.id, deaths=job.deaths))
        else:
            slot.remove(job.id)
            self._queue.settle(job.id, event.device_seconds)
            self._end(event)
        if isinstance(event, Finished):
            self._costs.observe(job.request, event.device_seconds)
            slot.fitness.succeeded(job.request.model)
        if broken and slot.fitness.failed():
            self._begin_trial(slot)

    def _end(self, event: Finished | Failed) -> None:
        """Report the last event of a job, and forget the devices that failed it."""
        self._failed_on.pop(event.job, None)
        self._events.put_nowait(event)

    # --- devices that may be broken ---

    def _on_ready(self, slot: WorkerSlot, error: EngineError | None) -> None:
        slot.pause, slot.starts = 0.0, 0
        models = [model for model in self.models() if slot.serves(model.name)]
        if error is not None:
            _log.error("device %s cannot load the default model: %s", slot.device, error)
            slot.fitness.unable.add(models[0].name)
        else:
            slot.loaded.put(models[0].name, self._models.size(models[0].name))
        if error is not None and len(models) == 1:
            self._condemn(slot, error)
        elif slot.fitness.replaced:
            self._begin_trial(slot)
        else:
            slot.ready = True
        self._count_devices()

    def _goes_elsewhere(self, slot: WorkerSlot, job: EngineJob, event: Finished | Failed) -> bool:
        """Tell whether another device should get a job that ended in an engine's error here."""
        tried = self._failed_on.setdefault(job.id, set())
        tried.add(slot)
        not_loaded = isinstance(event, Failed) and isinstance(event.error, ModelNotLoaded)
        if not_loaded:
            slot.fitness.unable.add(job.request.model)
        return (not_loaded or len(tried) < TRIES) and any(self._may_do(each, job) for each in self._slots)

    def _begin_trial(self, slot: WorkerSlot) -> None:
        """Start no more jobs on the device until it has painted a picture that nobody asked for."""
        fitness, models = slot.fitness, [model for model in self.models() if slot.serves(model.name)]
        fitness.trying, slot.ready = True, False
        self._count_devices()
        able = [model for model in models if model.name == fitness.proven] or [
            model for model in models if model.name not in fitness.unable
        ]
        assert slot.worker is not None
        slot.run_apart(slot.worker.send(Start(job=trial((able or models)[0]))), TRIAL)

    def _on_trial(self, slot: WorkerSlot, event: EngineEvent) -> None:
        if isinstance(event, Failed) and event.error.of_engine:
            self._condemn(slot, event.error)
        elif isinstance(event, Finished | Failed):
            slot.fitness.passed()
            slot.ready = True
            self._count_devices()

    def _condemn(self, slot: WorkerSlot, error: EngineError) -> None:
        """Mark the worker to be replaced after this event, and note if its device goes out of service."""
        slot.condemned = True
        slot.fitness.condemn(error)
        if slot.fitness.out:
            slot.pause = OUT_SECONDS
            _log.error("device %s is out of service: %s", slot.device, error)
        else:
            _log.error(
                "the worker of device %s is replaced, since it fails every job: %s", slot.device, error
            )

    # --- workers that are lost ---

    def _requeue_all(self, slot: WorkerSlot) -> None:
        """Queue the jobs of a lost worker again, before their owners' other jobs, with the same seeds."""
        suspects = slot.suspects or frozenset(slot.begun)
        if slot.condemned:  # it was not any job's doing
            suspects = frozenset()
        else:
            _log.error("worker lost with %d jobs inside, %d running", len(slot.jobs), len(slot.suspects))
        slot.restarts += 1
        for job in reversed(list(slot.jobs.values())):
            self._requeue(slot, Restarted(job=job.id, deaths=job.deaths + (job.id in suspects)))
        if slot.starts >= STARTS:
            self._fail_waiting()

    def _requeue(self, slot: WorkerSlot, event: Restarted) -> None:
        """Queue a job again that left its worker unfinished, or end it if it may not run again."""
        spent, cancelled = slot.spent.get(event.job, 0.0), slot.is_cancelled(event.job)
        held = slot.is_held(event.job)
        job = replace(slot.remove(event.job), deaths=event.deaths)
        self._queue.settle(job.id, spent)
        if error := _why_not_again(job, cancelled):
            self._end(Failed(job=job.id, error=error, device_seconds=spent))
        else:
            self._queue.put(job, first=True)
            if held:
                self._queue.hold(job.id)
            self._events.put_nowait(event)

    def _fail_waiting(self) -> None:
        """Fail the waiting jobs for which no worker starts any more. Later ones wait for the next attempt."""
        waiting = [id for lane in self._queue.lanes() for id in lane.waiting]
        hopeful = [each for each in self._slots if each.starts < STARTS and not each.fitness.out]
        for job_id in waiting:
            model = self._queue.model(job_id)
            if any(each.serves(model) for each in hopeful):
                continue
            self._queue.remove(job_id)
            error = ModelNotLoaded(f"no worker has started in {STARTS} attempts")
            self._end(Failed(job=job_id, error=error, device_seconds=0.0))


def _why_not_again(job: EngineJob, cancelled: bool) -> EngineError | None:
    """Return why a job that left its worker unfinished does not run again; None if it does."""
    if cancelled:
        return Cancelled(f"job {job.id} was cancelled when it left its worker")
    if job.deaths >= DEATHS:
        return WorkerLost(f"job {job.id} was running when {job.deaths} workers died")
    return None


class WorkerSlot:
    """One device: its present worker, and the jobs that are on it."""

    def __init__(
        self,
        device: str,
        memory: float = math.inf,
        jobs_each: float = math.inf,
        *,
        only: str = "",
        elsewhere: Collection[str] = (),
    ) -> None:
        self.device = device
        self._only, self._elsewhere = only, elsewhere  # the one model it has; models that it never has
        self.loaded = DeviceModels(memory)
        self.loads = 0  # models loaded, by all its workers
        self.jobs_each = jobs_each
        self.worker: Worker | None = None
        self.ready = False  # its worker takes jobs
        self.models: tuple[str, ...] = ()  # loaded
        self.loading: Loading | None = None
        self.restarts = 0  # workers lost
        self.starts = 0  # workers spawned since one was ready
        self.suspects: frozenset[str] = frozenset()  # jobs that ran when the last worker died
        self.fitness = Fitness()
        self.condemned = False  # the worker is to be replaced
        self.pause = 0.0  # seconds before the next one is spawned
        self.jobs: dict[str, EngineJob] = {}
        self.spent: dict[str, float] = {}  # device-seconds by job
        self.begun: set[str] = set()  # jobs that the worker has taken up
        self.idle = asyncio.Event()
        self.idle.set()
        self._sent: set[str] = set()  # jobs that the worker knows
        self._cancelled: set[str] = set()
        self._held: set[str] = set()  # jobs to be held if they are queued again
        self._tasks: dict[asyncio.Task[None], str] = {}

    def begin(self) -> None:
        """Prepare for another worker: count the start, and reset what is known of the former worker."""
        self.suspects, self.condemned = frozenset(), False
        self.starts += 1
        self.fitness.begin()

    def admit(self, job: EngineJob) -> None:
        self.jobs[job.id] = job
        self.idle.clear()

    def remove(self, job_id: str) -> EngineJob:
        self.spent.pop(job_id, None)
        self.begun.discard(job_id)
        self._sent.discard(job_id)
        self._cancelled.discard(job_id)
        self._held.discard(job_id)
        job = self.jobs.pop(job_id)
        if not self.jobs:
            self.idle.set()
        return job

    @property
    def open(self) -> bool:
        return self.ready and len(self.jobs) < self.jobs_each

    def serves(self, model: str) -> bool:
        """Return whether the device is one for the model at all."""
        return model == self._only if self._only else model not in self._elsewhere

    def able(self, model: str) -> bool:
        """Return whether the device is in service and may have the model."""
        working = not self.fitness.out and self.starts < STARTS
        return working and self.serves(model) and model not in self.fitness.unable

    def models_inside(self, *, relaxed: bool) -> set[str]:
        """Return the models of the fast jobs inside, and of the relaxed ones too if `relaxed`."""
        jobs = self.jobs.values()
        return {job.request.model for job in jobs if relaxed or not job.relaxed}

    def remaining(self, *, relaxed: bool) -> float:
        """Return the estimated device-seconds left of one class's jobs inside."""
        jobs = (job for job in self.jobs.values() if job.relaxed is relaxed)
        return sum(max(0.0, job.cost - self.spent.get(job.id, 0.0)) for job in jobs)

    def load(self) -> tuple[float, float]:
        """Return the device-seconds left of fast, then of relaxed jobs; fast ones wait for no relaxed one."""
        return self.remaining(relaxed=False), self.remaining(relaxed=True)

    def status(self) -> WorkerStatus:
        return WorkerStatus(
            device=self.device,
            ready=self.ready,
            models=self.models,
            jobs=len(self.jobs),
            restarts=self.restarts,
            out=self.fitness.out,
            loading=self.loading,
        )

    def sent(self, job_id: str) -> None:
        if job_id in self.jobs:
            self._sent.add(job_id)
            self._pass_on(job_id)

    def unsent(self) -> list[str]:
        """Stop handing over the jobs that the worker does not know yet, and return their ids."""
        for task, job_id in self._tasks.items():
            if job_id not in self._sent:
                task.cancel()
        return [job_id for job_id in self.jobs if job_id not in self._sent]

    def cancel(self, job_id: str) -> None:
        self._cancelled.add(job_id)
        self._pass_on(job_id)

    def is_cancelled(self, job_id: str) -> bool:
        return job_id in self._cancelled

    def hold(self, job_id: str) -> None:
        if job_id in self.jobs:
            self._held.add(job_id)

    def unhold(self, job_id: str) -> None:
        self._held.discard(job_id)

    def is_held(self, job_id: str) -> bool:
        return job_id in self._held

    def run_apart(self, work: Coroutine[Any, Any, None], job_id: str) -> None:
        """Run a coroutine for a job in a task of its own, without waiting for it."""
        task = asyncio.create_task(work)
        self._tasks[task] = job_id
        task.add_done_callback(self._tasks.pop)

    def _pass_on(self, job_id: str) -> None:
        """Tell the worker of a cancellation once it knows the job."""
        if job_id in self._sent and job_id in self._cancelled and self.worker is not None:
            self.run_apart(self.worker.cancel(job_id), job_id)

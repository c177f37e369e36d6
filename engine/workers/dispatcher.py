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
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
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
    Place,
    Progress,
    Restarted,
    Started,
    WorkerStatus,
)
from engine.workers.messages import ModelLoaded, Pulse, Ready, Report, Start
from engine.workers.utilization import MINUTE, Utilization

_log = logging.getLogger(__name__)

DEATHS = 2  # a job that was running when so many workers died is set aside
STARTS = 3  # attempts to start a worker before those who wait are told
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


Hire = Callable[[], Awaitable[Worker]]


class Dispatcher:
    """The engine over any workers: `hires` are devices and how to hire a worker for each.

    `may_start` is asked before each job is let in; while it says no, all wait. `memory` is what each device
    has for models, in bytes; `size(model)` tells what a model takes of it before it was ever loaded. At most
    `jobs_each` jobs are inside a device, as long as there is another choice.
    """

    def __init__(
        self,
        catalog: Catalog,
        hires: Sequence[tuple[str, Hire]],
        read: Callable[[BlobRef], bytes],
        *,
        queue: FairQueue | None = None,
        clock: Callable[[], float] = time.monotonic,
        may_start: Callable[[], Awaitable[bool]] | None = None,
        memory: Sequence[float] | None = None,
        size: Callable[[Entry], float] = lambda entry: 0.0,
        jobs_each: float = math.inf,
    ) -> None:
        self._may_start = may_start
        self._catalog = catalog
        self._hires = hires
        self._read = read
        self._queue = FairQueue() if queue is None else queue  # an empty queue is falsy
        self._costs = RequestCosts(catalog)
        self._events: asyncio.Queue[EngineEvent | None] = asyncio.Queue()
        self._clock = clock
        self._usage = Utilization()
        each = memory if memory is not None else [math.inf] * len(hires)
        self._desks = [
            WorkerSlot(device, bytes, jobs_each) for (device, _), bytes in zip(hires, each, strict=True)
        ]
        self._models = LoadingCosts(catalog, size)
        self._placement = Placement(self._desks, self._models.size, self._models.seconds, self._queue.waiting)
        self._loops: list[asyncio.Task[None]] = []
        self._staffed = asyncio.Event()  # some worker is ready, or another one than before
        self._failed_on: dict[str, set[WorkerSlot]] = {}  # by job: where it ended in an engine's error
        self._moved = self._clock()  # when a device last did anything, or work came for an idle engine

    async def start(self) -> None:
        await asyncio.to_thread(self._models.prepare)
        self._loops = [asyncio.create_task(self._feed(), name="feeder")]
        for (_device, hire), desk in zip(self._hires, self._desks, strict=True):
            self._loops.append(asyncio.create_task(self._employ(hire, desk), name=f"worker-{desk.device}"))

    def models(self) -> tuple[ModelInfo, ...]:
        return self._catalog.models()

    def estimate(self, request: GenerationRequest) -> float:
        return self._costs.estimate(request)

    def learn(self, request: GenerationRequest, seconds: float) -> None:
        self._costs.observe(request, seconds)

    def _expect_progress(self) -> None:
        """Start the time within which somebody has to make progress, now that there is work."""
        if not self._has_work:
            self._moved = self._clock()

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
        """Return the job with its estimated cost, unless it has one. Raises UnknownModel."""
        self._catalog.entry(job.request.model)
        return job if job.cost else replace(job, cost=self.estimate(job.request))

    def submit(self, job: EngineJob) -> Place:
        job = self._priced(job)
        self._expect_progress()
        self._queue.put(job)
        place = self.place(job.id)
        assert place is not None
        return place

    def cancel(self, job: str) -> bool:
        if self._queue.remove(job):
            self._end(Failed(job=job, error=Cancelled(f"job {job} was waiting"), device_seconds=0))
            return True
        for desk in self._desks:
            if job in desk.residents:
                desk.cancel(job)
                return True
        return False

    def hold(self, job: str) -> bool:
        for desk in self._desks:
            desk.hold(job)
        return self._queue.hold(job)

    def unhold(self, job: str) -> bool:
        for desk in self._desks:
            desk.unhold(job)
        return self._queue.unhold(job)

    def relax(self, job: str) -> bool:
        return self._queue.relax(job)

    def move(self, job: str, tenant: str, user: str) -> bool:
        return self._queue.move(job, tenant, user)

    def place(self, job: str) -> Place | None:
        busy, relaxed = (sum(desk.remaining(relaxed=kind) for desk in self._desks) for kind in (False, True))
        devices = max(1, len(self._desks))
        return self._queue.place(job, busy=busy, relaxed_busy=relaxed, devices=devices)

    def line(self) -> tuple[Lane, ...]:
        return self._queue.line()

    def status(self) -> EngineStatus:
        return EngineStatus(
            workers=tuple(desk.status() for desk in self._desks),
            inside=sum(len(desk.residents) for desk in self._desks),
            waiting=len(self._queue),
            held=self._queue.held,
            relaxed=self._queue.relaxed,
            last_minute=self._usage.seconds(MINUTE),
            last_five_minutes=self._usage.seconds(),
            rows=self._usage.rows(),
            stalled=float(int(self._clock() - self._moved)) if self._has_work else 0.0,
        )

    @property
    def _has_work(self) -> bool:
        return bool(len(self._queue)) or any(desk.residents for desk in self._desks)

    async def events(self) -> AsyncIterator[EngineEvent]:
        while (event := await self._events.get()) is not None:
            yield event

    async def close(self, drain: float = 0.0) -> None:
        if self._loops:
            self._loops[0].cancel()
        for desk in self._desks:
            for job_id in desk.unsent():
                self._queue.settle(desk.dismiss(job_id).id, 0.0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain):
                for desk in self._desks:
                    await desk.idle.wait()
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._events.put_nowait(None)

    async def _feed(self) -> None:
        """Let jobs in, in fair order, each to the worker where it would end first."""
        while True:
            await self._staffed.wait()
            await self._queue.ready(self._placement.may_take)
            if self._may_start is not None and not await self._may_start():
                await asyncio.sleep(GATE_PAUSE)
                continue
            if (job := self._take()) is None:
                continue  # taken out while we asked
            desk = self._choose(job)
            if desk is None:
                self._queue.settle(job.id, 0.0)
                self._queue.put(job, first=True)
                self._staffed.clear()
                continue
            leave = self._placement.admit(desk, job.request.model, job.relaxed)
            desk.admit(job)
            desk.errand(self._hand_over(desk, job, self._queue.used(job), leave), job.id)

    def _take(self) -> EngineJob | None:
        """Take out the first job in fair order whose model has room."""
        first = self._queue.first()
        job = self._queue.take(self._placement.has_room) or self._queue.take(self._placement.may_take)
        if first is not None and job is not None and first is not job:
            self._placement.pass_over(first.request.model, job.cost)
        return job

    def _choose(self, job: EngineJob) -> WorkerSlot | None:
        """Return the worker for a job; None while none is ready that has not failed it."""
        model, tried = job.request.model, self._failed_on.get(job.id, ())
        desk = self._placement.choose(model, job.relaxed, but_for=tried)
        desk = desk or self._placement.choose(model, job.relaxed, eager=True, but_for=tried)
        able = [each for each in self._desks if self._may_do(each, job)] or self._desks
        ready = [each for each in able if each.ready]  # with no room, and yet the only ones left for it
        return desk or min(
            ready, key=lambda each: (model not in each.loaded.sizes, each.load()), default=None
        )

    def _may_do(self, desk: WorkerSlot, job: EngineJob) -> bool:
        """Tell whether a device is in service, has not failed this job, and may have its model."""
        return desk.able(job.request.model) and desk not in self._failed_on.get(job.id, ())

    async def _hand_over(self, desk: WorkerSlot, job: EngineJob, used: float, leave: tuple[str, ...]) -> None:
        order = await self._start_order(job, used, leave)
        if desk.worker is None:
            return  # lost meanwhile, and the job taken back
        if order is not None:
            await desk.worker.send(order)
            desk.sent(job.id)
        else:
            error = InvalidRequest("no source", advice=_("The source image is gone. Choose another."))
            self._on_event(desk, Failed(job=job.id, error=error, device_seconds=0))

    # --- one loop for each worker ---

    async def _employ(self, hire: Hire, desk: WorkerSlot) -> None:
        while True:
            await asyncio.sleep(desk.pause)
            desk.pause = min(LONGEST_PAUSE, desk.pause * 2 or 0.1)
            try:
                await self._shift(hire, desk)
            except Exception:  # whatever it was, the others go on, and so does this desk
                _log.exception("a worker could not be used")
            self._take_back(desk)

    async def _shift(self, hire: Hire, desk: WorkerSlot) -> None:
        """Run one worker and handle its events until it is gone or has to be replaced."""
        desk.begin()
        worker = desk.worker = await hire()
        try:
            async with contextlib.aclosing(worker.events()) as events:
                async for event in events:
                    self._on_event(desk, event)
                    if desk.condemned:
                        break
        finally:
            desk.worker, desk.ready, desk.models, desk.loading = None, False, (), None
            desk.loaded.clear()
            if desk.fitness.trying:
                self._condemn(desk, WorkerLost("its worker was lost over a trial"))
            self._count_devices()
            await worker.close()
            desk.suspects = worker.suspects()

    def _count_devices(self) -> None:
        """Tell the queue how many devices are ready, and wake the loop that waits for a worker."""
        self._queue.devices = sum(desk.ready for desk in self._desks)
        self._staffed.set()

    async def _start_order(self, job: EngineJob, used: float, leave: tuple[str, ...]) -> Start | None:
        """Return the order that starts a job, with its source picture; None if that cannot be read."""
        if job.request.source is None:
            return Start(job=job, used=used, leave=leave)
        try:
            source = await asyncio.to_thread(self._read, job.request.source)
            return Start(job=job, source=source, used=used, leave=leave)
        except Exception as error:  # whatever the store of pictures raises, only this job suffers
            _log.warning("source picture unreadable", extra={"job_id": job.id}, exc_info=error)
            return None

    def _on_event(self, desk: WorkerSlot, event: Report) -> None:
        self._moved = self._clock()
        match event:
            case Ready(error=error):
                self._on_ready(desk, error)
            case ModelLoaded():
                self._on_loaded(desk, event)
            case Pulse():
                desk.models, desk.loading = event.models, event.loading
                self._usage.add(event)
            case _:
                self._on_news(desk, event)

    def _on_loaded(self, desk: WorkerSlot, event: ModelLoaded) -> None:
        """Note what loading took."""
        desk.loads += 1
        if event.size:
            self._models.observe(event.model, event.seconds, event.size)
        if event.model in desk.loaded.sizes:
            desk.loaded.sizes[event.model] = event.size
        self._queue.look_again()

    def _on_news(self, desk: WorkerSlot, event: EngineEvent) -> None:
        """Handle an event about a job: note its progress, queue it again, end it, or pass the event on."""
        if event.job == TRIAL:
            self._on_trial(desk, event)
            return
        if event.job not in desk.residents:
            return  # a late word about a job that has left
        if isinstance(event, Started):
            desk.begun.add(event.job)
        if isinstance(event, Progress):
            desk.spent[event.job] = event.device_seconds
        if isinstance(event, Restarted):
            self._line_up_again(desk, event)
            return
        if isinstance(event, Finished | Failed):
            self._on_end(desk, event)
            return
        self._events.put_nowait(event)

    def _on_end(self, desk: WorkerSlot, event: Finished | Failed) -> None:
        job = desk.residents[event.job]
        desk.spent[job.id] = event.device_seconds
        broken = isinstance(event, Failed) and event.error.of_engine
        if broken and self._goes_elsewhere(desk, job, event):
            self._line_up_again(desk, Restarted(job=job.id, deaths=job.deaths))
        else:
            desk.dismiss(job.id)
            self._queue.settle(job.id, event.device_seconds)
            self._end(event)
        if isinstance(event, Finished):
            self._costs.observe(job.request, event.device_seconds)
            desk.fitness.succeeded(job.request.model)
        if broken and desk.fitness.failed():
            self._try(desk)

    def _end(self, event: Finished | Failed) -> None:
        """Report the last event of a job, and forget the devices that failed it."""
        self._failed_on.pop(event.job, None)
        self._events.put_nowait(event)

    # --- devices that may be broken ---

    def _on_ready(self, desk: WorkerSlot, error: EngineError | None) -> None:
        desk.pause, desk.starts = 0.0, 0
        models = self.models()
        if error is not None:
            _log.error("device %s cannot load the default model: %s", desk.device, error)
            desk.fitness.unable.add(models[0].name)
        else:
            desk.loaded.put(models[0].name, self._models.size(models[0].name))
        if error is not None and len(models) == 1:
            self._condemn(desk, error)
        elif desk.fitness.replaced:
            self._try(desk)
        else:
            desk.ready = True
        self._count_devices()

    def _goes_elsewhere(self, desk: WorkerSlot, job: EngineJob, event: Finished | Failed) -> bool:
        """Tell whether another device should get a job that ended in an engine's error here."""
        tried = self._failed_on.setdefault(job.id, set())
        tried.add(desk)
        not_loaded = isinstance(event, Failed) and isinstance(event.error, ModelNotLoaded)
        if not_loaded:
            desk.fitness.unable.add(job.request.model)
        return (not_loaded or len(tried) < TRIES) and any(self._may_do(each, job) for each in self._desks)

    def _try(self, desk: WorkerSlot) -> None:
        """Let nobody in, and see whether the device paints anything."""
        fitness, models = desk.fitness, self.models()
        fitness.trying, desk.ready = True, False
        self._count_devices()
        able = [model for model in models if model.name == fitness.proven] or [
            model for model in models if model.name not in fitness.unable
        ]
        assert desk.worker is not None
        desk.errand(desk.worker.send(Start(job=trial((able or models)[0]))), TRIAL)

    def _on_trial(self, desk: WorkerSlot, event: EngineEvent) -> None:
        if isinstance(event, Failed) and event.error.of_engine:
            self._condemn(desk, event.error)
        elif isinstance(event, Finished | Failed):
            desk.fitness.passed()
            desk.ready = True
            self._count_devices()

    def _condemn(self, desk: WorkerSlot, error: EngineError) -> None:
        """Mark the worker to be replaced after this event, and note if its device goes out of service."""
        desk.condemned = True
        desk.fitness.condemn(error)
        if desk.fitness.out:
            desk.pause = OUT_SECONDS
            _log.error("device %s is out of service: %s", desk.device, error)
        else:
            _log.error(
                "the worker of device %s is replaced, since nothing can be painted: %s", desk.device, error
            )

    # --- workers that are lost ---

    def _take_back(self, desk: WorkerSlot) -> None:
        """Queue the jobs of a lost worker again, before their owners' other jobs, with the same seeds."""
        suspects = desk.suspects or frozenset(desk.begun)
        if desk.condemned:  # it was not any job's doing
            suspects = frozenset()
        else:
            _log.error("worker lost with %d jobs inside, %d running", len(desk.residents), len(desk.suspects))
        desk.restarts += 1
        for job in reversed(list(desk.residents.values())):
            self._line_up_again(desk, Restarted(job=job.id, deaths=job.deaths + (job.id in suspects)))
        if all(each.starts >= STARTS or each.fitness.out for each in self._desks) and desk.starts >= STARTS:
            self._tell_those_who_wait()

    def _line_up_again(self, desk: WorkerSlot, event: Restarted) -> None:
        """Queue a job again that left its worker unfinished, or end it if it may not run again."""
        spent, unwanted = desk.spent.get(event.job, 0.0), desk.unwanted(event.job)
        held = desk.holds(event.job)
        job = replace(desk.dismiss(event.job), deaths=event.deaths)
        self._queue.settle(job.id, spent)
        if error := _verdict(job, unwanted):
            self._end(Failed(job=job.id, error=error, device_seconds=spent))
        else:
            self._queue.put(job, first=True)
            if held:
                self._queue.hold(job.id)
            self._events.put_nowait(event)

    def _tell_those_who_wait(self) -> None:
        """Fail all waiting jobs now, since no worker starts any more; later jobs may be luckier."""
        waiting = [id for lane in self._queue.line() for id in lane.waiting]
        for job_id in waiting:
            self._queue.remove(job_id)
            error = ModelNotLoaded(f"no worker has started in {STARTS} attempts")
            self._end(Failed(job=job_id, error=error, device_seconds=0.0))


def _verdict(job: EngineJob, unwanted: bool) -> EngineError | None:
    """Return why a job that left its worker unfinished does not run again; None if it does."""
    if unwanted:
        return Cancelled(f"job {job.id} was cancelled as its worker let go of it")
    if job.deaths >= DEATHS:
        return WorkerLost(f"job {job.id} was running when {job.deaths} workers died")
    return None


class WorkerSlot:
    """What the dispatcher knows of one worker and of the jobs inside it."""

    def __init__(self, device: str, memory: float = math.inf, jobs_each: float = math.inf) -> None:
        self.device = device
        self.loaded = DeviceModels(memory)
        self.loads = 0  # models loaded, by all its workers
        self._jobs_each = jobs_each
        self.worker: Worker | None = None
        self.ready = False  # it has said its first word
        self.models: tuple[str, ...] = ()  # loaded
        self.loading: Loading | None = None
        self.restarts = 0  # workers lost
        self.starts = 0  # workers hired since one was ready
        self.suspects: frozenset[str] = frozenset()  # of the last one's death
        self.fitness = Fitness()
        self.condemned = False  # the worker is to be let go
        self.pause = 0.0  # seconds before the next one is hired
        self.residents: dict[str, EngineJob] = {}
        self.spent: dict[str, float] = {}  # device-seconds by job
        self.begun: set[str] = set()  # residents that the worker has taken up
        self.idle = asyncio.Event()
        self.idle.set()
        self._sent: set[str] = set()  # the worker knows these
        self._cancelled: set[str] = set()
        self._held: set[str] = set()  # these wait, if they come to wait again
        self._errands: dict[asyncio.Task[None], str] = {}

    def begin(self) -> None:
        """Prepare for another worker: count the start, and reset what is known of the former worker."""
        self.suspects, self.condemned = frozenset(), False
        self.starts += 1
        self.fitness.begin()

    def admit(self, job: EngineJob) -> None:
        self.residents[job.id] = job
        self.idle.clear()

    def dismiss(self, job_id: str) -> EngineJob:
        self.spent.pop(job_id, None)
        self.begun.discard(job_id)
        self._sent.discard(job_id)
        self._cancelled.discard(job_id)
        self._held.discard(job_id)
        job = self.residents.pop(job_id)
        if not self.residents:
            self.idle.set()
        return job

    @property
    def open(self) -> bool:
        return self.ready and len(self.residents) < self._jobs_each

    def able(self, model: str) -> bool:
        """Return whether the device is in service and may have the model."""
        return not self.fitness.out and self.starts < STARTS and model not in self.fitness.unable

    def models_inside(self, *, relaxed: bool) -> set[str]:
        """Return the models of the fast jobs inside, and of the relaxed ones too if `relaxed`."""
        jobs = self.residents.values()
        return {job.request.model for job in jobs if relaxed or not job.relaxed}

    def remaining(self, *, relaxed: bool) -> float:
        """Return the estimated device-seconds left of one class's jobs inside."""
        jobs = (job for job in self.residents.values() if job.relaxed is relaxed)
        return sum(max(0.0, job.cost - self.spent.get(job.id, 0.0)) for job in jobs)

    def load(self) -> tuple[float, float]:
        """Return the device-seconds left of fast, then of relaxed jobs; fast ones wait for no relaxed one."""
        return self.remaining(relaxed=False), self.remaining(relaxed=True)

    def status(self) -> WorkerStatus:
        return WorkerStatus(
            device=self.device,
            ready=self.ready,
            models=self.models,
            jobs=len(self.residents),
            restarts=self.restarts,
            out=self.fitness.out,
            loading=self.loading,
        )

    def sent(self, job_id: str) -> None:
        if job_id in self.residents:
            self._sent.add(job_id)
            self._pass_on(job_id)

    def unsent(self) -> list[str]:
        """Stop the hand-over of jobs that the worker does not know yet, and return their ids."""
        for errand, job_id in self._errands.items():
            if job_id not in self._sent:
                errand.cancel()
        return [job_id for job_id in self.residents if job_id not in self._sent]

    def cancel(self, job_id: str) -> None:
        self._cancelled.add(job_id)
        self._pass_on(job_id)

    def unwanted(self, job_id: str) -> bool:
        return job_id in self._cancelled

    def hold(self, job_id: str) -> None:
        if job_id in self.residents:
            self._held.add(job_id)

    def unhold(self, job_id: str) -> None:
        self._held.discard(job_id)

    def holds(self, job_id: str) -> bool:
        return job_id in self._held

    def errand(self, work: Coroutine[Any, Any, None], job_id: str) -> None:
        """Run a coroutine for a job in a task of its own, without waiting for it."""
        task = asyncio.create_task(work)
        self._errands[task] = job_id
        task.add_done_callback(self._errands.pop)

    def _pass_on(self, job_id: str) -> None:
        """Tell the worker of a cancellation once it knows the job."""
        if job_id in self._sent and job_id in self._cancelled and self.worker is not None:
            self.errand(self.worker.cancel(job_id), job_id)

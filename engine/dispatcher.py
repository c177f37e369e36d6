"""Fair queue → workers → events: one loop for each worker, which replaces it when it is lost.

Runs in the studio's event loop and never waits for torch. What a worker is, a process here or an actor
elsewhere, is behind `Worker`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Protocol

from engine.catalog import Catalog
from engine.errors import Cancelled, EngineError, InvalidRequest, WorkerLost
from engine.fair_queue import FairQueue
from engine.types import (
    BlobRef,
    EngineEvent,
    EngineJob,
    Failed,
    Finished,
    GenerationRequest,
    Lane,
    ModelInfo,
    Place,
    Progress,
    Restarted,
)
from engine.wire import Ready, Task

_log = logging.getLogger(__name__)

RESIDENTS = 64  # most jobs inside one worker; a parked picture costs little more than its latents
DEATHS = 2  # a job that was running when so many workers died is set aside
LONGEST_PAUSE = 30.0  # seconds between attempts to replace a worker


class Worker(Protocol):
    """One device's worker, seen from outside."""

    async def send(self, task: Task) -> None: ...

    async def cancel(self, job_id: str) -> None: ...

    def events(self) -> AsyncGenerator[EngineEvent | Ready, None]:
        """Ends when the worker is gone."""
        ...

    def suspects(self) -> frozenset[str]:
        """The jobs it was running when it died."""
        ...

    async def close(self) -> None:
        """Stop it, by force if need be. What it had running is not reported."""
        ...


Hire = Callable[[], Awaitable[Worker]]


class Dispatcher:
    """The engine over any workers."""

    def __init__(
        self,
        catalog: Catalog,
        hires: Sequence[Hire],
        read: Callable[[BlobRef], bytes],
        *,
        queue: FairQueue | None = None,
        residents: int = RESIDENTS,
    ) -> None:
        self._residents = residents
        self._catalog = catalog
        self._hires = hires
        self._read = read
        self._queue = queue or FairQueue()
        self._costs = RequestCosts(catalog)
        self._events: asyncio.Queue[EngineEvent | None] = asyncio.Queue()
        self._desks: list[Desk] = []
        self._loops: list[asyncio.Task[None]] = []
        self._open = asyncio.Event()  # cleared when no more jobs may start

    async def start(self) -> None:
        self._open.set()
        self._desks = [Desk(self._residents) for _ in self._hires]
        self._loops = [
            asyncio.create_task(self._employ(hire, desk), name=f"worker-{number}")
            for number, (hire, desk) in enumerate(zip(self._hires, self._desks, strict=True))
        ]

    def models(self) -> tuple[ModelInfo, ...]:
        return self._catalog.models()

    def estimate(self, request: GenerationRequest) -> float:
        return self._costs.estimate(request)

    def learn(self, request: GenerationRequest, seconds: float) -> None:
        self._costs.observe(request, seconds)

    def submit(self, job: EngineJob) -> Place:
        job = job if job.cost else replace(job, cost=self.estimate(job.request))
        self._queue.put(job)
        place = self.place(job.id)
        assert place is not None
        return place

    def cancel(self, job: str) -> bool:
        if self._queue.remove(job):
            error = Cancelled(f"job {job} was waiting")
            self._events.put_nowait(Failed(job=job, error=error, device_seconds=0))
            return True
        for desk in self._desks:
            if job in desk.residents:
                desk.cancel(job)
                return True
        return False

    def place(self, job: str) -> Place | None:
        busy = sum(desk.remaining() for desk in self._desks)
        return self._queue.place(job, busy=busy, devices=max(1, len(self._desks)))

    def line(self) -> tuple[Lane, ...]:
        return self._queue.line()

    async def events(self) -> AsyncIterator[EngineEvent]:
        while (event := await self._events.get()) is not None:
            yield event

    async def close(self, drain: float = 0.0) -> None:
        self._open.clear()
        for desk in self._desks:
            desk.stop_feeding()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain):
                for desk in self._desks:
                    await desk.idle.wait()
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._events.put_nowait(None)

    # --- one loop for each worker ---

    async def _employ(self, hire: Hire, desk: Desk) -> None:
        while self._open.is_set():
            await asyncio.sleep(desk.pause)
            worker = desk.worker = await hire()
            desk.feeder = asyncio.create_task(self._feed(desk, worker))
            try:
                async with contextlib.aclosing(worker.events()) as events:
                    async for event in events:
                        self._on_event(desk, event)
            finally:
                desk.stop_feeding()
                await worker.close()
                desk.worker = None
            self._take_back(desk, worker.suspects())
            desk.pause = min(LONGEST_PAUSE, desk.pause * 2 or 0.1)

    async def _feed(self, desk: Desk, worker: Worker) -> None:
        """Let jobs in, in fair order, while there is room."""
        while True:
            await desk.room.wait()
            job = await self._queue.get()
            desk.admit(job)
            task = await self._with_source(job)
            if task is not None:
                await worker.send(task)
                desk.sent(job.id)
            else:
                error = InvalidRequest("no source", advice="The source picture is gone. Choose another.")
                self._on_event(desk, Failed(job=job.id, error=error, device_seconds=0))

    async def _with_source(self, job: EngineJob) -> Task | None:
        """The job with the picture it starts from; None if that cannot be read."""
        if job.request.source is None:
            return Task(job=job)
        try:
            return Task(job=job, source=await asyncio.to_thread(self._read, job.request.source))
        except Exception as error:  # whatever the store of pictures raises, only this job suffers
            _log.warning("source picture unreadable", extra={"job_id": job.id}, exc_info=error)
            return None

    def _on_event(self, desk: Desk, event: EngineEvent | Ready) -> None:
        if isinstance(event, Ready):
            desk.pause = 0.0
            if event.error is not None:
                _log.error("the default model cannot be loaded: %s", event.error)
            return
        if event.job not in desk.residents:
            return  # a late word about a job that has left
        if isinstance(event, Progress):
            desk.spent[event.job] = event.device_seconds
        if isinstance(event, Finished | Failed):
            job = desk.dismiss(event.job)
            self._queue.settle(job.id, event.device_seconds)
            if isinstance(event, Finished):
                self._costs.observe(job.request, event.device_seconds)
        self._events.put_nowait(event)

    def _take_back(self, desk: Desk, suspects: frozenset[str]) -> None:
        """The worker is lost: its jobs wait again, before their owners' others, with the same seeds."""
        _log.error("worker lost with %d jobs inside, %d running", len(desk.residents), len(suspects))
        for job in reversed(list(desk.residents.values())):
            spent, unwanted = desk.spent.get(job.id, 0.0), desk.unwanted(job.id)
            desk.dismiss(job.id)
            self._queue.settle(job.id, spent)
            again = replace(job, deaths=job.deaths + (job.id in suspects))
            if error := _verdict(again, unwanted):
                self._events.put_nowait(Failed(job=job.id, error=error, device_seconds=spent))
            else:
                self._queue.put(again, first=True)
                self._events.put_nowait(Restarted(job=job.id, deaths=again.deaths))


def _verdict(job: EngineJob, unwanted: bool) -> EngineError | None:
    """Why a job whose worker was lost does not run again; None if it does."""
    if unwanted:
        return Cancelled(f"job {job.id} was cancelled as its worker died")
    if job.deaths >= DEATHS:
        return WorkerLost(f"job {job.id} was running when {job.deaths} workers died")
    return None


class Desk:
    """What the dispatcher knows of one worker: the jobs inside it and the room left."""

    def __init__(self, places: int) -> None:
        self._places = places
        self.worker: Worker | None = None
        self.feeder: asyncio.Task[None] | None = None
        self.residents: dict[str, EngineJob] = {}
        self._sent: set[str] = set()  # the worker knows these
        self._cancelled: set[str] = set()
        self.spent: dict[str, float] = {}  # device-seconds by job
        self.pause = 0.0  # seconds before the next worker is hired
        self.room = asyncio.Event()
        self.room.set()
        self.idle = asyncio.Event()
        self.idle.set()
        self._errands: set[asyncio.Task[None]] = set()

    def admit(self, job: EngineJob) -> None:
        self.residents[job.id] = job
        self._update()

    def dismiss(self, job_id: str) -> EngineJob:
        self.spent.pop(job_id, None)
        self._sent.discard(job_id)
        self._cancelled.discard(job_id)
        job = self.residents.pop(job_id)
        self._update()
        return job

    def remaining(self) -> float:
        """Device-seconds of work left inside, by the estimates."""
        return sum(max(0.0, job.cost - self.spent.get(job.id, 0.0)) for job in self.residents.values())

    def stop_feeding(self) -> None:
        if self.feeder is not None:
            self.feeder.cancel()

    def sent(self, job_id: str) -> None:
        self._sent.add(job_id)
        self._pass_on(job_id)

    def cancel(self, job_id: str) -> None:
        self._cancelled.add(job_id)
        self._pass_on(job_id)

    def unwanted(self, job_id: str) -> bool:
        return job_id in self._cancelled

    def _pass_on(self, job_id: str) -> None:
        """Tell the worker of a cancellation once it knows the job, without waiting for it."""
        if job_id in self._sent and job_id in self._cancelled and self.worker is not None:
            errand = asyncio.create_task(self.worker.cancel(job_id))
            self._errands.add(errand)
            errand.add_done_callback(self._errands.discard)

    def _update(self) -> None:
        (self.room.set if len(self.residents) < self._places else self.room.clear)()
        (self.idle.clear if self.residents else self.idle.set)()


class RequestCosts:
    """Expected device-seconds of a request: a rate for each model, learned from what was measured."""

    _SMOOTHING = 0.2

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._rates: dict[tuple[str, bool], float] = {}

    def estimate(self, request: GenerationRequest) -> float:
        """Raises UnknownModel."""
        entry = self._catalog.entry(request.model)
        return self._rates.get(_kind(request), entry.seconds) * entry.units(request)

    def observe(self, request: GenerationRequest, seconds: float) -> None:
        units = self._catalog.entry(request.model).units(request)
        rate = self._rates.get(_kind(request), seconds / units)
        self._rates[_kind(request)] = rate + self._SMOOTHING * (seconds / units - rate)


def _kind(request: GenerationRequest) -> tuple[str, bool]:
    return request.model, request.upscale > 1

"""A light user behind a flood: Easel's fair steps, and what else one could run on the same weights.

The others are written here in a few lines each, after what people use: a thread for each request with a lock,
and a server that gathers requests for a moment and runs them as one batch, as LitServe does
(`max_batch_size`, `batch_timeout`). LitServe itself is not run.
"""

from __future__ import annotations

import asyncio
import itertools
import queue
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing import Pipe, get_context
from typing import Any

from engine import catalog
from engine.errors import Cancelled
from engine.pipelines import run as pipelines
from engine.scheduling.job_queue import FairQueue
from engine.types import (
    EngineEvent,
    EngineJob,
    Failed,
    Finished,
    GenerationRequest,
    Progress,
    Restarted,
    Started,
)
from engine.workers.dispatcher import Dispatcher
from engine.workers.heartbeat import Heartbeat
from engine.workers.loop import Outbox, WorkerLoop
from engine.workers.messages import Cancel, Report, Setup, Start
from tests.gpu.bench import HANG_SECONDS, bare, source
from tests.gpu.painting import Room

BATCH = 8  # requests that the gathering server runs together at most
GATHERS = 0.05  # seconds that it waits for more


@dataclass(frozen=True)
class Words:
    """The end of a pipe that an outbox writes into."""

    send: Callable[[Report], None]


class ThreadWorker:
    """The engine's worker in a thread of this process, over models that are loaded already."""

    def __init__(self, setup: Setup, models: dict[str, pipelines.Loaded]) -> None:
        self._loop = asyncio.get_running_loop()
        self._inbox: asyncio.Queue[Report | None] = asyncio.Queue()
        self._reader, self._orders = Pipe(duplex=False)
        self._thread = threading.Thread(target=self._work, args=(setup, models), name="worker", daemon=True)
        self._thread.start()

    def _work(self, setup: Setup, models: dict[str, pipelines.Loaded]) -> None:
        words: Any = Words(self._tell)
        outbox = Outbox(words)
        try:
            worker = WorkerLoop(setup, self._reader, outbox, Heartbeat(get_context("spawn")))
            worker._models = models
            worker.run()
        finally:
            outbox.close()
            self._tell(None)

    def _tell(self, event: Report | None) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._inbox.put_nowait, event)

    async def send(self, task: Start) -> None:
        await asyncio.to_thread(self._orders.send, task)

    async def cancel(self, job_id: str) -> None:
        await asyncio.to_thread(self._orders.send, Cancel(job_id))

    async def events(self) -> AsyncGenerator[Report, None]:
        while (event := await self._inbox.get()) is not None:
            yield event

    def suspects(self) -> frozenset[str]:
        return frozenset()

    async def close(self) -> None:
        with suppress(OSError):
            self._orders.send(None)
        await asyncio.to_thread(self._thread.join, 60)


@dataclass
class Times:
    """When what happened, in seconds since the light user asked."""

    asked: float = field(default_factory=time.perf_counter)
    first_step: float = 0.0
    done: float = 0.0
    all_done: float = 0.0  # the flood and the light user, since the flood began; 0 where it was cut short

    def since(self) -> float:
        return time.perf_counter() - self.asked


# --- the engine ---------------------------------------------------------------------------------------------


class Engine:
    """The dispatcher over a thread's worker, and its events."""

    def __init__(self, room: Room, order: FairQueue) -> None:
        sources = [source(room.recipe.name)]
        setup = Setup(device=str(room.card.device), models=tuple(sources), hang_seconds=HANG_SECONDS)
        models = {room.recipe.name: room.loaded}

        async def hire() -> Any:
            return ThreadWorker(setup, models)

        hires: Any = [(setup.device, hire)]
        self.deadline = room.deadline
        self.dispatcher = Dispatcher(catalog.load(sources), hires, lambda name: b"", queue=order)
        self._events: AsyncIterator[EngineEvent] | None = None

    async def until(self, seen: Callable[[EngineEvent], bool]) -> EngineEvent:
        """Wait for an event. Raises what a job failed with, and TimeoutError."""
        if self._events is None:
            self._events = self.dispatcher.events()
        async with asyncio.timeout(max(1.0, self.deadline - time.monotonic())):
            async for event in self._events:
                if isinstance(event, Restarted):
                    raise RuntimeError("the worker was lost: its traceback stands above")
                if isinstance(event, Failed) and not isinstance(event.error, Cancelled):
                    raise event.error
                if seen(event):
                    return event
        raise RuntimeError("the engine has closed")


def _jobs(room: Room, asked: GenerationRequest) -> Iterator[EngineJob]:
    for number in itertools.count(1):
        request = replace(asked, seed=number, prompt=f"{asked.prompt} {number}")
        yield EngineJob(id=f"{room.recipe.name}-{number}", request=request, tenant="t", user="light")


async def _by_engine(room: Room, asked: GenerationRequest, depth: int, order: FairQueue, light: str) -> Times:
    engine, jobs = Engine(room, order), _jobs(room, asked)
    await engine.dispatcher.start()
    try:
        began = time.perf_counter()
        flood = [replace(next(jobs), user="flooder") for _ in range(depth)]
        for job in flood:
            engine.dispatcher.submit(job)
        open_jobs = {job.id for job in flood}
        await engine.until(lambda event: isinstance(event, Started))
        mine, times = replace(next(jobs), user=light), Times()
        engine.dispatcher.submit(mine)
        await _follow(engine, mine, times, open_jobs)
        if order.per_user == 1:  # what is left would be painted one by one: nothing new to see
            for job_id in list(open_jobs):
                engine.dispatcher.cancel(job_id)
        await _drain(engine, open_jobs)
        times.all_done = 0.0 if order.per_user == 1 else time.perf_counter() - began
        return times
    finally:
        await engine.dispatcher.close()


async def _follow(engine: Engine, mine: EngineJob, times: Times, open_jobs: set[str]) -> None:
    def seen(event: EngineEvent) -> bool:
        if isinstance(event, Finished | Failed):
            open_jobs.discard(event.job)
        if event.job != mine.id:
            return False
        if isinstance(event, Progress) and event.step and not times.first_step:
            times.first_step = times.since()
        return isinstance(event, Finished)

    await engine.until(seen)
    times.done = times.since()


async def _drain(engine: Engine, open_jobs: set[str]) -> None:
    def seen(event: EngineEvent) -> bool:
        if isinstance(event, Finished | Failed):
            open_jobs.discard(event.job)
        return not open_jobs

    if open_jobs:
        await engine.until(seen)


def fair(room: Room, asked: GenerationRequest, depth: int) -> Times:
    return asyncio.run(_by_engine(room, asked, depth, FairQueue(), "light"))


def round_robin(room: Room, asked: GenerationRequest, depth: int) -> Times:
    """One whole job at a time, people in turns: as InvokeAI does."""
    return asyncio.run(
        _by_engine(room, asked, depth, FairQueue(per_user=1, soft_limit=1, hard_limit=1), "light")
    )


def fifo(room: Room, asked: GenerationRequest, depth: int) -> Times:
    """One whole job at a time, in the order they came."""
    return asyncio.run(
        _by_engine(room, asked, depth, FairQueue(per_user=1, soft_limit=1, hard_limit=1), "flooder")
    )


# --- what people would write instead ------------------------------------------------------------------------


def threads(room: Room, asked: GenerationRequest, depth: int) -> Times:
    """A thread for each request, and a lock around the pipeline."""
    lock, times, began = threading.Lock(), Times(), time.perf_counter()
    errors: list[Exception] = []
    running = threading.Event()

    def serve(number: int) -> None:
        try:
            with lock:
                running.set()
                if time.monotonic() < room.deadline:
                    _serve(room, [replace(asked, seed=number)])
        except Exception as error:
            errors.append(error)

    flood = [threading.Thread(target=serve, args=(number,)) for number in range(depth)]
    for each in flood:
        each.start()
    running.wait()
    times.asked = time.perf_counter()
    light = threading.Thread(target=serve, args=(depth,))
    light.start()
    light.join()
    times.done = times.since()
    for each in flood:
        each.join()
    times.all_done = time.perf_counter() - began
    _check(room, errors)
    return times


def gathering(room: Room, asked: GenerationRequest, depth: int) -> Times:
    """A server that gathers requests for a moment and runs them as one batch, first come, first served."""
    requests: queue.Queue[tuple[int, threading.Event] | None] = queue.Queue()
    began, errors = time.perf_counter(), list[Exception]()
    running = threading.Event()

    def serve() -> None:
        ended = False
        while not ended and (first := requests.get()) is not None:
            batch, latest = [first], time.monotonic() + GATHERS
            while len(batch) < BATCH and (left := latest - time.monotonic()) > 0:
                try:
                    more = requests.get(timeout=left)
                except queue.Empty:
                    break
                if more is None:
                    ended = True
                    break
                batch.append(more)
            running.set()
            try:
                if time.monotonic() < room.deadline:
                    _serve(room, [replace(asked, seed=number) for number, _ in batch])
            except Exception as error:
                errors.append(error)
            for _, done in batch:
                done.set()

    server = threading.Thread(target=serve)
    for number in range(depth):
        requests.put((number, threading.Event()))
    server.start()
    running.wait()
    times, mine = Times(), threading.Event()
    requests.put((depth, mine))
    mine.wait()
    times.done, times.all_done = times.since(), time.perf_counter() - began
    requests.put(None)
    server.join()
    _check(room, errors)
    return times


def _serve(room: Room, requests: list[GenerationRequest]) -> None:
    """Paint in one call. Encoding is left out: the engine does it in a thread of its own."""
    for picture in bare(room.loaded, requests):
        pipelines.as_bytes(picture)


def _check(room: Room, errors: list[Exception]) -> None:
    if errors:
        raise errors[0]
    if time.monotonic() > room.deadline:
        raise TimeoutError("it took longer than a section may")


# --- the section --------------------------------------------------------------------------------------------

EASEL = "Easel, fair steps"
POLICIES: dict[str, Callable[[Room, GenerationRequest, int], Times]] = {
    EASEL: fair,
    "round-robin of whole jobs": round_robin,
    "first in, first out": fifo,
    "a thread for each request with a lock": threads,
    f"batches of {BATCH} gathered for {GATHERS} s (LitServe's way, written here)": gathering,
}


def flood(room: Room, depth: int) -> None:
    """Let one person ask for `depth` pictures and another for one, under each policy."""
    side = room.recipe.scaled(512)
    asked, note = room.request(width=side, height=side), room.results.note
    note("each picture", f"{room.recipe.data['title']}, {side} × {side}, {asked.steps} steps")
    for several in (1, BATCH):
        _serve(room, [replace(asked, seed=seed) for seed in range(several)])  # warm
    alone = min(_alone(room, asked) for _ in range(2))
    note("light user alone, by the engine (s)", alone)
    took = {}
    for name, policy in POLICIES.items():
        times = policy(room, asked, depth)
        took[name] = times.done
        note(f"light user behind {depth}: {name} (s)", times.done)
        note(f"light user behind {depth}: {name} (× alone)", times.done / alone)
        if times.first_step:
            note(f"light user's first progress: {name} (s)", times.first_step)
        if times.all_done:
            note(f"all {depth + 1} pictures: {name} (s)", times.all_done)
    for name, seconds in took.items():
        if name != EASEL:
            note(f"light user behind {depth}: Easel ÷ {name}", took[EASEL] / seconds)


def _alone(room: Room, asked: GenerationRequest) -> float:
    return asyncio.run(_by_engine_alone(room, asked))


async def _by_engine_alone(room: Room, asked: GenerationRequest) -> float:
    engine, jobs = Engine(room, FairQueue()), _jobs(room, asked)
    await engine.dispatcher.start()
    try:
        job, times = next(jobs), Times()
        engine.dispatcher.submit(job)
        await _follow(engine, job, times, set())
        return times.done
    finally:
        await engine.dispatcher.close()

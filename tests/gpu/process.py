"""The engine as it runs in a house: a worker process of its own, with a model from files."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.types import (
    EngineEvent,
    EngineJob,
    Failed,
    Finished,
    GenerationRequest,
    Picture,
    Progress,
    Restarted,
)
from engine.workers.process import ProcessEngine, WorkerProcess
from tests.gpu.bench import request
from tests.gpu.card import Card
from tests.gpu.models import Recipe
from tests.gpu.results import Results


class House:
    """A running engine, its events with their times."""

    def __init__(self, card: Card, folder: Path, deadline: float) -> None:
        device = str(card.device)
        self.engine = ProcessEngine(models=[str(folder)], device=device, read=lambda name: b"")
        self.deadline = deadline
        self._events: AsyncIterator[EngineEvent] | None = None

    async def start(self) -> None:
        await self.engine.start()
        async with self._in_time():
            while not self.engine.status().ready:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.01)

    async def until(self, seen: Callable[[Any], bool]) -> EngineEvent:
        if self._events is None:
            self._events = self.engine.events()
        async with self._in_time():
            async for event in self._events:
                if seen(event):
                    return event
        raise RuntimeError("the engine has closed")

    def _in_time(self) -> asyncio.Timeout:
        return asyncio.timeout(max(1.0, self.deadline - time.monotonic()))

    def kill(self) -> None:
        worker: Any = self.engine._slots[0].worker
        assert isinstance(worker, WorkerProcess) and worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)


def process(card: Card, results: Results, folder: Path, recipe: Recipe, deadline: float) -> None:
    """Start a worker process, paint, cancel, kill it in the middle of a job."""
    asyncio.run(_process(House(card, folder, deadline), results, request(recipe, 1, model=folder.name)))


async def _process(house: House, results: Results, asked: GenerationRequest) -> None:
    note, start = results.note, time.perf_counter()

    def job(name: str, **changes: Any) -> EngineJob:
        return EngineJob(id=name, request=replace(asked, **changes), tenant="t", user="u")

    def since() -> float:
        return time.perf_counter() - start

    try:
        await house.start()
        note("from nothing to ready: process, libraries, model (s)", since())
        for name in ("first", "second"):
            start = time.perf_counter()
            house.engine.submit(job(name))
            await house.until(lambda e: isinstance(e, Picture))
            note(f"{name} picture, from asking to its PNG (s)", since())
            await house.until(lambda e: isinstance(e, Finished))
        start = time.perf_counter()
        house.engine.submit(job("long", steps=100))
        shown = await house.until(lambda e: isinstance(e, Progress) and e.preview is not None)
        note("first preview, from asking (s)", since())
        note("first preview, after steps", shown.step if isinstance(shown, Progress) else 0)
        start = time.perf_counter()
        house.engine.cancel("long")
        end = await house.until(lambda e: isinstance(e, Finished | Failed))
        note("cancelling, until it has ended (s)", since())
        note("it ended with", type(end.error).__name__ if isinstance(end, Failed) else "its picture")
        house.engine.submit(job("killed", steps=40))
        await house.until(lambda e: isinstance(e, Progress) and e.step > 1)
        start = time.perf_counter()
        house.kill()
        await house.until(lambda e: isinstance(e, Restarted))
        note("worker killed: job waits again after (s)", since())
        end = await house.until(lambda e: isinstance(e, Finished | Failed))
        note("worker killed: job ended with", "its picture" if isinstance(end, Finished) else str(end))
        note("worker killed: until then (s)", since())
    finally:
        await house.engine.close()

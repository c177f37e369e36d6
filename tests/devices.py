"""Devices by script: what becomes of each job on them, and when they start, is up to a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from engine import catalog
from engine.errors import Cancelled, EngineError
from engine.types import EngineJob, Failed, Finished, GenerationRequest, Progress, Started
from engine.workers.dispatcher import Dispatcher
from engine.workers.messages import Ready, Report, Start

Judge = Callable[[EngineJob], Exception | None]
"""What a device makes of a job: None paints it, an EngineError fails it, any other kills the worker."""


def well(job: EngineJob) -> Exception | None:
    return None


class Device:
    """A scripted device. `judge` says what becomes of a job, `loads` whether the default model does."""

    def __init__(self, judge: Judge = well, loads: EngineError | None = None) -> None:
        self.judge, self.loads = judge, loads
        self.hired = 0
        self.took: list[str] = []  # job ids, of all its workers
        self.starts = asyncio.Event()  # its workers say their first word once it is set
        self.starts.set()
        self.seconds = 1.0  # device-seconds that every picture takes
        self.slow: set[str] = set()  # jobs that begin and do not end
        self.left: list[frozenset[str]] = []  # suspects to name, a worker each
        self.hirable = True

    async def hire(self) -> DeviceWorker:
        self.hired += 1
        if not self.hirable:
            raise OSError("no process")
        return DeviceWorker(self)


class DeviceWorker:
    def __init__(self, device: Device) -> None:
        self.device = device
        self.inbox: asyncio.Queue[Start | str] = asyncio.Queue()

    async def send(self, order: Start) -> None:
        self.inbox.put_nowait(order)

    async def cancel(self, job_id: str) -> None:
        self.inbox.put_nowait(job_id)

    def suspects(self) -> frozenset[str]:
        return self.device.left.pop(0) if self.device.left else frozenset()

    async def close(self) -> None:
        """Nothing to stop."""

    async def events(self) -> AsyncGenerator[Report, None]:
        await self.device.starts.wait()
        yield Ready(self.device.loads)
        while True:
            word = await self.inbox.get()
            if isinstance(word, str):
                yield Failed(job=word, error=Cancelled(), device_seconds=0.5)
                continue
            self.device.took.append(word.job.id)
            yield Started(job=word.job.id)
            match self.device.judge(word.job):
                case None if word.job.id in self.device.slow:
                    yield Progress(job=word.job.id, step=1, steps=2, device_seconds=0.5)
                case None:
                    yield Finished(job=word.job.id, device_seconds=self.device.seconds)
                case EngineError() as error:
                    yield Failed(job=word.job.id, error=error, device_seconds=0.25)
                case _:
                    return


def fails(error: EngineError) -> Judge:
    return lambda job: error


def job(id: str, user: str = "", model: str = "easel-tiny", *, relaxed: bool = False) -> EngineJob:
    request = GenerationRequest(prompt="a fox", seed=1, model=model)
    return EngineJob(id=id, request=request, tenant="t", user=user or id, cost=1.0, relaxed=relaxed)


@asynccontextmanager
async def opened(
    *devices: Device, models: tuple[str, ...] = ("easel-tiny",), **options: Any
) -> AsyncIterator[Dispatcher]:
    hires = [(f"gpu:{number}", partial(device.hire)) for number, device in enumerate(devices)]
    engine = Dispatcher(catalog.load(models), hires, lambda name: b"", **options)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 nothing else tells
            await asyncio.sleep(0.005)


def out(engine: Dispatcher) -> dict[str, str]:
    return {each.device: each.out for each in engine.status().out}

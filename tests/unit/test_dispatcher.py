"""Jobs survive whatever happens to workers: they fail to start, die, hang around, or are told to stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from engine import catalog, dispatcher
from engine.dispatcher import Dispatcher
from engine.errors import Cancelled, ModelNotLoaded, UnknownModel, WorkerLost
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
from engine.wire import Ready, Task

REQUEST = GenerationRequest(prompt="a fox", seed=1)


def job(id: str, user: str = "ada", **changes: object) -> EngineJob:
    return EngineJob(id=id, request=replace(REQUEST, **changes), tenant="t", user=user, cost=1.0)


class Script:
    """A worker that finishes what it is sent, unless its `lives` say otherwise."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.inbox: asyncio.Queue[Task | str | None] = asyncio.Queue()
        self.running: frozenset[str] = frozenset()

    async def send(self, task: Task) -> None:
        await self.house.on_send(task)
        self.inbox.put_nowait(task)

    async def cancel(self, job_id: str) -> None:
        self.inbox.put_nowait(job_id)

    def suspects(self) -> frozenset[str]:
        return self.running if self.house.knows_suspects else frozenset()

    async def close(self) -> None:
        self.house.closed += 1

    async def events(self) -> AsyncGenerator[EngineEvent | Ready, None]:
        if self.house.dies_while_starting:
            return
        yield Ready()
        while (word := await self.inbox.get()) is not None:
            if isinstance(word, str):
                yield Failed(job=word, error=Cancelled(), device_seconds=0.5)
                continue
            id = word.job.id
            yield Started(job=id)
            yield Progress(job=id, step=1, steps=2, device_seconds=0.5)
            if self.house.kills(word.job):
                self.running = frozenset([id])
                return
            if id not in self.house.slow:
                yield Finished(job=id, device_seconds=1.0)


class House:
    def __init__(self) -> None:
        self.dies_while_starting = False
        self.knows_suspects = True
        self.slow: set[str] = set()
        self.kills: Callable[[EngineJob], bool] = lambda job: False
        self.hires = self.closed = 0
        self.hire_errors: list[Exception] = []
        self.holds_back = asyncio.Event()
        self.holds_back.set()
        self.sent: list[str] = []
        self.workers: list[Script] = []

    async def on_send(self, task: Task) -> None:
        await self.holds_back.wait()
        self.sent.append(task.job.id)

    async def hire(self) -> Script:
        self.hires += 1
        if self.hire_errors:
            raise self.hire_errors.pop()
        self.workers.append(Script(self))
        return self.workers[-1]


@asynccontextmanager
async def opened(house: House, workers: int = 1) -> AsyncIterator[Dispatcher]:
    engine = Dispatcher(catalog.load(["easel-tiny"]), [house.hire] * workers, lambda name: b"")
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


async def ends(engine: Dispatcher, count: int) -> list[EngineEvent]:
    seen: list[EngineEvent] = []
    async with asyncio.timeout(30):
        async for event in engine.events():
            seen.append(event)
            count -= isinstance(event, Finished | Failed)
            if not count:
                return seen
    raise AssertionError("the engine ended first")


async def test_a_worker_that_cannot_be_hired_is_hired_again() -> None:
    house = House()
    house.hire_errors = [BlockingIOError("no process"), MemoryError()]
    async with opened(house) as engine:
        engine.submit(job("a"))
        events = await ends(engine, 1)

    assert isinstance(events[-1], Finished)
    assert house.hires == 3


async def test_workers_that_never_start_are_told_to_those_who_wait() -> None:
    house = House()
    house.dies_while_starting = True
    async with opened(house) as engine:
        engine.submit(job("a"))
        (failed,) = await ends(engine, 1)
        assert isinstance(failed, Failed) and isinstance(failed.error, ModelNotLoaded)
        assert house.hires >= dispatcher.STARTS

        house.dies_while_starting = False
        engine.submit(job("b"))
        assert isinstance((await ends(engine, 1))[-1], Finished)


async def test_without_a_known_culprit_all_inside_are_suspects() -> None:
    house = House()
    house.knows_suspects = False
    house.kills = lambda job: job.id == "poison"
    async with opened(house) as engine:
        engine.submit(job("poison"))
        events = await ends(engine, 1)

    assert isinstance(events[-1], Failed) and isinstance(events[-1].error, WorkerLost)
    assert sum(isinstance(event, Restarted) for event in events) == 1


async def test_a_lost_job_goes_before_its_owners_others() -> None:
    house = House()
    house.kills = lambda job: job.id == "first" and not job.deaths
    async with opened(house) as engine:
        for number in range(8):
            engine.submit(job("first" if not number else f"later{number}"))
        events = await ends(engine, 8)

    again = house.sent.index("first", house.sent.index("first") + 1)
    assert all(house.sent.index(f"later{number}") > again for number in range(5, 8))
    assert sum(isinstance(event, Restarted) for event in events) >= 1


async def test_a_job_cancelled_on_its_way_to_the_worker_is_cancelled_there() -> None:
    house = House()
    house.slow = {"a"}
    house.holds_back.clear()
    async with opened(house) as engine:
        engine.submit(job("a"))
        while engine.place("a") is not None:  # noqa: ASYNC110 its events come later
            await asyncio.sleep(0.01)

        assert engine.cancel("a")
        house.holds_back.set()

        events = await ends(engine, 1)
    assert isinstance(events[-1], Failed) and isinstance(events[-1].error, Cancelled)


async def test_a_cancelled_job_whose_worker_dies_does_not_run_again() -> None:
    house = House()
    house.slow = {"a"}
    async with opened(house) as engine:
        engine.submit(job("a"))
        async for event in engine.events():
            if isinstance(event, Progress):
                break
        house.workers[0].cancel = _ignore  # type: ignore[method-assign]
        engine.cancel("a")
        house.workers[0].inbox.put_nowait(None)
        events = await ends(engine, 1)

    assert [type(event) for event in events] == [Failed]
    assert isinstance(events[0].error, Cancelled)  # type: ignore[union-attr]


async def _ignore(job_id: str) -> None:
    return


async def test_closing_does_not_wait_for_a_job_that_was_never_sent() -> None:
    house = House()
    house.holds_back.clear()
    async with opened(house) as engine:
        engine.submit(job("a"))
        await asyncio.sleep(0.1)
        start = time.monotonic()

        await engine.close(drain=20)

        assert time.monotonic() - start < 10
        assert house.sent == []


async def test_closing_lets_what_runs_come_to_its_end() -> None:
    house = House()
    house.slow = {"a"}
    async with opened(house) as engine:
        engine.submit(job("a"))
        async for event in engine.events():
            if isinstance(event, Progress):
                break
        closing = asyncio.create_task(engine.close(drain=20))
        await asyncio.sleep(0.05)
        assert not closing.done()
        house.workers[0].inbox.put_nowait("a")
        await closing

    assert [type(event) async for event in engine.events()] == [Failed]


async def test_two_workers_share_the_work() -> None:
    house = House()
    house.slow = {f"j{number}" for number in range(8)}
    async with opened(house, workers=2) as engine:
        for number in range(8):
            engine.submit(job(f"j{number}", user=f"u{number}"))
        while len(house.sent) < 8:  # noqa: ASYNC110 nothing else tells
            await asyncio.sleep(0.01)

        assert sorted(len(desk.residents) for desk in engine._desks) == [4, 4]


async def test_a_model_that_is_not_offered_is_refused_at_the_door() -> None:
    async with opened(House()) as engine:
        with pytest.raises(UnknownModel):
            engine.submit(job("a", model="gone"))
        engine.learn(replace(REQUEST, model="gone"), 3.0)
        engine.submit(job("b"))
        assert isinstance((await ends(engine, 1))[-1], Finished)


async def test_estimates_follow_what_was_measured() -> None:
    async with opened(House()) as engine:
        before = engine.estimate(REQUEST)
        for _ in range(50):
            engine.learn(REQUEST, 3 * before)

        assert engine.estimate(REQUEST) == pytest.approx(3 * before, rel=0.01)
        assert engine.estimate(replace(REQUEST, count=1)) == pytest.approx(3 * before / 4, rel=0.01)

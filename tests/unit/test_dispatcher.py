"""Jobs survive whatever happens to workers: they fail to start, die, hang around, or are told to stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from engine import catalog
from engine.errors import Cancelled, ModelNotLoaded, UnknownModel, WorkerLost
from engine.types import (
    EngineJob,
    EngineStatus,
    Failed,
    Finished,
    GenerationRequest,
    Progress,
    Restarted,
    Started,
    WorkerStatus,
)
from engine.workers import dispatcher
from engine.workers.dispatcher import Dispatcher
from engine.workers.messages import Pulse, Ready, Report, Start
from tests.listener import Listener

REQUEST = GenerationRequest(prompt="a fox", seed=1)


def job(id: str, user: str = "ada", *, relaxed: bool = False, **changes: object) -> EngineJob:
    request = replace(REQUEST, **changes)
    return EngineJob(id=id, request=request, tenant="t", user=user, cost=1.0, relaxed=relaxed)


class Script:
    """A worker that finishes what it is sent, unless its `lives` say otherwise."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.inbox: asyncio.Queue[Start | str | None] = asyncio.Queue()
        self.running: frozenset[str] = frozenset()

    async def send(self, order: Start) -> None:
        await self.house.on_send(order)
        self.inbox.put_nowait(order)

    async def cancel(self, job_id: str) -> None:
        self.inbox.put_nowait(job_id)

    def suspects(self) -> frozenset[str]:
        return self.running if self.house.knows_suspects else frozenset()

    async def close(self) -> None:
        self.house.closed += 1

    async def events(self) -> AsyncGenerator[Report, None]:
        if self.house.dies_while_starting:
            return
        yield Ready()
        while (word := await self.inbox.get()) is not None:
            if isinstance(word, str):
                yield Failed(job=word, error=Cancelled(), device_seconds=0.5)
                continue
            id = word.job.id
            self.house.tasks.append(word)
            yield Started(job=id)
            yield Pulse(models=("easel-tiny",), passes=1, rows=4, seconds=0.5)
            yield Progress(job=id, step=1, steps=2, device_seconds=0.5)
            if self.house.kills(word.job):
                self.running = frozenset([id])
                return
            if id in self.house.sent_back:
                self.house.sent_back.remove(id)
                yield Restarted(job=id, deaths=word.job.deaths)
            elif id not in self.house.slow:
                yield Finished(job=id, device_seconds=1.0)


class House:
    def __init__(self) -> None:
        self.dies_while_starting = False
        self.knows_suspects = True
        self.slow: set[str] = set()
        self.sent_back: set[str] = set()
        self.tasks: list[Start] = []
        self.kills: Callable[[EngineJob], bool] = lambda job: False
        self.hires = self.closed = 0
        self.hire_errors: list[Exception] = []
        self.holds_back = asyncio.Event()
        self.holds_back.set()
        self.sent: list[str] = []
        self.workers: list[Script] = []

    async def on_send(self, order: Start) -> None:
        await self.holds_back.wait()
        self.sent.append(order.job.id)

    async def hire(self) -> Script:
        self.hires += 1
        if self.hire_errors:
            raise self.hire_errors.pop()
        self.workers.append(Script(self))
        return self.workers[-1]


@asynccontextmanager
async def opened(house: House, workers: int = 1) -> AsyncIterator[Dispatcher]:
    engine = Dispatcher(catalog.load(["easel-tiny"]), [("cpu", house.hire)] * workers, lambda name: b"")
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


async def test_a_worker_that_cannot_be_hired_is_hired_again() -> None:
    house = House()
    house.hire_errors = [BlockingIOError("no process"), MemoryError()]
    async with opened(house) as engine:
        engine.submit(job("a"))
        end = await Listener(engine).end("a")

    assert isinstance(end, Finished)
    assert house.hires == 3


async def test_workers_that_never_start_are_told_to_those_who_wait() -> None:
    house = House()
    house.dies_while_starting = True
    async with opened(house) as engine:
        ear = Listener(engine)
        engine.submit(job("a"))
        failed = await ear.end("a")
        assert isinstance(failed, Failed) and isinstance(failed.error, ModelNotLoaded)
        assert house.hires >= dispatcher.STARTS

        house.dies_while_starting = False
        engine.submit(job("b"))
        assert isinstance(await ear.end("b"), Finished)


async def test_without_a_known_culprit_all_inside_are_suspects() -> None:
    house = House()
    house.knows_suspects = False
    house.kills = lambda job: job.id == "poison"
    async with opened(house) as engine:
        ear = Listener(engine)
        engine.submit(job("poison"))
        end = await ear.end("poison")

    assert isinstance(end, Failed) and isinstance(end.error, WorkerLost)
    assert sum(isinstance(event, Restarted) for event in ear.said) == 1


async def test_a_lost_job_goes_before_its_owners_others() -> None:
    house = House()
    house.kills = lambda job: job.id == "first" and not job.deaths
    async with opened(house) as engine:
        for number in range(12):
            engine.submit(job("first" if not number else f"later{number}"))
        events = await Listener(engine).ends(12)

    again = house.sent.index("first", house.sent.index("first") + 1)
    assert all(house.sent.index(f"later{number}") > again for number in range(9, 12))
    assert sum(isinstance(event, Restarted) for event in events) >= 1


async def test_a_job_cancelled_on_its_way_to_the_worker_is_cancelled_there() -> None:
    house = House()
    house.slow = {"a"}
    house.holds_back.clear()
    async with opened(house) as engine:
        engine.submit(job("a"))
        while engine.position("a") is not None:  # noqa: ASYNC110 its events come later
            await asyncio.sleep(0.01)

        assert engine.cancel("a")
        house.holds_back.set()

        end = await Listener(engine).end("a")
    assert isinstance(end, Failed) and isinstance(end.error, Cancelled)


async def test_a_cancelled_job_whose_worker_dies_does_not_run_again() -> None:
    house = House()
    house.slow = {"a"}
    async with opened(house) as engine:
        engine.submit(job("a"))
        ear = Listener(engine)
        await ear.running("a")
        house.workers[0].cancel = _ignore  # type: ignore[method-assign]
        engine.cancel("a")
        house.workers[0].inbox.put_nowait(None)
        end = await ear.end("a")

    assert [type(event) for event in ear.said] == [Started, Progress, Failed]
    assert isinstance(end, Failed) and isinstance(end.error, Cancelled)


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
        ear = Listener(engine)
        await ear.running("a")
        closing = asyncio.create_task(engine.close(drain=20))
        await asyncio.sleep(0.05)
        assert not closing.done()
        house.workers[0].inbox.put_nowait("a")
        await closing
        await ear.over()

    assert [type(event) for event in ear.said] == [Started, Progress, Failed]


async def test_two_workers_share_the_work() -> None:
    house = House()
    house.slow = {f"j{number}" for number in range(8)}
    async with opened(house, workers=2) as engine:
        for number in range(8):
            engine.submit(job(f"j{number}", user=f"u{number}"))
        while len(house.sent) < 8:  # noqa: ASYNC110 nothing else tells
            await asyncio.sleep(0.01)

        assert sorted(len(slot.jobs) for slot in engine._slots) == [4, 4]


async def test_a_model_that_is_not_offered_is_refused_at_the_door() -> None:
    async with opened(House()) as engine:
        with pytest.raises(UnknownModel):
            engine.submit(job("a", model="gone"))
        engine.learn(replace(REQUEST, model="gone"), 3.0)
        engine.submit(job("b"))
        assert isinstance(await Listener(engine).end("b"), Finished)


async def test_estimates_follow_what_was_measured() -> None:
    async with opened(House()) as engine:
        before = engine.estimate(REQUEST)
        for _ in range(50):
            engine.learn(REQUEST, 3 * before)

        assert engine.estimate(REQUEST) == pytest.approx(3 * before, rel=0.01)
        assert engine.estimate(replace(REQUEST, count=1)) == pytest.approx(3 * before / 4, rel=0.01)


async def test_a_held_job_starts_when_it_is_let_go() -> None:
    async with opened(House()) as engine:
        ear = Listener(engine)
        engine.submit(job("held"))
        assert engine.hold("held")
        engine.submit(job("other"))
        await ear.end("other")
        assert engine.position("held") is None and ear.of("held") == []
        assert engine.lanes()[0].held == ("held",)

        assert engine.unhold("held")

        assert isinstance(await ear.end("held"), Finished)
        assert not engine.unhold("held") and not engine.hold("held") and not engine.relax("held")


async def test_a_job_that_is_held_while_it_runs_is_held_when_it_loses_its_worker() -> None:
    house = House()
    house.slow = {"held", "free"}
    async with opened(house) as engine:
        ear = Listener(engine)
        for id in ("held", "free"):
            engine.submit(job(id, user=id))
            await ear.started(id)
            assert not engine.hold(id), "it goes on where it is"
        engine.unhold("free")
        house.slow.clear()

        house.workers[0].inbox.put_nowait(None)  # the worker is gone

        assert isinstance(await ear.end("free"), Finished)
        assert [lane.held for lane in engine.lanes()] == [("held",)]
        assert engine.unhold("held")
        assert isinstance(await ear.end("held"), Finished)


async def test_a_held_job_is_cancelled() -> None:
    async with opened(House()) as engine:
        engine.submit(job("held"))
        engine.hold("held")

        assert engine.cancel("held")

        end = await Listener(engine).end("held")
        assert isinstance(end, Failed) and isinstance(end.error, Cancelled)
        assert engine.status().held == 0


async def test_relaxed_jobs_wait_for_the_fast_ones_and_tell_what_their_owners_used() -> None:
    house = House()
    house.slow = {"fast"}
    async with opened(house) as engine:
        ear = Listener(engine)
        engine.submit(job("fast"))
        await ear.running("fast")
        engine.submit(job("first", relaxed=True))
        engine.submit(job("moved"))
        engine.submit(job("last", user="bob"))
        assert engine.hold("moved") and engine.relax("moved") and engine.unhold("moved")
        await ear.end("last")
        assert house.sent == ["fast", "last"]
        place = engine.position("moved")
        assert place is not None and place.number == 2 and place.wait == pytest.approx(0.5 + 1.0)

        engine.cancel("fast")
        await ear.ends(4)

    assert house.sent == ["fast", "last", "first", "moved"]
    assert [task.used for task in house.tasks] == [0.0, 0.0, 0.0, pytest.approx(0.0)]
    assert [task.job.relaxed for task in house.tasks] == [False, False, True, True]


async def test_a_relaxed_job_goes_to_a_device_without_fast_ones() -> None:
    house = House()
    house.slow = {"fast", "relaxed", "newcomer"}
    async with opened(house, workers=2) as engine:
        ear = Listener(engine)
        while not all(worker.ready for worker in engine.status().workers):  # noqa: ASYNC110 nothing else tells
            await asyncio.sleep(0.01)
        engine.submit(job("fast"))
        engine.submit(job("relaxed", relaxed=True))
        await ear.running("relaxed")
        engine.submit(job("newcomer", user="bob"))
        await ear.running("newcomer")

        inside = {frozenset(slot.jobs) for slot in engine._slots}

    assert inside == {frozenset({"fast"}), frozenset({"relaxed", "newcomer"})}


async def test_a_job_that_its_worker_sends_back_runs_again_and_counts_no_death() -> None:
    house = House()
    house.sent_back = {"a"}
    async with opened(house) as engine:
        ear = Listener(engine)
        engine.submit(job("a", relaxed=True))
        await ear.end("a")
        restarts = engine.status().restarts

    assert [type(event) for event in ear.said] == [Started, Progress, Restarted, Started, Progress, Finished]
    assert [task.job.deaths for task in house.tasks] == [0, 0]
    assert [task.used for task in house.tasks] == [0.0, 0.5]
    assert restarts == 0


async def test_the_status_says_why_it_is_slow() -> None:
    house = House()
    house.slow = {"fast"}
    house.kills = lambda job: job.id == "bad" and not job.deaths
    async with opened(house) as engine:
        ear = Listener(engine)
        assert engine.status().workers[0] == WorkerStatus(
            device="cpu", ready=False, models=(), jobs=0, restarts=0
        )
        engine.submit(job("bad"))
        await ear.end("bad")
        engine.submit(job("fast"))
        await ear.running("fast")
        engine.submit(job("patient", relaxed=True))
        engine.submit(job("held"))
        engine.hold("held")

        status = engine.status()

    assert status == EngineStatus(
        workers=(WorkerStatus(device="cpu", ready=True, models=("easel-tiny",), jobs=1, restarts=1),),
        inside=1,
        waiting=1,
        held=1,
        relaxed=1,
        last_minute=1.5,
        last_five_minutes=1.5,
        rows=4.0,
    )
    assert status.restarts == 1


async def test_a_worker_that_dies_with_many_jobs_is_one_loss() -> None:
    house = House()
    house.slow = {f"j{number}" for number in range(4)}
    async with opened(house) as engine:
        ear = Listener(engine)
        for number in range(4):
            engine.submit(job(f"j{number}"))
        await ear.running("j3")
        house.slow.clear()
        house.workers[0].inbox.put_nowait(None)
        await ear.ends(4)

        assert engine.status().restarts == 1
    assert sum(isinstance(event, Restarted) for event in ear.said) == 4

"""What ends the process, and what only keeps jobs from starting."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bot import guard
from bot.errors import Refusal, StoreError, StoreGone, StoreInUse
from bot.guard import Guard
from bot.jobs import tracker
from bot.jobs.live import LiveJob
from bot.jobs.tracker import JobTracker
from bot.models import State
from bot.store import Store, leadership
from bot.store.database import server
from engine.types import EngineEvent, Failed, Finished, Restarted, Started
from engine.workers.fake import FakeEngine
from tests.databases import fresh_sqlite
from tests.examples import a_job, a_tier, a_tracker
from tests.scenario.conftest import Opens
from tests.scenario.conftest import opened as opened  # a fixture


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[tuple[Path, Store]]:
    path = tmp_path / "easel.db"
    store = await Store.open(fresh_sqlite(path))
    yield path, store
    await store.close()


def delete(path: Path) -> None:
    path.unlink()


def replace_by_another(path: Path) -> None:
    fresh_sqlite(path.with_name("other.db"))
    path.with_name("other.db").rename(path)


def empty(path: Path) -> None:
    os.truncate(path, 0)


@pytest.mark.parametrize("harm", [delete, replace_by_another, empty])
async def test_a_database_that_is_gone_is_noticed_and_takes_nothing_new(
    file: tuple[Path, Store], harm: Any
) -> None:
    path, store = file
    watch = Guard(store)
    await store.admit(a_job(), tier=a_tier())
    assert await watch.may_start()
    harm(path)
    with capture_logs() as logs:
        assert not await watch.may_start()
        assert not await watch.may_start()
    (line,) = logs
    assert line["log_level"] == "critical" and "while Easel was running" in line["cause"]
    assert not watch.failed.is_set()
    with pytest.raises(StoreGone, match=r"easel\.db was (deleted|replaced) .* put the file back"):
        await store.admit(a_job(), tier=a_tier())


async def test_a_database_that_is_put_back_is_used_again(file: tuple[Path, Store]) -> None:
    path, store = file
    watch, aside = Guard(store), path.with_name("aside.db")
    path.rename(aside)
    assert not await watch.may_start()
    aside.rename(path)
    assert await watch.may_start()
    await store.admit(a_job(), tier=a_tier())


async def test_people_are_told_that_the_database_is_gone(opened: Opens) -> None:
    async with opened() as house:
        job = await house.ask("a fox")
        await house.ended(job.id)
        path = house.settings.data_dir / "easel.db"
        path.rename(path.with_name("aside.db"))
        assert not await house.easel.guard.may_start()
        with pytest.raises(Refusal, match="database was deleted or replaced, so nothing new can be saved"):
            await house.ask("another fox")
        path.with_name("aside.db").rename(path)
        assert await house.easel.guard.may_start()


async def test_the_lock_of_a_file_is_taken_again_where_its_own_file_was_deleted(
    file: tuple[Path, Store],
) -> None:
    path, store = file
    lock = path.with_name("easel.db.lock")
    lock.unlink()
    await store.look()
    with pytest.raises(StoreInUse):
        await Store.open(f"sqlite:///{path}")
    lock.unlink()
    with lock.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(StoreInUse):
            await store.look()


async def test_whoever_another_one_has_followed_writes_nothing_and_ends(database_url: str) -> None:
    first = await Store.open(database_url)
    job, _ = await first.admit(a_job(), tier=a_tier())
    await first.started(job.id)
    engine = server(database_url).connect(writes=True)
    with engine.begin() as connection:  # as a process does that found the lock free
        leadership.begin(connection)
    engine.dispose()
    late = [
        first.admit(a_job(), tier=a_tier()),
        first.started(job.id),
        first.died(job.id, 1),
        first.end(job.id, State.RENDERED, device_seconds=1.0),
        first.message(job.id, {"message": 1}),
        first.delivered(job.id, State.RENDERED),
        first.delete(job.id),
    ]
    for work in late:
        with pytest.raises(StoreInUse, match="taken over"):
            await work
    assert (await first.job(job.id)) == replace(
        job, state=State.RUNNING, started=(await _started(first, job.id))
    )
    watch = Guard(first)
    assert not await watch.may_start() and watch.failed.is_set() and "taken over" in watch.reason
    await first.close()


async def _started(store: Store, id: str) -> Any:
    found = await store.job(id)
    return found and found.started


async def test_the_timer_notices_without_anybody_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "PAUSE", 0.001)
    answers: list[Exception | None] = [None, StoreError("slow"), None, StoreInUse("another")]

    class Doubtful:
        async def look(self) -> None:
            if answers and (answer := answers.pop(0)):
                raise answer

    watch = Guard(Doubtful())  # type: ignore[arg-type]
    await asyncio.wait_for(watch.run(), 10)
    assert watch.reason == "another" and answers == []


async def test_a_job_that_may_not_start_waits_and_starts_later() -> None:
    may = False

    async def may_start() -> bool:
        return may

    engine = FakeEngine(lambda name: b"", may_start=may_start)
    await engine.start()
    job = tracker.engine_job(a_job())
    job = replace(job, request=replace(job.request, model="memory", steps=1, count=1, width=64, height=64))
    engine.submit(job)
    events = engine.events()
    first = asyncio.ensure_future(anext(aiter(events)))
    await asyncio.sleep(0.3)
    assert not first.done() and engine.status().waiting == 1
    may = True
    assert await asyncio.wait_for(first, 10) == Started(job=job.id)
    await engine.close()


# ---- what cannot be written down


class Exhausted:
    """A store whose first writes fail."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.failures, self.error, self.done = failures, error, asyncio.Event()
        self.calls = 0

    async def _write(self, *_: object, **__: object) -> Any:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        self.done.set()
        return a_job(state=State.FAILED), True

    started = died = end = add_picture = _write


EVENTS = [
    Started(job="abc"),
    Restarted(job="abc", deaths=1),
    Failed(job="abc", error=tracker.EngineError("x"), device_seconds=0),
]


def follow(
    store: Exhausted, given_up: list[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[JobTracker, LiveJob]:
    async def at_once(seconds: float) -> None:
        await sleep(0)

    sleep = asyncio.sleep
    monkeypatch.setattr(tracker.asyncio, "sleep", at_once)
    said: Any = store
    made = a_tracker(FakeEngine(lambda name: b""), store=said, show=lambda job: None, give_up=given_up.append)
    life = made.lives["abc"] = LiveJob(a_job(id="abc"))
    return made, life


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("?"), KeyError("x")], ids=repr)
async def test_an_event_that_was_not_saved_is_tried_again(
    event: EngineEvent, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_up: list[str] = []
    store = Exhausted(tracker.TRIES - 1, error)
    made, life = follow(store, given_up, monkeypatch)
    made._put(life, event)
    assert life.writer
    await life.writer
    assert store.done.is_set() and not life.events and given_up == []


@pytest.mark.parametrize("event", [*EVENTS, Finished(job="abc", device_seconds=1.0)], ids=repr)
async def test_one_that_can_never_be_saved_ends_the_process_and_is_kept(
    event: EngineEvent, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_up: list[str] = []
    store = Exhausted(10**6, MemoryError())
    made, life = follow(store, given_up, monkeypatch)
    made._put(life, event)
    assert life.writer
    await life.writer
    assert store.calls == tracker.TRIES and len(life.events) == 1
    (reason,) = given_up
    assert "abc" in reason and "MemoryError" in reason


async def test_a_full_disk_is_waited_for_and_a_new_leader_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    given_up: list[str] = []
    store = Exhausted(5 * tracker.TRIES, StoreError("The disk is full."))
    made, life = follow(store, given_up, monkeypatch)
    made._put(life, EVENTS[0])
    assert life.writer
    await life.writer
    assert store.done.is_set() and given_up == []

    store.failures, store.error = 10**6, StoreInUse("another leads")
    made._put(life, EVENTS[0])
    await life.writer
    assert given_up == ["another leads"]


async def test_a_tracker_that_breaks_ends_the_process(opened: Opens) -> None:
    async with opened() as house:

        def broken(*_: object) -> None:
            raise ValueError("a fault of its own")

        house.easel.lifecycle._tracker._progress = broken  # type: ignore[method-assign]
        await house.ask("a fox")
        await asyncio.wait_for(house.easel.guard.failed.wait(), 30)
        assert "tracker" in house.easel.guard.reason
        with pytest.raises(Refusal):
            await house.ask("another")


async def test_memory_exhausted_in_the_database_s_thread_leaves_nobody_waiting(
    file: tuple[Path, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, store = file
    assert store._writer

    def exhausted(group: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(store._writer, "_finish", exhausted)
        with pytest.raises(MemoryError):
            await asyncio.wait_for(store.started("x"), 10)
    await asyncio.wait_for(store.started("x"), 10)

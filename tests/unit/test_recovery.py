"""What waits is taken up by a few queries for many jobs, and new requests are served meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from bot import app
from bot.accounts.access_rules import AccessRules
from bot.accounts.tiers import Tiers, load
from bot.adapters.base import Receipt
from bot.easel import Easel
from bot.images.blobs import DirectoryBlobs
from bot.jobs import recovery
from bot.models import INSTANCE, Allowance, Job, Member, Origin, State, StoredPicture
from bot.moderation import NullClassifier
from bot.store import Store
from bot.surfaces import Settings
from engine.errors import EngineError
from engine.scheduling.job_queue import FairQueue
from engine.types import EngineJob, GenerationRequest
from engine.workers.fake import FakeEngine
from tests.examples import a_job, a_line, a_member, a_tier, unhurried

START = datetime(2026, 11, 1, tzinfo=UTC)


def waiting(number: int, user: str = "ada", **more: Any) -> Job:
    request = GenerationRequest(prompt="x", seed=1, model="memory", count=1)
    return a_job(user=user, created=START + timedelta(seconds=number), **{"request": request, **more})


@contextmanager
def queries() -> Iterator[list[str]]:
    seen: list[str] = []

    def count(*said: Any) -> None:
        seen.append(said[2])

    event.listen(Engine, "before_cursor_execute", count)
    yield seen
    event.remove(Engine, "before_cursor_execute", count)


async def _never() -> bool:
    return False


@asynccontextmanager
async def easel(folder: Path, store: Store) -> AsyncIterator[tuple[Easel, FakeEngine]]:
    """One that starts no job."""
    engine = FakeEngine(lambda name: b"", may_start=_never)
    settings = Settings(data_dir=folder, model=("memory",))
    blobs = DirectoryBlobs(folder / "pictures")
    made = app.build(
        settings=settings,
        store=store,
        engine=engine,
        blobs=blobs,
        classifier=NullClassifier(),
        tiers=unhurried(),
    )
    await made.lifecycle.start()
    yield made, engine
    await made.lifecycle.close()


async def until(engine: FakeEngine, jobs: int) -> None:
    async with asyncio.timeout(60):
        while engine.status().waiting < jobs:  # noqa: ASYNC110 the engine tells nobody
            await asyncio.sleep(0.01)


async def test_many_jobs_take_few_queries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "PAGE", 100)
    store = await Store.open(f"sqlite:///{tmp_path}/easel.db")
    jobs = [waiting(number, f"p{number % 40}") for number in range(500)]
    for job in jobs:
        await store.admit(job, tier=a_tier())
    monkeypatch.setattr("bot.guard.PAUSE", 60)
    calls, resume = [], FakeEngine.resume

    def counted(self: FakeEngine, jobs: Sequence[EngineJob]) -> dict[str, EngineError]:
        calls.append(len(jobs))
        return resume(self, jobs)

    monkeypatch.setattr(FakeEngine, "resume", counted)
    with queries() as seen:
        async with easel(tmp_path, store) as (_, engine):
            await until(engine, 500)
    await store.close()
    of_jobs = [each for each in seen if each.startswith("SELECT jobs.") and "jobs.created" in each]
    assert len(of_jobs) <= 8, "a query for each page"
    assert len(seen) <= 60, "everything else does not grow with the jobs"
    assert calls == [100] * 5, "the engine is told of many at once"


async def test_each_keeps_its_place_and_what_comes_meanwhile_stands_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "PAGE", 4)
    store = await Store.open(f"sqlite:///{tmp_path}/easel.db")
    jobs = [waiting(number, "ada") for number in range(20)]
    for job in reversed(jobs):  # the time at which they were asked for counts
        await store.admit(job, tier=a_tier())
    pages = store.queued
    reading, go_on = asyncio.Event(), asyncio.Event()

    async def slow(after: Any = None, limit: int = 1000) -> Any:
        if after:
            reading.set()
            await go_on.wait()
        return await pages(after, limit)

    monkeypatch.setattr(store, "queued", slow)
    async with easel(tmp_path, store) as (made, engine):
        await asyncio.wait_for(reading.wait(), 60)
        origin = Origin(surface="web", member=a_member("ada"), channel="c", event="new")
        answer = await made.router.handle("imagine", {"prompt": "a fox --count 1"}, origin)
        assert isinstance(answer, Receipt) and engine.position(answer.job.id)
        assert engine.status().waiting == 5, "one page, and the new one"
        cancelled = jobs[10]
        await made.router.press(f"v1:cancel:{cancelled.id}", replace(origin, event="cancel"))
        go_on.set()
        await until(engine, 20)
        (lane,) = engine.lanes()
        assert list(lane.waiting) == [each.id for each in jobs if each is not cancelled] + [answer.job.id]
        assert cancelled.id not in made.queries.living([cancelled.id])
    row = await store.job(cancelled.id)
    assert row and row.state is State.CANCELLED
    await store.close()


async def test_what_ran_waits_again_before_anything_is_started(store: Store) -> None:
    ran, waits, ended = [(await store.admit(waiting(number), tier=a_tier()))[0] for number in range(3)]
    await store.started(ran.id)
    await store.add_picture(ran.id, StoredPicture(index=0, blob="b.png", seed=1, width=8, height=8))
    await store.end(ended.id, State.CANCELLED)
    assert await store.requeue() == {ran.id, waits.id}
    (first, second), place = await store.queued()
    assert (first.id, first.state, len(first.pictures), second) == (ran.id, State.QUEUED, 1, waits)
    assert place == (second.created, second.id)
    assert await store.queued((first.created, first.id)) == ([second], place)
    assert await store.queued(place) == ([], None)


async def test_pages_hold_every_job_once_also_of_one_moment(store: Store) -> None:
    jobs = [(await store.admit(waiting(number // 4), tier=a_tier()))[0] for number in range(17)]
    found, place = await store.queued(limit=3)
    while place:
        page, place = await store.queued(place, limit=3)
        found += page
    assert found == sorted(jobs, key=lambda job: (job.created, job.id))


async def test_a_model_that_is_gone_fails_its_job_alone(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/easel.db")
    gone = waiting(1, request=GenerationRequest(prompt="x", seed=1, model="gone"))
    for job in (gone, waiting(2)):
        await store.admit(job, tier=a_tier())
    async with easel(tmp_path, store) as (_, engine):
        async with asyncio.timeout(60):
            while (row := await store.job(gone.id)) and not row.state.ended:  # noqa: ASYNC110 the row tells
                await asyncio.sleep(0.01)
        await until(engine, 1)
    assert row and row.state is State.FAILED
    await store.close()


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    store = await Store.open(database_url)
    yield store
    await store.close()


async def test_many_standings_are_what_each_is_alone(store: Store) -> None:
    tiers = Tiers((*load().all,))
    names = ("ada", "ben", "eve", "joe")
    members = [a_member(name, tenant) for name in names for tenant in ("web:local", "discord:1")]
    members.append(replace(members[0], roles=("r",)))
    for name in ("ada", "ben"):
        await store.admit(waiting(1, name, tenant="discord:1"), tier=a_tier())
    await store.link(await store.link_code(a_member("ada").id), a_member("ben").id)
    line = a_line()

    def note(*_: Any) -> Any:
        return line

    allowance = Allowance(seconds=5, per="day")
    await store.change_person(INSTANCE, "web:ben", lambda it: replace(it, allowance=allowance), note)
    await store.change_person("discord:1", "web:eve", lambda it: replace(it, blocked=True), note)
    await store.change_policy("discord:1", lambda it: replace(it, tier="everyone"), note)
    many = await store.standings(members)
    for member in members:
        alone = await store.standing(member)
        together = replace(many[member.tenant, member.id], at=alone.at, preferences=alone.preferences)
        key = lambda each: (each.tenant, each.member)  # noqa: E731
        assert sorted(together.persons, key=key) == sorted(alone.persons, key=key)
        assert replace(together, persons=()) == replace(alone, persons=())
        rules, same = AccessRules(together, tiers, member), AccessRules(alone, tiers, member)
        assert (rules.tier, rules.home, rules.account) == (same.tier, same.home, same.account)
    assert many["web:local", "web:ada"].home == "discord:1"


def job(id: str, user: str = "a") -> EngineJob:
    return EngineJob(id=id, request=GenerationRequest(prompt="x", seed=1), tenant="t", user=user, cost=1.0)


def test_former_jobs_come_before_new_ones_and_after_those_sent_back() -> None:
    queue = FairQueue()
    queue.put(job("new"))
    queue.put(job("back"), first=True)
    queue.put_former([job("old 1")])
    queue.put_former([job("old 2"), job("old 3")])
    (lane,) = queue.lanes()
    assert lane.waiting == ("back", "old 1", "old 2", "old 3", "new")


def test_members_are_told_apart_by_what_their_rules_need() -> None:
    ada = Member(tenant="t", id="a", name="Ada")
    assert recovery._who(ada) == recovery._who(replace(ada, name="A", admin=True))
    assert recovery._who(ada) != recovery._who(replace(ada, roles=("r",)))

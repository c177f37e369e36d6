"""The sums behind the charts, on each kind of database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.models import State
from bot.store import Store
from tests.examples import a_job, a_tier

HOUR = timedelta(hours=1)
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
async def clock() -> list[datetime]:
    return [NOON]


@pytest.fixture
async def store(database_url: str, clock: list[datetime]) -> AsyncIterator[Store]:
    store = await Store.open(database_url, clock=lambda: clock[0])
    yield store
    await store.close()


async def rendered(
    store: Store, clock: list[datetime], user: str, at: datetime, wait: float, cost: float
) -> None:
    job, _ = await store.admit(a_job(user=user, created=at), tier=a_tier())
    clock[0] = at + timedelta(seconds=wait)
    await store.started(job.id)
    await store.end(job.id, State.RENDERED, device_seconds=cost)


async def test_use_is_summed_by_hour_and_model_person_or_state(store: Store, clock: list[datetime]) -> None:
    await rendered(store, clock, "ana", NOON, 1, 2.5)
    await rendered(store, clock, "ana", NOON + timedelta(minutes=59, seconds=59.9), 1, 3.5)
    await rendered(store, clock, "ben", NOON + HOUR, 1, 4.0)
    await rendered(store, clock, "old", NOON - 30 * HOUR, 1, 99.0)
    await store.admit(a_job(user="ben", created=NOON + HOUR), tier=a_tier())
    since = NOON - HOUR

    models = await store.usage(since, HOUR, "model")
    assert [(use.at, use.key, use.jobs, use.seconds) for use in models] == [
        (NOON, "easel-tiny", 2, 6.0),
        (NOON + HOUR, "easel-tiny", 2, 4.0),
    ]
    people = await store.usage(since, timedelta(days=1), "person")
    assert sorted((use.key, use.name, use.seconds) for use in people) == [
        ("web:ana", "ana", 6.0),
        ("web:ben", "ben", 4.0),
    ]
    assert {use.at for use in people} == {NOON.replace(hour=0)}
    states = await store.usage(since, timedelta(days=1), "state")
    assert sorted((use.key, use.jobs) for use in states) == [("queued", 1), ("rendered", 3)]


async def test_waits_are_percentiles_by_nearest_rank(store: Store, clock: list[datetime]) -> None:
    for wait in (10, 1, 2, 4, 3, 5, 6, 7, 8, 9):
        await rendered(store, clock, "ana", NOON, wait, 1)
    await store.admit(a_job(user="ben", created=NOON), tier=a_tier())  # not started: does not count

    (found,) = await store.waits(NOON - HOUR, HOUR)

    assert (found.at, found.jobs, found.median, found.p90) == (NOON, 10, 5.0, 9.0)


async def test_a_clock_that_was_set_back_makes_no_negative_wait(store: Store, clock: list[datetime]) -> None:
    await rendered(store, clock, "ana", NOON, -60, 1)

    (found,) = await store.waits(NOON - HOUR, HOUR)

    assert (found.median, found.p90) == (0.0, 0.0)


async def test_people_are_known_by_their_last_job_or_by_what_is_set(
    store: Store, clock: list[datetime]
) -> None:
    await rendered(store, clock, "ana", NOON, 1, 2.0)
    late = a_job(user="ana", created=NOON + HOUR)
    renamed = replace(late.origin.member, name="Ana María", roles=("7",))
    await store.admit(replace(late, origin=replace(late.origin, member=renamed)), tier=a_tier())
    await rendered(store, clock, "ben", NOON + 2 * HOUR, 1, 3.0)

    def note(before: object, after: object) -> object:
        raise AssertionError("nothing changed")

    await store.change_person("web:local", "discord:9", lambda before: before, note)  # type: ignore[arg-type]
    found = await store.known(NOON - HOUR)

    assert [(each.member.id, each.jobs, each.seconds) for each in found] == [
        ("web:ben", 1, 3.0),
        ("web:ana", 2, 2.0),
        ("discord:9", 0, 0.0),
    ]
    assert (found[1].member.name, found[1].member.roles, found[1].last) == (
        "Ana María",
        ("7",),
        NOON + HOUR,
    )
    assert [each.member.id for each in await store.known(NOON + HOUR + HOUR)][:1] == ["web:ben"]


async def test_the_database_says_what_it_is(store: Store) -> None:
    assert (await store.database()).startswith(("SQLite 3.", "PostgreSQL 1"))

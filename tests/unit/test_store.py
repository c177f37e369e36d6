from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text, update
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlmodel import Session, SQLModel

from bot.errors import StoreError, StoreInUse
from bot.models import Balance, Job, Preferences, State, StoredPicture
from bot.store import OverQuota, Store, TooManyWaiting, look_at, migrations, sqlite
from bot.store.sqlite import connect, wal_is_safe
from bot.store.tables import AllowanceRow, IdentityRow, LedgerRow
from engine.types import GenerationRequest
from tests.databases import PRAGMAS, unfinished
from tests.examples import a_job, a_line, a_member, a_tier

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
ADA = a_member("ada").id


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/easel.db"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    store = await Store.open(url)
    yield store
    assert await store.check() == "ok"
    await store.close()


async def admitted(store: Store, job: Job | None = None, cap: float = 1000.0) -> Job:
    job, new = await store.admit(job or a_job(), tier=a_tier(cap))
    assert new
    return job


def picture(index: int = 0, blob: str = "b0.png") -> StoredPicture:
    return StoredPicture(index=index, blob=blob, seed=2**32 - 1, width=512, height=768)


async def balance(store: Store, cap: float = 1000.0, account: str = ADA) -> Balance:
    return (await store.balances(account, a_tier(cap)))[0]


async def used(store: Store, account: str = ADA) -> float:
    return (await balance(store, account=account)).used


# ---- admission


async def test_an_admitted_job_reads_back_as_it_was(store: Store) -> None:
    request = GenerationRequest(prompt="x, oil painting", seed=2**32 - 1).variation("s.png", 7, 0.4)
    job = a_job(request=request, style="oil", parent="p", parent_index=2, action="vary_subtle", private=True)
    job = replace(job, origin=replace(job.origin, seen_in=("C1", "C2")))
    job = replace(job, origin=replace(job.origin, reply={"token": "t", "thread": None}))
    job = replace(job, origin=replace(job.origin, member=replace(job.origin.member, roles=("1", "2"))))
    assert await admitted(store, job) == replace(job, account=ADA)
    assert await store.job(job.id) == replace(job, account=ADA)
    assert await store.job("unknown") is None


async def test_an_event_seen_before_gives_the_job_there_is(store: Store) -> None:
    first = await admitted(store, a_job(event="click-1"))
    again, new = await store.admit(a_job(event="click-1"), tier=a_tier(1000.0))
    assert (again, new) == (first, False)
    assert await used(store) == 8.0


async def test_the_same_event_id_of_another_surface_is_another_event(store: Store) -> None:
    await admitted(store, a_job(event="1"))
    other = a_job(event="1")
    await admitted(store, replace(other, origin=replace(other.origin, surface="discord")))


async def test_an_event_without_an_id_is_a_mistake(store: Store) -> None:
    job = a_job()
    with pytest.raises(ValueError, match="event id"):
        await store.admit(replace(job, origin=replace(job.origin, event="")), tier=a_tier(9))


async def test_what_exceeds_the_allowance_leaves_no_trace(store: Store) -> None:
    await admitted(store, cap=20.0)
    await admitted(store, cap=20.0)
    late = a_job()
    with pytest.raises(OverQuota) as caught:
        await store.admit(late, tier=a_tier(20.0))
    assert (caught.value.balance.used, caught.value.balance.left) == (16.0, 4.0)
    assert await store.job(late.id) is None
    assert await used(store) == 16.0


async def test_an_allowance_of_exactly_the_cost_is_enough(store: Store) -> None:
    await admitted(store, a_job(estimate=0.1), cap=0.3)
    await admitted(store, a_job(estimate=0.2), cap=0.3)
    with pytest.raises(OverQuota):
        await store.admit(a_job(estimate=0.001), tier=a_tier(0.3))


async def test_a_lowered_cap_stops_new_jobs_only(store: Store) -> None:
    job = await admitted(store, cap=100.0)
    with pytest.raises(OverQuota) as caught:
        await store.admit(a_job(), tier=a_tier(5.0))
    assert caught.value.balance.left == 0.0
    ended, _ = await store.end(job.id, State.RENDERED, device_seconds=8.0)
    assert ended.device_seconds == 8.0


@pytest.mark.parametrize("estimate", [float("nan"), float("inf"), -1.0])
async def test_an_estimate_that_is_no_cost_is_refused(store: Store, estimate: float) -> None:
    with pytest.raises(ValueError, match="estimate"):
        await store.admit(a_job(estimate=estimate), tier=a_tier(10.0))
    assert await unfinished(store) == []


async def test_a_person_has_so_many_unfinished_jobs_and_no_more(store: Store) -> None:
    first, _ = await store.admit(a_job(), tier=a_tier(1000.0, waiting=2))
    await store.admit(a_job(), tier=a_tier(1000.0, waiting=2))
    with pytest.raises(TooManyWaiting) as caught:
        await store.admit(a_job(), tier=a_tier(1000.0, waiting=2))
    assert caught.value.waiting == 2
    await store.admit(a_job(user="bob"), tier=a_tier(1000.0, waiting=2))
    await store.end(first.id, State.CANCELLED)
    await store.admit(a_job(), tier=a_tier(1000.0, waiting=2))
    assert await used(store) == 16.0


async def test_500_at_once_admit_exactly_what_the_allowance_holds(store: Store) -> None:
    began = time.perf_counter()
    asked = (store.admit(a_job(estimate=1.0), tier=a_tier(333.0)) for _ in range(500))
    results = await asyncio.gather(*asked, return_exceptions=True)
    seconds = time.perf_counter() - began
    assert sum(isinstance(result, tuple) for result in results) == 333
    assert sum(isinstance(result, OverQuota) for result in results) == 167
    assert await used(store) == 333.0
    assert 500 / seconds >= 100, f"{500 / seconds:.0f} admissions per second"


# ---- days


async def test_each_utc_day_has_its_own_allowance_and_settles_on_it(url: str) -> None:
    clock = NOON.replace(hour=23, minute=59)
    store = await Store.open(url, clock=lambda: clock)
    job = await admitted(store, cap=10.0)
    clock += timedelta(minutes=2)
    now = await balance(store, 10.0)
    assert (now.used, now.resets) == (0.0, datetime(2026, 6, 3, tzinfo=UTC))
    await admitted(store, cap=10.0)
    await store.end(job.id, State.RENDERED, device_seconds=2.0)
    assert (await balance(store, 10.0)).used == 8.0
    clock -= timedelta(minutes=2)
    assert (await balance(store, 10.0)).used == 2.0
    assert await store.check() == "ok"
    await store.close()


# ---- the life of a job


async def test_a_job_is_queued_then_runs_then_ends(store: Store) -> None:
    job = await admitted(store)
    await store.started(job.id)
    running = await store.job(job.id)
    assert running and running.state is State.RUNNING and running.started and running.started.tzinfo
    await store.add_picture(job.id, picture(1, "b1.png"))
    await store.add_picture(job.id, picture(0, "b0.png"))
    ended, first = await store.end(job.id, State.RENDERED, device_seconds=6.5)
    assert first
    assert (ended.state, ended.device_seconds, ended.delivered) == (State.RENDERED, 6.5, None)
    assert ended.pictures == (picture(0, "b0.png"), picture(1, "b1.png"))
    assert ended.seconds > 0
    assert await used(store) == 6.5


async def test_more_than_was_held_is_measured_but_not_charged(store: Store) -> None:
    job = await admitted(store)
    ended, _ = await store.end(job.id, State.RENDERED, device_seconds=50.0)
    assert ended.device_seconds == 8.0
    assert await store.measured() == [(job.request, 50.0)]


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
async def test_nothing_is_charged_for_what_was_not_rendered(store: Store, state: State) -> None:
    job = await admitted(store)
    ended, first = await store.end(job.id, state, device_seconds=5.0, reason="The engine ran out of memory.")
    assert first
    assert (ended.state, ended.device_seconds) == (state, 0.0)
    assert ended.reason == "The engine ran out of memory."
    assert await used(store) == 0.0
    assert await store.measured() == []


async def test_the_first_end_wins(store: Store) -> None:
    job = await admitted(store)
    await store.end(job.id, State.RENDERED, device_seconds=3.0)
    later, first = await store.end(job.id, State.CANCELLED, reason="too late")
    assert not first
    assert (later.state, later.reason) == (State.RENDERED, "")
    await store.started(job.id)
    await store.died(job.id, 1)
    assert (await store.job(job.id)) == later
    assert await used(store) == 3.0


async def test_an_end_must_be_one_and_of_a_job(store: Store) -> None:
    job = await admitted(store)
    with pytest.raises(ValueError, match="running"):
        await store.end(job.id, State.RUNNING)
    with pytest.raises(KeyError):
        await store.end("unknown", State.FAILED)
    with pytest.raises(KeyError):
        await store.delete("unknown")


async def test_a_job_whose_worker_died_waits_again(store: Store) -> None:
    job = await admitted(store)
    await store.started(job.id)
    await store.died(job.id, 1)
    again = await store.job(job.id)
    assert again and (again.state, again.deaths) == (State.QUEUED, 1)


async def test_the_first_picture_of_an_index_stays(store: Store) -> None:
    job = await admitted(store)
    await store.add_picture(job.id, picture(0, "first.png"))
    await store.add_picture(job.id, picture(0, "second.png"))
    found = await store.job(job.id)
    assert found and found.pictures == (picture(0, "first.png"),)


@pytest.mark.parametrize("state", [State.CANCELLED, State.FAILED, State.RENDERED, State.DELETED])
async def test_a_picture_of_a_job_that_has_ended_is_refused(store: Store, state: State) -> None:
    job = await admitted(store)
    assert await store.add_picture(job.id, picture(0))
    await (store.delete(job.id) if state is State.DELETED else store.end(job.id, state))
    assert not await store.add_picture(job.id, picture(1))
    found = await store.job(job.id)
    assert found and found.pictures == (picture(0),)


async def test_a_picture_of_no_job_is_refused(store: Store) -> None:
    assert not await store.add_picture("unknown", picture())


async def test_what_a_restart_has_to_do(store: Store) -> None:
    old = NOON
    queued = await admitted(store, a_job(created=old + timedelta(seconds=2)))
    running = await admitted(store, a_job(created=old))
    await store.started(running.id)
    owed = await admitted(store, a_job(created=old))
    await store.end(owed.id, State.FAILED)
    shown = await admitted(store, a_job(created=old))
    await store.end(shown.id, State.RENDERED)
    await store.delivered(shown.id, State.RENDERED)
    assert [job.id for job in await unfinished(store)] == [running.id, queued.id]
    assert [job.id for job in await store.undelivered()] == [owed.id]


async def test_a_deletion_is_owed_until_it_is_shown(store: Store) -> None:
    job = await admitted(store)
    await store.end(job.id, State.RENDERED)
    await store.delivered(job.id, State.RENDERED)
    await store.delete(job.id)
    await store.delivered(job.id, State.RENDERED)  # what was on its way when the job was deleted
    assert [(each.id, each.state) for each in await store.undelivered()] == [(job.id, State.DELETED)]
    await store.delivered(job.id, State.DELETED)
    await store.delete(job.id)
    assert await store.undelivered() == []


async def test_a_delivery_is_recorded_with_its_place_and_its_trouble(store: Store) -> None:
    job = await admitted(store)
    await store.message(job.id, {"channel": "c", "id": "17"})
    await store.end(job.id, State.RENDERED)
    await store.delivered(job.id, State.RENDERED, reason="The channel is gone.")
    found = await store.job(job.id)
    assert found and found.message == {"channel": "c", "id": "17"}
    assert found.delivered and found.reason == "The channel is gone."


async def test_deleting_an_unfinished_job_cancels_it(store: Store) -> None:
    job = await admitted(store)
    assert (await store.delete(job.id)).state is State.DELETED
    assert (await store.end(job.id, State.RENDERED, device_seconds=5.0))[1] is False
    assert await used(store) == 0.0


async def test_deleting_twice_gives_the_pictures_twice_and_charges_once(store: Store) -> None:
    job = await admitted(store)
    await store.add_picture(job.id, picture())
    await store.end(job.id, State.RENDERED, device_seconds=5.0)
    assert (await store.delete(job.id)).pictures == (picture(),)
    assert (await store.delete(job.id)).pictures == (picture(),)
    assert await used(store) == 5.0


async def test_a_blob_is_needed_while_a_job_shows_it_or_starts_from_it(store: Store) -> None:
    parent, twin = await admitted(store), await admitted(store)
    for job in (parent, twin):
        await store.add_picture(job.id, picture(0, "shared.png"))
    await store.end(parent.id, State.RENDERED)
    request = parent.request.variation("shared.png", 1, 0.5)
    child = await admitted(store, a_job(request=request))
    for job in (parent, twin, child):
        assert await store.blobs() == {"shared.png"}
        await store.delete(job.id)
    assert await store.blobs() == set()


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
async def test_of_a_job_without_a_result_only_the_source_is_needed(store: Store, state: State) -> None:
    request = GenerationRequest(prompt="x", seed=1).variation("source.png", 1, 0.5)
    job = await admitted(store, a_job(request=request))
    await store.add_picture(job.id, picture(0, "first.png"))
    assert await store.blobs() == {"source.png", "first.png"}
    await store.end(job.id, state)
    assert await store.blobs() == {"source.png"}


# ---- questions


async def test_jobs_are_listed_newest_first_and_by_page(store: Store) -> None:
    made = [await admitted(store, a_job(created=NOON + timedelta(minutes=i))) for i in range(5)]
    first = await store.jobs("web:local", limit=3)
    rest = await store.jobs("web:local", before=first[-1].created)
    assert [job.id for job in first + rest] == [job.id for job in reversed(made)]


async def test_jobs_are_filtered(store: Store) -> None:
    fox = await admitted(store, a_job(user="ada", style="oil", prompt="Рыжая ЛИСА, 100% snow_white"))
    cat = await admitted(store, a_job(user="bob", prompt="a cat"))
    await admitted(store, a_job(tenant="discord:1", prompt="a fox elsewhere"))
    await store.started(cat.id)

    async def found(**filters: Any) -> list[str]:
        return [job.id for job in await store.jobs("web:local", **filters)]

    assert set(await found()) == {fox.id, cat.id}
    assert await found(user=a_member("bob").id) == [cat.id]
    assert await found(style="oil") == [fox.id]
    assert await found(states=(State.RUNNING, State.FAILED)) == [cat.id]
    assert await found(search="лиса 100%") == [fox.id]
    assert await found(search="snow_w") == [fox.id]
    assert await found(search="a_cat") == []
    assert await found(channel="elsewhere") == []


async def test_private_jobs_are_listed_only_for_their_owner(store: Store) -> None:
    mine = await admitted(store, a_job(user="ada", private=True))
    assert [job.id for job in await store.jobs("web:local", viewer=mine.origin.member.id)] == [mine.id]
    assert await store.jobs("web:local", viewer=a_member("bob").id) == []
    assert await store.jobs("web:local") == []


async def test_an_end_or_a_deletion_and_its_line_of_the_audit_are_one(store: Store) -> None:
    job = await admitted(store)
    for by in ("first", "second"):
        await store.end(job.id, State.CANCELLED, line=a_line(by))
        await store.delete(job.id, a_line(f"{by} to delete"))
    assert [line.by for line in await store.audit()] == ["first to delete", "first"]

    unwritable = replace(a_line(), by=None)  # type: ignore[arg-type]
    living = await admitted(store)
    for work in (store.end(living.id, State.FAILED, line=unwritable), store.delete(living.id, unwritable)):
        with pytest.raises(StoreError):
            await work
    assert await store.job(living.id) == living


async def test_jobs_of_closed_places_are_listed_there_and_for_their_owner(store: Store) -> None:
    closed = await admitted(store, a_job(user="ada", seen_in=("C_1",)))
    is_open = await admitted(store, a_job(user="ada"))
    ben = a_member("ben").id

    async def found(viewer: str, *here: str) -> set[str]:
        return {job.id for job in await store.jobs("web:local", viewer=viewer, here=here)}

    assert await found(ADA) == {closed.id, is_open.id}
    assert await found(ben, "C_1") == {closed.id, is_open.id}
    for elsewhere in ((), ("C2",), ("C",), ("C_",), ("C11",), ("%",), ("",)):
        assert await found(ben, *elsewhere) == {is_open.id}


async def test_a_guest_finds_what_is_theirs_and_what_was_asked_where_they_are(store: Store) -> None:
    mine = await admitted(store, a_job(user="ada"))
    other = await admitted(store, a_job(user="ben"))

    async def found(*here: str) -> set[str]:
        return {job.id for job in await store.jobs("web:local", viewer=ADA, here=here, guest=True)}

    assert await found() == await found("C9") == {mine.id}
    assert await found("studio") == {mine.id, other.id}


SHARED = {
    "a private one, openly": (True, (), (), ()),
    "a private one, in a closed place": (True, ("C1",), ("C2",), ("C2",)),
    "one of a closed place, in another": (False, ("C1",), ("C2",), ("C1", "C2")),
    "one of a closed place, openly": (False, ("C1",), (), ()),
    "an open one, in a closed place": (False, (), ("C1",), ()),
}


@pytest.mark.parametrize(("private", "before", "there", "after"), SHARED.values(), ids=SHARED.keys())
async def test_what_is_shared_is_seen_by_those_who_are_there(
    store: Store, private: bool, before: tuple[str, ...], there: tuple[str, ...], after: tuple[str, ...]
) -> None:
    job = await admitted(store, a_job(private=private, seen_in=before))

    place = replace(job.origin, channel=there[0] if there else "C9", seen_in=there)
    await store.publish(job.id, place, {"ts": "1.0"})

    shared = await store.job(job.id)
    assert shared and shared.message == {"ts": "1.0"}
    origin = shared.origin
    assert (origin.private, origin.seen_in, origin.channel) == (False, after, place.channel)
    for place in after or ("",):
        assert await store.jobs("web:local", viewer=a_member("ben").id, here=(place,))


async def test_deleted_jobs_are_not_listed_but_known(store: Store) -> None:
    job = await admitted(store)
    await store.delete(job.id)
    assert await store.jobs("web:local", states=tuple(State)) == []
    found = await store.job(job.id)
    assert found and found.state is State.DELETED


async def test_preferences_are_kept(store: Store) -> None:
    assert await store.preferences("ada") == Preferences()
    await store.save_preferences("ada", Preferences(style="oil", count=2))
    wanted = Preferences(model="m", aspect="16:9", private=True)
    await store.save_preferences("ada", wanted)
    assert await store.preferences("ada") == wanted
    assert await store.preferences("bob") == Preferences()


# ---- the database holds the rules by itself


async def test_the_database_refuses_use_above_the_cap_and_second_lines(store: Store) -> None:
    job = await admitted(store, cap=10.0)

    def overspend(session: Session) -> None:
        session.execute(update(AllowanceRow).values(used_ms=10_001))

    def hold_again(session: Session) -> None:
        line = session.get_one(LedgerRow, 1)
        session.add(LedgerRow(**line.model_dump(exclude={"id"})))
        session.flush()

    for work, rule in ((overspend, "within_cap"), (hold_again, "ledger.key")):
        with pytest.raises(IntegrityError, match=rule):
            await store._writer.run(work)  # type: ignore[union-attr]
    assert (await store.job(job.id)) == job


async def test_books_that_do_not_add_up_are_found(url: str) -> None:
    store = await Store.open(url)
    await admitted(store)
    await store._write(lambda session: session.execute(update(AllowanceRow).values(used_ms=1)) and None)
    assert f"the allowance of {ADA} (day " in await store.check()
    await store.close()


# ---- one transaction for many


async def test_an_operations_error_rolls_back_that_operation_alone(store: Store) -> None:
    def half(session: Session) -> None:
        session.add(IdentityRow(member="half", account="half"))
        session.flush()
        raise LookupError("half way")

    results = await asyncio.gather(
        admitted(store), store._write(half), admitted(store), return_exceptions=True
    )
    assert isinstance(results[1], LookupError)
    assert len(await unfinished(store)) == 2
    count = text("SELECT count(*) FROM identities")
    assert await store._read(lambda session: session.execute(count).scalar_one()) == 0


async def test_a_failed_commit_fails_its_group_and_the_store_recovers(store: Store) -> None:
    await admitted(store)
    engine = store._writer._engine  # type: ignore[union-attr]
    cause = sqlite3.OperationalError("database or disk is full")
    cause.sqlite_errorname = "SQLITE_FULL"

    def fail(connection: object) -> None:
        raise OperationalError("COMMIT", None, cause)

    event.listen(engine, "commit", fail)
    results = await asyncio.gather(admitted(store), admitted(store), return_exceptions=True)
    event.remove(engine, "commit", fail)
    assert ["The disk is full" in str(result) for result in results] == [True, True]
    assert len(await unfinished(store)) == 1
    await admitted(store)
    assert await used(store) == 16.0


async def test_a_full_disk_is_said_and_the_store_recovers(store: Store) -> None:
    await admitted(store)
    pages = "PRAGMA max_page_count = {}"
    await store._write(lambda session: session.execute(text(pages.format(1))) and None)
    big = "x" * 200_000
    with pytest.raises(StoreError, match="The disk is full, so nothing new can be saved"):
        await store.admit(a_job(prompt=big), tier=a_tier(1000.0))
    assert [job.prompt for job in await unfinished(store)] == ["a red fox in snow"]
    await store.admit(a_job(prompt=big), tier=a_tier(1000.0))  # the limit went with its connection
    assert await used(store) == 16.0


async def test_someone_who_stops_waiting_leaves_the_store_working(store: Store) -> None:
    waiting = asyncio.create_task(admitted(store))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await admitted(store)
    assert len(await unfinished(store)) in (1, 2)


# ---- files


async def test_what_was_written_is_there_after_a_restart(url: str) -> None:
    store = await Store.open(url)
    job = await admitted(store)
    await store.close()
    await store.close()
    with pytest.raises(StoreError, match="Easel is stopping"):
        await store.job(job.id)
    store = await Store.open(url)
    assert await store.job(job.id) == job
    await store.close()


async def test_a_second_easel_on_the_same_file_is_told_what_to_do(store: Store, url: str) -> None:
    with pytest.raises(StoreInUse, match="stop it first, or give this one its own DATA_DIR"):
        await Store.open(url)
    code = (
        "import asyncio, sys\nfrom bot.errors import StoreInUse\nfrom bot.store import Store\n"
        "try: asyncio.run(Store.open(sys.argv[1]))\nexcept StoreInUse: sys.exit(7)"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, url)
    assert await process.wait() == 7


async def test_the_lock_goes_with_a_killed_process(url: str) -> None:
    code = (
        "import asyncio, sys, os, signal\nfrom bot.store import Store\n"
        "asyncio.run(Store.open(sys.argv[1]))\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    done = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code, url])
    assert done.returncode == -9
    store = await Store.open(url)
    await store.close()


def overwrite(url: str, offset: int, data: bytes) -> None:
    path = Path(url.removeprefix("sqlite:///"))
    path.touch()
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


async def test_a_file_that_is_no_database_is_named(url: str) -> None:
    overwrite(url, 0, b"not a database" * 99)
    for _ in range(2):  # the lock was let go
        with pytest.raises(StoreError, match="is not a database: move it away"):
            await Store.open(url)


async def test_a_damaged_database_is_said_to_be_one(url: str) -> None:
    store = await Store.open(url)
    await asyncio.gather(*(admitted(store, a_job(estimate=0.1)) for _ in range(200)))
    await store.close()
    overwrite(url, 2 * 4096, b"\xff" * 100_000)
    with pytest.raises(StoreError, match="is damaged: move it away and put a backup in its place"):
        store = await Store.open(url)
        try:
            await unfinished(store)
        finally:
            await store.close()


async def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="make the folder writable, or set DATA_DIR"):
        await Store.open(f"sqlite:///{tmp_path}/file/data/easel.db")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://x/y", "nonsense", ""])
async def test_a_url_without_a_database_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match=r"must name an SQLite file .* or a Postgres database"):
        await Store.open(url)


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 45, 0), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 53, 4), True),
        ((4, 0, 0), True),
    ],
)
def test_a_log_ahead_of_writing_only_where_sqlite_is_sound(version: tuple[int, ...], safe: bool) -> None:
    assert wal_is_safe(version) is safe


async def test_it_also_works_on_an_old_sqlite_with_its_rollback_journal(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.store.sqlite.library", lambda: sqlite3)
    monkeypatch.setattr("bot.store.sqlite.wal_is_safe", lambda version: False)
    store = await Store.open(url)
    jobs = await asyncio.gather(*(admitted(store) for _ in range(10)))
    assert len(await unfinished(store)) == len(jobs)
    assert look_at(url).database.endswith(
        "(Python's own: a write-ahead log is not safe with it), journal delete"
    )
    assert await store.check() == "ok"
    await store.close()


async def test_the_connections_are_set_up_to_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "PRAGMAS", PRAGMAS)
    store = await Store.open(f"sqlite:///{tmp_path}/safe.db")

    def ask(session: Session) -> list[Any]:
        names = ("synchronous", "foreign_keys", "busy_timeout", "query_only")
        return [session.execute(text(f"PRAGMA {name}")).scalar_one() for name in names]

    assert await store._write(ask) == [2, 1, 5000, 0]
    assert await store._read(ask) == [2, 1, 5000, 1]
    await store.close()


# ---- the schema


async def test_the_migrations_make_the_schema_of_the_tables(store: Store, url: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    engine = connect(Path(url.removeprefix("sqlite:///")), writes=False)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, SQLModel.metadata) == []
        assert context.get_current_revision() == migrations.HEAD
    engine.dispose()
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_heads() == [migrations.HEAD]


async def test_opening_a_current_database_needs_no_alembic(url: str) -> None:
    await (await Store.open(url)).close()
    code = (
        "import asyncio, sys\nfrom bot.store import Store\n"
        "asyncio.run(Store.open(sys.argv[1]))\nsys.exit('alembic' in sys.modules)"
    )
    done = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code, url])
    assert done.returncode == 0


async def test_a_database_of_a_newer_easel_is_left_alone(url: str) -> None:
    await (await Store.open(url)).close()
    engine = connect(Path(url.removeprefix("sqlite:///")), writes=True)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(StoreError, match="A newer Easel wrote this database"):
        await Store.open(url)


async def test_a_database_can_be_looked_at_while_it_is_in_use(store: Store, url: str) -> None:
    await admitted(store)
    facts = look_at(url)
    assert (facts.revision, facts.problem) == (migrations.HEAD, "")
    assert facts.database.endswith(("journal wal", "journal delete"))
    with pytest.raises(KeyError):
        look_at(url + "2")


async def test_ways_to_answer_are_added_while_a_job_lives(store: Store) -> None:
    job = a_job()
    job = await admitted(store, replace(job, origin=replace(job.origin, reply={"token": "1"})))

    reached = await store.reach(job.id, {"again": {"token": "2"}})
    assert reached.origin.reply == {"token": "1", "again": {"token": "2"}}
    assert reached.origin.member == job.origin.member

    await store.end(job.id, State.CANCELLED)
    assert (await store.reach(job.id, {"again": {}})).origin.reply == reached.origin.reply
    with pytest.raises(KeyError):
        await store.reach("unknown", {})


async def test_a_place_that_is_closed_takes_what_was_asked_there_with_it(store: Store) -> None:
    async def asked(channel: str, *, private: bool = False) -> Job:
        job = a_job(user="ada", private=private)
        return await admitted(store, replace(job, origin=replace(job.origin, channel=channel)))

    old, private = await asked("C1"), await asked("C1", private=True)
    other, new = await asked("C2"), await asked("C1")
    ben = a_member("ben").id

    async def found(*here: str) -> set[str]:
        return {job.id for job in await store.jobs("web:local", viewer=ben, here=here)}

    await store.close_place("web:elsewhere", "C1")
    assert await found() == {old.id, other.id, new.id}

    await store.close_place("web:local", "C1", before=old.created)
    assert await found() == {other.id, new.id} and await found("C1") == {old.id, other.id, new.id}
    closed = await store.job(old.id)
    assert closed and closed.origin.seen_in == ("C1",)

    await store.close_place("web:local", "C1")
    assert await found() == {other.id} and await found("C1") == {old.id, other.id, new.id}
    kept = await store.job(private.id)
    assert kept and kept.origin.private and not kept.origin.seen_in


async def test_ends_that_could_not_be_shown_are_owed_again(store: Store) -> None:
    removed, gone = "It could not be delivered: removed.", "It could not be delivered: gone."
    jobs = [await admitted(store, a_job()) for _ in range(3)]
    for job, reason in zip(jobs, (removed, gone, ""), strict=True):
        await store.end(job.id, State.RENDERED)
        await store.delivered(job.id, State.RENDERED, reason=reason)

    assert [job.id for job in await store.owe("web", [removed])] == [jobs[0].id]

    owed = await store.undelivered()
    assert [(job.id, job.reason) for job in owed] == [(jobs[0].id, "")]
    assert await store.owe("slack", [gone]) == []

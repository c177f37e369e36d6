"""Rows that cannot be read are set aside; all the others are served."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bot import doctor
from bot.models import INSTANCE, Job, Policy, Preferences, State
from bot.store import Store, aside, look_at
from tests.databases import unfinished
from tests.examples import a_job, a_line, a_member, a_tier
from tests.scenario.conftest import Opens
from tests.scenario.conftest import opened as opened  # a fixture

ADA, BEN = a_member("ada"), a_member("ben")


def harm(path: Path, statement: str, *values: object) -> None:
    """As a fault of the disk or a hand would."""
    connection = sqlite3.connect(path)
    with connection:
        assert connection.execute(statement, values).rowcount > 0
    connection.close()


HARMS = {
    "state": "weird",
    "origin": "{not json",
    "request": '{"prompt": "x", "seed": 1, "colour": "red"}',
    "estimate": "much",
    "created": "yesterday",
    "message": "[",
    "started": "x",
}


@pytest.fixture(autouse=True)
def nothing_told() -> None:
    aside._told.clear()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "easel.db"


@pytest.mark.parametrize(
    "value",
    [{"prompt": "\ud800 a fox \U0001f98a", "seed": 2**70, "guidance": 0.1 + 0.2, "roles": []}, None, "x"],
)
def test_json_is_read_as_it_was_written(value: object) -> None:
    assert aside.loads(json.dumps(value)) == value
    assert (
        aside.loads(json.dumps(value, ensure_ascii=False).replace("\ud800", "?").encode()) != aside.UNREADABLE
    )


@pytest.mark.parametrize("text", ["", "{", "{'a': 1}", "[1,]", "[" * 200_000, '{"a": 1} b'])
def test_what_is_no_json_is_unreadable(text: str) -> None:
    assert aside.loads(text) is aside.UNREADABLE


async def open_it(path: Path) -> Store:
    return await Store.open(f"sqlite:///{path}")


@pytest.mark.parametrize("column", HARMS)
async def test_one_job_that_cannot_be_read_hides_itself_alone(path: Path, column: str) -> None:
    store = await open_it(path)
    bad, good = [(await store.admit(a_job(), tier=a_tier()))[0] for _ in range(2)]
    await store.close()
    harm(path, f"UPDATE jobs SET {column} = ? WHERE id = ?", HARMS[column], bad.id)

    store = await open_it(path)
    with capture_logs() as logs:
        assert await store.jobs("web:local", viewer=ADA.id) == [good]
        assert await unfinished(store) == [good]
        assert await store.job(bad.id) is None
        assert await store.recent(ADA.id) == [good]
        jobs, _ = await store.queued()
        assert jobs == [good]
        assert await store.names() == {ADA.id: "ada"}
        assert await store.measured() == []
        assert [each.member.id for each in await store.known(datetime(2020, 1, 1, tzinfo=UTC))] == [ADA.id]
        for by in ("model", "person", "state"):
            uses = await store.usage(datetime(2020, 1, 1, tzinfo=UTC), timedelta(days=1), by)  # type: ignore[arg-type]
            assert sum(use.jobs for use in uses) >= 1
        await store.erase([ADA.id])
        await store.finish_erasures()
    told = [(line["table"], line["row"]) for line in logs if "set aside" in line["event"]]
    assert told == [("jobs", bad.id)], "said once"
    await store.close()
    (named,) = look_at(f"sqlite:///{path}").unreadable
    assert bad.id in named
    finding = doctor._database(f"sqlite:///{path}")
    assert finding.ok is False and "a row cannot be read" in finding.detail and bad.id in finding.detail


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *((column, HARMS[column]) for column in ("origin", "request", "estimate")),
        ("estimate", -1.0),
        ("estimate", float("inf")),
    ],
)
async def test_a_start_goes_on_and_gives_back_what_an_unreadable_job_held(
    opened: Opens, column: str, value: object, tmp_path: Path
) -> None:
    async with opened(step_seconds=5, crash=True) as house:
        bad, good = await house.ask("a bad fox"), await house.ask("a good fox")
    harm(tmp_path / "easel.db", f"UPDATE jobs SET {column} = ? WHERE id = ?", value, bad.id)
    async with opened() as house:
        await house.ended(good.id)
        lines = [(line.kind, line.seconds) async for line in house.store.lines() if line.job == bad.id]
        held, released = (sum(s for kind, s in lines if kind == each) for each in ("hold", "release"))
        assert held == released > 0
        assert await house.store.check() == "ok"
    row = sqlite3.connect(tmp_path / "easel.db").execute(
        "SELECT state, reason FROM jobs WHERE id = ?", (bad.id,)
    )
    state, reason = row.fetchone()
    assert (state, reason.partition("\x1f")[0]) == ("failed", "It could not be read any more.")


async def test_a_request_of_a_newer_easel_is_set_aside_with_a_sentence_and_can_be_forgotten(
    path: Path,
) -> None:
    store = await open_it(path)
    new, good = [(await store.admit(a_job(), tier=a_tier()))[0] for _ in range(2)]
    await store.close()
    request = good.request.to_json() | {"version": 3, "task": {"kind": "edit", "instruction": "a secret"}}
    harm(path, "UPDATE jobs SET request = ? WHERE id = ?", json.dumps(request), new.id)

    store = await open_it(path)
    with capture_logs() as logs:
        assert await unfinished(store) == [good]
    (line,) = [line for line in logs if "set aside" in line["event"]]
    assert line["row"] == new.id
    assert line["cause"] == "Its request is of version 3, and this Easel reads up to 2: update Easel."
    await store.set_aside([new.id], "It could not be read any more.")
    assert await store.expire(datetime.now(UTC) + timedelta(days=1)) == 1
    await store.close()
    ((kept,),) = sqlite3.connect(path).execute("SELECT request FROM jobs WHERE id = ?", (new.id,))
    assert "secret" not in kept


async def test_a_deleted_job_that_cannot_be_read_stops_no_retention(path: Path) -> None:
    store = await open_it(path)
    job, _ = await store.admit(a_job(), tier=a_tier())
    await store.end(job.id, State.FAILED)
    await store.close()
    harm(path, "UPDATE jobs SET request = 'x', origin = 'y' WHERE id = ?", job.id)
    store = await open_it(path)
    assert await store.expire(datetime.now(UTC) + timedelta(days=1)) == 1
    assert await store.expire(datetime.now(UTC) + timedelta(days=1)) == 0
    await store.close()


def note(*_: Any) -> Any:
    return a_line()


@pytest.mark.parametrize("text", ["{", "[]", '{"paused": "perhaps", "strictness": "strict"}'])
async def test_a_policy_that_cannot_be_read_pauses_its_place_until_it_is_set_anew(
    path: Path, text: str
) -> None:
    store = await open_it(path)
    for tenant in ("web:local", "web:other"):
        await store.change_policy(tenant, lambda it: replace(it, refused_terms=("cat",)), note)
    await store.close()
    harm(path, "UPDATE policies SET policy = ? WHERE tenant = 'web:local'", text)
    store = await open_it(path)
    policies = await store.policies()
    assert policies["web:local"].paused and policies["web:other"] == Policy(refused_terms=("cat",))
    assert (policies["web:local"].strictness == "strict") is ("strict" in text)
    assert (await store.standing(ADA)).place.paused
    assert (await store.standings([ADA]))["web:local", ADA.id].place.paused
    assert len(look_at(f"sqlite:///{path}").unreadable) == 1
    await store.change_policy("web:local", lambda it: replace(it, paused=False), note)
    assert not (await store.policy("web:local")).paused
    assert look_at(f"sqlite:///{path}").unreadable == ()
    await store.close()


async def test_what_is_set_about_a_person_is_kept_as_far_as_it_can_be_read(path: Path) -> None:
    store = await open_it(path)
    for member in (ADA, BEN):
        await store.change_person(
            INSTANCE, member.id, lambda it: replace(it, blocked=True, reason="No."), note
        )
    await store.close()
    harm(
        path,
        "UPDATE people SET allowance = '{\"seconds\": \"all\"}', until = 'soon' WHERE member = ?",
        ADA.id,
    )
    store = await open_it(path)
    ada, ben = await store.persons(INSTANCE)
    assert (ada.blocked, ada.reason, ada.allowance, ada.until) == (True, "No.", None, None)
    assert ben.blocked
    assert len(look_at(f"sqlite:///{path}").unreadable) == 1
    await store.close()


async def test_preferences_are_kept_as_far_as_they_can_be_read(path: Path) -> None:
    store = await open_it(path)
    await store.save_preferences(ADA.id, Preferences(count=2, style="anime"))
    await store.close()
    harm(path, "UPDATE preferences SET count = 'two' WHERE user = ?", ADA.id)
    store = await open_it(path)
    assert await store.preferences(ADA.id) == Preferences(style="anime")
    assert (await store.standing(ADA)).preferences == Preferences(style="anime")
    assert len(look_at(f"sqlite:///{path}").unreadable) == 1
    await store.close()


async def test_the_same_event_of_an_unreadable_job_is_refused(path: Path) -> None:
    store = await open_it(path)
    job: Job = a_job()
    await store.admit(job, tier=a_tier())
    await store.close()
    harm(path, "UPDATE jobs SET origin = '?' WHERE id = ?", job.id)
    store = await open_it(path)
    with pytest.raises(Exception, match="cannot be read"):
        await store.admit(replace(job, id="another"), tier=a_tier())
    await store.close()

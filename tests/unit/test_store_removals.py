"""Hiding and cancelling many jobs, in the database alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.models import AuditLine, Job, Person, State
from bot.store import Blocked, Store, migrations, rows
from bot.store.database import server
from bot.store.tables import JobRow
from tests.databases import unfinished
from tests.examples import a_job, a_line, a_tier


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(f"sqlite:///{tmp_path}/easel.db")
    yield store
    await store.close()


def asked(id: str, tenant: str = "discord:1", channel: str = "77") -> Job:
    job = a_job()
    member = replace(job.origin.member, tenant=tenant)
    origin = replace(job.origin, surface="discord", event=id, channel=channel, member=member)
    return replace(job, id=id, origin=origin)


async def kept(store: Store, id: str, ref: dict[str, Any] | None = None, **where: str) -> Job:
    job, _ = await store.admit(asked(id, **where), tier=a_tier())
    if ref:
        await store.message(job.id, ref)
    return job


@pytest.mark.parametrize(
    ("wanted", "hidden"),
    [
        ({"messages": ["77:900"]}, {"a"}),
        ({"messages": ["77:900", "78:901", "77:1"]}, {"a", "b"}),
        ({"messages": ["77:90", "7:900", "900"]}, set()),
        ({"tenant": "discord:1", "channel": "77"}, {"a", "c"}),
        ({"tenant": "discord:1", "channel": "78"}, {"b"}),
        ({"tenant": "discord:1", "channel": "7"}, set()),
        ({"tenant": "discord:2", "channel": "77"}, set()),
        ({"tenant": "discord:1"}, {"a", "b", "c"}),
        ({"tenant": "discord:1", "messages": ["80:903"]}, set()),
    ],
)
async def test_what_is_hidden(store: Store, wanted: dict[str, Any], hidden: set[str]) -> None:
    """In channel 77: a; asked for in 70 and shown in thread 78: b; asked for in 77 and shown nowhere: c."""
    await kept(store, "a", {"channel": 77, "message": 900})
    await kept(store, "b", {"channel": 78, "message": 901}, channel="70")
    await kept(store, "c")
    await kept(store, "d", {"channel": 80, "message": 903}, tenant="discord:2", channel="80")

    assert set(await store.hide("discord", **wanted)) == hidden
    assert await store.hide("discord", **wanted) == [], "once"
    found = [await store.job(id) for id in "abcd"]
    assert {each.id for each in found if each and each.hidden} == hidden


async def test_nothing_in_particular_is_never_hidden(store: Store) -> None:
    with pytest.raises(ValueError, match="all at once"):
        await store.hide("discord")


@pytest.mark.parametrize(
    ("ref", "posted"),
    [
        ({"channel": 77, "message": 900, "own": True}, "77:900"),
        ({"channel": "C1", "ts": "17.5", "files": {}}, "C1:17.5"),
        ({"job": "a"}, ""),
        ({"message": "a"}, ""),
        ({"channel": "C1"}, ""),
    ],
)
async def test_a_job_is_found_by_what_its_reference_says(
    store: Store, ref: dict[str, Any], posted: str
) -> None:
    await kept(store, "a", ref)

    assert bool(await store.hide("discord", messages=[posted or "77:900"])) == bool(posted)


async def test_a_hidden_job_is_its_owner_s_to_list(store: Store) -> None:
    job = await kept(store, "a")
    await store.hide_jobs(["a"])
    owner = job.origin.member.id

    assert await store.jobs("discord:1", viewer="discord:9") == []
    assert [each.id for each in await store.jobs("discord:1", viewer=owner)] == ["a"]


async def test_jobs_are_hidden_for_their_own_tenant_alone(store: Store) -> None:
    await kept(store, "a")

    assert await store.hide_jobs(["a", "b"], "discord:2") == []
    assert await store.hide_jobs(["a", "b"], "discord:1") == ["a"]


async def test_what_ended_before_is_not_cancelled_and_the_line_counts_what_was(store: Store) -> None:
    for id in "abc":
        await kept(store, id)
    await store.end("a", State.FAILED, reason="Broken.")
    seen: list[int] = []

    def lines(jobs: Any) -> list[AuditLine]:
        seen.append(len(jobs))
        return []

    ended = await store.cancel_all(
        "discord", lambda job: job.id != "c", tenant="discord:1", reason="Gone.", lines=lines
    )

    assert [(job.id, job.state, job.reason) for job in ended] == [("b", State.CANCELLED, "Gone.")]
    assert seen == [1] and [job.id for job in await unfinished(store)] == ["c"]
    assert await store.check() == "ok"


async def test_jobs_from_before_are_found_by_their_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/old.db"
    refs: dict[str, Any] = {
        "a": {"channel": 77, "message": 900},
        "b": {"channel": "C1", "ts": "17.5"},
        "c": None,
        "d": {"job": "d"},
    }
    engine = server(url).connect(writes=True)
    with engine.begin() as connection, monkeypatch.context() as patch:
        patch.setattr(migrations, "HEAD", "0007")
        migrations.upgrade(connection)
        for id, ref in refs.items():
            values = rows.values_of(replace(asked(id), message=ref, state=State.FAILED))
            del values["posted"], values["hidden"], values["note"]
            connection.execute(rows.table_of(JobRow).insert().values(**values))
    engine.dispose()

    store = await Store.open(url)

    assert await store.hide("discord", messages=["77:900"]) == ["a"]
    assert await store.hide("discord", messages=["C1:17.5"]) == ["b"]
    for id, hidden in zip("abcd", (True, True, False, False), strict=True):
        job = await store.job(id)
        assert job and job.hidden is hidden
    await store.close()


# ---- a block and a request at the same moment


def blocked(before: Person) -> Person:
    return replace(before, blocked=True)


def noted(before: Person, after: Person) -> AuditLine:
    return a_line()


async def test_nothing_is_left_of_requests_that_come_with_the_block(database_url: str) -> None:
    """Each of them is refused or cancelled, in whichever order the database takes them."""
    store = await Store.open(database_url)
    name = a_job().origin.member.id
    for number in range(12):
        asked = [store.admit(a_job(event=f"{number}/{each}"), tier=a_tier()) for each in range(4)]
        block = store.block("web:local", name, blocked, noted, reason="Blocked.")
        results = await asyncio.gather(*asked[:2], block, *asked[2:], return_exceptions=True)

        cancelled = results.pop(2)
        assert isinstance(cancelled, list)
        refused = [each for each in results if isinstance(each, Blocked)]
        assert len(cancelled) + len(refused) == len(asked)
        assert await unfinished(store) == []
        await store.change_person("web:local", name, lambda before: replace(before, blocked=False), noted)
    await store.close()


@pytest.mark.parametrize(
    ("name", "where", "wins"),
    [
        ("web:ada", "web:local", True),
        ("web:ada", "*", True),
        ("web:ada", "web:elsewhere", False),
        ("web:too", "web:local", True),  # shares the account
        ("web:ben", "web:local", False),
    ],
)
async def test_whose_block_an_admission_heeds(database_url: str, name: str, where: str, wins: bool) -> None:
    store = await Store.open(database_url)
    await store.link(await store.link_code("web:ada"), "web:too")
    await store.block(where, name, blocked, noted, reason="Blocked.")
    if wins:
        with pytest.raises(Blocked) as caught:
            await store.admit(a_job(), tier=a_tier())
        assert (caught.value.person.member, caught.value.person.tenant) == (name, where)
    else:
        assert (await store.admit(a_job(), tier=a_tier()))[1]
    await store.close()


async def test_a_block_that_has_ended_keeps_nobody_out(store: Store) -> None:
    until = store.now() - timedelta(seconds=1)
    over = lambda before: replace(blocked(before), until=until)  # noqa: E731
    await store.block("web:local", "web:ada", over, noted, reason="Blocked.")
    assert (await store.admit(a_job(), tier=a_tier()))[1]

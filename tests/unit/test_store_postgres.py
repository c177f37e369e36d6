"""What is particular to Postgres: its errors in plain words, its lock, restarts, lost races."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, SQLModel

from bot.errors import StoreError, StoreInUse
from bot.models import State
from bot.store import Store, look_at, migrations
from bot.store.database import server
from bot.store.tables import AllowanceRow
from tests.databases import Cluster, unfinished
from tests.examples import a_job, a_line, a_member, a_tier


@pytest.fixture
def url(postgres: Cluster) -> str:
    return postgres.fresh()


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    store = await Store.open(url)
    yield store
    assert await store.check() == "ok"
    await store.close()


# ---- the lock


async def test_one_process_paints_and_others_may_administrate(store: Store, url: str) -> None:
    with pytest.raises(StoreInUse, match="stop it first, or give this one its own"):
        await Store.open(url)
    helper = await Store.open(url, shared=True)
    job, new = await helper.admit(a_job(), tier=a_tier())
    assert new and await store.job(job.id) == job
    await helper.close()


async def test_an_sqlite_file_is_never_shared(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/easel.db")
    with pytest.raises(StoreInUse):
        await Store.open(f"sqlite:///{tmp_path}/easel.db", shared=True)
    await store.close()


async def test_the_lock_goes_with_a_killed_process(url: str) -> None:
    code = (
        "import asyncio, sys, os, signal\nfrom bot.store import Store\n"
        "asyncio.run(Store.open(sys.argv[1]))\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    done = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code, url])
    assert done.returncode == -9
    await (await Store.open(url)).close()


async def end_sessions(postgres: Cluster, url: str) -> None:
    """What a restart of the server does to this database's sessions."""
    name = Cluster.name_of(url)
    ask = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    await asyncio.to_thread(postgres.ask, ask)


async def until_it_answers(store: Store) -> None:
    for _ in range(20):
        try:
            await store.gift("web:x", 1, a_line("op"), "x")
            return
        except StoreError:
            await asyncio.sleep(0.05)
    raise AssertionError("the store did not recover")


async def test_after_the_server_was_restarted_it_goes_on_and_keeps_others_out(
    postgres: Cluster, url: str
) -> None:
    store = await Store.open(url)
    await store.admit(a_job(), tier=a_tier())
    await asyncio.to_thread(postgres.stop)
    with pytest.raises(StoreError, match=r"does not answer .*: start it, or correct DATABASE_URL"):
        await store.admit(a_job(), tier=a_tier())
    await asyncio.to_thread(postgres.start)
    await until_it_answers(store)
    assert (await store.balances(a_member().id, a_tier()))[0].used == 8.0
    with pytest.raises(StoreInUse):
        await Store.open(url)
    assert await store.check() == "ok"
    await store.close()


async def test_a_process_that_lost_its_lock_to_another_writes_nothing_more(
    postgres: Cluster, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.store.postgres._GRACE", 0.2)
    first = await Store.open(url)
    await end_sessions(postgres, url)
    second = await Store.open(url)
    for _ in range(6):  # each of its connections
        with pytest.raises(StoreError):
            await first.admit(a_job(), tier=a_tier())
    with pytest.raises(StoreInUse):
        await first.admit(a_job(), tier=a_tier())
    assert await unfinished(second) == []
    await first.close()
    await second.close()


# ---- errors


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("postgresql://easel:s3cret@127.0.0.1:1/easel", "127.0.0.1/easel does not answer"),
        ("postgres://easel:s3cret@127.0.0.1:1/easel", "127.0.0.1/easel does not answer"),
        ("postgresql+psycopg://easel:s3cret@127.0.0.1:x/easel", "is no address of a database"),
    ],
)
async def test_a_server_that_is_not_there_is_one_sentence_without_the_password(
    address: str, words: str
) -> None:
    with pytest.raises(StoreError, match=words) as caught:
        await Store.open(address)
    assert "s3cret" not in str(caught.value)


async def test_a_database_that_is_not_there_is_said(postgres: Cluster) -> None:
    with pytest.raises(StoreError, match="There is no database localhost/nowhere: create it"):
        await Store.open(postgres.url("nowhere"))


class Refused(Exception):
    """An error of the driver."""

    def __init__(self, sqlstate: str, said: str = "no\nDETAIL: (a red fox)") -> None:
        super().__init__(said)
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("28P01", "refuses the user or the password: correct DATABASE_URL"),
        ("53100", "disk is full"),
        ("53300", "raise its max_connections"),
        ("57P01", "does not answer"),
        ("42501", "grant it all on the schema"),
        ("25006", "can only be read"),
        ("XX000", "run `python -m bot doctor`"),
    ],
)
def test_each_error_has_its_remedy_and_no_data(state: str, words: str) -> None:
    with pytest.raises(StoreError, match=words) as caught, server("postgresql://u:pw@h/d").explained():
        raise OperationalError("INSERT", None, Refused(state))
    assert "fox" not in str(caught.value) and "pw" not in str(caught.value)


async def test_a_transaction_that_lost_a_race_is_tried_again(store: Store) -> None:
    tries = []

    def unlucky(session: Session) -> str:
        session.add(AllowanceRow(account="x", bucket="gifts", used_ms=0, cap_ms=0, ends=None))
        session.flush()
        tries.append(1)
        if len(tries) < 4:
            raise OperationalError("UPDATE", None, Refused("40P01"))
        session.rollback()
        return "done"

    assert await store._write(unlucky) == "done"
    assert len(tries) == 4


async def test_one_that_always_loses_is_given_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.store.writer.TRIES", 3)
    tries = []

    def hopeless(session: Session) -> None:
        tries.append(1)
        raise OperationalError("UPDATE", None, Refused("40001"))

    with pytest.raises(StoreError):
        await store._write(hopeless)
    assert len(tries) == 3
    await store.admit(a_job(), tier=a_tier())


# ---- the schema


async def test_the_migrations_make_the_schema_of_the_tables(blank_url: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    await (await Store.open(blank_url)).close()
    engine = server(blank_url).connect(writes=False)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, SQLModel.metadata) == []
    engine.dispose()
    facts = look_at(blank_url)
    assert (facts.revision, facts.problem) == (migrations.HEAD, "")
    assert facts.database.startswith(("SQLite 3.", "PostgreSQL "))


async def test_several_processes_may_bring_it_up_to_date_at_once(postgres: Cluster) -> None:
    url = postgres.fresh(blank=True)
    stores = await asyncio.gather(*(Store.open(url, shared=True) for _ in range(4)))
    await asyncio.gather(*(store.close() for store in stores))


JOB = {
    "id": "0123456789ab",
    "surface": "web",
    "event": "e",
    "tenant": "web:local",
    "user_id": "web:ada",
    "channel": "c",
    "private": False,
    "origin": """{"surface": "web", "channel": "c", "event": "e", "reply": {}, "private": false,
        "member": {"tenant": "web:local", "id": "web:ada", "name": "Ada", "admin": false}}""",
    "request": '{"prompt": "x", "seed": 1}',
    "prompt": "x",
    "folded": "x",
    "style": "",
    "state": "queued",
    "action": "imagine",
    "estimate": 8.0,
    "device_seconds": 0.0,
    "measured": 0.0,
    "deaths": 0,
    "reason": "",
    "created": "2026-11-01 12:00:00+00:00",
}


def write_old_books(connection: Connection) -> None:
    """A job that waits, as the first version wrote it."""
    names = ", ".join(JOB)
    values = ", ".join(f":{name}" for name in JOB)
    connection.execute(text(f"INSERT INTO jobs ({names}) VALUES ({values})"), JOB)
    connection.execute(text("INSERT INTO allowances VALUES ('web:ada', '2026-11-01', 8000, 3600000)"))
    connection.execute(
        text(
            "INSERT INTO ledger (job, kind, account, day, amount_ms, at) VALUES "
            "('0123456789ab', 'hold', 'web:ada', '2026-11-01', 8000, '2026-11-01 12:00:00+00:00')"
        )
    )


async def test_books_of_the_first_version_are_taken_over(
    blank_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = server(blank_url).connect(writes=True)
    with engine.begin() as connection, monkeypatch.context() as patch:
        patch.setattr(migrations, "HEAD", "0001")
        migrations.upgrade(connection)
        write_old_books(connection)
    engine.dispose()
    store = await Store.open(blank_url)
    assert await store.check() == "ok"
    (job,) = await unfinished(store)
    assert (job.account, job.relaxed, job.origin.member.roles) == ("web:ada", False, ())
    assert job.is_open() and await store.jobs("web:local", viewer="web:ben") == [job]
    ended, _ = await store.end(job.id, State.RENDERED, device_seconds=3.0)
    assert ended.device_seconds == 3.0
    assert await store.check() == "ok"
    lines = [(line.kind, line.bucket, line.seconds) async for line in store.lines()]
    assert lines == [(kind, "day 2026-11-01T00:00Z", s) for kind, s in zip(*OLD, strict=True)]
    await store.close()


OLD: tuple[list[Any], ...] = (["hold", "charge", "release"], [8.0, 3.0, 5.0])

"""Two Easels at one Postgres database: whichever leads, no job is painted twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from bot.models import State
from bot.store import Store
from tests.databases import Cluster, unfinished
from tests.faults import leader
from tests.processes import Process

JOBS = 30
PATIENCE = 120.0
ADVISORY = "SELECT pid FROM pg_locks JOIN pg_database d ON d.oid = database WHERE locktype = 'advisory' AND "


def easel(url: str, folder: Path, name: str) -> Process:
    process = Process("tests.faults.leader", url, str(folder), name)
    assert process.stdout.readline() == "here\n"
    return process


def said(folder: Path, name: str, verb: str) -> list[str]:
    file = folder / name
    lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    return [id for each, id in lines if each == verb]


async def until_it_leads(folder: Path, name: str, ends: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(said(folder, name, "end")) < ends:  # noqa: ASYNC110 it is another process
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("whole", [False, True], ids=["the lock's session", "every session"])
async def test_a_leader_that_lost_its_lock_paints_nothing_that_the_next_one_paints(
    postgres: Cluster, tmp_path: Path, whole: bool
) -> None:
    url = postgres.fresh()
    name = Cluster.name_of(url)
    await leader.ask(url, JOBS)
    first = easel(url, tmp_path, "first")
    await until_it_leads(tmp_path, "first", leader.FREE)
    second = easel(url, tmp_path, "second")
    waits = f"SELECT count(*) FROM ({ADVISORY} datname = '{name}' AND NOT granted) AS w"
    async with asyncio.timeout(PATIENCE):
        while await asyncio.to_thread(postgres.ask, waits) == "0":  # noqa: ASYNC110 another process asks
            await asyncio.sleep(0.01)
    (tmp_path / "go").touch()
    which = f"datname = '{name}'" if whole else f"pid IN ({ADVISORY} datname = '{name}' AND granted)"
    await asyncio.to_thread(
        postgres.ask, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {which}"
    )

    for each in (first, second):
        await asyncio.to_thread(each.communicate)
    ends = [each.wait() for each in (first, second)]

    # Where all sessions went, either may be the first to have the lock again.
    assert sorted(ends) == [0, 2] if not whole else 0 in ends
    written = Counter(said(tmp_path, "first", "end") + said(tmp_path, "second", "end"))
    assert len(written) == JOBS and set(written.values()) == {1}
    started = Counter(said(tmp_path, "first", "start") + said(tmp_path, "second", "start"))
    assert sum(times - 1 for times in started.values()) <= 1, "but the one that was being painted"
    store = await Store.open(url)
    assert await store.check() == "ok" and await unfinished(store) == []
    counts = Counter([job.state for job in await store.jobs("web:local", limit=2 * JOBS)])
    assert counts == {State.RENDERED: JOBS}
    await store.close()

"""How long a start takes with many jobs waiting, and how soon somebody who asks meanwhile is answered."""

from __future__ import annotations

import asyncio
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from sqlmodel import Session

from bot import app
from bot.adapters.base import Receipt
from bot.images.blobs import DirectoryBlobs
from bot.models import Member, Origin
from bot.store import Store
from bot.store.rows import table_of, values_of
from bot.store.tables import JobRow
from bot.surfaces import Settings
from engine.workers.fake import FakeEngine
from tests.examples import a_job, unhurried

JOBS = 100_000
PEOPLE = 5_000
PLACES = 50
NEWCOMER = Member(tenant="web:1", id="web:newcomer", name="Newcomer")


def figures(jobs: int = JOBS) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(Path(folder), jobs))


async def _measure(folder: Path, jobs: int) -> dict[str, Any]:
    settings = Settings(data_dir=folder, model=("memory",), picture_check=False)
    store = await Store.open(settings.database_url)
    await fill(store, jobs)
    engine = FakeEngine(lambda name: b"", may_start=_never)
    blobs = DirectoryBlobs(folder / "pictures")
    easel = app.build(settings=settings, store=store, engine=engine, blobs=blobs, tiers=unhurried())
    lag = asyncio.create_task(_lag())
    start, busy = time.perf_counter(), time.process_time()
    await easel.lifecycle.start()
    opened = time.perf_counter() - start
    origin = Origin(surface="bench", member=NEWCOMER, channel="c", event="first")
    answer = await easel.router.handle("imagine", {"prompt": "a red fox --count 1"}, origin)
    assert isinstance(answer, Receipt)
    answered = time.perf_counter() - start
    while engine.status().waiting <= jobs:  # noqa: ASYNC110 the engine tells nobody
        await asyncio.sleep(0.01)
    done, busy = time.perf_counter() - start, time.process_time() - busy
    lag.cancel()
    worst = (await asyncio.gather(lag, return_exceptions=True))[0]
    await easel.lifecycle.close()
    await store.close()
    return {
        f"start: all of {jobs:,} waiting jobs in line (s)": done,
        "start: processor time of that (s)": busy,
        "start: requests are taken (s)": opened,
        "start: the first one is answered (s)": answered,
        "start: the event loop was busy for at most (s)": getattr(worst, "worst", 0.0),
    }


async def fill(store: Store, jobs: int) -> None:
    """Let jobs of many people wait, as a killed process leaves them."""

    def values(number: int) -> dict[str, Any]:
        person = number % PEOPLE
        job = a_job(user=str(person), tenant=f"web:{person % PLACES}", estimate=1.0)
        found = values_of(job) | {"account": job.origin.member.id}
        found["request"] |= {"model": "memory"}
        return found

    for first in range(0, jobs, 5000):
        rows = [values(number) for number in range(first, min(jobs, first + 5000))]
        await store._write(partial(_insert, rows=rows))


def _insert(session: Session, rows: list[dict[str, Any]]) -> None:
    session.connection().execute(table_of(JobRow).insert(), rows)


class _Worst(Exception):
    def __init__(self, worst: float) -> None:
        self.worst = worst


async def _lag() -> None:
    """Raises _Worst, the longest time that the event loop kept others waiting, when it is cancelled."""
    worst = 0.0
    try:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            worst = max(worst, time.perf_counter() - before)
    except asyncio.CancelledError:
        raise _Worst(worst) from None


async def _never() -> bool:
    return False

"""Ready means that work gets done, and each way in which it does not is named."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio

from bot import readiness
from bot.readiness import Readiness
from bot.store import Store
from bot.store.sqlite import library
from bot.surfaces import Settings
from engine.types import EngineStatus, WorkerStatus


def worker(*, ready: bool = True, out: str = "") -> WorkerStatus:
    return WorkerStatus(device="cuda:0", ready=ready, models=(), jobs=0, restarts=0, out=out)


class Bench:
    """A readiness over a real database, with an engine and surfaces that say what they are told to."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.workers: tuple[WorkerStatus, ...] = (worker(),)
        self.stalled = 0.0
        self.now = 0.0
        self.surface = SimpleNamespace(name="discord", connected=True)
        engine: Any = self
        surfaces: Any = {"discord": self.surface, "web": SimpleNamespace(name="web")}
        self.readiness = Readiness(settings, store, engine, surfaces, clock=lambda: self.now)

    def status(self) -> EngineStatus:
        more: dict[str, Any] = dict.fromkeys(("inside", "waiting", "held", "relaxed"), 0)
        more |= dict.fromkeys(("last_minute", "last_five_minutes", "rows"), 0.0)
        return EngineStatus(workers=self.workers, stalled=self.stalled, **more)

    async def reasons(self) -> tuple[str, ...]:
        self.now += readiness.KEPT
        return await self.readiness.reasons()


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(f"sqlite:///{tmp_path}/easel.db")
    yield store
    await store.close()


@pytest.fixture
def bench(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(readiness.shutil, "disk_usage", lambda path: SimpleNamespace(free=10**11))
    return Bench(Settings(data_dir=tmp_path, hang_seconds=60.0), store)


async def test_nothing_is_wrong_where_all_is_well(bench: Bench) -> None:
    assert await bench.reasons() == ()


async def test_a_database_that_takes_no_write_is_named(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocker = library().connect(tmp_path / "easel.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(readiness, "PATIENCE", 0.2)
    assert await bench.reasons() == ("The database has not taken a write within 0.2 s.",)
    blocker.execute("ROLLBACK")
    blocker.close()
    async with asyncio.timeout(20):
        while await bench.reasons():  # noqa: ASYNC110 the write that was late is done first
            await asyncio.sleep(0.01)


async def test_a_database_that_fails_is_named(bench: Bench, store: Store) -> None:
    await store.close()
    (reason,) = await bench.reasons()
    assert "The database is closed" in reason


async def test_a_full_disk_is_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness.shutil, "disk_usage", lambda path: SimpleNamespace(free=10**8))
    (reason,) = await bench.reasons()
    assert reason.startswith("Only 0.10 GB are free in ")


async def test_without_a_worker_nothing_is_ready(bench: Bench) -> None:
    bench.workers = (worker(ready=False), worker(ready=False, out="no driver"))
    assert await bench.reasons() == ("No worker is ready.", "The device cuda:0 is out of service.")
    bench.workers = (worker(), worker(ready=False, out="no driver"))
    assert await bench.reasons() == (), "the others do its work"


async def test_work_that_waits_while_nothing_moves_is_named(bench: Bench) -> None:
    bench.stalled = 60.0
    assert await bench.reasons() == ()
    bench.stalled = 61.0
    assert await bench.reasons() == ("Work waits, and no worker has done anything for 61 s.",)


async def test_a_surface_without_its_connection_is_named(bench: Bench) -> None:
    bench.surface.connected = False
    assert await bench.reasons() == ("The surface discord is not connected.",)


async def test_who_asks_all_the_time_costs_nothing(bench: Bench) -> None:
    assert await bench.reasons() == ()
    bench.surface.connected = False
    assert await bench.readiness.reasons() == ()
    assert await bench.reasons() != ()

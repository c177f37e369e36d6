"""A running studio with its Discord adapter, for whatever Discord a test brings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bot import app
from bot.accounts.tiers import Tiers
from bot.adapters.discord.adapter import DiscordAdapter
from bot.easel import Easel
from bot.images.blobs import DirectoryBlobs
from bot.models import Job, State
from bot.settings import Secret
from bot.store import Store
from bot.surfaces import Settings
from engine.types import Engine
from engine.workers.fake import MEMORY, FakeEngine, Fault
from tests.databases import ended, unfinished
from tests.examples import CONTROLS, unhurried

SMALL = replace(MEMORY, width=64, height=64, steps=4)
PATIENCE = 30.0  # seconds; only a broken studio needs them


@dataclass(repr=False)  # asyncio writes down what a fixture returns, four times a test
class Rooms:
    """A running studio with its Discord adapter, not connected to anything yet."""

    easel: Easel
    store: Store
    adapter: DiscordAdapter
    settings: Settings
    tenants: tuple[str, ...] = ()  # whose jobs the test looks at, and as whom
    viewer: str = ""

    async def jobs(self) -> list[Job]:
        """Every unfinished or unshown job, and those that were shown, the newest last."""
        rows = await unfinished(self.store) + await self.store.undelivered()
        return [*{job.id: job for job in [*rows, *await self._shown()]}.values()]

    async def _shown(self) -> list[Job]:
        found: list[Job] = []
        for tenant in self.tenants:
            found += await self.store.jobs(tenant, viewer=self.viewer)
        return found[::-1]

    async def until(self, id: str, *states: State, patience: float = PATIENCE) -> Job:
        """The job's row once it has ended so, and that was shown or given up."""
        return await ended(self.store, id, *states, patience=patience)


@asynccontextmanager
async def rooms(
    folder: Path,
    *,
    step_seconds: float = 0.0,
    fault: Fault | None = None,
    edit_interval: float = 0.05,
    make_engine: Callable[[DirectoryBlobs], Engine] | None = None,
    tiers: Tiers | None = None,
    **changes: Any,
) -> AsyncIterator[Rooms]:
    """The studio and its adapter on a folder, which may have been used before."""
    more: dict[str, Any] = {"model": ("memory",), "picture_check": False}
    settings = Settings(data_dir=folder, discord_token=Secret("a.token.of-ours"), **(more | changes))
    store = await Store.open(settings.database_url)
    blobs = DirectoryBlobs(folder / "pictures")
    engine: Engine = FakeEngine(
        blobs.read, models=(replace(SMALL, **CONTROLS),), fault=fault, step_seconds=step_seconds
    )
    if make_engine is not None:
        engine = make_engine(blobs)
    easel = app.build(settings=settings, store=store, engine=engine, blobs=blobs, tiers=tiers or unhurried())
    adapter = DiscordAdapter(easel, settings)
    adapter.edit_interval = edit_interval
    easel.adapters[adapter.name] = adapter
    await easel.lifecycle.start()
    try:
        yield Rooms(easel, store, adapter, settings)
    finally:
        await easel.lifecycle.close()
        await store.close()

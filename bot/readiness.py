"""Whether Easel can serve: the database takes a write, the disk has room, work gets done."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Mapping

from bot.adapters.base import ChatAdapter, Connected
from bot.engines import EngineSettings
from bot.errors import StoreError
from bot.store import Store
from engine.types import Engine, EngineStatus

LEAST_SPACE = 0.2  # GB; `doctor` asks for more long before
PATIENCE = 5.0  # seconds that the database has for a write
KEPT = 2.0  # seconds for which an answer holds: whoever asks all the time costs nothing


class Readiness:
    """Examine at most every `KEPT` seconds, however many ask. `clock` returns seconds."""

    def __init__(
        self,
        settings: EngineSettings,
        store: Store,
        engine: Engine,
        adapters: Mapping[str, ChatAdapter],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._store = store
        self._engine = engine
        self._adapters = adapters
        self._clock = clock
        self._examining = asyncio.Lock()
        self._found: tuple[str, ...] = ()
        self._until = float("-inf")

    async def reasons(self) -> tuple[str, ...]:
        """Return why Easel is not ready, a sentence each; empty when it is."""
        async with self._examining:
            if self._clock() >= self._until:
                self._found = tuple(await self._examine())
                self._until = self._clock() + KEPT
            return self._found

    async def troubles(self) -> tuple[str, ...]:
        """Return why Easel is not ready, and which devices are out of service."""
        out = self._engine.status().out
        return *await self.reasons(), *(f"{each.device} is out of service: {each.out}." for each in out)

    async def _examine(self) -> list[str]:
        surfaces = self._adapters.items()
        away = [name for name, each in surfaces if isinstance(each, Connected) and not each.connected]
        return [
            *await self._database(),
            *await self._disk(),
            *self._workers(self._engine.status()),
            *(f"The surface {name} is not connected." for name in away),
        ]

    async def _database(self) -> list[str]:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._store.touch()
        except TimeoutError:
            return [f"The database has not taken a write within {PATIENCE:g} s."]
        except StoreError as error:
            return [str(error)]
        return []

    async def _disk(self) -> list[str]:
        folder = self._settings.data_dir
        try:
            free = (await asyncio.to_thread(shutil.disk_usage, folder)).free / 1e9
        except OSError as error:
            return [f"The folder {folder} does not answer ({error.strerror})."]
        return [f"Only {free:.2f} GB are free in {folder}."] if free < LEAST_SPACE else []

    def _workers(self, status: EngineStatus) -> list[str]:
        found = []
        if not status.ready:
            found += ["No worker is ready."]
            found += [f"The device {each.device} is out of service." for each in status.out]
        if status.stalled > self._settings.hang_seconds:
            found += [f"Work waits, and no worker has done anything for {status.stalled:.0f} s."]
        return found

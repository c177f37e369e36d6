"""Starts Easel where the last process stopped, keeps what runs in the background, and closes it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from bot.accounts.privacy import Privacy
from bot.admin.asked import Policies
from bot.admin.log_channel import LogChannel
from bot.contests.service import Contests
from bot.describing.service import DescribeService
from bot.errors import StoreError
from bot.gate import Gate
from bot.guard import Guard
from bot.images.service import Images
from bot.jobs.controls import ControlService
from bot.jobs.message_sync import MessageSync
from bot.jobs.recovery import Recovery
from bot.jobs.regions import Regions
from bot.jobs.tracker import JobTracker
from bot.rewriting.service import RewriteService
from bot.store import Store
from engine.errors import EngineError
from engine.types import Engine

log = structlog.stdlib.get_logger(__name__)

SWEEP_PAUSE = 3600.0  # seconds between two clean-ups
LAST_WORDS = 5.0  # seconds in which ends that are owed may still be shown when Easel closes


@dataclass(eq=False)
class Lifecycle:
    """Owns the tasks in the background. Without the tracker and recovery the process ends."""

    _store: Store
    _engine: Engine
    _guard: Guard
    _gate: Gate
    _tracker: JobTracker
    _sync: MessageSync
    _recovery: Recovery
    _privacy: Privacy
    _images: Images
    _policies: Policies
    _log: LogChannel
    _contests: Contests
    _regions: Regions
    _controls: ControlService
    _describing: DescribeService
    _rewriting: RewriteService
    _tasks: list[asyncio.Task[None]] = field(default_factory=list, init=False)

    async def start(self) -> None:
        """Start the engine, and go on where the last process stopped."""
        await self._recovery.begin()
        await self._engine.start()
        await self.load()
        self._tasks = [
            asyncio.create_task(self._tracker.run(), name="tracker"),
            asyncio.create_task(self._tracker.refresh(), name="refresh"),
            asyncio.create_task(self._guard.run(), name="guard"),
            asyncio.create_task(self._stop_painting(), name="stop"),
            asyncio.create_task(self._recovery.run(), name="recovery"),
            asyncio.create_task(self._keep_clean(), name="cleanup"),
            asyncio.create_task(self._contests.run(), name="contests"),
        ]
        for task in self._tasks:
            if task.get_name() in ("tracker", "recovery"):
                task.add_done_callback(self._essential)
        self._gate.open()

    async def load(self) -> None:
        """Load measured costs, pauses and languages from the store; `start` does so too."""
        for request, seconds in reversed(await self._store.measured()):
            with suppress(EngineError):  # a model that is not offered any more
                self._engine.learn(request, seconds)
        await self._policies.load()
        await self._contests.load()

    async def close(self, drain: float = 0.0) -> None:
        """Accept no more work and give running jobs `drain` seconds; the rest runs after the next start."""
        self._gate.close()
        if not self._tasks:
            return
        tracker, *helpers = self._tasks
        for helper in helpers:
            helper.cancel()
        await self._gate.settle(LAST_WORDS)
        await self._engine.close(drain)
        await asyncio.wait({tracker}, timeout=LAST_WORDS)
        tracker.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._tracker.close()
        await self._sync.close(LAST_WORDS)
        await self._log.close()
        await self._regions.close()
        await self._controls.close()
        await self._describing.close()
        await self._rewriting.close()

    async def _stop_painting(self) -> None:
        """Close the engine at once when the process must end."""
        await self._guard.failed.wait()
        await self._engine.close()

    def _essential(self, task: asyncio.Task[None]) -> None:
        """End the process when this task has failed, as nothing would be stored any more."""
        if not task.cancelled() and (error := task.exception()):
            log.error("a task has failed", task=task.get_name(), exc_info=error)
            self._guard.fail(f"the {task.get_name()} has failed: {error!r}")

    async def _keep_clean(self) -> None:
        """Clean up again and again: deleted people and jobs, and files that no job needs."""
        while True:
            try:
                await self._store.heal()
                await self._privacy.expire()
                await self._privacy.resume()
                await self._images.sweep()
            except StoreError as error:
                log.warning("the clean-up failed; it is tried again in an hour", cause=str(error))
            await asyncio.sleep(SWEEP_PAUSE)

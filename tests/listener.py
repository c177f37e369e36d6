"""What an engine says, for tests that wait for some of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from engine.types import Engine, EngineEvent, Failed, Finished, Progress, Started

PATIENCE = 120.0  # seconds


class Listener:
    """Follows an engine from now on, and keeps all that it says."""

    def __init__(self, engine: Engine) -> None:
        self.said: list[EngineEvent] = []
        self._news = asyncio.Condition()
        self._listening = asyncio.create_task(self._listen(engine))

    async def _listen(self, engine: Engine) -> None:
        async for event in engine.events():
            async with self._news:
                self.said.append(event)
                self._news.notify_all()

    def of(self, job_id: str) -> list[EngineEvent]:
        return [event for event in self.said if event.job == job_id]

    def ended(self) -> list[EngineEvent]:
        """The last events of jobs, in their order."""
        return [event for event in self.said if isinstance(event, Finished | Failed)]

    async def until(self, ready: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(ready)

    async def ends(self, count: int) -> list[EngineEvent]:
        """All that was said until `count` jobs had ended."""
        await self.until(lambda: len(self.ended()) >= count)
        return self.said

    async def end(self, job_id: str) -> EngineEvent:
        """The job's last event."""
        await self.until(lambda: any(event.job == job_id for event in self.ended()))
        (end,) = (event for event in self.ended() if event.job == job_id)
        assert end is self.of(job_id)[-1], self.of(job_id)
        return end

    async def started(self, job_id: str) -> None:
        await self.until(lambda: any(isinstance(event, Started) for event in self.of(job_id)))

    async def running(self, job_id: str) -> None:
        """A step of the job was seen."""
        await self.until(lambda: any(isinstance(event, Progress) for event in self.of(job_id)))

    async def over(self) -> None:
        """The engine is closed and all is heard."""
        async with asyncio.timeout(PATIENCE):
            await self._listening

"""The unfinished jobs in memory, with what their rows do not tell."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

from bot.models import Job, Tier
from engine.types import EngineEvent, Loading, Progress, QueuePosition

AT_ONCE = 200  # jobs gone through before other tasks may run


@dataclass(slots=True)
class LiveJob:
    """An unfinished job, and what its row does not tell."""

    job: Job
    control: bytes = field(default=b"", kw_only=True)  # its control picture, small, as WebP
    tier: Tier | None = None  # of the person, when it was accepted or Easel was started
    progress: Progress | None = None
    loading: Loading | None = None  # its model, while it waits for that
    position: QueuePosition | None = None  # when last looked up
    shown: QueuePosition | None = None  # its position when last shown
    events: list[EngineEvent] = field(default_factory=list)  # not written down yet; a deque takes 600 bytes
    writer: asyncio.Task[None] | None = None
    _first: tuple[float, int] | None = None  # when which step was seen first

    def advance(self, progress: Progress) -> None:
        """Record a step. A preview stays until the next one comes."""
        before = self.progress.preview if self.progress else None
        self.progress = replace(progress, preview=progress.preview or before)
        self.loading = None
        self._first = self._first or (time.monotonic(), progress.step)

    def restart(self) -> None:
        """Forget the steps, as the job starts again."""
        self.progress = self.loading = self._first = None

    @property
    def left(self) -> float | None:
        """Return the expected seconds to the end, once two steps were seen."""
        if self.progress is None or self._first is None or self.progress.step == self._first[1]:
            return None
        pace = (time.monotonic() - self._first[0]) / (self.progress.step - self._first[1])
        return pace * (self.progress.steps - self.progress.step)


class LiveJobs(dict[str, LiveJob]):
    """The unfinished jobs by id. The tracker adds and removes them; others look them up."""

    async def each(self) -> AsyncIterator[LiveJob]:
        """Yield the jobs of this moment that are still unfinished when it is their turn.

        Other tasks run in between, since there may be a hundred thousand jobs.
        """
        for number, id in enumerate(list(self), start=1):
            if life := self.get(id):
                yield life
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)

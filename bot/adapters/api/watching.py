"""Tells connections that wait for a job what became of it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from bot.messages.types import Card
from bot.models import Job


class Watch:
    """One connection that waits for a job; it holds the newest card alone."""

    def __init__(self) -> None:
        self.card: Card | None = None
        self.ended = False
        self.closed = False
        self._news = asyncio.Event()

    def offer(self, job: Job, card: Card) -> None:
        self.card = card
        self.ended = job.state.ended
        self._news.set()

    def close(self) -> None:
        self.closed = True
        self._news.set()

    async def news(self, patience: float) -> bool:
        """Wait for something new; return False when nothing came within `patience` seconds."""
        try:
            async with asyncio.timeout(patience):
                await self._news.wait()
        except TimeoutError:
            return False
        self._news.clear()
        return True


class Watchers:
    """The connections that wait, by job."""

    def __init__(self) -> None:
        self._watches: defaultdict[str, set[Watch]] = defaultdict(set)
        self._closed = False

    def tell(self, job: Job, card: Card) -> None:
        for watch in self._watches.get(job.id, ()):
            watch.offer(job, card)

    def close(self) -> None:
        """End all watches, and each that begins later."""
        self._closed = True
        for watches in self._watches.values():
            for watch in watches:
                watch.close()

    @contextmanager
    def watch(self, job: str) -> Iterator[Watch]:
        """Watch a job while the block runs; what was told before is not told again."""
        watch = Watch()
        if self._closed:
            watch.close()
        self._watches[job].add(watch)
        try:
            yield watch
        finally:
            self._watches[job].discard(watch)
            if not self._watches[job]:
                del self._watches[job]

    def __len__(self) -> int:
        return sum(map(len, self._watches.values()))

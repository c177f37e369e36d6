"""How many requests a server is asked for at once: learned from how it takes them. No I/O."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

FIRST, MOST = 2.0, 32.0  # requests at once


class Concurrency:
    """Lets out as many requests as a server bears.

    One more after a round that went well, half of them when it is overrun; while it asks for a pause, none.
    `changed` is called with each new bound. `clock` returns seconds.
    """

    def __init__(
        self,
        changed: Callable[[int], None] = lambda limit: None,
        *,
        most: float = MOST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._changed, self._most, self._clock = changed, most, clock
        self._limit = min(FIRST, most)
        self._inside = 0
        self._cuts = 0  # times it was halved
        self._not_before = 0.0  # by the clock
        self._freed = asyncio.Event()  # replaced each time

    @property
    def limit(self) -> int:
        return int(self._limit)

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[int]:
        """Wait for a place and keep it while the block runs; yield what `overrun` is to be told."""
        while (wait := self._wait()) is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait or None):
                    await self._freed.wait()
        self._inside += 1
        try:
            yield self._cuts
        finally:
            self._inside -= 1
            self._wake()

    def _wait(self) -> float | None:
        """Return None when a request may go out; else for how many seconds to wait, 0 for a place."""
        if (pause := self._not_before - self._clock()) > 0:
            return pause
        return 0.0 if self._inside >= self.limit else None

    def went_well(self) -> None:
        """Note an answer: where the bound was reached, it grows by one in as many answers."""
        if self._inside >= self.limit:
            self._set(min(self._most, self._limit + 1 / self._limit))

    def overrun(self, place: int, pause: float = 0.0) -> None:
        """Note that the server had too much, and asks for a pause of so many seconds.

        Requests that were out together halve the bound once.
        """
        self._not_before = max(self._not_before, self._clock() + pause)
        if place == self._cuts:
            self._cuts += 1
            self._set(max(1.0, self._limit / 2))

    def _set(self, limit: float) -> None:
        before, self._limit = self.limit, limit
        if self.limit != before:
            self._changed(self.limit)
            self._wake()

    def _wake(self) -> None:
        self._freed.set()
        self._freed = asyncio.Event()

"""How late the event loop is: a number for /metrics, and a log line with the stack that held it up."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from bot import telemetry

log = structlog.stdlib.get_logger(__name__)

LIMIT = 1.0  # seconds of lag that are logged
EVERY = 0.2  # seconds between two measurements
SPAN = 60.0  # seconds of which the worst lag is shown
DEEPEST = 20  # calls of a stack that are logged, the innermost ones


@asynccontextmanager
async def watched(limit: float = LIMIT) -> AsyncIterator[None]:
    """Measure the running loop's lag, and log what takes longer than `limit` seconds."""
    watch = _Watch(asyncio.get_running_loop(), limit)
    watch.start()
    try:
        yield
    finally:
        watch.stop()


class _Watch:
    """A timer on the loop measures how late it is called; a thread looks at the loop while it is late."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: float) -> None:
        self._loop = loop
        self._limit = limit
        self._looped = threading.get_ident()
        self._due = time.monotonic() + EVERY
        self._lags: deque[float] = deque([0.0], maxlen=round(SPAN / EVERY))
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look, name="lag", daemon=True)
        self._timer = loop.call_later(EVERY, self._beat)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._timer.cancel()
        self._stopped.set()
        self._thread.join()
        telemetry.LAG.set(0.0)

    def _beat(self) -> None:
        lag = time.monotonic() - self._due
        self._lags.append(max(0.0, lag))
        telemetry.LAG.set(max(self._lags))
        if lag > self._limit:
            log.warning("the event loop runs again", lag=round(lag, 2))
        self._due = time.monotonic() + EVERY
        self._timer = self._loop.call_later(EVERY, self._beat)

    def _look(self) -> None:
        """Log the loop's stack, once for each time that it is late.

        A call that holds the interpreter's lock is seen when it returns, where it was called.
        """
        told = 0.0
        while not self._stopped.wait(min(EVERY, self._limit / 4)):
            due = self._due
            lag = time.monotonic() - due
            if lag > self._limit and told != due:
                told = due
                frame = sys._current_frames().get(self._looped)
                stack = "".join(traceback.format_stack(frame, DEEPEST)) if frame else ""
                log.warning("the event loop is blocked", lag=round(lag, 2), stack=stack)

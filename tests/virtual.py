"""An event loop whose clock jumps to the next timer: hours pass in no time, and nothing depends on luck."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """For code that waits for nothing but timers and itself: no threads, no sockets."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        loop: Any = self
        timers = loop._scheduled
        while timers and timers[0]._cancelled:
            heapq.heappop(timers)._scheduled = False
            loop._timer_cancelled_count -= 1
        if not loop._ready and not loop._stopping:
            if not timers:
                raise AssertionError("everything waits, and nothing will ever wake it")
            self._now = max(self._now, timers[0]._when)
        loop_run: Any = super()
        loop_run._run_once()


def virtually(work: Coroutine[Any, Any, T]) -> T:
    """Run to its end in virtual time; whatever it left running is cancelled."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(work)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()

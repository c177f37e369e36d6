"""How busy the devices were in the last minutes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from engine.workers.messages import Pulse

MINUTE = 60.0
SPAN = 5 * MINUTE  # seconds remembered


@dataclass(slots=True)
class _Second:
    """What was reported in one second of the clock."""

    at: int
    seconds: float = 0.0
    passes: int = 0
    rows: int = 0


class Utilization:
    """What all workers have reported in the last five minutes. `clock` returns seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds: deque[_Second] = deque()

    def add(self, pulse: Pulse) -> None:
        now = int(self._clock())
        if not self._seconds or self._seconds[-1].at != now:
            self._seconds.append(_Second(now))
        second = self._seconds[-1]
        second.seconds += pulse.seconds
        second.passes += pulse.passes
        second.rows += pulse.rows
        while self._seconds[0].at < now - SPAN:
            self._seconds.popleft()

    def seconds(self, span: float = SPAN) -> float:
        """Return the device-seconds used in the last `span` seconds."""
        return sum(second.seconds for second in self._since(span))

    def rows(self) -> float:
        """Return the mean batch rows of a forward pass; 0 when there was none."""
        passes = sum(second.passes for second in self._since(SPAN))
        return sum(second.rows for second in self._since(SPAN)) / passes if passes else 0.0

    def _since(self, span: float) -> Iterator[_Second]:
        start = self._clock() - span
        return (second for second in self._seconds if second.at >= start)

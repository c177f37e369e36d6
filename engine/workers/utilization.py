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
class _Slot:
    """One second of the clock."""

    at: int
    seconds: float = 0.0
    passes: int = 0
    rows: int = 0


class Utilization:
    """What all workers have reported in the last five minutes. `clock` returns seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._slots: deque[_Slot] = deque()

    def add(self, pulse: Pulse) -> None:
        now = int(self._clock())
        if not self._slots or self._slots[-1].at != now:
            self._slots.append(_Slot(now))
        slot = self._slots[-1]
        slot.seconds += pulse.seconds
        slot.passes += pulse.passes
        slot.rows += pulse.rows
        while self._slots[0].at < now - SPAN:
            self._slots.popleft()

    def seconds(self, span: float = SPAN) -> float:
        """Return the device-seconds used in the last `span` seconds."""
        return sum(slot.seconds for slot in self._since(span))

    def rows(self) -> float:
        """Return the mean batch rows of a forward pass; 0 when there was none."""
        passes = sum(slot.passes for slot in self._since(SPAN))
        return sum(slot.rows for slot in self._since(SPAN)) / passes if passes else 0.0

    def _since(self, span: float) -> Iterator[_Slot]:
        start = self._clock() - span
        return (slot for slot in self._slots if slot.at >= start)

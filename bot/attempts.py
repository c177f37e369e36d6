"""Counts how often something is tried under one name, to brake whoever tries too often."""

from __future__ import annotations

import time
from collections import OrderedDict, deque


class Attempts:
    """Counts attempts: at most `limit` in `seconds` under one name, such as an address or a member."""

    def __init__(self, limit: int = 5, seconds: float = 60.0, names: int = 1024) -> None:
        self._limit, self._seconds, self._names = limit, seconds, names
        self._tried: OrderedDict[str, deque[float]] = OrderedDict()

    def note(self, name: str) -> None:
        self._tried.setdefault(name, deque(maxlen=self._limit)).append(time.monotonic())
        self._tried.move_to_end(name)
        while len(self._tried) > self._names:
            self._tried.popitem(last=False)

    def wait(self, name: str) -> float:
        """Return the seconds until another attempt under the name is within the limit; 0 for at once."""
        tried = self._tried.get(name)
        if tried is None or len(tried) < self._limit:
            return 0.0
        return max(0.0, tried[0] + self._seconds - time.monotonic())

    def exhausted(self, name: str) -> bool:
        tried = self._tried.get(name, ())
        return sum(time.monotonic() - at < self._seconds for at in tried) >= self._limit

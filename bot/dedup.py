"""Remembers what was done, so that it is not done again."""

from __future__ import annotations

from collections import OrderedDict


class Dedup:
    """The newest keys that were seen. A job's own event key does the same across restarts, exactly."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: OrderedDict[str, None] = OrderedDict()

    def first(self, key: str) -> bool:
        """Mark the key; False when it was there already. An empty key is always new."""
        if not key:
            return True
        if key in self._seen:
            return False
        self._seen[key] = None
        if len(self._seen) > self._most:
            self._seen.popitem(last=False)
        return True

    def forget(self, key: str) -> None:
        """Forget what was not done after all, so that it counts as new when it comes again."""
        self._seen.pop(key, None)

"""Remembers what arrived, so that what Slack sends again is not done again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

MOST = 20_000
"""Events remembered; Slack repeats an event for some minutes at most."""


class Dedup:
    """The newest keys that were seen. A job's own event key does the same across restarts, exactly."""

    def __init__(self, most: int = MOST) -> None:
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


def key_of(body: Mapping[str, Any]) -> str:
    """Return the key of a delivery: the event's id, else the trigger with the actions it caused."""
    if event := body.get("event_id"):
        return f"event:{event}"
    trigger = body.get("trigger_id")
    if not trigger:
        return ""
    about = [str(body.get("type", "command")), str(trigger)]
    about += [str(each.get("action_id", "")) for each in body.get("actions") or ()]
    return ":".join(about)

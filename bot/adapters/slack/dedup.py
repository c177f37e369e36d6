"""Remembers what arrived, so that what Slack sends again is not done again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MOST = 20_000
"""Events remembered; Slack repeats an event for some minutes at most."""


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

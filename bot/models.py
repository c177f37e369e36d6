"""The nouns that the workflow, the store and the adapters share: plain frozen dataclasses."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from engine.types import GenerationRequest


def new_id() -> str:
    """A job id: 12 hexadecimal digits, unguessable enough to be shown and short enough for a button."""
    return secrets.token_hex(6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A person on one surface."""

    tenant: str  # "discord:<guild>", "slack:<team>", "web:local"; a DM is a tenant of its own
    id: str  # "discord:<user>", …: unique over all surfaces
    name: str  # to show
    admin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who asked, where, and how to answer there."""

    surface: str  # the adapter's name
    member: Member
    channel: str
    event: str  # the platform's id of this event: the idempotency key
    reply: dict[str, Any] = field(default_factory=dict)  # owned by the adapter (tokens, threads); JSON
    private: bool = False


class State(StrEnum):
    """A job's life. The first two run again after a restart; the others are ends."""

    QUEUED = "queued"
    RUNNING = "running"
    RENDERED = "rendered"  # pictures stored, hold settled
    FAILED = "failed"
    CANCELLED = "cancelled"
    DELETED = "deleted"

    @property
    def ended(self) -> bool:
        return self not in (State.QUEUED, State.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPicture:
    """A picture at rest."""

    index: int
    blob: str
    seed: int
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One accepted request, as its row tells it. The row is the truth; the queue is a view of it."""

    id: str
    origin: Origin
    request: GenerationRequest
    prompt: str  # as typed, to show
    style: str = ""  # the preset's name
    state: State = State.QUEUED
    parent: str | None = None  # the job whose button made this one
    parent_index: int | None = None
    action: str = "imagine"  # what made it: imagine, upscale, vary_subtle, …
    estimate: float = 0.0  # device-seconds held
    device_seconds: float = 0.0  # device-seconds charged
    deaths: int = 0
    reason: str = ""  # why it failed: one sentence, safe to show
    created: datetime
    started: datetime | None = None
    finished: datetime | None = None
    delivered: datetime | None = None  # when its end was shown; None while that is owed
    message: dict[str, Any] | None = None  # the adapter's reference to its message; JSON
    pictures: tuple[StoredPicture, ...] = ()

    @property
    def seconds(self) -> float:
        """Wall-clock seconds from accepted to ended; 0 while it lives, or when the clock was set back."""
        return max(0.0, (self.finished - self.created).total_seconds()) if self.finished else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """A person's allowance in the present period, in device-seconds."""

    cap: float
    used: float  # charged and held
    resets: datetime

    @property
    def left(self) -> float:
        return max(0.0, self.cap - self.used)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """A person's defaults; empty or None means the studio's own."""

    style: str = ""
    model: str = ""
    count: int | None = None
    aspect: str = ""
    private: bool = False

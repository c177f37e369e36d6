"""The studio's exceptions.

EaselError
├── Refusal          what a person asked is not possible; `notice` says why and what to do
├── SettingError     a value in `.env` or the environment cannot be used
├── StoreError       the database or the disk does not take it
│   ├── StoreInUse   another process has this data folder open
│   └── StoreGone    the database was deleted or replaced while Easel was running
└── DeliveryError    a message could not be posted
    ├── Unreachable  and never can be (the channel or the permission is gone)
    │   └── MessageGone  because somebody deleted it
    └── TryLater     but may be later
"""

from __future__ import annotations

from dataclasses import dataclass


class EaselError(Exception):
    """The root of Easel's own exceptions."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What would be possible instead: a button's label and the command text or the press it stands for."""

    label: str
    text: str = ""
    button: str = ""  # the id of a press, where no text says it or the text is too long for one


class Refusal(EaselError):
    """A person asked for something that is not possible. The notice is safe to show to them."""

    def __init__(self, notice: str, *, code: str = "invalid", offers: tuple[Offer, ...] = ()) -> None:
        super().__init__(notice)
        self.notice = notice
        self.code = code
        self.offers = offers


class SettingError(EaselError):
    """A setting cannot be used: the message names it, its value and the remedy."""


class StoreError(EaselError):
    """The database or the disk does not take it."""


class StoreInUse(StoreError):
    """Another process has this data folder open."""


class StoreGone(StoreError):
    """The database was deleted or replaced while Easel was running."""


class DeliveryError(EaselError):
    """A message could not be posted."""


class Unreachable(DeliveryError):
    """The message can never be posted: the place or the permission is gone."""


class MessageGone(Unreachable):
    """The message was deleted on the platform: what it showed is not for others any more."""


class TryLater(DeliveryError):
    """The message could not be posted now."""

    def __init__(self, cause: str, *, after: float = 1.0) -> None:
        super().__init__(cause)
        self.after = after  # seconds

"""A message as data: text, pictures, progress, rows of buttons. Adapters only render it.

One message, one life: it is posted when the request is accepted, changes while the job waits and paints,
and ends as the result. The builders below are the only place where its words stand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """A press that an adapter sends back as `id` (at most 100 characters; see `actions`)."""

    id: str
    label: str  # at most 34 characters
    name: str  # for screen readers: "Upscale picture 1"
    icon: str = ""  # one emoji, decoration only
    style: Literal["plain", "primary", "danger"] = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class CardPicture:
    """A stored picture, or a preview that lives only in this card."""

    alt: str
    width: int
    height: int
    blob: str = ""
    preview: bytes = b""  # WebP


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Progress of a running job, or a quota's use."""

    done: float  # 0 … 1
    label: str  # "10 of 20 steps"


Kind = Literal["waiting", "painting", "done", "upscaled", "refused", "failed", "cancelled", "deleted", "text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One message.

    `title` is a prompt or a heading: shown bold, first, escaped so that it pings nobody. `facts` are short
    phrases, shown in one line with " · " between them. `body` is further plain text, a line an item.
    """

    kind: Kind
    title: str = ""
    facts: tuple[str, ...] = ()
    body: tuple[str, ...] = ()
    bar: Bar | None = None
    pictures: tuple[CardPicture, ...] = ()  # the grid first, then the single ones
    rows: tuple[tuple[Button, ...], ...] = ()
    job: str = ""
    parent: str = ""  # the job this one was made from
    private: bool = False  # only the person who asked may see it


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """A question: the options of `command`, prefilled. Adapters show it as a modal or in the composer."""

    command: str
    title: str
    values: dict[str, str]  # option name → text as typed
    parent: str = ""

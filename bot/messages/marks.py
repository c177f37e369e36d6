"""Names and times in a card's text, which each surface draws in its own way.

A mark stands in the text as what it names, and how it reads where nothing else is drawn. Discord and Slack
show a person, role or channel by its present name, and a time in the reader's zone; `plain` leaves the words.
A mark begins with a key that only this process knows, so that nothing people type is ever taken for one.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bot.i18n import join

Kind = Literal["person", "role", "channel", "time"]

KEY = secrets.token_hex(8)
BEGIN, END = f"\ue000{KEY} ", "\ue001"  # of Unicode's private use area
_MARK = re.compile(
    f"{BEGIN}(?P<kind>person|role|channel|time) (?P<id>[^|\ue001]+)\\|(?P<words>[^\ue001]*){END}"
)
_CUT = re.compile(f"{BEGIN}[^|\ue001]*\\|?")  # the beginning of a mark whose end was cut off


@dataclass(frozen=True, slots=True)
class NameMark:
    """What a mark stands for."""

    kind: Kind
    id: str  # of a member, a role or a channel; the Unix time of a time
    words: str  # instead
    whole: str  # as it stands in the text


def person(id: str, name: str = "") -> str:
    """Mark a member, by an id such as "discord:123"."""
    return _mark("person", id, name or id)


def role(id: str) -> str:
    """Mark a role or user group by the platform's id."""
    return _mark("role", id, id)


def channel(id: str) -> str:
    """Mark a channel by the platform's id."""
    return _mark("channel", id, id)


def time(when: datetime, words: str) -> str:
    """Mark a moment; `words` is how it reads in UTC."""
    return _mark("time", f"{when.timestamp():.0f}", words)


def _mark(kind: Kind, id: str, words: str) -> str:
    return join("", (f"{BEGIN}{kind} {id.replace('|', '')}|", words, END))


def drawn(text: str, draw: Callable[[NameMark], str], others: Callable[[str], str] = str) -> str:
    """Return a text with its marks drawn, and with `others` done to what stands between them."""
    parts, at = [], 0
    for found in _MARK.finditer(text):
        parts += [others(text[at : found.start()]), draw(_read(found))]
        at = found.end()
    return "".join([*parts, others(_CUT.sub("", text[at:]))])


def plain(text: str) -> str:
    """Return a text with the words of its marks; one without marks as it is."""
    return drawn(text, lambda mark: mark.words) if KEY in text else text


def named(text: str) -> str:
    """Return a text with its people and roles in words: for places where a mention would ping them."""
    return drawn(text, lambda mark: mark.words if mark.kind in ("person", "role") else mark.whole)


def _read(found: re.Match[str]) -> NameMark:
    return NameMark(found["kind"], found["id"], found["words"], found[0])  # type: ignore[arg-type]

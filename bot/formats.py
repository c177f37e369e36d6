"""Durations, sizes and positions as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

from bot.i18n import _
from engine.types import QueuePosition


def about(seconds: float) -> str:
    """Format a duration in seconds, rounded: "about 40 s", "about 3 min", "about 2 h"."""
    return _("about {span}", span=rounded(seconds))


def rounded(seconds: float) -> str:
    """Format a duration in seconds by one rounded number: "40 s", "3 min", "2 h"."""
    if seconds < 57.5:
        return _("{seconds} s", seconds=max(1, round(seconds)) if seconds < 10 else 5 * round(seconds / 5))
    if seconds < 57.5 * 60:
        return _("{minutes} min", minutes=max(1, round(seconds / 60)))
    return _("{hours} h", hours=max(1, round(seconds / 3600)))


def span(seconds: float) -> str:
    """Format a measured duration in seconds: "12 s", "1 min 5 s", "1 h 3 min"."""
    if seconds < 0.95:
        return _("under 1 s")
    whole = round(seconds)
    if whole < 60:
        return _("{seconds} s", seconds=whole)
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        both = _("{minutes} min {seconds} s", minutes=minutes, seconds=rest)
        return both if rest else _("{minutes} min", minutes=minutes)
    return _("{hours} h {minutes} min", hours=minutes // 60, minutes=minutes % 60)


_ORDINALS = {1: _("{number}st"), 2: _("{number}nd"), 3: _("{number}rd")}


def ordinal(number: int) -> str:
    usual = _("{number}th")
    found = usual if number % 100 in (11, 12, 13) else _ORDINALS.get(number % 10, usual)
    return found.format(number=number)


def in_queue(position: QueuePosition) -> str:
    """Format a job's position in the queue and its wait: "3rd in queue, about 40 s"."""
    nth = ordinal(position.number)
    said = _("next in queue") if position.number == 1 else _("{nth} in queue", nth=nth)
    return said + ", " + about(position.wait) if position.wait >= 1 else said


MONTHS = (
    _("Jan"),
    _("Feb"),
    _("Mar"),
    _("Apr"),
    _("May"),
    _("Jun"),
    _("Jul"),
    _("Aug"),
    _("Sep"),
    _("Oct"),
    _("Nov"),
    _("Dec"),
)


def date(when: datetime) -> str:
    """Format a moment as "28 Nov 14:30 UTC"."""
    here = when.astimezone(UTC)
    return _("{day} {month} {time}", day=here.day, month=MONTHS[here.month - 1], time=clock(when))


def clock(when: datetime) -> str:
    """Format a moment's time of day as "14:30 UTC"."""
    return _("{time} UTC", time=f"{when.astimezone(UTC):%H:%M}")


def amount(seconds: float) -> str:
    """Format device-seconds as a number to compare: "0.4", "4", "600"."""
    return f"{seconds:.1f}".removesuffix(".0") if seconds < 10 else f"{seconds:.0f}"


def sized(width: int, height: int) -> str:
    return f"{width} × {height}"

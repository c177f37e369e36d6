"""Durations, sizes and positions as people read them."""

from __future__ import annotations

from engine.types import Place


def about(seconds: float) -> str:
    """Format a duration in seconds, rounded: "about 40 s", "about 3 min", "about 2 h"."""
    if seconds < 10:
        return f"about {max(1, round(seconds))} s"
    if seconds < 57.5:
        return f"about {5 * round(seconds / 5)} s"
    if seconds < 57.5 * 60:
        return f"about {max(1, round(seconds / 60))} min"
    return f"about {max(1, round(seconds / 3600))} h"


def span(seconds: float) -> str:
    """Format a measured duration in seconds: "12 s", "1 min 5 s", "1 h 3 min"."""
    if seconds < 0.95:
        return "under 1 s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def line_place(place: Place) -> str:
    """Format a job's position in the queue and its wait: "3rd in line, about 40 s"."""
    position = "next in line" if place.position == 1 else f"{ordinal(place.position)} in line"
    return f"{position}, {about(place.wait)}" if place.wait >= 1 else position


def amount(seconds: float) -> str:
    """Format device-seconds as a number to compare: "0.4", "4", "600"."""
    return f"{seconds:.1f}".removesuffix(".0") if seconds < 10 else f"{seconds:.0f}"


def sized(width: int, height: int) -> str:
    return f"{width} × {height}"

"""Drafts: the same picture in about half the steps, on a grid that is dense at the start. No torch."""

from __future__ import annotations

DENSE = 3  # steps of the full grid that a draft takes at its beginning; after them every second


def kept(steps: int) -> tuple[int, ...]:
    """Return which of so many steps (from 0) a draft takes: the first three, then every second."""
    if steps <= DENSE:
        return tuple(range(max(1, steps // 2)))
    return (*range(DENSE), *range(DENSE + 1, steps, 2))


def length(steps: int) -> int:
    """Return how many of so many steps a draft takes."""
    return len(kept(steps))

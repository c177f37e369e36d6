"""Drafts: the same picture in about half the steps, on a grid that is dense at the start. No torch."""

from __future__ import annotations

DENSE = 3  # steps of the full grid that a draft takes at its beginning; after them every second


def kept(steps: int, taken: int = 0) -> tuple[int, ...]:
    """Return which of so many steps (from 0) a draft takes: the first three, then every second.

    `taken`: how many in all, evenly spaced after the first three, where a model has its own number.
    """
    if taken >= steps:
        return tuple(range(steps))
    if taken > DENSE:
        later = [(number + 1) * (steps - DENSE) // (taken - DENSE) for number in range(taken - DENSE)]
        return (*range(DENSE), *(DENSE - 1 + each for each in later))
    if taken:
        return tuple(number * steps // taken for number in range(taken))
    if steps <= DENSE:
        return tuple(range(max(1, steps // 2)))
    return (*range(DENSE), *range(DENSE + 1, steps, 2))


def length(steps: int, taken: int = 0) -> int:
    """Return how many of so many steps a draft takes."""
    return len(kept(steps, taken))

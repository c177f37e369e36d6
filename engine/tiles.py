"""The tiles of a large picture: where they lie, and how those that overlap are mixed."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]  # width and height in pixels
Box = tuple[int, int, int, int]
"""Left, top, right, bottom; the last two are outside of it."""

OVERLAP = 1 / 4  # of a tile's side that it shares with its neighbour, at least


def tiles(size: Size, tile: Size) -> list[Box]:
    """Return boxes of one size that cover a picture, from the top left, evenly spaced."""
    width, height = min(size[0], tile[0]), min(size[1], tile[1])
    return [
        (left, top, left + width, top + height)
        for top in _starts(size[1], height)
        for left in _starts(size[0], width)
    ]


def _starts(whole: int, part: int) -> Iterator[int]:
    room = whole - part
    count = 1 + math.ceil(room / (part * (1 - OVERLAP)))
    return (round(room * index / max(1, count - 1)) for index in range(count))


def weights(box: Box, size: Size) -> NDArray[np.float32]:
    """Return how much each pixel of a tile counts: 1 in its middle, less where it overlaps others.

    It does not fall to the edges of the picture itself. Of shape (height, width).
    """
    left, top, right, bottom = box
    across = _ramp(right - left, left > 0, right < size[0])
    down = _ramp(bottom - top, top > 0, bottom < size[1])
    return down[:, None] * across[None, :]


def _ramp(length: int, before: bool, after: bool) -> NDArray[np.float32]:
    ramp = np.ones(length, np.float32)
    edge = max(1, round(length * OVERLAP))
    rising = np.sin((np.arange(edge, dtype=np.float32) + 0.5) / edge * (np.pi / 2)) ** 2
    if before:
        ramp[:edge] *= rising
    if after:
        ramp[-edge:] *= rising[::-1]
    return ramp

"""The sizes that a model paints and a tier allows."""

from __future__ import annotations

import math

from bot.models import Tier
from engine.types import ModelInfo


def rounded(side: float, model: ModelInfo) -> int:
    """Return the nearest side in pixels that the model can paint."""
    low, high = math.ceil(model.min_side / model.multiple), model.max_side // model.multiple
    return int(min(max(round(min(side, 1e6) / model.multiple), low), high) * model.multiple)


def shrunk(size: tuple[int, int], factor: float, model: ModelInfo) -> tuple[int, int] | None:
    """Return a size of the same shape with `factor` (< 1) times the area or less; None without one."""
    sides = [side * math.sqrt(factor) // model.multiple * model.multiple for side in size]
    return None if min(sides) < model.min_side else (int(sides[0]), int(sides[1]))


def fitted(size: tuple[float, float], model: ModelInfo, max_pixels: float) -> tuple[int, int]:
    """Return the nearest size that the model paints in at most `max_pixels`, where it has one (`usable`)."""
    width, height = rounded(size[0], model), rounded(size[1], model)
    if width * height <= max_pixels:
        return width, height
    if smaller := shrunk((width, height), max_pixels / (width * height), model):
        return smaller
    least = rounded(model.min_side, model)
    longer = int(max_pixels // least // model.multiple * model.multiple)
    longer = max(least, min(longer, max(width, height)))
    return (longer, least) if width > height else (least, longer)


def within(size: tuple[int, int], max_pixels: float) -> tuple[int, int]:
    """Return the size, or the largest one of that shape with at most so many pixels."""
    factor = min(1.0, math.sqrt(max_pixels / (size[0] * size[1])))
    return max(1, int(size[0] * factor)), max(1, int(size[1] * factor))


def usable(model: ModelInfo, tier: Tier) -> bool:
    """Return whether the tier allows the model's smallest picture."""
    return rounded(model.min_side, model) ** 2 <= tier.max_pixels

"""What a model and a tier allow together: one range for parsing, offers, help, commands and forms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from bot import commands
from bot.commands import Command, Option
from bot.models import Tier
from engine.types import ModelInfo


def most_steps(model: ModelInfo, tier: Tier) -> int:
    """Return the most denoising steps; the least is 1."""
    return min(model.max_steps, tier.max_steps)


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


def usable(model: ModelInfo, tier: Tier) -> bool:
    """Return whether the tier allows the model's smallest picture."""
    return rounded(model.min_side, model) ** 2 <= tier.max_pixels


# --- the vocabulary -----------------------------------------------------------------------------------------


def vocabulary(models: Sequence[ModelInfo], tiers: Sequence[Tier]) -> tuple[Command, ...]:
    """Return the commands as far as any of these models can do them, with the widest ranges of all tiers."""
    pictures = any("image_to_image" in model.tasks for model in models)
    known = (each for each in commands.COMMANDS if pictures or each.name != "vary")
    return tuple(_narrowed(each, models, tiers, pictures=pictures) for each in known)


def _narrowed(
    command: Command, models: Sequence[ModelInfo], tiers: Sequence[Tier], *, pictures: bool
) -> Command:
    if command.admin:
        return command
    without = set() if pictures else {"source"}
    if command.name == "imagine":
        without |= set() if pictures else {"strength"}
        without |= set() if any(model.negative_prompt for model in models) else {"negative"}
        without |= set() if any(len(tier.priorities) > 1 for tier in tiers) else {"relax"}
    options = (_ranged(each, models, tiers) for each in command.options if each.name not in without)
    return replace(command, options=tuple(options))


def _ranged(option: Option, models: Sequence[ModelInfo], tiers: Sequence[Tier]) -> Option:
    match option.name:
        case "count":
            most = max(tier.max_count for tier in tiers)
            usual = str(min(int(option.default), most))
            return replace(option, maximum=most, default=usual, example=usual)
        case "steps" if models:
            most = max(most_steps(model, tier) for model in models for tier in tiers)
            return replace(option, maximum=most, example=str(min(int(option.example), most)))
    return option

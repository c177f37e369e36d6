"""A person's own defaults: how they stand in for what was not said, and how /settings changes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any

from bot import limits
from bot.errors import Refusal
from bot.i18n import _
from bot.models import Preferences, Tier
from bot.options import Unusable, as_text
from bot.prompts import styles
from bot.prompts.composing import checked_size, choose_model
from bot.prompts.draft import Draft
from bot.prompts.readers import read_aspect, read_format, read_size, read_style
from bot.prompts.styles import NO_STYLE
from engine.types import ModelInfo


def with_defaults(
    draft: Draft,
    preferences: Preferences,
    models: Sequence[ModelInfo],
    tier: Tier,
    takes_style: Callable[[str], bool] = lambda _: True,
) -> Draft:
    """Fill in the person's own defaults for what the draft leaves open, as far as they are still valid."""
    shaped = draft.aspect or draft.size or draft.source
    offered = preferences.model in [model.name for model in models]
    known = preferences.style in styles.load().styles and takes_style(preferences.style)
    return replace(
        draft,
        style=draft.style or (preferences.style if known else ""),
        model=draft.model or (preferences.model if offered else ""),
        count=_preferred_count(preferences, tier) if draft.count is None else draft.count,
        aspect=draft.aspect if shaped else preferences.aspect,
        size=draft.size if shaped else _preferred_size(draft, preferences, models, tier),
        private=(preferences.private or None) if draft.private is None else draft.private,
        format=draft.format or ("" if draft.pack else preferences.format),
    )


def _preferred_count(preferences: Preferences, tier: Tier) -> int | None:
    return preferences.count and min(preferences.count, tier.max_count)


def _preferred_size(
    draft: Draft, preferences: Preferences, models: Sequence[ModelInfo], tier: Tier
) -> tuple[int, int] | None:
    """Return the size in the person's settings if the model and the tier allow it, else None."""
    if not preferences.size:
        return None
    size = read_size(preferences.size)
    names = {model.name.casefold(): model for model in models}
    model = names.get((draft.model or preferences.model).casefold(), models[0])
    return size if size == limits.fitted(size, model, tier.max_pixels) else None


def changed(
    preferences: Preferences, options: Mapping[str, Any], models: Sequence[ModelInfo], max_count: int
) -> Preferences:
    """Return the preferences after the changes of a /settings command. Raises Refusal."""
    said = dict(options)
    before = Preferences() if said.pop("reset", False) else preferences
    changes = {name: _preference(name, value, models, max_count) for name, value in said.items()}
    if "size" in changes and "aspect" in changes:
        raise Refusal(_("Give a size or an aspect ratio, not both."))
    if "size" in changes or "aspect" in changes:
        changes = {"size": "", "aspect": ""} | changes
    return replace(before, **changes)


def held(preferences: Preferences, models: Sequence[ModelInfo], max_count: int) -> Preferences:
    """Return the preferences without values that /settings would not accept any more."""
    kept = Preferences()
    for each in fields(preferences):
        if value := getattr(preferences, each.name):
            with suppress(Refusal):
                kept = replace(kept, **{each.name: _preference(each.name, value, models, max_count)})
    return kept


def _preference(name: str, value: Any, models: Sequence[ModelInfo], max_count: int) -> Any:
    try:
        match name:
            case "style":
                style = read_style(value)
                return "" if style == NO_STYLE else style
            case "aspect":
                return read_aspect(value)
            case "size":
                return as_text(checked_size(Draft(prompt=""), read_size(value), models[0]))
            case "format":
                format = read_format(value)
                return "" if format == "png" else format
            case "model":
                return choose_model(Draft(prompt="", model=value), models).name
            case "count" if value > max_count:
                raise Refusal(_("You may have {most} images at once.", most=max_count), code="count")
    except Unusable as error:
        raise Refusal(error.notice) from error
    return value

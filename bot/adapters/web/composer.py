"""The box at the bottom of the channel: its chips, what they read in the text, and typed commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bot import commands, presets, prompt
from bot.card import Form
from bot.commands import Command, Option
from bot.errors import Refusal
from bot.models import Tier

TO_TRY = ("a red heart", "a 3d rocket", "three apples", "an owl on a yellow background")
"""What an empty channel offers: things that the model that ships can draw."""

_STAND_IN = "x"
"""The prompt of a text that has none yet, so that its flags can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    """A small field that shows and sets one option of /imagine."""

    option: str
    label: str
    empty: str  # what stands when nothing is said
    choices: tuple[tuple[str, str], ...] = ()  # value, label; none makes it a text field
    digits: bool = False
    minimum: int | None = None
    maximum: int | None = None
    more: bool = False  # shown on demand


def chips(
    tier: Tier,
    imagine: Command | None = None,
    styles: Sequence[tuple[str, str]] | None = None,
    alone: str = "only you",
) -> tuple[Chip, ...]:
    """What somebody of that tier may choose: the options of `imagine` as it is for them, and the styles.

    `alone` says who sees what is private.
    """
    imagine, known = imagine or commands.command("imagine"), presets.load()
    if styles is None:
        styles = [(style.name, style.label) for style in known.styles.values()]
    shapes = [(ratio, f"{name.capitalize()} {ratio}") for name, ratio in known.aspects.items()]
    ratios = [(ratio, ratio) for ratio in known.ratios]
    counts = tuple((str(n), str(n)) for n in range(1, tier.max_count + 1))
    default = min(prompt.DEFAULT_COUNT, tier.max_count)
    turns = (("yes", "relaxed, free"),)
    found = (
        Chip(option="style", label="Style", empty="none", choices=tuple(styles)),
        Chip(option="aspect", label="Shape", empty="square", choices=(*shapes, *ratios)),
        Chip(option="count", label="Pictures", empty=str(default), choices=counts),
        Chip(option="negative", label="Leave out", empty="nothing", more=True),
        Chip(option="seed", label="Seed", empty="random", digits=True, more=True),
        Chip(option="steps", label="Steps", empty="auto", digits=True, more=True),
        Chip(option="guidance", label="Guidance", empty="auto", more=True),
        Chip(option="private", label="Seen by", empty="everyone", choices=(("yes", alone),), more=True),
        Chip(option="relax", label="Turn", empty="fast", choices=turns),
    )
    shown = (_ranged(chip, imagine.option(chip.option)) for chip in found if imagine.option(chip.option))
    # With one priority there is nothing to choose.
    return tuple(chip for chip in shown if chip.option != "relax" or tier.priorities == ("fast", "relax"))


def _ranged(chip: Chip, option: Option | None) -> Chip:
    """The chip of a number with its range."""
    if chip.choices or option is None or option.kind not in ("integer", "number"):
        return chip
    return replace(chip, minimum=int(option.minimum or 0), maximum=int(option.maximum or 0))


@dataclass(frozen=True, slots=True)
class Reading:
    """The composer's text and what it says, option by option."""

    text: str
    said: dict[str, str]


def read(text: str, changes: Mapping[str, str], *, has_file: bool = False) -> Reading:
    """Understand the text, with some options changed ("" leaves one out). Raises Refusal.

    The text stays as typed unless something is changed.
    """
    draft, started = _draft(text, changes, has_file=has_file)
    if changes:
        values = {**prompt.said(draft), **changes}
        for name in _displaced(changes, has_file=has_file):
            values.pop(name, None)
        words = values.pop("prompt")
        draft = prompt.parse(words, {**values, **_file(has_file)})
        text = prompt.render(draft).removeprefix("" if started else _STAND_IN).strip()
    return Reading(text, prompt.said(replace(draft, prompt="")))


def _displaced(changes: Mapping[str, str], *, has_file: bool) -> tuple[str, ...]:
    """What cannot stay beside the changes."""
    if "aspect" in changes:
        return ("size",)
    return ("strength",) if not has_file and changes.get("source") == "" else ()


def _draft(text: str, changes: Mapping[str, str], *, has_file: bool) -> tuple[prompt.Draft, bool]:
    """The text as it is before the changes, and False when it has no words yet."""
    try:
        return _parse(text, changes, has_file=has_file), True
    except Refusal as refusal:
        if refusal.code != "empty":
            raise
        return _parse(f"{_STAND_IN} {text}", changes, has_file=has_file), False


def _parse(text: str, changes: Mapping[str, str], *, has_file: bool) -> prompt.Draft:
    if "source" not in changes:
        return prompt.parse(text, _file(has_file))
    try:
        return prompt.parse(text)  # the source is in the text, if there is one
    except Refusal as refusal:
        if refusal.code == "empty":
            raise
        return prompt.parse(text, _file(True))  # it was a file, and the text says how strong


def _file(has_file: bool) -> dict[str, object]:
    return {"source": b"a file that comes with the text"} if has_file else {}


def form_text(form: Form) -> str:
    """A form's values as one text to edit."""
    values = dict(form.values)
    words = values.pop("prompt", "")
    return prompt.render(prompt.parse(words, values))

"""The box at the bottom of the channel: its chips, what they read in the text, and typed commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from bot import commands, prompts
from bot.errors import Refusal
from bot.i18n import _
from bot.messages.types import Form
from bot.models import Preferences, Tier
from bot.options import Command
from bot.prompts.param import Chip, Param
from bot.prompts.readers import read_aspect
from bot.prompts.styles import NO_STYLE
from bot.prompts.styles import load as load_styles

TO_TRY = ("a red heart", "a 3d rocket", "three apples", "an owl on a yellow background")
"""What an empty channel offers: things that the model that ships can draw."""

_STAND_IN = "x"
"""The prompt of a text that has none yet, so that its flags can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipField:
    """A small field that shows and sets one option of /imagine."""

    option: str
    label: str
    empty: str  # what stands when nothing is said
    choices: tuple[tuple[str, str], ...] = ()  # value, label; none makes it a text field
    digits: bool = False
    minimum: int | None = None
    maximum: int | None = None
    more: bool = False  # shown on demand


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """What somebody may choose from, and what holds where they say nothing."""

    tier: Tier
    imagine: Command = field(default_factory=lambda: commands.command("imagine"))
    styles: Sequence[tuple[str, str]] = field(default_factory=lambda: _all_styles())
    models: Sequence[tuple[str, str]] = ()  # name and title, the default first
    defaults: Preferences = field(default_factory=Preferences)  # their own, completed by the place's
    alone: str = _("only you")  # who sees what is private


def chips(offered: Offered) -> tuple[ChipField, ...]:
    """Return the options of /imagine that leave something to choose."""
    params = [each for each in offered.imagine.options if isinstance(each, Param) and each.chip]
    found = [
        _chip(each, each.chip, offered)
        for each in sorted(params, key=lambda each: each.chip.rank if each.chip else 0)
        if each.chip and each.is_offered([offered.tier])
    ]
    return tuple(each for each in found if each is not None)


def _all_styles() -> list[tuple[str, str]]:
    return [(style.name, style.label) for style in load_styles().styles.values()]


def _shapes() -> list[tuple[str, str]]:
    known = load_styles()
    return [*known.shapes, *((ratio, ratio) for ratio in known.ratios)]


def _chip(option: Param, chip: Chip, offered: Offered) -> ChipField | None:
    """Return an option's chip; None where there is but one thing to choose."""
    choices: Sequence[tuple[str, str]] = ()
    match option.name:
        case "style":
            choices = offered.styles
            if offered.defaults.style in dict(choices):
                choices = [(NO_STYLE, chip.empty), *choices]
        case "model":
            choices = [(name, title.partition(":")[0] or name) for name, title in offered.models]
        case "aspect":
            choices = _shapes()
        case "private":
            choices = () if offered.defaults.private else (("yes", offered.alone),)
        case _ if option.kind == "boolean":
            choices = (("yes", chip.yes),)
        case _ if chip.listed and option.tier_most:
            choices = tuple((str(n), str(n)) for n in range(1, option.tier_most(offered.tier) + 1))
        case _ if option.choices:
            choices = tuple(option.labelled)
    chosen = (option.completes and not option.several) or option.kind == "boolean" or chip.listed
    if chosen and len(choices) < (2 if chip.listed or option.name == "model" else 1):
        return None
    number = option.kind in ("integer", "number") and not choices
    return ChipField(
        option=option.name,
        label=chip.label,
        empty=_empty(option, chip, offered, choices),
        choices=tuple(choices),
        digits=number and option.kind == "integer",
        minimum=int(option.minimum or 0) if number else None,
        maximum=int(option.maximum or 0) if number else None,
        more=chip.more,
    )


def _empty(option: Param, chip: Chip, offered: Offered, choices: Sequence[tuple[str, str]]) -> str:
    """Return what holds where nothing is said: the person's or the place's default, or the studio's."""
    named, defaults = dict(choices), offered.defaults
    match option.name:
        case "style":
            return named.get(defaults.style, chip.empty)
        case "model":
            return named.get(defaults.model) or choices[0][1]
        case "aspect":
            labels = {read_aspect(value): label for value, label in choices}
            return labels.get(defaults.aspect) or defaults.aspect or defaults.size or chip.empty
        case "count":
            return str(min(defaults.count or int(chip.empty), len(choices)))
    return chip.empty


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
        values = {**prompts.said(draft), **changes}
        for name in _displaced(changes, has_file=has_file):
            values.pop(name, None)
        words = values.pop("prompt")
        draft = prompts.parse(words, {**values, **_file(has_file)})
        text = prompts.render(draft).removeprefix("" if started else _STAND_IN).strip()
    return Reading(text, prompts.said(replace(draft, prompt="")))


def _displaced(changes: Mapping[str, str], *, has_file: bool) -> tuple[str, ...]:
    """Return the options that cannot stay beside the changes."""
    if "aspect" in changes:
        return ("size",)
    return ("strength",) if not has_file and changes.get("source") == "" else ()


def _draft(text: str, changes: Mapping[str, str], *, has_file: bool) -> tuple[prompts.Draft, bool]:
    """Parse the text as it is before the changes; return the draft, and False when it has no words yet."""
    try:
        return _parse(text, changes, has_file=has_file), True
    except Refusal as refusal:
        if refusal.code != "empty":
            raise
        return _parse(f"{_STAND_IN} {text}", changes, has_file=has_file), False


def _parse(text: str, changes: Mapping[str, str], *, has_file: bool) -> prompts.Draft:
    if "source" not in changes:
        return prompts.parse(text, _file(has_file))
    try:
        return prompts.parse(text)  # the source is in the text, if there is one
    except Refusal as refusal:
        if refusal.code == "empty":
            raise
        return prompts.parse(text, _file(True))  # it was a file, and the text says how strong


def _file(has_file: bool) -> dict[str, object]:
    return {"source": b"a file that comes with the text"} if has_file else {}


def form_text(form: Form) -> str:
    """Return a form's values as one text to edit."""
    values = dict(form.values)
    words = values.pop("prompt", "")
    return prompts.render(prompts.parse(words, values))

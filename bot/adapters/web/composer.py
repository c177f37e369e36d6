"""The box at the bottom of the channel: its chips, what they read in the text, and typed commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bot import commands, prompts
from bot.errors import Refusal
from bot.i18n import _
from bot.messages.types import Form
from bot.models import Tier
from bot.options import Command
from bot.prompts.param import Chip, Param
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


def chips(
    tier: Tier,
    imagine: Command | None = None,
    styles: Sequence[tuple[str, str]] | None = None,
    alone: str = _("only you"),
) -> tuple[ChipField, ...]:
    """Return what somebody of that tier may choose: the options of `imagine` as they have it, and the styles.

    `alone` says who sees what is private.
    """
    if styles is None:
        styles = [(style.name, style.label) for style in load_styles().styles.values()]
    options = (imagine or commands.command("imagine")).options
    shown = [each for each in options if isinstance(each, Param) and each.chip and each.is_offered([tier])]
    choices = {"styles": styles, "aspects": _shapes()}
    return tuple(
        _chip(each, each.chip, choices.get(each.completes, ()), tier, alone)
        for each in sorted(shown, key=lambda each: each.chip.rank if each.chip else 0)
        if each.chip
    )


def _shapes() -> list[tuple[str, str]]:
    known = load_styles()
    return [*known.shapes, *((ratio, ratio) for ratio in known.ratios)]


def _chip(option: Param, chip: Chip, choices: Sequence[tuple[str, str]], tier: Tier, alone: str) -> ChipField:
    empty = chip.empty
    if option.kind == "boolean":
        choices = (("yes", alone if option.name == "private" else chip.yes),)
    elif chip.listed and option.tier_most:
        most = option.tier_most(tier)
        choices = tuple((str(n), str(n)) for n in range(1, most + 1))
        empty = str(min(int(empty), most))
    elif option.choices:
        choices = tuple(option.labelled)
    number = option.kind in ("integer", "number") and not choices
    return ChipField(
        option=option.name,
        label=chip.label,
        empty=empty,
        choices=tuple(choices),
        digits=number and option.kind == "integer",
        minimum=int(option.minimum or 0) if number else None,
        maximum=int(option.maximum or 0) if number else None,
        more=chip.more,
    )


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

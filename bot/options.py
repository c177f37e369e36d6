"""Options of commands as types, and how a typed value of one is read."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from bot.errors import Refusal
from bot.i18n import _, either, join, ngettext
from bot.i18n.catalogs import LANGUAGES

Kind = Literal["text", "integer", "number", "boolean", "picture", "person", "role", "channel"]
Completes = Literal[
    "",
    "styles",
    "models",
    "loras",
    "aspects",
    "jobs",
    "pictures",
    "unfinished",
    "commands",
    "people",
    "tiers",
    "references",
]
Value = str | int | float | bool | bytes
"""An option's value: text, integer, number, boolean; a picture is bytes, or text that names a stored one."""

MAX_TEXT = 12_000
"""Characters of anything that is typed at once: more than a prompt and its flags need, on every surface."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One thing that can be said about a command."""

    name: str
    kind: Kind
    help: str
    required: bool = False
    flags: tuple[str, ...] = ()  # what may stand after -- in a prompt; the first is the one to show
    minimum: float | None = None  # of a number
    maximum: float | None = None  # of a number; of a text, its characters
    choices: tuple[str, ...] = ()  # all there are
    completes: Completes = ""  # what `Vocabulary.complete` offers while someone types
    example: str = ""
    default: str = ""  # what stands when it is left out, in words
    several: bool = False  # may be given several times; its value is a tuple of what has a `name` each
    command: str = ""  # that people use for it: where few options fit, /imagine has it as a flag alone
    named: bool = False  # given by its name alone, since what stands before it takes all other words

    @property
    def flag(self) -> str:
        return f"--{self.flags[0]}" if self.flags else f"--{self.name}"

    @property
    def label(self) -> str:
        return self.name.capitalize()

    @property
    def title(self) -> str:
        """Its name on forms, in people's languages."""
        return TITLES.get(self.name) or self.label

    @property
    def labelled(self) -> list[tuple[str, str]]:
        """Return the value and the label of each choice."""
        return [
            (each, CHOICES.get(each) or LANGUAGES.get(each) or each.capitalize()) for each in self.choices
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Something that can be asked for."""

    name: str
    help: str
    options: tuple[Option, ...] = ()
    operator: bool = False  # only for those who run this Easel
    administrators: bool = False  # only for administrators of the place, though of no group
    examples: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        """All words of the name but the last; empty for a name of one word."""
        return self.name.rpartition(" ")[0]

    @property
    def admin(self) -> bool:
        """Whether it is only for administrators of the place."""
        return self.administrators or self.name.split()[0] == "admin"

    @property
    def verb(self) -> str:
        """The last word of the name."""
        return self.name.rpartition(" ")[2]

    def option(self, name: str) -> Option | None:
        return next((option for option in self.options if option.name == name), None)

    @property
    def picture(self) -> str:
        """The name of the option that takes a picture; empty where there is none."""
        return next((option.name for option in self.options if option.kind == "picture"), "")

    def by_flag(self, flag: str) -> Option | None:
        """Return the option that `flag` (without dashes, in any case) stands for, or None."""
        wanted = flag.casefold()
        return next((option for option in self.options if wanted in (*option.flags, option.name)), None)


TITLES = {
    "prompt": _("Prompt"),
    "negative": _("Negative prompt"),
    "aspect": _("Aspect ratio"),
    "size": _("Size"),
    "count": _("Images"),
    "best": _("Best of"),
    "repeat": _("Repeat"),
    "format": _("Format"),
    "quality": _("Quality"),
    "loop": _("Loop"),
    "print": _("Print size"),
    "bleed": _("Bleed"),
    "file": _("File"),
    "seed": _("Seed"),
    "steps": _("Steps"),
    "draft": _("Draft"),
    "guidance": _("Guidance"),
    "scheduler": _("Scheduler"),
    "loras": _("LoRAs"),
    "text": _("Text"),
    "text_place": _("Place of the text"),
    "text_style": _("Typeface"),
    "style": _("Style"),
    "model": _("Model"),
    "source": _("Image prompt"),
    "strength": _("Strength"),
    "region": _("Region"),
    "mask": _("Mask"),
    "extend": _("Extend"),
    "edit": _("Edit"),
    "images": _("More images"),
    "weights": _("Weights of the images"),
    "sref": _("Style reference"),
    "cref": _("Subject reference"),
    "reference_weight": _("Weight of the references"),
    "control": _("Control"),
    "control_weight": _("Weight of the control"),
    "control_as_is": _("Control as it is"),
    "reproducible": _("Reproducible"),
    "private": _("Private"),
    "relax": _("Relaxed"),
    "background": _("Background"),
    "kind": _("Kind"),
    "to": _("Size"),
    "prompts": _("Prompt in the files"),
}
"""What the options that forms ask for are called there."""

CHOICES = {
    "subtle": _("Subtle"),
    "strong": _("Strong"),
    "cancel": _("Cancel"),
    "hold": _("Hold"),
    "release": _("Release"),
    "relax": _("Relax"),
    "keep": _("Keep"),
    "remove": _("Remove"),
    "add": _("Add"),
    "hour": _("Hour"),
    "day": _("Day"),
    "week": _("Week"),
    "month": _("Month"),
    "allow": _("Allow"),
    "refuse": _("Refuse"),
    "clear": _("Clear"),
    "own": _("Own"),
    "relaxed": _("Relaxed"),
    "standard": _("Standard"),
    "strict": _("Strict"),
    "fast": _("Fast"),
    "paint": _("Generate"),
    "png": _("PNG"),
    "jpeg": _("JPEG"),
    "webp": _("WebP"),
    "avif": _("AVIF"),
    "gif": _("GIF"),
    "svg": _("SVG"),
    "pdf": _("PDF"),
    "tiff": _("TIFF"),
    "commercial": _("Commercial"),
    "any": _("Any"),
    "buttons": _("Ask by a button"),
    "off": _("Off"),
    "csv": _("Table (CSV)"),
    "json": _("Data (JSON)"),
    "images": _("Images"),
    "exact": _("Exact"),
    "creative": _("Creative"),
    "models": _("Models"),
}
"""The labels of what can be chosen; other choices are shown as they are typed."""


class Unusable(ValueError):
    """A value that an option does not take. `notice` says what is allowed; `nearest` would do."""

    def __init__(self, notice: str, nearest: str = "") -> None:
        super().__init__(notice)
        self.notice = notice
        self.nearest = nearest


class OutOfRange(Unusable):
    """A number outside of its option's range; `value` is the number."""

    def __init__(self, notice: str, nearest: str, value: float) -> None:
        super().__init__(notice, nearest)
        self.value = value


MAX_TYPED = 100  # characters that suggestions are looked up by


def bounded(text: str) -> str:
    """Check the length of a text before anything reads it, and return it. Raises Refusal for one too long."""
    if len(text) > MAX_TEXT:
        raise Refusal(
            _(
                "That is {count} characters; at most {most} are read at once. Shorten it.",
                count=f"{len(text):,}",
                most=f"{MAX_TEXT:,}",
            ),
            code="too_long",
        )
    return text


def blank(value: object) -> bool:
    """Tell whether an option was left empty, which is the same as not naming it."""
    return value is None or (isinstance(value, str) and not value.strip())


def read_value(option: Option, value: object) -> Value:
    """Convert what was typed to the option's type. Raises Unusable."""
    match option.kind:
        case "integer":
            return _integer(option, value)
        case "number":
            return _number(option, value)
        case "boolean":
            return _boolean(option, value)
        case "picture" if isinstance(value, bytes | bytearray | memoryview):
            return bytes(value)
        case "person" | "role" | "channel":
            return _named(option, _text(option, value).strip())
    return _text(option, value)


_MENTION = re.compile(r"<(?:@[!&]?|#|!subteam\^)(?P<id>\w+)(?:\|[^<>]*)?>", re.ASCII)


def _named(option: Option, text: str) -> str:
    """Return the id in a mention, or what was typed without its @ or #. Raises Unusable."""
    found = _MENTION.fullmatch(text)
    name = found["id"] if found else text.lstrip("@#")
    if not name or not name.isprintable() or "<" in name:
        said = {"option": option.label, "typed": clip(text)}
        raise Unusable(
            _(
                "{option} takes a mention or an id, for example {example}; “{typed}” is neither.",
                example=option.example,
                **said,
            )
            if option.example
            else _("{option} takes a mention or an id; “{typed}” is neither.", **said)
        )
    return name


def _text(option: Option, value: object) -> str:
    if not isinstance(value, str):
        raise Unusable(_("{option} takes text.", option=option.label))
    if option.maximum is not None and len(value) > option.maximum:
        raise Unusable(
            _(
                "{option} may have {most} characters; this has {count}. Shorten it.",
                option=option.label,
                most=f"{option.maximum:,.0f}",
                count=f"{len(value):,}",
            )
        )
    if option.choices and value.casefold() not in option.choices:
        allowed = either(option.choices)
        raise Unusable(
            _(
                "{option} can be {allowed}; you asked for “{typed}”.",
                option=option.label,
                allowed=allowed,
                typed=clip(value),
            ),
            option.choices[0],
        )
    return value.casefold() if option.choices else value


_MOST_DIGITS = 15  # of a number that a float holds exactly


def _integer(option: Option, value: object) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip()
    if isinstance(value, bool) or not re.fullmatch(r"[+-]?\d+", text):
        raise Unusable(
            _(
                "{option} takes a whole number from {low} to {high}; “{typed}” is not one.",
                **_said(option, text),
            )
            if _has_range(option)
            else _("{option} takes a whole number; “{typed}” is not one.", **_said(option, text))
        )
    # Python refuses to convert thousands of digits; a float is enough, and within the range it is exact.
    _check_range(option, float(text) if len(text) > _MOST_DIGITS else int(text), text)
    return int(float(text))


def _number(option: Option, value: object) -> float:
    text = str(value).strip()
    try:
        number = math.nan if isinstance(value, bool) else float(text.replace(",", "."))
    except ValueError:
        number = math.nan
    if math.isnan(number):
        raise Unusable(
            _("{option} takes a number from {low} to {high}; “{typed}” is not one.", **_said(option, text))
            if _has_range(option)
            else _("{option} takes a number; “{typed}” is not one.", **_said(option, text))
        )
    _check_range(option, number, text)
    return number


YES = frozenset({"yes", "true", "on", "1"})
NO = frozenset({"no", "false", "off", "0"})


def _boolean(option: Option, value: object) -> bool:
    word = str(value).strip().casefold()
    if word in YES:
        return True
    if word in NO:
        return False
    raise Unusable(
        _("{option} can be yes or no; “{typed}” is neither.", option=option.label, typed=clip(word))
    )


def _check_range(option: Option, number: float, text: str) -> None:
    low, high = option.minimum or 0.0, math.inf if option.maximum is None else option.maximum
    if not low <= number <= high:
        nearest = low if number < low else high
        notice = _("{option} can be {low} to {high}; you asked for {typed}.", **_said(option, text))
        raise OutOfRange(notice, f"{nearest:.0f}", number)


def _has_range(option: Option) -> bool:
    return option.minimum is not None and option.maximum is not None


def _said(option: Option, text: str) -> dict[str, str]:
    """Return what messages about a number's option tell."""
    bounds = {"low": f"{option.minimum or 0:.0f}", "high": f"{option.maximum or 0:.0f}"}
    return {"option": option.label, "typed": clip(text), **bounds}


def unknown(sentence: str, name: str, known: Iterable[str], *, dashes: str = "") -> str:
    """Return an error text such as "There is no flag --aspct. Did you mean --aspect?".

    `sentence` is its beginning, with a gap for `{name}`.
    """
    names = list(known)
    near = suggest(name, names)
    others = ngettext(
        "There is {names}.",
        "There are {names}.",
        len(names),
        names=", ".join(dashes + each for each in names),
    )
    hint = _("Did you mean {name}?", name=dashes + near) if near else others if names else _("It takes none.")
    return join(" ", (sentence.format(name=dashes + clip(name)), hint))


def suggest(word: str, known: Iterable[str]) -> str:
    """Return the known word that a misspelt one most resembles, or an empty text."""
    found = difflib.get_close_matches(word.casefold(), list(known), n=1, cutoff=0.6)
    return found[0] if found else ""


def clip(text: str, length: int = 40) -> str:
    """Shorten what someone typed to `length` characters, enough to recognise it."""
    text = " ".join(text.split())
    return text if len(text) <= length else f"{text[: length - 1]}…"


def as_text(value: object) -> str:
    """Format an option's value as it may be typed."""
    match value:
        case bool():
            return "yes" if value else "no"
        case (str(), *_):
            return ",".join(map(str, value))
        case (float(), *_):
            return ":".join(f"{each:g}" for each in value)
        case tuple():
            return ("x" if all(isinstance(each, int) for each in value) else ", ").join(map(str, value))
        case float() if value.is_integer():
            return f"{value:.0f}"
    return str(value)


def setting(name: str, value: object) -> str:
    """Return the label of a button that asks again with an option set to a value: "Make 4 images"."""
    if name == "count":
        return ngettext("Make {count} image", "Make {count} images", int(str(value)))
    return _("Set {option} to {value}", option=TITLES.get(name) or name.capitalize(), value=value)

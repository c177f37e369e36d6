"""The grammar: what someone typed → a `Draft` of typed values → a `GenerationRequest`.

A prompt is words with flags anywhere among them: `a red car --ar 16:9 --no text, blurry`.

- A flag is two dashes directly before a letter and after a space. What phones and Slack make of them (`—ar`,
  `—-ar`), and a single hyphen, is one before a flag's name; before any other word it stays in the prompt.
  So does everything between quotation marks: `a sign that says "use --force"`.
- Flags of other tools are understood where something here does the same, else `left_out` names them.
- A flag takes the next word or what stands in quotation marks; `--no` takes all up to the next flag,
  `--style` as many words as name a style, `--private` none but a yes or no that stands alone behind it.
  `--name=value` does the same.
- Options that a surface collects by itself (slash options, forms) mean what the flags mean. Saying a thing
  twice is refused, and so is what cannot be understood: nothing is dropped silently.

Plain words are read only where they cannot well be part of the picture, and only when the same was not said
by a flag: "as pixel art", "in the style of pixel art" or a last ", pixel art" (not ", ink", which may be in
the picture); "in 16:9", "wide format" or a last ", wide" at the end ("portrait" and "landscape" also name
what is painted, so after a bare comma they set the shape and stay in the prompt); "four wide pictures of" at
the beginning, where "four photos of" becomes four times "a photo of". The same in German.

Control characters, lone surrogates and invisible formatting (zero-width spaces, direction overrides) are
taken out, except the two joiners that emoji and several scripts need; every run of white space is one space.
"""

from __future__ import annotations

import math
import re
import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bot.errors import Offer, Refusal
from bot.i18n import _
from bot.options import NO, YES, OutOfRange, Unusable, blank, bounded, read_value, setting, suggest, unknown
from bot.prompts import foreign, loras, plain_words
from bot.prompts.draft import MAX_COUNT, MAX_PROMPT, PARAMS, Draft, by_flag
from bot.prompts.param import Param, first_word
from bot.prompts.rendering import render, size_text, with_options

_JOINERS = "\u200c\u200d"


def clean(text: str) -> str:
    """Remove characters that cannot be seen, and reduce white space to single spaces."""
    seen = (c for c in text if c.isspace() or c in _JOINERS or unicodedata.category(c) not in _UNSEEN)
    return " ".join("".join(seen).split())


_UNSEEN = frozenset({"Cc", "Cf", "Cs"})


def parse(text: str, options: Mapping[str, object] | None = None, *, ranged: bool = True) -> Draft:
    """Understand a prompt with its flags, and the options that were given beside it.

    Without `ranged`, any number passes for an option whose `Param` is ranged. Raises Refusal: one sentence
    that says what is allowed, with an offer where a corrected text exists.
    """
    return _Reading(clean(bounded(text)), options or {}, ranged=ranged).draft()


def leading_link(text: str) -> tuple[str, str]:
    """Return the address that stands in front of a prompt, or an empty text, and what follows it."""
    found = re.match(r"\s*<?(https?://[^\s<>]+)>?(?:\s|\Z)", text, re.IGNORECASE)
    return (found[1], text[found.end() :].strip()) if found else ("", text)


def left_out(text: str, options: Mapping[str, object] | None = None) -> tuple[str, ...]:
    """Return the flags of other tools that mean nothing here, as they are typed. Raises Refusal."""
    reading = _Reading(clean(bounded(text)), options or {}, ranged=False)
    reading.draft()
    return tuple(dict.fromkeys(reading.left_out))


class _Reading:
    """One text while it is read: the words that are left, and what was said about each option."""

    def __init__(self, text: str, options: Mapping[str, object], *, ranged: bool) -> None:
        self._ranged = ranged
        self._text = text
        self._files = bool(options.get("files"))
        self._given = {name: value for name, value in options.items() if not blank(value)}
        self._said: dict[str, object] = {}  # option name → as typed
        self._words = ""
        self._foreign: list[tuple[str, str]] = []  # flags of other tools, and their values
        self.left_out: list[str] = []  # those of them that mean nothing here

    def draft(self) -> Draft:
        self._take_options()
        self._text, tags = loras.taken_out(self._text)
        for tag in tags:
            self._add("loras", tag)
        self._words = self._take_flags()
        self._take_foreign()
        values = {name: self._read(name, value) for name, value in self._said.items()}
        self._check_words()
        self._words, plain = plain_words.read(self._words, values)
        values |= plain
        self._check_together(values)
        return Draft(prompt=self._words, **values)

    def _take_options(self) -> None:
        for name, value in self._given.items():
            if name == "files":  # pictures that a text cannot name
                continue
            if name == "prompt" or name not in PARAMS:
                raise Refusal(
                    unknown(
                        _("There is no option of /{command} called {name}.", command="imagine"), name, PARAMS
                    )
                )
            self._said[name] = clean(bounded(value)) if isinstance(value, str) else value

    def _take_flags(self) -> str:
        """Move every flag and its value from the text to `_said`; what is left is the prompt."""
        words, at = [], 0
        while flag := _next_flag(self._text, at):
            before, name = self._text[at : flag.start()], flag["name"]
            words.append(before if flag["comma"] is None else before.removesuffix(","))
            elsewhere = foreign.means_elsewhere(name, self._text, flag.end())
            if (by_flag(name) is None or elsewhere) and foreign.is_flag(name):
                typed, at = foreign.end_of_value(name, self._text, flag.end())
                self._foreign.append((name, typed))
                continue
            option = by_flag(name) or self._unknown(flag)
            value, at = self._value(option, flag)
            if option.name in self._said and not option.several:
                raise Refusal(
                    _("{option} is given twice. Keep one {flag}.", option=option.label, flag=option.flag),
                    code="twice",
                    offers=self._without(_("Keep the first"), flag.start(), at),
                )
            self._add(option.name, value)
        words.append(self._text[at:])
        return " ".join(" ".join(words).split())

    def _add(self, name: str, value: object) -> None:
        """Note what was said of an option; of one that may be given several times, beside what was before."""
        before = self._said.get(name)
        self._said[name] = value if before is None else f"{before}, {value}"

    def _take_foreign(self) -> None:
        for name, value in self._foreign:
            several = "images" in self._said or self._files
            found = foreign.equivalent(
                name,
                value,
                pictured="source" in self._said,
                several=several,
                referred=not self._said.keys().isdisjoint(("sref", "cref")),
            )
            if found is None:
                self.left_out.append(f"--{name}")
            else:
                self._said.setdefault(*found)

    def _unknown(self, flag: re.Match[str]) -> Param:
        known = [name for each in PARAMS.values() for name in each.flags]
        name = flag["name"]
        near = suggest(name, known)
        fixed = f"{self._text[: flag.start()]}--{near}{self._text[flag.end('name') :]}"
        offer = Offer(_("Use --{flag}", flag=near), with_options(fixed, self._given))
        notice = unknown(_("There is no flag {name}."), name, known, dashes="--")
        value = _NUMBERS_BEHIND.match(self._text, flag.end())
        leave = self._without(_("Leave it out"), flag.start(), value.end() if value else flag.end())
        raise Refusal(notice, code="unknown", offers=(offer,) if near else leave)

    def _without(self, label: str, start: int, end: int) -> tuple[Offer, ...]:
        """Return an offer of the text without a part of it; none where nothing is left."""
        text = " ".join(f"{self._text[:start]} {self._text[end:]}".split())
        return (Offer(label, with_options(text, self._given)),) if text else ()

    def _value(self, option: Param, flag: re.Match[str]) -> tuple[str | bool, int]:
        """Return the value after a flag, and the position where the text goes on."""
        text, at = self._text, flag.end()
        following = _next_flag(text, at)
        end = following.start() if following else len(text)
        rest = text[at:end]
        if option.kind == "boolean" and not flag["equals"]:
            alone = rest.strip().casefold() in YES | NO  # else it belongs to the picture: "--private no cats"
            return (rest.strip(), end) if alone else (True, at)
        if found := _quoted_value(text, at):
            quoted, end = found
            return self._present(option, re.sub(r'\\(["\\])', r"\1", quoted), flag.start(), end), end
        self._present(option, rest, flag.start(), end)
        taken = option.extent(rest)
        value = rest[:taken].strip()
        return value.rstrip(",") or value if option.extent is first_word else value, at + taken

    def _present(self, option: Param, value: str, start: int, end: int) -> str:
        """Return a flag's value; `start` and `end` are where both stand. Raises Refusal where it has none."""
        if not value.strip():
            example = f"{option.flag} {option.example or '…'}"
            notice = _("{flag} needs a value, for example {example}.", flag=option.flag, example=example)
            offers = self._without(_("Leave it out"), start, end)
            raise Refusal(notice, code="missing", offers=offers)
        return value.strip()

    def _read(self, name: str, value: object) -> Any:
        option = PARAMS[name]
        try:
            typed = read_value(option, value)
            return option.reader(typed) if isinstance(typed, str) else typed
        except Unusable as error:
            if isinstance(error, OutOfRange) and option.ranged and not self._ranged:
                return int(error.value) if math.isfinite(error.value) else sys.maxsize
            raise Refusal(error.notice, offers=self._nearest(name, error.nearest)) from error

    def _nearest(self, name: str, value: str) -> tuple[Offer, ...]:
        """Return an offer of the nearest value, or to leave the option out where nothing is near.

        Not of the most pictures: a tier may allow fewer at once.
        """
        if not self._words or (name, value) == ("count", str(MAX_COUNT)):
            return ()
        if not value:
            others = {each: said for each, said in self._said.items() if each != name}
            return (Offer(_("Leave it out"), with_options(self._words, others)),)
        return (Offer(setting(name, value), with_options(self._words, {**self._said, name: value})),)

    def _check_words(self) -> None:
        if not any(unicodedata.category(c)[0] in "LNPS" for c in self._words):
            raise Refusal(
                _("The prompt is empty. Describe an image, for example “a red fox in snow”."), code="empty"
            )
        if len(self._words) > MAX_PROMPT:
            raise Refusal(
                _(
                    "A prompt may have {most} characters; this has {count}. Shorten it.",
                    most=f"{MAX_PROMPT:,}",
                    count=f"{len(self._words):,}",
                ),
                code="too_long",
            )
        if _next_flag(self._words, 0):
            raise Refusal(_("A quotation mark is not closed, so it is unclear where the flags begin."))

    def _check_together(self, values: Mapping[str, Any]) -> None:
        if "size" in values and "aspect" in values:
            draft = Draft(prompt=self._words, **values)
            raise Refusal(
                _("Give a size or an aspect ratio, not both."),
                offers=(
                    Offer(
                        _("Keep {value}", value=size_text(values["size"])), render(replace(draft, aspect=""))
                    ),
                    Offer(_("Keep {value}", value=draft.aspect), render(replace(draft, size=None))),
                ),
            )
        self._check_parts(values)
        self._check_control(values)
        if "strength" in values and not (values.get("source") or values.get("images") or self._files):
            draft = Draft(prompt=self._words, **values)
            raise Refusal(
                _("Strength needs a source image. Add one with --source."),
                offers=(Offer(_("Leave it out"), render(replace(draft, strength=None))),),
            )

    def _check_parts(self, values: Mapping[str, Any]) -> None:
        """Raise Refusal where a source image is missing, or more than one thing is to be done with it."""
        said = [name for name in ("region", "mask", "extend") if name in values]
        if not said:
            return
        option = PARAMS[said[0]]
        if "source" not in values:
            raise Refusal(
                _("{option} needs a source image. Add one with --source.", option=option.title),
                code="source",
                offers=self._less(values, *said),
            )
        if len(said) > 1:
            raise Refusal(
                _("Region, mask and extend are one at a time. Keep one of them."),
                offers=self._less(values, *said[1:]),
            )
        more: list[str] = [name for name in ("aspect", "size") if name in self._said]
        more += ["strength"] if "strength" in self._said and said == ["extend"] else []
        if more:
            raise Refusal(
                _(
                    "{option} goes by the source image. Leave {others} out.",
                    option=option.title,
                    others=" ".join(PARAMS[each].flag for each in more),
                ),
                offers=self._less(values, *more),
            )

    def _check_control(self, values: Mapping[str, Any]) -> None:
        """Raise Refusal for a control without an image, or beside what is done with one in another way."""
        said = [
            name for name in ("control", "control_weight", "control_as_is") if values.get(name) is not None
        ]
        if said and not values.get("control"):
            raise Refusal(
                _("Say what the image controls, for example --control edges."),
                code="control",
                offers=self._less(values, *said),
            )
        if said and not values.get("source"):
            raise Refusal(
                _("A control needs an image. Add one with --source."),
                code="source",
                offers=self._less(values, *said),
            )
        others = [
            name for name in ("region", "mask", "extend", "edit", "images", "weights") if values.get(name)
        ]
        if said and others:
            raise Refusal(
                _(
                    "A control guides a new image. Leave {others} out.",
                    others=" ".join(PARAMS[each].flag for each in others),
                ),
                code="control",
                offers=self._less(values, *others),
            )

    def _less(self, values: Mapping[str, Any], *names: str) -> tuple[Offer, ...]:
        """Return an offer of all that was said but these options; none where a file came with it."""
        if any(isinstance(value, bytes) for value in values.values()):
            return ()
        left = {name: value for name, value in values.items() if name not in names}
        return (Offer(_("Leave it out"), render(Draft(prompt=self._words, **left))),)


_FLAG = re.compile(
    r"""  (?<!\S) (?P<quoted> ["“„«] [^"“”„«»]* ["“”»] (?= [\s,.;:!?)] | $ ) )
        | (?: (?<!\S) | (?P<comma> (?<=\S,) ) )
          (?P<dashes> [-—–]{1,3} ) (?P<name> [^\W\d_] [^\s=]* ) (?P<equals> =? )""",
    re.VERBOSE,
)
_NUMBERS_BEHIND = re.compile(r"[\s=]{0,9}(?<![\d.,:x×-])(?=[^\s\d]{0,3}\d)[\d.,:x×-]++(?=\s|\Z)")
"""What is the value of an unknown flag, and no part of the picture."""
_CLOSING = {'"': '"', "“": "”", "„": "“”", "«": "»", "'": "'", "‘": "’"}
"""Quotation marks around a flag's value, and what may close each."""


def _quoted_value(text: str, at: int) -> tuple[str, int] | None:
    """Return the quoted value at a position, and where the text goes on; None when there is none."""
    start = at + 1 + text[at : at + 1].isspace()
    closing = _CLOSING.get(text[start - 1 : start])
    if closing is None:
        return None
    end = start
    while end < len(text) and text[end] not in closing:
        end += 2 if closing == '"' and text[end] == "\\" else 1
    if end >= len(text) or not (end + 1 == len(text) or text[end + 1].isspace()):
        return None
    return text[start:end], end + 1


def _next_flag(text: str, at: int) -> re.Match[str] | None:
    """Return the next flag outside of quotation marks.

    Two hyphens make one before any letter. What phones and Slack make of them, and a single hyphen, makes one
    only before a flag's name; so does what stands directly behind a comma.
    """
    for found in _FLAG.finditer(text, at):
        if found["dashes"] and _is_flag(found):
            return found
    return None


def _is_flag(found: re.Match[str]) -> bool:
    name = found["name"]
    option = by_flag(name)
    match found["dashes"]:
        case "--" if found["comma"] is None:
            return True
        case "-":  # "a well -known fox"
            return option is not None and len(name) > 1 and option.kind != "boolean"
        case _:
            return option is not None or foreign.is_flag(name)

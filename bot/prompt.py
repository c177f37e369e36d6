"""The grammar: what someone typed → a `Draft` of typed values → a `GenerationRequest`.

A prompt is words with flags anywhere among them: `a red car --ar 16:9 --no text, blurry`.

- A flag is two dashes, or the one long dash that phones make of them, directly before a letter and after a
  space. A long dash before any other word stays in the prompt, and so does everything between quotation
  marks: `a sign that says "use --force"`.
- A flag takes the next word or what stands in quotation marks; `--no` takes all up to the next flag,
  `--style` as many words as name a style, `--private` none. `--name=value` does the same.
- Options that a surface collects by itself (slash options, forms) mean what the flags mean. Saying a thing
  twice is refused, and so is what cannot be understood: nothing is dropped silently.

Plain words are read only where they cannot well be part of the picture, and only when the same was not said
by a flag: "as pixel art" or "in pixel art style" at the end; "in 16:9", "wide format" or a last ", wide" at
the end ("portrait" and "landscape" also name what is painted, so after a bare comma they set the shape and
stay in the prompt); "four pictures of" at the beginning.

Control characters, lone surrogates and invisible formatting (zero-width spaces, direction overrides) are
taken out, except the two joiners that emoji and several scripts need; every run of white space is one space.
"""

from __future__ import annotations

import functools
import math
import random
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from typing import Any, assert_never

from bot import commands, limits, presets
from bot.commands import MAX_PROMPT, Option, OutOfRange, Unusable, clip
from bot.errors import Offer, Refusal
from bot.models import Job, Preferences, Tier
from bot.presets import NO_STYLE, Presets
from engine.types import SEED_LIMIT, BlobRef, GenerationRequest, ImageToImage, ModelInfo, TextToImage, Upscale

DEFAULT_COUNT = 4
DEFAULT_STRENGTH = 0.6
WIDEST = 4.0  # the longer side ÷ the shorter
BY_MODEL = ("count", "steps")
"""Options whose range is that of the model and the tier: `compose` looks at it."""

_JOINERS = "\u200c\u200d"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What someone said, understood but not yet fitted to a model. None and "" mean "not said"."""

    prompt: str
    negative: str = ""
    aspect: str = ""  # a ratio, "16:9"
    size: tuple[int, int] | None = None  # pixels
    count: int | None = None
    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    style: str = ""  # a preset's name, or NO_STYLE
    model: str = ""
    source: str | bytes = field(default="", repr=False)  # "1a2b3c4d5e6f:2", or the file itself
    strength: float | None = None
    private: bool | None = None
    relax: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A stored picture to start from."""

    blob: BlobRef
    width: int
    height: int
    private: bool = False


def clean(text: str) -> str:
    """The text without what cannot be seen, and with single spaces."""
    seen = (c for c in text if c.isspace() or c in _JOINERS or unicodedata.category(c) not in _UNSEEN)
    return " ".join("".join(seen).split())


_UNSEEN = frozenset({"Cc", "Cf", "Cs"})


# --- text → draft -----------------------------------------------------------------------------------------


def parse(text: str, options: Mapping[str, object] | None = None, *, ranged: bool = True) -> Draft:
    """Understand a prompt with its flags, and the options that were given beside it.

    Without `ranged`, any number passes for an option of `BY_MODEL`. Raises Refusal: one sentence that says
    what is allowed, with an offer where a corrected text exists.
    """
    return _Reading(clean(commands.bounded(text)), options or {}, ranged=ranged).draft()


class _Reading:
    """One text while it is read: the words that are left, and what was said about each option."""

    def __init__(self, text: str, options: Mapping[str, object], *, ranged: bool) -> None:
        self._ranged = ranged
        self._imagine = commands.command("imagine")
        self._presets = presets.load()
        self._text = text
        self._given = {name: value for name, value in options.items() if not commands.blank(value)}
        self._said: dict[str, object] = {}  # option name → as typed
        self._words = ""

    def draft(self) -> Draft:
        self._take_options()
        self._words = self._take_flags()
        values = {name: self._read(name, value) for name, value in self._said.items()}
        self._check_words()
        self._words, plain = _PlainWords(self._presets, taken=values.keys()).read(self._words)
        values |= plain
        self._check_together(values)
        return Draft(prompt=self._words, **values)

    def _take_options(self) -> None:
        for name, value in self._given.items():
            if name == "prompt" or self._imagine.option(name) is None:
                known = [each.name for each in self._imagine.options]
                raise Refusal(commands.unknown("option of /imagine called", name, known))
            self._said[name] = clean(commands.bounded(value)) if isinstance(value, str) else value

    def _take_flags(self) -> str:
        """Move every flag and its value from the text to `_said`; what is left is the prompt."""
        words, at = [], 0
        while flag := _next_flag(self._text, at):
            words.append(self._text[at : flag.start()])
            option = self._option(flag)
            value, at = self._value(option, flag)
            if option.name in self._said:
                raise Refusal(f"{option.label} is given twice. Keep one {option.flag}.", code="twice")
            self._said[option.name] = value
        words.append(self._text[at:])
        return " ".join(" ".join(words).split())

    def _option(self, flag: re.Match[str]) -> Option:
        name = flag["name"]
        if option := self._imagine.by_flag(name):
            return option if option.name != "prompt" else self._unknown(flag)
        return self._unknown(flag)

    def _unknown(self, flag: re.Match[str]) -> Option:
        known = [name for option in self._imagine.options for name in option.flags]
        name = flag["name"]
        near = commands.suggest(name, known)
        fixed = f"{self._text[: flag.start()]}--{near}{self._text[flag.end('name') :]}"
        offer = Offer(f"Use --{near}", _with_options(fixed, self._given))
        notice = commands.unknown("flag", name, known, dashes="--")
        raise Refusal(notice, code="unknown", offers=(offer,) if near else ())

    def _value(self, option: Option, flag: re.Match[str]) -> tuple[str | bool, int]:
        """The value after a flag, and where the text goes on."""
        text, at = self._text, flag.end()
        if option.kind == "boolean" and not flag["equals"]:
            return True, at
        if found := _quoted_value(text, at):
            quoted, end = found
            return self._present(option, re.sub(r'\\(["\\])', r"\1", quoted)), end
        following = _next_flag(text, at)
        rest = text[at : following.start() if following else len(text)]
        self._present(option, rest)
        taken = self._length(option, rest)
        return rest[:taken].strip(), at + taken

    def _present(self, option: Option, value: str) -> str:
        if not value.strip():
            example = f"for example {option.flag} {option.example or '…'}"
            raise Refusal(f"{option.flag} needs a value, {example}.", code="missing")
        return value.strip()

    def _length(self, option: Option, rest: str) -> int:
        """How many characters of the text up to the next flag are this option's value."""
        if option.name == "negative":
            return len(rest)
        words = list(re.finditer(r"\S+", rest))
        if option.name == "style":
            for last in reversed(words[:4]):
                if self._presets.style(rest[: last.end()]):
                    return last.end()
        return words[0].end()

    def _read(self, name: str, value: object) -> Any:
        option = self._imagine.option(name)
        assert option is not None
        try:
            typed = commands.read(option, value)
            return self._special(option, typed) if isinstance(typed, str) else typed
        except Unusable as error:
            if isinstance(error, OutOfRange) and name in BY_MODEL and not self._ranged:
                return int(error.value) if math.isfinite(error.value) else sys.maxsize
            raise Refusal(str(error), offers=self._nearest(name, error.nearest)) from error

    def _special(self, option: Option, value: str) -> Any:
        match option.name:
            case "aspect":
                return read_aspect(value)
            case "size":
                return read_size(value)
            case "style":
                return read_style(value)
            case "source" if not re.fullmatch(r"\w{1,32}(:(source|\d{1,2}))?", value):
                raise Unusable(f"Source takes a file or a job's picture, for example {option.example}.")
        return value

    def _nearest(self, name: str, value: str) -> tuple[Offer, ...]:
        """An offer of the nearest value. Not of the most pictures: a tier may allow fewer at once."""
        if not value or not self._words or (name, value) == ("count", str(commands.MAX_COUNT)):
            return ()
        return (Offer(f"Make it {value}", _with_options(self._words, {**self._said, name: value})),)

    def _check_words(self) -> None:
        if not any(unicodedata.category(c)[0] in "LNPS" for c in self._words):
            raise Refusal("The prompt is empty. Say what to paint: a red fox.", code="empty")
        if len(self._words) > MAX_PROMPT:
            raise Refusal(
                f"A prompt may have {MAX_PROMPT:,} characters; this has {len(self._words):,}. Shorten it.",
                code="too_long",
            )
        if _next_flag(self._words, 0):
            raise Refusal("A quotation mark is not closed, so it is unclear where the flags begin.")

    def _check_together(self, values: Mapping[str, Any]) -> None:
        if "size" in values and "aspect" in values:
            draft = Draft(prompt=self._words, **values)
            raise Refusal(
                "Give a size or an aspect ratio, not both.",
                offers=(
                    Offer(f"Keep {_size_text(values['size'])}", render(replace(draft, aspect=""))),
                    Offer(f"Keep {draft.aspect}", render(replace(draft, size=None))),
                ),
            )
        if "strength" in values and "source" not in values:
            draft = Draft(prompt=self._words, **values)
            raise Refusal(
                "Strength says how far to leave a source picture, and there is none. Add one with --source.",
                offers=(Offer("Leave it out", render(replace(draft, strength=None))),),
            )


_FLAG = re.compile(
    r"""(?<!\S) (?: (?P<quoted> ["“„«] [^"“”„«»]* ["“”»] (?= [\s,.;:!?)] | $ ) )
                  | (?P<dashes> -- | [—–] ) (?P<name> [^\W\d_] [^\s=]* ) (?P<equals> =? ) )""",
    re.VERBOSE,
)
_CLOSING = {'"': '"', "“": "”", "„": "“”", "«": "»", "'": "'", "‘": "’"}
"""Quotation marks around a flag's value, and what may close each."""


def _quoted_value(text: str, at: int) -> tuple[str, int] | None:
    """What stands there in quotation marks, and where the text goes on; None when nothing does."""
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
    """The next flag outside of quotation marks. A long dash makes one only before a flag's name."""
    imagine = commands.command("imagine")
    for found in _FLAG.finditer(text, at):
        if found["dashes"] == "--" or (found["dashes"] and imagine.by_flag(found["name"])):
            return found
    return None


def read_aspect(value: str) -> str:
    """ "wide" or "16x9" → "16:9". Raises Unusable."""
    shapes = presets.load().aspects
    text = shapes.get(value.casefold(), value)
    side = r"(\d{1,4}(?:\.\d{1,2})?)"
    found = re.fullmatch(rf"{side}\s*[:/x×]\s*{side}", text)
    if not found:
        allowed = ", ".join(shapes)
        raise Unusable(
            f"Aspect can be {allowed} or a ratio such as 3:2; “{clip(value)}” is neither.",
            commands.suggest(value, shapes),
        )
    across, down = float(found[1]), float(found[2])
    if not min(across, down) > 0 or max(across, down) / min(across, down) > WIDEST:
        raise Unusable(f"Aspect can be 1:{WIDEST:g} to {WIDEST:g}:1; you asked for {clip(value)}.", "16:9")
    return f"{across:g}:{down:g}"


def read_size(value: str) -> tuple[int, int]:
    """ "512x768" or "512" → pixels, unchecked. Raises Unusable."""
    found = re.fullmatch(r"(-?\d{1,12})(?:\s*[x×*]\s*(-?\d{1,12}))?", value, re.IGNORECASE)
    if not found:
        raise Unusable(f"Size takes width × height in pixels, as in 512x768; “{clip(value)}” is not that.")
    return int(found[1]), int(found[2] or found[1])


def read_style(value: str) -> str:
    """Any spelling of a style → its name, or NO_STYLE. Raises Unusable."""
    known = presets.load()
    if value.casefold() == NO_STYLE:
        return NO_STYLE
    if style := known.style(value):
        return style.name
    near = known.closest(value)
    hint = f"Did you mean {near.name}?" if near else "/styles shows them all."
    raise Unusable(f"There is no style “{clip(value)}”. {hint}", near.name if near else "")


# --- plain words ------------------------------------------------------------------------------------------

_NUMBERS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen".split()
)
_NOT_A_STYLE_AFTER = frozenset("as dressed disguised known such same well just much soon used".split())
_ALSO_SUBJECTS = frozenset({"portrait", "landscape"})


class _PlainWords:
    """Reads what is unmistakable at the ends of a prompt, and leaves the rest alone."""

    def __init__(self, known: Presets, *, taken: Iterable[str]) -> None:
        self._known = known
        self._taken = {"aspect" if name == "size" else name for name in taken}
        self._found: dict[str, Any] = {}

    def read(self, words: str) -> tuple[str, dict[str, Any]]:
        found = -1
        while found < len(self._found):
            found = len(self._found)
            words = self._once(words)
        return words, self._found

    def _once(self, words: str) -> str:
        for option, pattern in _patterns():
            if option in self._taken:
                continue
            found = pattern.search(words)
            value = self._value(option, found) if found else None
            if found and value is not None:
                self._found[option] = value
                self._taken.add(option)
                bare = words[found.end("value") :] in ("", ".")
                stays = bare and found["value"].casefold() in _ALSO_SUBJECTS
                return words if stays else _rest(found)
        return words

    def _value(self, option: str, found: re.Match[str]) -> Any:
        value = found["value"]
        if option == "aspect":
            return read_aspect(value)
        if option == "count":
            return _number(value)
        style = self._known.style(value)
        before = _rest(found).split()[-1].casefold()
        return style.name if style and before not in _NOT_A_STYLE_AFTER else None


def _rest(found: re.Match[str]) -> str:
    """The prompt without what was found at one of its ends."""
    return (found.string[: found.start()] + found.string[found.end() :]).strip()


@functools.cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Option and what says it at an end of a prompt that says more; `value` is the word."""
    known = presets.load()
    style = _any_of(word for style in known.styles.values() for word in style.words)
    shape, kind = _any_of(known.aspects), "(?:format|orientation|aspect ratio)"
    ratio = _any_of((*known.aspects.values(), *known.ratios))
    patterns = (
        ("style", rf"(?<=.),? as (?:an? )?(?P<value>{style})(?: style)?\.?\Z"),
        ("style", rf"(?<=.),? in (?:an? |the )?(?P<value>{style}) style\.?\Z"),
        ("aspect", rf"(?<=.),? (?:in )?(?:an? )?(?P<value>{shape}) {kind}\.?\Z"),
        ("aspect", rf"(?<=.), ?(?P<value>{shape})\.?\Z"),
        ("aspect", rf"(?<=.)(?:, ?|,? in )(?P<value>{ratio})\.?\Z"),
        ("count", r"\A(?P<value>\w{1,9}) (?:pictures|images) of (?=.)"),
        ("count", r"\A(?P<value>one|1) (?:picture|image) of (?=.)"),
    )
    return tuple((option, re.compile(pattern, re.IGNORECASE)) for option, pattern in patterns)


def _any_of(words: Iterable[str]) -> str:
    """A pattern for any of the words, the longest first, with spaces and hyphens alike."""
    longest_first = sorted(set(words), key=len, reverse=True)
    return "|".join(re.sub(r"(\\ |\\-)", "[ -]", re.escape(word)) for word in longest_first)


def _number(word: str) -> int | None:
    if word.casefold() in _NUMBERS:
        return _NUMBERS.index(word.casefold()) + 1
    return int(word) if re.fullmatch(r"[1-9]\d?", word) and int(word) <= len(_NUMBERS) else None


# --- draft → text -----------------------------------------------------------------------------------------


def said(draft: Draft) -> dict[str, str]:
    """What was said, option by option, as text: the values of a form. A file is not text and is left out."""
    values = {each.name: getattr(draft, each.name) for each in fields(draft)}
    if isinstance(draft.source, bytes):
        del values["source"]
    return {name: as_text(value) for name, value in values.items() if value not in ("", None)}


def render(draft: Draft) -> str:
    """The one canonical text that parses back to the same draft (but for a source that is a file)."""
    return _with_options(draft.prompt, {name: v for name, v in said(draft).items() if name != "prompt"})


def flags(values: Mapping[str, str]) -> str:
    """Options that were said as text, as flags: `--ar 16:9 --count 2`."""
    return " ".join(_flags(values))


def _with_options(words: str, values: Mapping[str, object]) -> str:
    """The flags go last, or first where a quotation mark in the words could pair with one of theirs."""
    if not re.search(r'["“”„«»]', words):
        return " ".join([words, *_flags(values)]).strip()
    return " ".join([*_flags(values, quote_all=True), words]).strip()


def _flags(values: Mapping[str, object], *, quote_all: bool = False) -> Iterator[str]:
    for option in commands.command("imagine").options:
        value = values.get(option.name)
        if option.name == "prompt" or value is None or isinstance(value, bytes):
            continue
        text = as_text(value)
        if option.kind == "boolean":
            yield option.flag if text in ("yes", "true", "on", "1") else f"{option.flag}=no"
        else:
            yield f"{option.flag} {_quoted(text, quote_all and option.kind == 'text')}"


def as_text(value: object) -> str:
    """An option's value as it may be typed."""
    match value:
        case bool():
            return "yes" if value else "no"
        case tuple():
            return "x".join(map(str, value))
        case float() if value.is_integer():
            return f"{value:.0f}"
    return str(value)


def _quoted(value: str, always: bool) -> str:
    if not always and re.fullmatch(r"[\w.:+-]+", value) and not value.startswith("--"):
        return value
    escaped = re.sub(r'(["\\])', r"\\\1", value)
    return f'"{escaped}"'


def recall(job: Job, models: Sequence[ModelInfo]) -> Draft:
    """The draft that paints a job again: what its form shows. Of an enlarged picture, that of the picture."""
    request = job.request
    info = next((model for model in models if model.name == request.model), None)
    template = presets.load().template(job.style, request.model)
    before = request.before_upscale()
    size = (before.width, before.height)
    match before.task:
        case ImageToImage(strength=strength):
            start: dict[str, Any] = {"source": f"{job.id}:source", "strength": strength}
        case TextToImage() | Upscale():
            start = {}
        case unknown:
            assert_never(unknown)
    return Draft(
        prompt=job.prompt,
        negative=template.undress(request.negative_prompt),
        count=request.count if request.paints else None,
        seed=request.seed,
        steps=None if info and info.steps == request.steps else request.steps,
        guidance=None if info and info.guidance == request.guidance else request.guidance,
        style=job.style,
        model="" if info and info is models[0] else request.model,
        **start,
        private=True if job.origin.private else None,
        relax=True if job.relaxed else None,
        **_recalled_shape(size, info),
    )


def _recalled_shape(size: tuple[int, int], info: ModelInfo | None) -> dict[str, Any]:
    if info is None or size == (info.width, info.height):
        return {} if info else {"size": size}
    ratio = presets.load().shape(*size)
    fits = ":" in ratio and fit(ratio, info) == size
    return {"aspect": ratio} if fits else {"size": size}


# --- draft → request --------------------------------------------------------------------------------------


def with_defaults(
    draft: Draft,
    preferences: Preferences,
    models: Sequence[ModelInfo],
    tier: Tier,
    takes_style: Callable[[str], bool] = lambda _: True,
) -> Draft:
    """The draft with a person's own defaults for what was not said, as far as they still hold."""
    shaped = draft.aspect or draft.size or draft.source
    offered = preferences.model in [model.name for model in models]
    known = preferences.style in presets.load().styles and takes_style(preferences.style)
    return replace(
        draft,
        style=draft.style or (preferences.style if known else ""),
        model=draft.model or (preferences.model if offered else ""),
        count=_preferred_count(preferences, tier) if draft.count is None else draft.count,
        aspect=draft.aspect if shaped else preferences.aspect,
        size=draft.size if shaped else _preferred_size(draft, preferences, models, tier),
        private=(preferences.private or None) if draft.private is None else draft.private,
    )


def _preferred_count(preferences: Preferences, tier: Tier) -> int | None:
    return preferences.count and min(preferences.count, tier.max_count)


def _preferred_size(
    draft: Draft, preferences: Preferences, models: Sequence[ModelInfo], tier: Tier
) -> tuple[int, int] | None:
    """The size that the person's settings name, where the model and the tier have it."""
    if not preferences.size:
        return None
    size = read_size(preferences.size)
    names = {model.name.casefold(): model for model in models}
    model = names.get((draft.model or preferences.model).casefold(), models[0])
    return size if size == limits.fitted(size, model, tier.max_pixels) else None


def changed(
    preferences: Preferences, options: Mapping[str, Any], models: Sequence[ModelInfo], max_count: int
) -> Preferences:
    """The preferences after what /settings said. Raises Refusal."""
    said = dict(options)
    before = Preferences() if said.pop("reset", False) else preferences
    changes = {name: _preference(name, value, models, max_count) for name, value in said.items()}
    if "size" in changes and "aspect" in changes:
        raise Refusal("Give a size or an aspect ratio, not both.")
    if "size" in changes or "aspect" in changes:
        changes = {"size": "", "aspect": ""} | changes
    return replace(before, **changes)


def held(preferences: Preferences, models: Sequence[ModelInfo], max_count: int) -> Preferences:
    """The preferences without what /settings would not take any more."""
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
                return as_text(_checked_size(Draft(prompt=""), read_size(value), models[0]))
            case "model":
                return choose_model(Draft(prompt="", model=value), models).name
            case "count" if value > max_count:
                raise Refusal(f"{max_count} pictures at once are allowed.", code="count")
    except Unusable as error:
        raise Refusal(str(error)) from error
    return value


def compose(
    draft: Draft,
    models: Sequence[ModelInfo],
    tier: Tier,
    source: Source | None = None,
    said: Draft | None = None,
) -> GenerationRequest:
    """What to paint, in full: the style applied, the size fitted to the model, the seed fixed.

    `models` are those that may be asked for, the default first. Raises Refusal with an offer made of `said`
    (left out: of the draft), for what the model cannot and for more than the tier allows.
    """
    model = choose_model(draft, models)
    _check_limits(said or draft, model, models, tier, source)
    width, height = _fitted(draft, said or draft, model, tier, source)
    template = presets.load().template(draft.style, model.name)
    prompt, negative = template.dress(draft.prompt, draft.negative)
    return GenerationRequest(
        prompt=prompt,
        negative_prompt=negative if model.negative_prompt else "",
        seed=random.randrange(SEED_LIMIT) if draft.seed is None else draft.seed,
        model=model.name,
        width=width,
        height=height,
        steps=min(model.steps, tier.max_steps) if draft.steps is None else draft.steps,
        guidance=model.guidance if draft.guidance is None else draft.guidance,
        count=min(DEFAULT_COUNT, tier.max_count) if draft.count is None else draft.count,
        task=ImageToImage(source=source.blob, strength=_strength(draft)) if source else TextToImage(),
    )


def choose_model(draft: Draft, models: Sequence[ModelInfo]) -> ModelInfo:
    """The model that the draft names, or the default. Raises Refusal."""
    if not draft.model:
        return models[0]
    names = {model.name.casefold(): model for model in models}
    if model := names.get(draft.model.casefold()):
        return model
    near = commands.suggest(draft.model, names) or models[0].name.casefold()
    raise Refusal(
        f"There is no model “{clip(draft.model)}”. {_these([model.name for model in models])}.",
        code="unknown_model",
        offers=(offer(f"Use {clip(near, 28)}", draft, model=names[near].name),),
    )


def fit(aspect: str, model: ModelInfo, max_pixels: float = math.inf) -> tuple[int, int]:
    """The size in pixels of an aspect ratio at the model's own area, or `max_pixels` if less."""
    across, down = map(float, aspect.split(":"))
    height = math.sqrt(model.width * model.height * down / across)
    return limits.fitted((height * across / down, height), model, max_pixels)


def _fitted(
    draft: Draft, said: Draft, model: ModelInfo, tier: Tier, source: Source | None
) -> tuple[int, int]:
    if draft.size:
        return _checked_size(said, draft.size, model, tier.max_pixels)
    if draft.aspect:
        return fit(draft.aspect, model, tier.max_pixels)
    if source:
        ratio = min(max(source.width / source.height, 1 / WIDEST), WIDEST)
        return fit(f"{ratio}:1", model, tier.max_pixels)
    return limits.fitted((model.width, model.height), model, tier.max_pixels)


def _checked_size(
    said: Draft, size: tuple[int, int], model: ModelInfo, max_pixels: float = math.inf
) -> tuple[int, int]:
    """The size, which the model can paint. Raises Refusal, with one of at most `max_pixels` that it can."""
    if size == (limits.rounded(size[0], model), limits.rounded(size[1], model)):
        return size
    nearest = limits.fitted(size, model, max_pixels)
    allowed = f"from {model.min_side} to {model.max_side} pixels, in steps of {model.multiple}"
    raise Refusal(
        f"{model.name} paints sides {allowed}; you asked for {_size_text(size)}. "
        f"Try --size {nearest[0]}x{nearest[1]}.",
        code="size",
        offers=(offer(f"Make it {_size_text(nearest)}", said, size=nearest),),
    )


def _check_limits(
    said: Draft, model: ModelInfo, models: Sequence[ModelInfo], tier: Tier, source: Source | None
) -> None:
    """Raises Refusal for the first thing that is out of range, with an offer that puts it right."""
    if source and "image_to_image" not in model.tasks:
        _refuse_source(said, model, models)
    if "text_to_image" not in model.tasks and not (source and _strength(said) < 1):
        _refuse_words(said, model, models)
    if said.negative and not model.negative_prompt:
        raise Refusal(
            f"{model.name} takes no negative prompt. Say in the prompt what should be there instead.",
            offers=(offer("Leave it out", said, negative=""),),
        )
    if said.count is not None:
        _check_count(said, said.count, tier)
    if said.steps is not None:
        _check_steps(said, said.steps, model, tier)


def _refuse_source(said: Draft, model: ModelInfo, models: Sequence[ModelInfo]) -> None:
    instead = next((each.name for each in models if "image_to_image" in each.tasks), "")
    change = offer(f"Use {clip(instead, 28)}", said, model=instead)
    leave = offer("Leave the source out", said, source="", strength=None)
    raise Refusal(
        f"{model.name} cannot start from a picture. Choose another model, or leave the source out.",
        code="source",
        offers=(change,) if instead else (leave,),
    )


def _refuse_words(said: Draft, model: ModelInfo, models: Sequence[ModelInfo]) -> None:
    instead = next((each.name for each in models if "text_to_image" in each.tasks), "")
    change = offer(f"Use {clip(instead, 28)}", said, model=instead)
    weaker = offer("Leave the strength out", said, strength=None)
    raise Refusal(
        f"{model.name} only changes pictures. Give it a source picture, and no strength of 1.",
        code="source",
        offers=(change,) if instead else (weaker,) if said.source else (),
    )


def _check_count(said: Draft, count: int, tier: Tier) -> None:
    most, nearest = tier.max_count, min(max(count, 1), tier.max_count)
    if count == nearest:
        return
    raise Refusal(
        f"That is {count} pictures; {most} at once are allowed. Try --count {most}."
        if count > most
        else f"Count can be 1 to {most}; you asked for {count}.",
        code="count",
        offers=(offer(f"Make it {nearest}", said, count=nearest),),
    )


def _check_steps(said: Draft, steps: int, model: ModelInfo, tier: Tier) -> None:
    most = limits.most_steps(model, tier)
    nearest = min(max(steps, 1), most)
    if steps == nearest:
        return
    raise Refusal(
        f"{model.name} paints in 1 to {most} steps; you asked for {steps}. Try --steps {nearest}."
        if steps < 1 or most == model.max_steps
        else f"That is {steps} steps, {steps - most} more than your tier, {tier.title}, allows. "
        f"Try --steps {most}.",
        code="steps",
        offers=(offer(f"Make it {nearest}", said, steps=nearest),),
    )


def _strength(draft: Draft) -> float:
    return DEFAULT_STRENGTH if draft.strength is None else draft.strength


def offer(label: str, draft: Draft, **changes: Any) -> Offer:
    """What would be possible instead: the draft with changes, as text."""
    return Offer(label, render(replace(draft, **changes)))


def _these(names: Sequence[str]) -> str:
    return f"There is {names[0]}" if len(names) == 1 else f"There are {', '.join(names[:-1])} and {names[-1]}"


def _size_text(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]}"

"""Words → the values of single options."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from bot.i18n import _, listing
from bot.images.file_formats import FORMATS
from bot.options import Unusable, clip, suggest
from bot.prompts import styles
from bot.prompts.param import Plain, first_word
from bot.prompts.styles import NO_STYLE, Presets
from engine import lettering
from engine.loras import MOST_WEIGHT, lora_name
from engine.types import CONTROLS, LoraWeight

MOST_TEXTS = 4  # on one image
WIDEST = 4.0  # the longer side ÷ the shorter
MOST_LORAS = 8  # of one request


def read_aspect(value: str) -> str:
    """Read an aspect ratio: "wide" or "16x9" → "16:9". Raises Unusable."""
    shapes = styles.load().aspects
    text = shapes.get(value.casefold(), value)
    side = r"(\d{1,4}(?:\.\d{1,2})?)"
    found = re.fullmatch(rf"{side}\s*[:/x×]\s*{side}", text)
    if not found:
        allowed = ", ".join(shapes)
        raise Unusable(
            _(
                "Aspect can be {allowed} or a ratio such as 3:2; “{typed}” is neither.",
                allowed=allowed,
                typed=clip(value),
            ),
            suggest(value, shapes),
        )
    across, down = float(found[1]), float(found[2])
    if not min(across, down) > 0 or max(across, down) / min(across, down) > WIDEST:
        raise Unusable(
            _(
                "Aspect can be 1:{widest} to {widest}:1; you asked for {typed}.",
                widest=f"{WIDEST:g}",
                typed=clip(value),
            ),
            "16:9",
        )
    return f"{across:g}:{down:g}"


def read_size(value: str) -> tuple[int, int]:
    """Read a size in pixels, unchecked: "512x768" → (512, 768), "512" → (512, 512). Raises Unusable."""
    found = re.fullmatch(r"(-?\d{1,12})(?:\s*[x×*]\s*(-?\d{1,12}))?", value, re.IGNORECASE)
    if not found:
        raise Unusable(
            _("Size takes width × height in pixels, as in 512x768; “{typed}” is not that.", typed=clip(value))
        )
    return int(found[1]), int(found[2] or found[1])


def read_style(value: str) -> str:
    """Convert any spelling of a style to its name, or NO_STYLE. Raises Unusable."""
    known = styles.load()
    if value.casefold() in (NO_STYLE, "raw"):
        return NO_STYLE
    if style := known.style(value):
        return style.name
    near = known.closest(value)
    hint = _("Did you mean {name}?", name=near.name) if near else _("/styles shows them all.")
    raise Unusable(
        _("There is no style “{name}”. {hint}", name=clip(value), hint=hint), near.name if near else ""
    )


def read_source(value: str) -> str:
    """Return the name of a stored picture, which may not exist. Raises Unusable."""
    if not re.fullmatch(_PICTURE, value):
        raise Unusable(_("Source takes a file or a job's image, for example 1a2b3c4d5e6f:2."))
    return value


def read_loras(value: str) -> tuple[LoraWeight, ...]:
    """Read names with weights: "ink:0.8, pixel". Raises Unusable."""
    found = tuple(_read_lora(" ".join(part.split())) for part in value.split(",") if part.strip())
    if len(found) > MOST_LORAS:
        raise Unusable(_("A request may have {most} LoRAs. Leave some out.", most=MOST_LORAS))
    names = [each.name for each in found]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise Unusable(_("The LoRA {name} is given twice. Keep one.", name=clip(twice)))
    return found


def _read_lora(part: str) -> LoraWeight:
    name, _colon, weight = part.partition(":")
    if not lora_name(name) or not re.fullmatch(r"([+-]?(\d{1,3}(\.\d{0,4})?|\.\d{1,4}))?", weight):
        raise Unusable(
            _("LoRAs are names with weights, for example ink:0.8; “{typed}” is not that.", typed=clip(part))
        )
    if abs(float(weight or 1)) > MOST_WEIGHT:
        raise Unusable(
            _(
                "The weight of a LoRA can be -{most} to {most}; you asked for {typed}.",
                most=f"{MOST_WEIGHT:g}",
                typed=clip(weight),
            )
        )
    return LoraWeight(lora_name(name), float(weight or 1))


def lora_extent(rest: str) -> int:
    """Return how many characters name LoRAs: one, and those that follow with commas and weights."""
    found = re.match(r"\s*[^\s,]+(?:,\s?[^\s,:]+:[-+]?[\d.]+(?=[\s,]|\Z))*,?", rest)
    return found.end() if found else first_word(rest)


def read_mask(value: str) -> str:
    """Return the name of a job whose mask is used again, which may not exist. Raises Unusable."""
    if not re.fullmatch(r"\w{1,32}:mask", value):
        raise Unusable(_("Mask takes a file, an image that is white where the source image is to change."))
    return value


def read_control(value: str) -> str:
    """Return the kind of control that a word means: "canny" → "edges". Raises Unusable."""
    said = value.casefold()
    kind = next((kind for kind, words in CONTROL_WORDS.items() if said in words), "")
    if not kind:
        names = ", ".join(CONTROLS)
        notice = _("Control can be {names}; “{typed}” is none of them.", names=names, typed=clip(value))
        raise Unusable(notice, suggest(value, CONTROLS))
    return kind


CONTROL_WORDS: dict[str, tuple[str, ...]] = {
    "edges": ("edges", "edge", "canny", "softedge", "hed", "kanten", "contours"),
    "depth": ("depth", "midas", "tiefe", "profondeur"),
    "pose": ("pose", "openpose", "haltung"),
    "scribble": ("scribble", "sketch", "lineart", "drawing", "skizze", "zeichnung", "croquis", "dessin"),
}

_GUIDES = rf"{'|'.join(CONTROLS)}|(style|subject)[2-5]?"
_PICTURE = rf"\w{{1,32}}(:(source[2-9]?|{_GUIDES}|\d{{1,2}}))?"


def read_pictures(value: str) -> tuple[str, ...]:
    """Return the names of stored pictures: images of jobs, or saved references. Raises Unusable."""
    names = tuple(dict.fromkeys(re.split(r"[,\s]+", value.strip(", "))))
    if not all(re.fullmatch(rf"{_PICTURE}|{REFERENCE_NAME}", each) for each in names):
        raise Unusable(
            _(
                "Images are named as in 1a2b3c4d5e6f:2, or by the name under which you saved them, with "
                "commas between them; “{typed}” is not that.",
                typed=clip(value),
            )
        )
    return names


REFERENCE_NAME = r"[^\W\d][\w-]{0,31}"
"""The name of a saved reference."""


def read_weights(value: str) -> tuple[float, ...]:
    """Read weights of several pictures: "2:1" → (2.0, 1.0). Raises Unusable."""
    parts = re.split(r"[:,\s]+", value.strip())
    weights = tuple(float(each) for each in parts if re.fullmatch(r"\d{1,3}(?:\.\d{1,3})?", each))
    if len(weights) != len(parts) or not any(weights):
        raise Unusable(
            _("Weights are a number for each image, as in 2:1; “{typed}” is not that.", typed=clip(value))
        )
    return weights


def style_extent(rest: str) -> int:
    """Return how many characters name a style: as many words as do, else one."""
    ends = [word.end() for word in re.finditer(r"\S+", rest)][:4]
    named = (end for end in reversed(ends) if styles.load().style(rest[:end]))
    return next(named, ends[0])


_SPELLED = {"jpg": "jpeg", "tif": "tiff"}


def read_format(value: str) -> str:
    """Return the name of a format of files in any spelling. Raises Unusable, which names all."""
    wanted = value.casefold().strip().removeprefix(".")
    wanted = _SPELLED.get(wanted, wanted)
    if wanted in FORMATS:
        return wanted
    raise Unusable(
        _(
            "There is no file format “{name}”. There are {names}.",
            name=clip(value),
            names=listing(list(FORMATS)),
        ),
        suggest(wanted, FORMATS) or "png",
    )


# --- plain words ------------------------------------------------------------------------------------------

_NUMBERS = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen".split()
)
_GERMAN_NUMBERS = "eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf".split()
_NUMBER = f"(?:{'|'.join([*_NUMBERS, *_GERMAN_NUMBERS[1:]])}|[1-9]|1[0-6])"
_PICTURES = (
    r"(?:pictures?|images?|pics?|photos?|paintings?|drawings?|sketches|illustrations?|bild(?:er)?|fotos?)"
)
_GERMAN_SHAPES = {
    "hochkant": "portrait",
    "hochformat": "portrait",
    "querformat": "landscape",
    "quadratisch": "square",
    "quadratische": "square",
    "breite": "wide",
    "hohe": "tall",
}
_KINDS = {  # several of them → one, since each picture shows one
    "photos": "a photo of",
    "paintings": "a painting of",
    "drawings": "a drawing of",
    "sketches": "a sketch of",
    "illustrations": "an illustration of",
    "fotos": "ein Foto von",
}
_NOT_A_STYLE_AFTER = frozenset(
    "as als dressed verkleidet disguised known such same well just much soon used".split()
)
_ALSO_THINGS = frozenset(
    "ink clay photo foto sticker comic vector outline render oils plasticine sketch photograph flat".split()
)
"""Names of styles that a picture may well show, so that a comma before them says nothing."""
_PLACED = frozenset(
    "at um score clock showing shows show says reads reading displays displaying of von zeigt liest by steht "
    "stands ends time level".split()
)
"""Words behind which two numbers are a time or a score, not a shape."""


def _style_patterns(known: Presets) -> Sequence[str]:
    words = {word for style in known.styles.values() for word in style.words}
    style, bare = _any_of(words), _any_of(word for word in words if word.casefold() not in _ALSO_THINGS)
    return (
        rf"(?<=.),? (?:as|als) (?:an? |eine? )?(?P<value>{style})(?: style)?\.?\Z",
        rf"(?<=.),? in (?:an? |the )?(?P<value>{style}) style\.?\Z",
        rf"(?<=.),? (?:in the style of|im stil von)(?: an?| the| einem| einer)? (?P<value>{style})\.?\Z",
        rf"(?<=.), ?(?P<value>{bare})(?: style)?\.?\Z",
    )


def _plain_style(found: re.Match[str]) -> str | None:
    style = styles.load().style(found["value"])
    before = found.string[: found.start()].split()[-1].casefold()
    return style.name if style and before not in _NOT_A_STYLE_AFTER else None


def _aspect_patterns(known: Presets) -> Sequence[str]:
    shape, kind = _any_of(known.aspects), "(?:format|orientation|aspect ratio)"
    ratio = _any_of((*known.aspects.values(), *known.ratios))
    german = _any_of(_GERMAN_SHAPES)
    return (
        rf"(?<=.),? (?:in )?(?:an? )?(?P<value>{shape}) {kind}\.?\Z",
        rf"(?<=.), ?(?P<value>{shape})\.?\Z",
        rf"(?<=.)(?:, ?|,? in )(?P<value>{ratio})\.?\Z",
        r"(?<=.),? (?:im )?(?P<value>hochkant|hochformat|querformat)\.?\Z",
        r"(?<=.), ?(?P<value>quadratisch)\.?\Z",
        r"(?<=\w) (?P<value>16:9|9:16|21:9|9:21|4:3|3:4)\.?\Z",
        rf"\A(?P<kept>{_NUMBER} |an? )(?P<value>{shape}|{german}) (?={_PICTURES} (?:of|von) )",
    )


def _plain_aspect(found: re.Match[str]) -> str | None:
    before = found.string[: found.start()].rstrip(" ,").split()
    if re.fullmatch(r"[\d:]+", found["value"]) and before and before[-1].casefold() in _PLACED:
        return None
    return read_aspect(_GERMAN_SHAPES.get(found["value"].casefold(), found["value"]))


def _plain_count(found: re.Match[str]) -> int | None:
    word = found["value"].casefold()
    for numbers in (_NUMBERS, _GERMAN_NUMBERS):
        if word in numbers:
            return numbers.index(word) + 1
    return int(word) if re.fullmatch(r"[1-9]\d?", word) and int(word) <= len(_NUMBERS) else None


def _one_of_them(found: re.Match[str]) -> str:
    """Return what several photos are one by one: "a photo of"; of pictures, nothing."""
    kind = found.groupdict().get("kind") or ""
    return f"{_KINDS[kind.casefold()]} " if kind.casefold() in _KINDS else ""


def _any_of(words: Iterable[str]) -> str:
    """Build a pattern for any of the words, the longest first, in which spaces and hyphens are the same."""
    longest_first = sorted(set(words), key=len, reverse=True)
    return "|".join(re.sub(r"(\\ |\\-)", "[ -]", re.escape(word)) for word in longest_first)


def read_lettering(value: str) -> str:
    """Read texts that are set on an image. Raises Unusable."""
    texts = [found for each in value.split(lettering.SEPARATOR) if (found := lettering.clean(each))]
    if not texts or len(texts) > MOST_TEXTS:
        raise Unusable(_("Give one to {most} texts, with | between them.", most=MOST_TEXTS))
    return f" {lettering.SEPARATOR} ".join(texts)


def _plain_lettering(match: re.Match[str]) -> str | None:
    try:
        return read_lettering(match["value"])
    except Unusable:
        return None


_ASKS_FOR_WORDS = (
    r"(?:that |which )?(?:says?|reads?|saying|reading|titled|captioned|labell?ed)",
    r"with (?:the )?(?:words?|text|title|caption|lettering|inscription|headline)",
    r"(?:mit )?(?:der aufschrift|dem text|den worten|dem titel|der überschrift)",
    r"avec (?:le texte|les mots|le titre|l['’]inscription)",
)
LETTERING_WORDS = Plain(
    patterns=lambda _: [
        rf"(?<=.),? {words}:? [“\"„«‘](?P<value>[^“”\"„«»‘’]{{1,200}})[”\"“»’]" for words in _ASKS_FOR_WORDS
    ],
    value=_plain_lettering,
)
STYLE_WORDS = Plain(patterns=_style_patterns, value=_plain_style)
ASPECT_WORDS = Plain(
    patterns=_aspect_patterns,
    value=_plain_aspect,
    stays=frozenset({"portrait", "landscape"}),
)
COUNT_WORDS = Plain(
    patterns=lambda _: (
        r"\A(?P<value>\w{1,9}) (?:pictures|images|pics|bilder) (?:of|von) (?=.)",
        r"\A(?P<value>one|1) (?:picture|image) of (?=.)",
        rf"\A(?P<value>\w{{1,9}}) (?P<kind>{'|'.join(_KINDS)}) (?:of|von) (?=.)",
    ),
    value=_plain_count,
    instead=_one_of_them,
)

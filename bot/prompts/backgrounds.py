"""Words for what is laid behind a cut-out: nothing, or a colour in English, German or French."""

from __future__ import annotations

import re
import unicodedata

from bot.i18n import _
from bot.options import Unusable, clip, suggest
from engine.types import TRANSPARENT

_NOTHING = ("transparent", "transparente", "durchsichtig")
_COLOURS: dict[str, tuple[str, ...]] = {  # those that people say most, in two more languages
    "#ffffff": ("white", "weiss", "weiß", "blanc", "blanche"),
    "#000000": ("black", "schwarz", "noir", "noire"),
    "#808080": ("grey", "gray", "grau", "gris", "grise"),
    "#d3d3d3": ("light grey", "light gray", "hellgrau", "gris clair"),
    "#404040": ("dark grey", "dark gray", "dunkelgrau", "gris fonce"),
    "#e03131": ("red", "rot", "rouge"),
    "#8b1a1a": ("dark red", "dunkelrot", "rouge fonce", "bordeaux"),
    "#f08c00": ("orange",),
    "#ffd43b": ("yellow", "gelb", "jaune"),
    "#2f9e44": ("green", "gruen", "grün", "vert", "verte"),
    "#8ce99a": ("light green", "hellgruen", "hellgrün", "vert clair"),
    "#1b5e20": ("dark green", "dunkelgruen", "dunkelgrün", "vert fonce"),
    "#12b5a6": ("turquoise", "tuerkis", "türkis", "teal"),
    "#1c7ed6": ("blue", "blau", "bleu", "bleue"),
    "#a5d8ff": ("light blue", "hellblau", "bleu clair", "sky blue", "himmelblau", "bleu ciel"),
    "#10316b": ("dark blue", "dunkelblau", "bleu fonce", "navy", "marineblau", "bleu marine"),
    "#9c36b5": ("purple", "lila", "violett", "violet", "violette", "pourpre"),
    "#f783ac": ("pink", "rosa", "rose"),
    "#7f4f24": ("brown", "braun", "brun", "marron"),
    "#f5f0dc": ("beige", "cream", "creme"),
    "#d4a017": ("gold", "golden", "dore", "or"),
}


def _plain(text: str) -> str:
    """Return words in lower case, without accents and with single spaces."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(each for each in apart if not unicodedata.combining(each))
    return " ".join(bare.replace("-", " ").split()).rstrip(",")


_WORDS = {_plain(word): colour for colour, words in _COLOURS.items() for word in words}
_MOST_WORDS = max(len(word.split()) for word in _WORDS)
_HEX = re.compile(r"#?([0-9a-f]{3}|[0-9a-f]{6})", re.IGNORECASE)


def read_background(value: str) -> str:
    """Return TRANSPARENT, or a colour as "#rrggbb". Raises Unusable."""
    text = _plain(value)
    if text in _NOTHING:
        return TRANSPARENT
    if colour := _WORDS.get(text):
        return colour
    if (found := _HEX.fullmatch(text)) and (value.lstrip().startswith("#") or any(map(str.isdigit, text))):
        digits = found[1] if len(found[1]) == 6 else "".join(each * 2 for each in found[1])
        return f"#{digits}"
    from PIL import ImageColor  # not before it is needed: workers import this module too

    if named := ImageColor.colormap.get(text.replace(" ", "")):
        return str(named).casefold()
    near = suggest(text, [*_NOTHING, *_WORDS])
    raise Unusable(
        _(
            "Background can be transparent, a colour such as blue, or #0af; “{typed}” is none of these.",
            typed=clip(value),
        ),
        near or TRANSPARENT,
    )


def background_label(value: str) -> str:
    """Return a background as people read it."""
    return _("transparent") if value == TRANSPARENT else value


def background_extent(rest: str) -> int:
    """Return how many characters name a background: as many words as do, else one."""
    ends = [word.end() for word in re.finditer(r"\S+", rest)][:_MOST_WORDS]
    named = (end for end in reversed(ends) if _plain(rest[:end]) in (*_WORDS, *_NOTHING))
    return next(named, ends[0])

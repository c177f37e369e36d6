"""Words set on a picture as type: what they are. How they are set, `engine.lettering.setting` says."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from engine import weights
from engine.types import GenerationRequest

SEPARATOR = "|"
STYLES = ("sans", "serif", "display", "hand", "mono")
PLACES = ("auto", "top", "bottom", "sign", "label")
MOST_CHARACTERS = 300  # of one text


class LetteringError(ValueError):
    """Words that cannot be set."""


class MissingGlyphs(LetteringError):
    """Characters that no font here has."""

    def __init__(self, characters: str) -> None:
        super().__init__(f"no font has {characters}")
        self.characters = characters


class TooLong(LetteringError):
    """Words that fit at no size that can be read."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} does not fit")
        self.text = text


@dataclass(frozen=True, slots=True)
class Lettering:
    """Words, where they stand, and how they look."""

    texts: tuple[str, ...]
    place: str = "auto"
    style: str = "sans"

    @classmethod
    def of(cls, request: GenerationRequest) -> Lettering:
        """Return what a request wants set on its pictures."""
        found = (clean(each) for each in request.lettering.split(SEPARATOR))
        return cls(tuple(filter(None, found)), request.lettering_place, request.lettering_style)


_ROOM = {
    "top": "plain empty space at the top",
    "bottom": "plain empty space at the bottom",
    "label": "plain empty space at the lower left",
    "sign": "plain empty space in the middle",
    "auto": "plain calm background with empty space",
}


def with_room(prompt: str, request: GenerationRequest) -> str:
    """Return a prompt that asks the model for room for the words of a request, too."""
    if not request.lettering:
        return prompt
    room = _ROOM.get(request.lettering_place, _ROOM["auto"])
    return weights.each_part(prompt, lambda part: f"{part}, {room}")


OWN_WORDS = "text, letters, watermark"
"""What a model that paints a picture for words had better leave out: they are set as type."""


def clean(text: str) -> str:
    """Return a text without control characters, its spaces single, its line breaks kept."""
    lines = unicodedata.normalize("NFC", text).replace("\r\n", "\n").split("\n")
    kept = ("".join(each for each in line if each in JOINERS or _is_shown(each)) for line in lines)
    return "\n".join(" ".join(line.split()) for line in kept).strip()


JOINERS = "\u200c\u200d"


def _is_shown(character: str) -> bool:
    return character == "\t" or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn")

"""What looks at a picture and says what it shows: each a process of its own, started by its first picture."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from bot.images.picture_process import PictureProcess, models_environment
from engine import describing as scripts
from engine.embedded import CLASSIFIER

_SCRIPTS = Path(scripts.__file__).parent
MOST = 4  # suggestions

DRAWING_PATIENCE = 60.0  # seconds for one picture, on a busy machine
CAPTION_PATIENCE = 900.0  # seconds for one, the model's loading included


class Describer(Protocol):
    """Describes pictures."""

    async def describe(self, picture: bytes) -> list[str]:
        """Return prompts for what a PNG or WebP shows, the best first. Raises Unanswered."""
        ...

    async def close(self) -> None: ...


class DrawingDescriber(PictureProcess):
    """The classifier that ships. It sees no settings."""

    def __init__(self, patience: float = DRAWING_PATIENCE) -> None:
        command = (sys.executable, "-I", str(_SCRIPTS / "drawings.py"), str(CLASSIFIER))
        super().__init__(command, patience, {"OPENBLAS_NUM_THREADS": "1"})

    async def describe(self, picture: bytes) -> list[str]:
        return await self.asked(picture, lambda answer: prompts_of(json.loads(answer)))


class CaptionDescriber(PictureProcess):
    """A captioning model; its process sees where models are, and none of Easel's settings."""

    def __init__(self, model: str, patience: float = CAPTION_PATIENCE) -> None:
        command = (sys.executable, "-I", str(_SCRIPTS / "captions.py"), model)
        super().__init__(command, patience, models_environment())

    async def describe(self, picture: bytes) -> list[str]:
        return await self.asked(picture, _captions)


def _captions(answer: bytes) -> list[str]:
    captions = json.loads(answer)["captions"]
    if not all(isinstance(each, str) for each in captions):
        raise TypeError("captions are texts")
    return list(captions)[:MOST]


_COLOURS = frozenset(
    ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white", "grey")
)


def prompts_of(facts: Mapping[str, Any]) -> list[str]:
    """Return prompts from what the classifier says: "a red fox, 3d, on a light blue background"."""
    found = [_prompt(thing, facts) for thing in facts["things"]]
    return list(dict.fromkeys(found))[:MOST]


def _prompt(thing: str, facts: Mapping[str, Any]) -> str:
    style, ground = facts["style"], facts["ground"]
    words = _coloured(thing, facts["colour"])
    where = f"on {_article(ground)} {ground} background" if ground not in ("", "white") else ""
    styled = f"{words}, {style}" if style else words
    return (", " if style else " ").join(filter(None, (styled, where)))


def _coloured(thing: str, colour: str) -> str:
    """Return a thing with its colour, unless its name says one: "a fox" → "a red fox"."""
    words = thing.split()
    if not colour or _COLOURS & set(words):
        return thing
    if words[0] in ("a", "an"):
        return f"{_article(colour)} {colour} {' '.join(words[1:])}"
    return f"{colour} {thing}"


def _article(word: str) -> str:
    return "an" if word.startswith(("a", "e", "i", "o", "u")) else "a"

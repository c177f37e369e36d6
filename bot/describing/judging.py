"""Which of several pictures is closest to a prompt: what `--best` keeps."""

from __future__ import annotations

import asyncio
import json
import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import structlog

from bot.i18n import _
from bot.images.picture_process import PictureProcess, Unanswered, models_environment
from engine import describing as scripts
from engine import types, weights
from engine.embedded import CLASSIFIER

log = structlog.stdlib.get_logger(__name__)

_SCRIPTS = Path(scripts.__file__).parent

PATIENCE = 60.0  # seconds for all pictures of a job, waiting for others' included
FIRST_PATIENCE = 300.0  # seconds for one picture by a configured model, which its first one loads
LONGEST = 1000  # characters of a prompt; text encoders of judges read far fewer

UNANSWERED = _("The judge gave no answer, so this is the first of {count} images.")
UNKNOWN = _("The judge knows nothing that the prompt names, so this is the first of {count} images.")


@dataclass(frozen=True, slots=True)
class Choice:
    """The place of a picture in a list of several, and what is told of how it was chosen."""

    place: int
    note: str = ""


class Scorer(Protocol):
    """Scores pictures by how close each is to a prompt."""

    async def score(self, prompt: str, picture: bytes) -> float | None:
        """Return a score, more for what is closer; None where it knows nothing of the prompt.

        Raises Unanswered.
        """
        ...

    async def close(self) -> None: ...


class Judging:
    """Chooses pictures: those of drawings by the classifier that ships, others by a configured model.

    Whatever happens to a judge, there is a choice, and a job ends.
    """

    def __init__(self, drawings: Scorer, model: Scorer | None, patience: float = PATIENCE) -> None:
        self._scorers: dict[str, Scorer | None] = {"drawings": drawings, "model": model}
        self._patience = patience

    async def choose(self, job: str, prompt: str, pictures: Sequence[bytes], judge: types.Judge) -> Choice:
        """Return the picture that is closest to a job's prompt, or the first where nobody can tell."""
        count, words = len(pictures), weights.read(prompt).plain[:LONGEST]
        try:
            async with asyncio.timeout(self._patience):
                scores = [await self._score(judge, words, each) for each in pictures]
        except (Unanswered, TimeoutError) as error:
            log.warning("no judge chose a picture", job_id=job, cause=str(error) or "it took too long")
            return Choice(0, UNANSWERED.format(count=count))
        known = [each for each in scores if each is not None]
        if len(known) < count:
            return Choice(0, UNKNOWN.format(count=count))
        return Choice(max(range(count), key=known.__getitem__))

    async def _score(self, judge: types.Judge, words: str, picture: bytes) -> float | None:
        scorer = self._scorers.get(judge)
        if scorer is None:
            raise Unanswered("the model has no judge any more")
        return await scorer.score(words, picture)

    async def close(self) -> None:
        """Stop the processes."""
        for each in self._scorers.values():
            if each:
                await each.close()


class DrawingScorer(PictureProcess):
    """The classifier that ships. It sees no settings."""

    def __init__(self, patience: float = PATIENCE) -> None:
        command = (sys.executable, "-I", str(_SCRIPTS / "drawings.py"), str(CLASSIFIER))
        super().__init__(command, patience, {"OPENBLAS_NUM_THREADS": "1"})

    async def score(self, prompt: str, picture: bytes) -> float | None:
        wanted = wanted_of(prompt)
        if not any(wanted.values()):
            return None
        return await self.asked(json.dumps(wanted).encode() + b"\n" + picture, _score)


class ModelScorer(PictureProcess):
    """A CLIP or SigLIP model; its process sees where models are, and none of Easel's settings."""

    def __init__(self, model: str, patience: float = FIRST_PATIENCE) -> None:
        command = (sys.executable, "-I", str(_SCRIPTS / "likeness.py"), model)
        super().__init__(command, patience, models_environment())

    async def score(self, prompt: str, picture: bytes) -> float | None:
        return await self.asked(json.dumps({"prompt": prompt}).encode() + b"\n" + picture, _score)


def _score(answer: bytes) -> float:
    score = float(json.loads(answer)["score"])
    if not math.isfinite(score):
        raise ValueError(f"a score of {score}")
    return score


# ---- what a prompt asks for, in the classifier's terms

_ENDINGS = ("", "e", "en", "em", "er", "es")
_GERMAN = {"rot": "red", "orange": "orange", "orangefarben": "orange", "gelb": "yellow", "grün": "green",
           "hellgrün": "light green", "blau": "blue", "hellblau": "light blue", "lila": "purple",
           "violett": "purple", "rosa": "pink", "pink": "pink", "braun": "brown", "schwarz": "black",
           "weiß": "white", "grau": "grey", "beige": "beige"}  # fmt: skip
_GROUND = ("background", "hintergrund")
_ANY = [["left", "right"], ["right", "left"], ["top", "bottom"], ["bottom", "top"]]
_PLACES = {
    ("above", "over", "über"): [["top", "bottom"]],
    ("below", "under", "beneath", "unter"): [["bottom", "top"]],
    ("left", "links"): [["left", "right"]],
    ("right", "rechts"): [["right", "left"]],
}
_MOST_WORDS = 6  # of a noun


def wanted_of(prompt: str) -> dict[str, Any]:
    """Return what the classifier is asked of a prompt's pictures; all empty where it knows none of it.

    "things" has the numbers of the concepts that each thing may be, "places" the parts of the picture in
    which two of them may stand; "colour" is that of a single thing, and "ground" that behind it.
    """
    words = re.findall(r"[\w'-]+", prompt.casefold())
    ground, words = _without_ground(words)
    found = list(_read(words))
    things = [concepts for concepts, _colour in found if concepts]
    colours = [colour for _concepts, colour in found if colour]
    return {
        "things": things,
        "places": _places(words) if len(things) == 2 else [],
        "colour": colours[0] if len(things) < 2 and len(colours) == 1 else "",
        "ground": ground,
    }


def _without_ground(words: list[str]) -> tuple[str, list[str]]:
    """Return the colour of the background that the words name, and the words without it."""
    at = next((number for number, word in enumerate(words) if word in _GROUND), 0)
    for length in (2, 1):
        name = " ".join(words[max(0, at - length) : at])
        if ground := _colours().get(name, name if name in _nouns_and_grounds()["grounds"] else ""):
            return ground, words[: at - length] + words[at + 1 :]
    return "", words


def _read(words: list[str]) -> Iterator[tuple[list[int], str]]:
    """Yield the things that words name, and the colours, which a thing's name may begin with."""
    nouns, at = _nouns_and_grounds()["nouns"], 0
    while at < len(words):
        longest = min(_MOST_WORDS, len(words) - at)
        names = (" ".join(words[at : at + length]) for length in range(longest, 0, -1))
        name = next((each for each in names if each in nouns), "")
        colour = _colours().get(words[at], "")
        if name or colour:
            yield nouns.get(name, []), colour
        at += len(name.split()) or 1


def _places(words: list[str]) -> list[list[str]]:
    """Return in which parts of the picture the first and the second thing may stand."""
    said = next((word for word in words if any(word in each for each in _PLACES)), "")
    return next((places for names, places in _PLACES.items() if said in names), _ANY)


@cache
def _colours() -> Mapping[str, str]:
    """Return colour words, German ones with their endings, and what the classifier calls each."""
    grounds: Mapping[str, Any] = _nouns_and_grounds()["grounds"]
    german = {stem + ending: colour for stem, colour in _GERMAN.items() for ending in _ENDINGS}
    return {**german, **{each: each for each in grounds}, "gray": "grey"}


@cache
def _nouns_and_grounds() -> dict[str, Any]:
    words: dict[str, Any] = json.loads((CLASSIFIER / "words.json").read_text(encoding="utf-8"))
    return words

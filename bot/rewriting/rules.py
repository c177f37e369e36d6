"""Shorten or expand a prompt by rules that can be read in `rules.toml`: no model is asked.

Shortening drops politeness, praise that changes nothing and repetitions; of what is still long it keeps the
first parts. Expanding adds what the words leave open: ground, light, view, detail.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

Change = Literal["shorten", "expand"]

LONG = 18  # words that a shortened prompt has at most, unless its first part has more
MOST_ADDED = 3  # things that one expansion adds

_WORD = re.compile(r"\w+")
_RULES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
_OPENINGS: tuple[str, ...] = tuple(_RULES["openings"])
_PRAISE, _FILLERS = frozenset(_RULES["praise"]), frozenset(_RULES["fillers"])
_OPEN: tuple[tuple[frozenset[str], str], ...] = tuple(
    (frozenset(each["settled"].split()), each["adds"]) for each in _RULES["open"]
)


def shortened(prompt: str) -> str:
    """Return the prompt without what can be left out; itself where there is nothing of the kind."""
    parts = [_plain(each) for each in _parts(prompt)]
    kept = (part for part in parts if part and part.casefold() not in _PRAISE)
    return ", ".join(_first(kept)) or prompt


def expanded(prompt: str) -> str:
    """Return the prompt with what it leaves open; itself where it leaves nothing open."""
    said = _words(prompt)
    added = [words for settled, words in _OPEN if not said & settled][:MOST_ADDED]
    return ", ".join((prompt.rstrip(" ,;."), *added)) if added else prompt


def rewritten(change: Change, prompt: str) -> str:
    """Return the prompt as the rules change it; itself where they find nothing to do."""
    return shortened(prompt) if change == "shorten" else expanded(prompt)


def _parts(prompt: str) -> list[str]:
    """Return what stands between commas, semicolons and line ends; weights in brackets stay whole."""
    parts: list[str] = []
    depth = begun = 0
    for at, character in enumerate(prompt):
        depth = max(0, depth + (character == "(") - (character == ")"))
        if character in ",;\n" and not depth:
            parts.append(prompt[begun:at])
            begun = at + 1
    return [*parts, prompt[begun:]]


def _plain(part: str) -> str:
    """Return a part without its openings and fillers."""
    words = part.split()
    while count := _opening(words):
        words = words[count:]
    return " ".join(word for word in words if word.casefold() not in _FILLERS).rstrip(" .!")


def _opening(words: list[str]) -> int:
    """Return how many words at the beginning say nothing, where others follow."""
    for opening in _OPENINGS:
        count = opening.count(" ") + 1
        if len(words) > count and " ".join(words[:count]).casefold() == opening:
            return count
    return 0


def _first(parts: Iterable[str]) -> Iterator[str]:
    """Yield the first parts until they have said enough; none whose words one before it has all said."""
    said: list[frozenset[str]] = []
    for part in parts:
        words = _words(part)
        if said and sum(map(len, said)) + len(words) > LONG:
            return
        if not any(words <= each for each in said):
            said.append(words)
            yield part


def _words(text: str) -> frozenset[str]:
    return frozenset(word.casefold() for word in _WORD.findall(text))

"""The lists of terms, by category, and how a text is searched for them."""

from __future__ import annotations

import functools
import itertools
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from bot.moderation.normalize import LETTER, plain

Strictness = Literal["relaxed", "standard", "strict"]
"""How much a tenant refuses: each refuses what the one before it does, and more."""

STRICTNESS: tuple[Strictness, ...] = get_args(Strictness)

_FOLDER = Path(__file__).parent / "lists"
_WORD = re.compile(f"{LETTER}+|[0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TermGroup:
    """Terms of one category that are treated alike."""

    category: str  # the file's name; "own" for a tenant's
    name: str
    level: str = "never"  # the loosest strictness that refuses it by itself
    adult: bool = False  # age-restricted channels allow it
    with_minors: bool = False  # what the hard block joins with minors
    wished_away: bool = False  # may stand in a negative prompt
    certain: bool = False  # cannot well be meant otherwise: a strike
    words: tuple[str, ...] = field(repr=False, default=())


@dataclass(frozen=True, slots=True)
class Hit:
    """Words `start` to `end` (exclusive) of a text are a term of the group."""

    group: TermGroup
    start: int
    end: int


class Index:
    """Terms that are found fast: single words by look-up, phrases by how their first word begins."""

    def __init__(self, groups: Sequence[TermGroup]) -> None:
        self._words: defaultdict[str, list[TermGroup]] = defaultdict(list)
        self._stems: defaultdict[str, list[TermGroup]] = defaultdict(list)  # "abc*"
        self._cores: defaultdict[str, list[TermGroup]] = defaultdict(list)  # "*abc", "*abc*"
        self._phrases: defaultdict[str, list[_Phrase]] = defaultdict(list)
        for group in groups:
            for term in group.words:
                self._add(group, _spelled(term))
        self._longest = max(map(len, self._stems), default=0)
        whole = {word for group in groups for term in group.words for word in _spelled(term)}
        self._by_shape = _by_shape(word for word in whole if "*" not in word)
        self._stems_by_shape = _by_shape(self._stems)

    def _add(self, group: TermGroup, parts: list[str]) -> None:
        first = parts[0].strip("*")
        if len(parts) > 1:
            self._phrases[first[:2]].append(_Phrase(group, tuple(parts)))
        elif parts[0].startswith("*"):
            self._cores[first].append(group)
        else:
            (self._stems if parts[0].endswith("*") else self._words)[first].append(group)

    def hits(self, words: list[str]) -> Iterator[Hit]:
        """Yield every term that stands in the words of a text that `plain` made."""
        known: dict[str, tuple[list[TermGroup], list[_Phrase]]] = {}  # most words of a long text come again
        for at, word in enumerate(words):
            if (found := known.get(word)) is None:
                found = known[word] = (list(self._of(word)), list(self._begun_by(word)))
            for group in found[0]:
                yield Hit(group, at, at + 1)
            for phrase in found[1]:
                if phrase.goes_on(words, at):
                    yield Hit(phrase.group, at, at + len(phrase.words))

    def _of(self, word: str) -> Iterator[TermGroup]:
        yield from self._words.get(word, ())
        for length in range(2, min(len(word), self._longest) + 1):
            yield from self._stems.get(word[:length], ())
        for core, groups in self._cores.items():
            if core in word:
                yield from groups

    def _begun_by(self, word: str) -> Iterator[_Phrase]:
        return (each for each in self._phrases.get(word[:2], ()) if _fits(each.words[0], word))

    def unstarred(self, text: str) -> str:
        """Replace each starred word ("n*de") that could hide one of the terms by that term."""
        return _STARRED.sub(lambda found: self._unstarred(found[0]), text)

    def _unstarred(self, word: str) -> str:
        whole = [known for known in self._by_shape.get(_shape(word), ()) if _could_be(word, known)]
        return " | ".join(whole or self._stems_like(word) or [word])

    def _stems_like(self, word: str) -> list[str]:
        beginnings = [word[:length] for length in range(1, min(len(word), self._longest) + 1)]
        return [
            stem + word[len(stem) :]
            for beginning in beginnings
            for stem in self._stems_by_shape.get(_shape(beginning), ())
            if _could_be(beginning, stem)
        ]


@dataclass(frozen=True, slots=True)
class _Phrase:
    group: TermGroup
    words: tuple[str, ...]  # with their stars

    def goes_on(self, words: list[str], at: int) -> bool:
        """Tell whether the phrase's other words follow the one at that place."""
        rest, there = self.words[1:], words[at + 1 : at + len(self.words)]
        return len(there) == len(rest) and all(map(_fits, rest, there))


_STARRED = re.compile(rf"(?<![\w*#])(?=[\w*#]{{3,15}}(?![\w*#])){LETTER}+(?:[*#]+{LETTER}+)+")


_Shape = tuple[int, str]


def _shape(word: str) -> _Shape:
    """Return a starred word's length and first letter, which it shares with the word that it hides."""
    return len(word), word[0]


def _by_shape(words: Iterable[str]) -> dict[_Shape, list[str]]:
    found: defaultdict[_Shape, list[str]] = defaultdict(list)
    for word in words:
        found[_shape(word)].append(word)
    return found


def _could_be(starred: str, word: str) -> bool:
    """Tell whether two words of one length differ in nothing but letters that are starred."""
    return all(seen in ("*", "#", real) for seen, real in zip(starred, word, strict=True))


def words_of(text: str) -> list[str]:
    return _WORD.findall(text)


def _spelled(words: str) -> list[str]:
    """Return a term's words as they are in a plain text, with their stars."""
    return re.findall(rf"\*?(?:{LETTER}+|[0-9]+)\*?", plain(words))


def _fits(term: str, word: str) -> bool:
    """Tell whether a word is what a term's word says; a star stands for any letters."""
    core = term.strip("*")
    if term.startswith("*"):
        return core in word if term.endswith("*") else word.endswith(core)
    return word.startswith(core) if term.endswith("*") else word == core


@functools.cache
def groups(category: str) -> dict[str, TermGroup]:
    """Load the groups of one category, by name."""
    text = (_FOLDER / f"{category}.toml").read_text(encoding="utf-8")
    return {
        name: TermGroup(category=category, name=name, **{**values, "words": tuple(values["words"])})
        for name, values in tomllib.loads(text)["groups"].items()
    }


CATEGORIES = ("sexual", "violence", "hate", "self_harm", "people")


@functools.cache
def known() -> Index:
    """Index all terms of the shipped lists, also those about minors and those that keep minors out."""
    return Index([group for category in (*CATEGORIES, "minors") for group in groups(category).values()])


@functools.cache
def excused() -> Index:
    """Index ordinary expressions that hold a term, also with their words joined, as some readings do."""
    return Index([replace(group, words=_joined(group.words)) for group in groups("allowed").values()])


def _joined(phrases: Iterable[str]) -> tuple[str, ...]:
    found: list[str] = []
    for phrase in phrases:
        first, *rest = _spelled(phrase)
        found += [
            "".join([first, *parts]) for parts in itertools.product(*([f" {word}", word] for word in rest))
        ]
    return tuple(found)

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

from bot.moderation.reading import LETTER, plain

Strictness = Literal["relaxed", "standard", "strict"]
"""How much a tenant refuses: each refuses what the one before it does, and more."""

STRICTNESS: tuple[Strictness, ...] = get_args(Strictness)

_FOLDER = Path(__file__).parent / "lists"
_WORD = re.compile(f"{LETTER}+|[0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Group:
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

    group: Group
    start: int
    end: int


class Index:
    """Terms that are found fast: single words by look-up, phrases by how their first word begins."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self._words: defaultdict[str, list[Group]] = defaultdict(list)
        self._stems: defaultdict[str, list[Group]] = defaultdict(list)  # "abc*"
        self._cores: defaultdict[str, list[Group]] = defaultdict(list)  # "*abc", "*abc*"
        self._phrases: defaultdict[str, list[_Phrase]] = defaultdict(list)
        for group in groups:
            for term in group.words:
                self._add(group, _spelled(term))
        self._vocabulary = {word for group in groups for term in group.words for word in _spelled(term)}
        self._longest = max(map(len, self._stems), default=0)

    def _add(self, group: Group, parts: list[str]) -> None:
        first = parts[0].strip("*")
        if len(parts) > 1:
            self._phrases[first[:2]].append(_Phrase(group, tuple(map(_pattern, parts))))
        elif parts[0].startswith("*"):
            self._cores[first].append(group)
        else:
            (self._stems if parts[0].endswith("*") else self._words)[first].append(group)

    def hits(self, text: str) -> Iterator[Hit]:
        """Every term that stands in a text that `plain` made."""
        words = _WORD.findall(text)
        for at, word in enumerate(words):
            yield from (Hit(group, at, at + 1) for group in self._of(word))
            for phrase in self._phrases.get(word[:2], ()):
                if phrase.stands(words, at):
                    yield Hit(phrase.group, at, at + len(phrase.words))

    def _of(self, word: str) -> Iterator[Group]:
        yield from self._words.get(word, ())
        for length in range(2, min(len(word), self._longest) + 1):
            yield from self._stems.get(word[:length], ())
        for core, groups in self._cores.items():
            if core in word:
                yield from groups

    def unstarred(self, text: str) -> str:
        """The text with every starred word ("n*de") that could be one of the terms' as that."""
        return _STARRED.sub(lambda found: self._unstarred(found[0]), text)

    def _unstarred(self, word: str) -> str:
        pattern = re.sub(r"[*#]", lambda _: LETTER, word)
        whole = [known for known in self._vocabulary if re.fullmatch(pattern, known)]
        return " | ".join(whole or self._stems_like(word) or [word])

    def _stems_like(self, word: str) -> list[str]:
        beginnings = ((stem, word[: len(stem)]) for stem in self._stems if len(stem) <= len(word))
        return [
            stem + word[len(stem) :]
            for stem, beginning in beginnings
            if re.fullmatch(re.sub(r"[*#]", lambda _: LETTER, beginning), stem)
        ]


@dataclass(frozen=True, slots=True)
class _Phrase:
    group: Group
    words: tuple[re.Pattern[str], ...]

    def stands(self, words: list[str], at: int) -> bool:
        there = words[at : at + len(self.words)]
        return len(there) == len(self.words) and all(map(re.Pattern.fullmatch, self.words, there))


_STARRED = re.compile(rf"(?<![\w*#])(?=[\w*#]{{3,15}}(?![\w*#])){LETTER}+(?:[*#]+{LETTER}+)+")


def _spelled(words: str) -> list[str]:
    """A term's words as a plain text would have them, with their stars."""
    return re.findall(rf"\*?(?:{LETTER}+|[0-9]+)\*?", plain(words))


def _pattern(word: str) -> re.Pattern[str]:
    core = re.escape(word.strip("*"))
    before, after = word.startswith("*"), word.endswith("*")
    return re.compile(f"{f'{LETTER}*' if before else ''}{core}{f'{LETTER}*' if after else ''}")


@functools.cache
def groups(category: str) -> dict[str, Group]:
    """The groups of one category, by name."""
    text = (_FOLDER / f"{category}.toml").read_text(encoding="utf-8")
    return {
        name: Group(category=category, name=name, **{**values, "words": tuple(values["words"])})
        for name, values in tomllib.loads(text)["groups"].items()
    }


CATEGORIES = ("sexual", "violence", "hate", "self_harm", "people")


@functools.cache
def known() -> Index:
    """Everything that the shipped lists name, minors and what keeps them out included."""
    return Index([group for category in (*CATEGORIES, "minors") for group in groups(category).values()])


@functools.cache
def excused() -> Index:
    """Ordinary expressions that hold a term, also with their words written as one: readings join some."""
    return Index([replace(group, words=_joined(group.words)) for group in groups("allowed").values()])


def _joined(phrases: Iterable[str]) -> tuple[str, ...]:
    found: list[str] = []
    for phrase in phrases:
        first, *rest = _spelled(phrase)
        found += [
            "".join([first, *parts]) for parts in itertools.product(*([f" {word}", word] for word in rest))
        ]
    return tuple(found)

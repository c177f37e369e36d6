"""Translate what Easel says, and choose the language in which each person is answered.

Every sentence is written once, in English, where it is made. A catalogue in `languages/` pairs such a
sentence, with names for what varies, with its translation: `"{n} of {m} steps" = "{n} von {m} Schritten"`.

- What varies stays as it is: names, prompts, numbers. `{name!}` is looked up itself. `{n}`, `{m}` and `{k}`
  are numbers or times.
- A text is looked up sentence by sentence, so an entry is one sentence, or the few that belong together.
- An entry that ends with what varies takes all that follows: `"To paint it again: {text}"`.
- A sentence that no entry fits stays English. `tests/unit/test_words.py` finds those.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import TypeVar

from bot.errors import Refusal
from bot.messages.types import Bar, Button, Card, CardPicture, Form
from bot.models import INSTANCE, Origin, Policy

LANGUAGES = {"en": "English", "de": "Deutsch"}
"""The languages there are, by their code; English needs no catalogue."""

MOST_SENTENCES = 24  # of one text that are looked up; more is what somebody typed
LONGEST_ENTRY = 3  # sentences that one entry may cover
DEEPEST = 4  # entries inside of entries

_FOLDER = Path(__file__).parent / "languages"
_HOLE = re.compile(r"\{(\w+)(!?)\}")
_NUMBER = re.compile(r"[\d.,:]+")  # or a time
_NUMBERS = frozenset("nmk")
_BREAK = re.compile(r"(?<=[.?!]) ")

Sayable = TypeVar("Sayable", Card, Form, Refusal)


def nearest(tag: str) -> str:
    """Return the available language for a tag such as "de-AT"; empty where there is none."""
    code = re.split("[-_]", tag.strip().casefold())[0]
    return code if code in LANGUAGES else ""


class Speech:
    """The language for each person: that of their place, else of the instance, else their own."""

    def __init__(self) -> None:
        self._places: dict[str, str] = {}

    def place(self, tenant: str, policy: Policy) -> None:
        """Store the language that an administrator has set for a tenant."""
        self._places[tenant] = policy.language

    def of(self, origin: Origin) -> str:
        here = self._places.get(origin.member.tenant) or self._places.get(INSTANCE)
        return here or origin.language or "en"

    def said(self, what: Sayable, origin: Origin) -> Sayable:
        """Return a card, a form or a refusal in the language in which the person is answered."""
        return translated(what, self.of(origin))


# --- catalogues -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Entry:
    """A sentence with gaps. Literal text is searched for, so no text takes long, whatever it holds."""

    literals: tuple[str, ...]  # before, between and after the gaps
    holes: tuple[str, ...]
    translation: str
    looked_up: frozenset[str]  # holes whose content is translated too

    @property
    def weight(self) -> int:
        return sum(map(len, self.literals))

    @property
    def is_open(self) -> bool:
        """Whether it ends with what varies."""
        return bool(self.holes) and not self.literals[-1]

    def read(self, text: str) -> dict[str, str] | None:
        """Return the values in the entry's gaps; None when the text is another sentence."""
        if not text.startswith(self.literals[0]):
            return None
        at, found = len(self.literals[0]), {}
        for number, hole in enumerate(self.holes, start=1):
            end = self._end(text, number, at + 1)
            value = text[at:end]
            if end <= at or (hole in _NUMBERS and not _NUMBER.fullmatch(value)):
                return None
            found[hole] = value
            at = end + len(self.literals[number])
        return found if at == len(text) else None

    def _end(self, text: str, number: int, start: int) -> int:
        """Return where the gap before a literal ends; −1 when the literal is not there."""
        literal = self.literals[number]
        if number < len(self.holes):
            return text.find(literal, start)
        return len(text) - len(literal) if text.endswith(literal) else -1


def _entry(said: str, translation: str) -> _Entry:
    holes = list(_HOLE.finditer(said))
    literals = tuple(_HOLE.sub("\0", said).split("\0"))
    looked_up = frozenset(hole[1] for hole in holes if hole[2])
    return _Entry(literals, tuple(hole[1] for hole in holes), translation, looked_up)


_Part = tuple[str, _Entry | None, dict[str, str]]
"""Words, the entry that they are, and what stands in its gaps."""


class Catalogue:
    """One language's sentences."""

    def __init__(self, entries: Mapping[str, str]) -> None:
        # The more an entry spells out, the better it fits: it is tried first.
        made = sorted((_entry(*pair) for pair in entries.items()), key=lambda each: -each.weight)
        self._plain = {each.literals[0]: each for each in made if not each.holes}
        self._holed = [each for each in made if each.holes]
        self.say = lru_cache(4096)(self._say)

    def _say(self, text: str, depth: int = DEEPEST) -> str:
        said = (
            self._filled(entry, varying, depth) if entry else words
            for words, entry, varying in self._parts(text)
        )
        return " ".join(said)

    def _filled(self, entry: _Entry, varying: dict[str, str], depth: int) -> str:
        if depth:
            varying |= {name: self.say(varying[name], depth - 1) for name in entry.looked_up}
        return _HOLE.sub(lambda hole: varying[hole[1]], entry.translation)

    def missing(self, text: str) -> list[str]:
        """Return the parts of the text that have no translation."""
        found = []
        for words, entry, varying in self._parts(text):
            found += [] if entry else [words]
            for name in entry.looked_up if entry else ():
                found += self.missing(varying[name])
        return found

    def _parts(self, text: str) -> Iterator[_Part]:
        """Yield the sentences with their entries. An unknown one is looked up together with the next ones."""
        starts = [0, *(found.end() for found in _BREAK.finditer(text))][:MOST_SENTENCES]
        ends = [start - 1 for start in starts[1:]] + [len(text)]
        first = 0
        while first < len(ends):
            end, entry, varying = self._run(text, starts[first], ends[first : first + LONGEST_ENTRY])
            yield text[starts[first] : end], entry, varying
            first = ends.index(end) + 1

    def _run(self, text: str, start: int, ends: list[int]) -> tuple[int, _Entry | None, dict[str, str]]:
        """Return where the next words that belong together end, their entry, and the values in its gaps."""
        for end in ends:
            words = text[start:end]
            if words in self._plain:
                return end, self._plain[words], {}
            for entry in self._holed:
                if (varying := entry.read(words)) is not None:
                    if entry.is_open:
                        end, varying = len(text), entry.read(text[start:]) or varying
                    return end, entry, varying
        return ends[0], None, {}


@cache
def entries(language: str) -> Mapping[str, str]:
    """Load the entries of a catalogue. Raises KeyError for a language that is not one of `LANGUAGES`."""
    LANGUAGES[language]
    path = _FOLDER / f"{language}.toml"
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


@cache
def catalogue(language: str) -> Catalogue:
    """Load the catalogue of a language. Raises KeyError for one that is not in `LANGUAGES`."""
    return Catalogue(entries(language))


def say(text: str, language: str) -> str:
    """Translate a text into another language; what has no translation there stays."""
    return text if language == "en" else catalogue(language).say(text)


# --- what is said -----------------------------------------------------------------------------------------


def translated(said: Sayable, language: str) -> Sayable:
    """Translate a card, a form or a refusal into another language. A prompt stays as it was typed."""
    if language == "en":
        return said
    book = catalogue(language)
    match said:
        case Card():
            return _card(book, said, language)
        case Form():
            return replace(said, title=book.say(said.title), language=language)
    offers = tuple(replace(offer, label=book.say(offer.label)) for offer in said.offers)
    return Refusal(book.say(said.notice), code=said.code, offers=offers)


def _card(book: Catalogue, card: Card, language: str) -> Card:
    return replace(
        card,
        language=language,
        title=book.say(card.title) if is_heading(card) else card.title,
        facts=_all(book, card.facts),
        body=_all(book, card.body),
        bar=_bar(book, card.bar),
        pictures=tuple(_picture(book, card, each) for each in card.pictures),
        rows=tuple(tuple(_button(book, each) for each in row) for row in card.rows),
        more=tuple(_button(book, each) for each in card.more),
    )


def is_heading(card: Card) -> bool:
    """Tell whether a card's title is not a prompt, by which its pictures would be named."""
    return card.kind == "text" and not card.job and not any(p.alt == card.title for p in card.pictures)


def _all(book: Catalogue, texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(map(book.say, texts))


def _bar(book: Catalogue, bar: Bar | None) -> Bar | None:
    return replace(bar, label=book.say(bar.label)) if bar else None


def _picture(book: Catalogue, card: Card, picture: CardPicture) -> CardPicture:
    """Translate the rest of a picture's alternative text after the prompt, such as which picture it is."""
    rest = picture.alt.removeprefix(card.title)
    return replace(picture, alt=card.title + book.say(rest)) if rest and rest != picture.alt else picture


def _button(book: Catalogue, button: Button) -> Button:
    return replace(button, label=book.say(button.label), name=book.say(button.name))

"""What Easel says in other languages than English.

Every sentence is written once, in English, where it is made. A catalogue in `languages/` pairs such a
sentence, with names for what varies, with its translation: `"{n} of {m} steps" = "{n} von {m} Schritten"`.
What varies stays as it is; `{name!}` is looked up itself. A sentence that no entry fits stays English.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path

from bot.card import Bar, Button, Card, CardPicture

LANGUAGES = {"en": "English", "de": "Deutsch"}
"""The languages there are, by their code; English needs no catalogue."""

_FOLDER = Path(__file__).parent / "languages"
_HOLE = re.compile(r"\{(\w+)(!?)\}")


@dataclass(frozen=True, slots=True)
class _Entry:
    pattern: re.Pattern[str]
    translation: str
    looked_up: frozenset[str]  # names of holes whose content is translated too


class Catalogue:
    """One language's sentences."""

    def __init__(self, entries: dict[str, str]) -> None:
        self._plain = {said: other for said, other in entries.items() if not _HOLE.search(said)}
        # The more an entry spells out, the better it fits: it is tried first.
        holed = sorted(
            (said for said in entries if said not in self._plain), key=lambda said: -len(_HOLE.sub("", said))
        )
        self._entries = [_entry(said, entries[said]) for said in holed]
        self.say = lru_cache(4096)(self._say)

    def _say(self, text: str) -> str:
        if text in self._plain:
            return self._plain[text]
        for entry in self._entries:
            if found := entry.pattern.fullmatch(text):
                return self._filled(entry, found.groupdict())
        return text

    def _filled(self, entry: _Entry, varying: dict[str, str]) -> str:
        for name in entry.looked_up:
            varying[name] = self.say(varying[name])
        return _HOLE.sub(lambda hole: varying[hole[1]], entry.translation)


def _entry(said: str, translation: str) -> _Entry:
    holes = list(_HOLE.finditer(said))
    pattern, last = "", 0
    for hole in holes:
        pattern += re.escape(said[last : hole.start()]) + f"(?P<{hole[1]}>.+?)"
        last = hole.end()
    pattern += re.escape(said[last:])
    looked_up = frozenset(hole[1] for hole in holes if hole[2])
    return _Entry(re.compile(pattern, re.DOTALL), translation, looked_up)


@cache
def catalogue(language: str) -> Catalogue:
    """Raises KeyError for a language that is not one of `LANGUAGES`."""
    LANGUAGES[language]
    path = _FOLDER / f"{language}.toml"
    return Catalogue(tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {})


def say(text: str, language: str) -> str:
    """A sentence in another language; unchanged when it has no translation there."""
    return text if language == "en" else catalogue(language).say(text)


def translated(card: Card, language: str) -> Card:
    """The card in another language. A prompt stays as it was typed."""
    if language == "en":
        return card
    book = catalogue(language)
    heading = card.kind == "text" and not card.job
    return replace(
        card,
        title=book.say(card.title) if heading else card.title,
        facts=_all(book, card.facts),
        body=_all(book, card.body),
        bar=_bar(book, card.bar),
        pictures=tuple(_picture(book, card, each) for each in card.pictures),
        rows=tuple(tuple(_button(book, each) for each in row) for row in card.rows),
    )


def _all(book: Catalogue, texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(map(book.say, texts))


def _bar(book: Catalogue, bar: Bar | None) -> Bar | None:
    return replace(bar, label=book.say(bar.label)) if bar else None


def _picture(book: Catalogue, card: Card, picture: CardPicture) -> CardPicture:
    """Its alternative text is the prompt, and perhaps which picture it is."""
    rest = picture.alt.removeprefix(card.title)
    return replace(picture, alt=card.title + book.say(rest)) if rest and rest != picture.alt else picture


def _button(book: Catalogue, button: Button) -> Button:
    return replace(button, label=book.say(button.label), name=book.say(button.name))

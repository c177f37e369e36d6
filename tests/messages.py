"""Which parts of what is shown could not be said in another language."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from bot.i18n import Text
from bot.i18n.catalogs import LANGUAGES, SOURCE, catalogue

FOREIGN = sorted(LANGUAGES.keys() - {SOURCE})


def untranslated(text: str, language: str) -> Iterator[str]:
    """Yield the ids in a text that a catalogue lacks, and the sentences in it that have none."""
    if not isinstance(text, Text):
        if _is_sentence(text):
            yield text
        return
    if text.message and not is_known(text, language):
        yield text.message
    for part in (*text.parts, *(each for each in text.values.values() if isinstance(each, Text))):
        yield from untranslated(part, language)


def is_known(text: Text, language: str) -> bool:
    """Whether a catalogue has a text's message."""
    known = catalogue(language)._catalog  # type: ignore[attr-defined]
    return text.message in known or (text.message, 0) in known


def _is_sentence(text: str) -> bool:
    """Whether it looks like something to say: names, values and commands do not."""
    return bool(re.search(r"[a-z]{2,} .*[a-z]{2,}.*[.!?]$", text)) and not text.startswith("/")


def texts(value: Any) -> Iterator[str]:
    """Yield every text in a card, a form or what they hold."""
    match value:
        case str():
            yield value
        case tuple():
            for each in value:
                yield from texts(each)
        case _ if is_dataclass(value):
            for field in fields(value):
                yield from texts(getattr(value, field.name))

"""The catalogues: one `.po` file for each language but English."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from functools import cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path

from babel import Locale
from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from engine.text import gaps

FOLDER = Path(__file__).parent / "catalogs"
SOURCE = "en"  # the language in which messages are written


def path(language: str) -> Path:
    return FOLDER / language / "LC_MESSAGES" / "easel.po"


LANGUAGES = {
    code: str(Locale.parse(code).display_name)
    for code in (SOURCE, *sorted(each.parts[-3] for each in FOLDER.glob("*/LC_MESSAGES/easel.po")))
}
"""The languages there are, by their code, each in its own name."""


@cache
def read(language: str) -> Catalog:
    """Read a language's catalogue from its file. Raises ValueError where it is no `.po` file."""
    with path(language).open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)


@cache
def catalogue(language: str) -> NullTranslations:
    """Return a language's messages; of a language that there is not, English ones."""
    if language == SOURCE or language not in LANGUAGES:
        return NullTranslations()
    compiled = io.BytesIO()
    write_mo(compiled, read(language))
    compiled.seek(0)
    return GNUTranslations(compiled)


def faults(language: str) -> list[str]:
    """Return what is wrong with a catalogue: messages without a translation, and wrong arguments."""
    name = path(language).relative_to(FOLDER)
    return [
        f"{name}, line {each.lineno}: {fault}" for each in read(language) if each.id for fault in _of(each)
    ]


def _of(message: Message) -> Iterator[str]:
    ids, strings = _forms(message.id), _forms(message.string)
    if message.fuzzy or not all(strings):
        yield f"“{ids[0]}” is not translated"
    known = set().union(*map(gaps, ids))
    needed = known - {"count"} if message.pluralizable else known
    for string in filter(None, strings):
        wrong = (gaps(string) - known) | (needed - gaps(string))
        if wrong:
            names = ", ".join(f"{{{each}}}" for each in sorted(wrong))
            yield f"“{ids[0]}” and “{string}” do not both have {names}"


def _forms(texts: str | Sequence[str] | None) -> Sequence[str]:
    return (texts,) if isinstance(texts, str) else texts or ("",)

"""Messages for people: an id with arguments, which is translated before it becomes text.

`_("{count} images left", count=3)` is a `Text`. As a string it is English, for logs and for whoever does not
translate; `Text.translated` looks its id up in a catalogue, then fills the arguments in. So what people
typed, which is only ever an argument or a plain string, is never looked up. Texts are joined with `+` and
`join`; an f-string, and any other method of strings, makes plain English of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

_GAP = re.compile(r"\{(\w+)\}")
_MARK = "\x1f"  # between a stored text's English and what it is made of


class Lookup(Protocol):
    """Finds the translation of a message id; of a plural one for a count."""

    def gettext(self, message: str) -> str: ...

    def ngettext(self, one: str, many: str, count: int, /) -> str: ...


class Text(str):
    """A message with its arguments, or several texts in a row."""

    __slots__ = ("message", "parts", "plural", "values")
    message: str
    """Its id: the English sentence, with `{names}` for its arguments. Empty where it is made of `parts`."""
    plural: str
    """The id for any `count` but 1, where that makes a difference."""
    values: Mapping[str, object]
    parts: tuple[str, ...]

    def __new__(cls, message: str, plural: str = "", /, **values: object) -> Text:
        english = plural if plural and values.get("count") != 1 else message
        made = super().__new__(cls, _filled(english, values))
        made.message, made.plural, made.values, made.parts = message, plural, values, ()
        return made

    @classmethod
    def of(cls, parts: Iterable[str]) -> Text:
        """Return the texts in a row; only those that are messages are translated."""
        held = tuple(parts)
        made = super().__new__(cls, "".join(held))
        made.message, made.plural, made.values, made.parts = "", "", {}, held
        return made

    def translated(self, catalogue: Lookup) -> str:
        """Return the text in a catalogue's language."""
        if self.parts:
            return "".join(translated(part, catalogue) for part in self.parts)
        if self.plural:
            count: Any = self.values.get("count", 0)
            found = catalogue.ngettext(self.message, self.plural, count)
        else:
            found = catalogue.gettext(self.message) if self.message else ""
        return _filled(found, {name: translated(value, catalogue) for name, value in self.values.items()})

    def format(self, *args: object, **values: object) -> Text:
        """Fill in further arguments."""
        return Text(self.message, self.plural, **{**self.values, **values})

    def __add__(self, other: str) -> Text:
        return Text.of((self, other))

    def __radd__(self, other: str) -> Text:
        return Text.of((other, self))

    def __reduce__(self) -> tuple[object, ...]:
        return _restored, (_packed(self),)


def _(message: str, /, **values: object) -> str:
    """Mark a message and fill in its arguments; those that are not there yet may be filled in by `format`."""
    return Text(message, **values)


def ngettext(one: str, many: str, count: int, /, **values: object) -> str:
    """Return the message for a count, which is its argument `count`; languages choose the form."""
    return Text(one, many, count=count, **values)


def join(separator: str, texts: Iterable[str]) -> str:
    """Return the texts that are not empty, with a separator between them."""
    parts: list[str] = []
    for text in texts:
        if text:
            parts += [separator, text] if parts else [text]
    return Text.of(parts)


def listing(names: Iterable[str]) -> str:
    """Return names as a list in words: "a, b and c"."""
    *first, last = names
    return _("{names} and {name}", names=join(", ", first), name=last) if first else last


def either(names: Iterable[str]) -> str:
    """Return names of which one is to be chosen: "a, b or c"."""
    *first, last = names
    return _("{names} or {name}", names=join(", ", first), name=last) if first else last


def translated(value: object, catalogue: Lookup) -> str:
    """Return a message in the catalogue's language, and anything else as it is."""
    return value.translated(catalogue) if isinstance(value, Text) else str(value)


def gaps(message: str) -> set[str]:
    """Return the names of a message's arguments."""
    return set(_GAP.findall(message))


def _filled(message: str, values: Mapping[str, object]) -> str:
    """Fill in the arguments that are there."""
    return _GAP.sub(lambda gap: str(values.get(gap[1], gap[0])), message)


# --- at rest ----------------------------------------------------------------------------------------------


def stored(text: str) -> str:
    """Return a text for a database: its English and, of a message, what it is made of."""
    return f"{text}{_MARK}{json.dumps(_packed(text))}" if isinstance(text, Text) and text else str(text)


def loaded(text: str) -> str:
    """Return a text as it was stored. Whatever cannot be read as a message is a plain string."""
    english, mark, packed = text.partition(_MARK)
    if not mark:
        return text
    try:
        found = _restored(json.loads(packed))
    except (ValueError, TypeError, KeyError, AttributeError):
        return english
    return found if isinstance(found, Text) else english


def _packed(value: object) -> Any:
    """Return a text as JSON can hold it: a message is an object, anything else a string or a number."""
    if not isinstance(value, Text):
        return value if isinstance(value, int) else str(value)
    if value.parts:
        return {"parts": [_packed(part) for part in value.parts]}
    values = {name: _packed(each) for name, each in value.values.items()}
    return {"message": value.message, "plural": value.plural, "values": values}


def _restored(packed: Any) -> Any:
    if not isinstance(packed, dict):
        return packed
    if "parts" in packed:
        return Text.of(str(part) if isinstance(part, int) else _restored(part) for part in packed["parts"])
    values = {name: _restored(each) for name, each in packed["values"].items()}
    return Text(packed["message"], packed["plural"], **values)

"""In which language each person is answered, and what is shown to them in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from bot.errors import Offer, Refusal
from bot.i18n.catalogs import LANGUAGES, SOURCE, catalogue
from bot.messages import marks
from bot.messages.types import Bar, Button, Card, CardPicture, Form
from bot.models import INSTANCE, Origin, Policy
from engine.text import Text

Sayable = TypeVar("Sayable", Card, Form, Refusal)


def nearest(tag: str) -> str:
    """Return the available language for a tag such as "de-AT"; empty where there is none."""
    code = re.split("[-_]", tag.strip().casefold())[0]
    return code if code in LANGUAGES else ""


class Speech:
    """The language for each person: that of their place, else of the instance, else their own."""

    def __init__(self) -> None:
        self._places: dict[str, str] = {}
        self._marked: set[str] = set()

    def draws_marks(self, surface: str) -> None:
        """Leave names and times in what is said on a surface as marks, since it draws them itself."""
        self._marked.add(surface)

    def place(self, tenant: str, policy: Policy) -> None:
        """Store the language that an administrator has set for a tenant."""
        self._places[tenant] = policy.language

    def of(self, origin: Origin) -> str:
        here = self._places.get(origin.member.tenant) or self._places.get(INSTANCE)
        return here or origin.language or SOURCE

    def said_in(self, card: Card, tenant: str) -> Card:
        """Return a card in the language of a place, for all who look there."""
        here = self._places.get(tenant) or self._places.get(INSTANCE)
        return translated(card, here or SOURCE)

    def said(self, what: Sayable, origin: Origin) -> Sayable:
        """Return a card, a form or a refusal in the language in which the person is answered."""
        spoken = translated(what, self.of(origin))
        return spoken if origin.surface in self._marked else _changed_all(spoken, marks.plain)


def say(text: str, language: str) -> str:
    """Return a message in a language, and any other text as it is."""
    return text.translated(catalogue(language)) if isinstance(text, Text) else text


def translated(said: Sayable, language: str) -> Sayable:
    """Return a card, a form or a refusal with its messages in a language."""
    if language == SOURCE:
        return said
    spoken = _changed_all(said, lambda text: say(text, language))
    return spoken if isinstance(spoken, Refusal) else replace(spoken, language=language)


_HELD = (Card, Form, Button, Bar, CardPicture, Offer)


def _changed_all(said: Sayable, change: Callable[[str], str]) -> Sayable:
    """Return a card, a form or a refusal with each of its texts changed."""
    if isinstance(said, Refusal):
        return Refusal(change(said.notice), code=said.code, offers=_changed(said.offers, change))
    changed: Sayable = _changed(said, change)
    return changed


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    """Change the texts in a value, and in what it holds."""
    match value:
        case str():
            return change(value)
        case tuple():
            return tuple(_changed(each, change) for each in value)
        case _ if isinstance(value, _HELD) and is_dataclass(value):
            held = {f.name: _changed(getattr(value, f.name), change) for f in fields(value)}
            return replace(value, **held)
    return value

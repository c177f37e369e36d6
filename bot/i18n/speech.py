"""In which language each person is answered, and what is shown to them in it."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from bot.errors import Offer, Refusal
from bot.i18n.catalogs import LANGUAGES, SOURCE, catalogue
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

    def place(self, tenant: str, policy: Policy) -> None:
        """Store the language that an administrator has set for a tenant."""
        self._places[tenant] = policy.language

    def of(self, origin: Origin) -> str:
        here = self._places.get(origin.member.tenant) or self._places.get(INSTANCE)
        return here or origin.language or SOURCE

    def said(self, what: Sayable, origin: Origin) -> Sayable:
        """Return a card, a form or a refusal in the language in which the person is answered."""
        return translated(what, self.of(origin))


def say(text: str, language: str) -> str:
    """Return a message in a language, and any other text as it is."""
    return text.translated(catalogue(language)) if isinstance(text, Text) else text


def translated(said: Sayable, language: str) -> Sayable:
    """Return a card, a form or a refusal with its messages in a language."""
    if language == SOURCE:
        return said
    if isinstance(said, Refusal):
        return Refusal(say(said.notice, language), code=said.code, offers=_said(said.offers, language))
    spoken: Sayable = replace(_said(said, language), language=language)
    return spoken


_HELD = (Card, Form, Button, Bar, CardPicture, Offer)


def _said(value: Any, language: str) -> Any:
    """Translate the messages in a value, and in what it holds."""
    match value:
        case Text():
            return say(value, language)
        case tuple():
            return tuple(_said(each, language) for each in value)
        case _ if isinstance(value, _HELD) and is_dataclass(value):
            return replace(value, **{f.name: _said(getattr(value, f.name), language) for f in fields(value)})
    return value

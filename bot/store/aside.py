"""Rows that cannot be read: each is set aside, with its reason in the log, and the rest goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

import structlog
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

log = structlog.stdlib.get_logger(__name__)

T = TypeVar("T")

FAULTS = (ValueError, TypeError, KeyError, AttributeError)  # what a row raises whose content is wrong


class _Unreadable:
    """Stands for what a column holds and its type does not know."""

    def __repr__(self) -> str:
        return "unreadable"


UNREADABLE = _Unreadable()

_told: set[tuple[str, str]] = set()


def loads(text: str | bytes) -> Any:
    """Parse JSON, or return UNREADABLE for what is no JSON, as SQLite stores any text."""
    try:
        return from_json(text)  # in a third of the time
    except ValueError:  # half a surrogate pair too, which json.loads takes
        return _slowly(text)


def _slowly(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return UNREADABLE


def mapping(value: Any) -> dict[str, Any]:
    """Return a JSON object as a dictionary; an empty one for anything else."""
    return dict(value) if isinstance(value, Mapping) else {}


def tell(table: str, key: str, reason: object) -> None:
    """Say once for each row that it is set aside, and why."""
    if (table, key) not in _told:
        _told.add((table, key))
        log.error("a row cannot be read and is set aside", table=table, row=key, cause=str(reason))


def mended(kind: TypeAdapter[T], values: Any) -> tuple[T, str]:
    """Build a value from what is readable, with defaults for the rest; return also the faults, as text."""
    try:
        return kind.validate_python(values), ""
    except ValidationError as error:
        bad = {str(each["loc"][0]): str(each["msg"]) for each in error.errors() if each["loc"]}
        good = {name: value for name, value in mapping(values).items() if name not in bad}
        wrong = "; ".join(f"{name}: {why}" for name, why in bad.items())
        return kind.validate_python(good), wrong or "it is no JSON object"

"""Reading what a browser sent. What cannot be read is answered with one sentence, never with a traceback."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from aiohttp import web
from aiohttp.http import HttpProcessingError

from bot.i18n import _
from bot.i18n.speech import nearest

SHORT = 16_384  # bytes of a form that take no time to read
MOST_FIELDS = 200

UNREADABLE = (
    ValueError,  # not of its format, or not of its character set
    LookupError,  # a character set that nobody knows
    OverflowError,  # a moment before the first year or after the last
    RuntimeError,  # nested too deep, or a transfer encoding that nobody knows
    HttpProcessingError,  # the headers of a part
    web.RequestPayloadError,  # compressed, but not as it says
)
"""What the parsers raise at broken input."""


@contextmanager
def reading() -> Iterator[None]:
    """Turn a parser's errors inside the block into HTTPBadRequest."""
    try:
        yield
    except UNREADABLE as error:
        raise web.HTTPBadRequest(
            text=_("The studio could not read that. Load the page again, then try once more.")
        ) from error


async def form(request: web.Request) -> Mapping[str, str]:
    """Return the fields of a form; empty where none was sent. A long one is parsed in a thread."""
    with reading():
        if request.content_type.startswith("multipart/"):
            raise ValueError("none of the forms that this is for")
        if request.content_type != "application/x-www-form-urlencoded":
            return {}
        body, charset = await request.read(), request.charset or "utf-8"
        if len(body) <= SHORT:
            return _fields(body, charset)
        return await asyncio.to_thread(_fields, body, charset)


def _fields(body: bytes, charset: str) -> dict[str, str]:
    """Parse a form's fields; return the first value of each name. Raises ValueError."""
    text = body.rstrip().decode(charset)
    pairs = parse_qsl(text, keep_blank_values=True, encoding=charset, max_num_fields=MOST_FIELDS)
    return dict(reversed(pairs))


async def texts(request: web.Request) -> Mapping[str, str]:
    """Read the body, a JSON object of texts."""
    with reading():
        values = json.loads(await request.text())
        if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
            raise ValueError("not an object of texts")
        "".join(values.values()).encode()  # JSON can carry half a character, which nothing can store
        return values


def moment(text: str) -> datetime | None:
    """Parse a time with its zone; return it in UTC, or None for no text."""
    with reading():
        when = datetime.fromisoformat(text) if text else None
        if when and not when.tzinfo:
            raise ValueError("a time without its zone")
        return when.astimezone(UTC) if when else None


def language(request: web.Request) -> str:
    """Return the browser's most preferred language that Easel speaks; empty where there is none."""
    asked = (each.partition(";") for each in request.headers.get("Accept-Language", "").split(","))
    ranked = sorted(asked, key=lambda each: -_quality(each[2]))
    return next((found for tag, _, _ in ranked if (found := nearest(tag))), "")


def _quality(text: str) -> float:
    found = re.fullmatch(r"\s*q=([01](?:\.\d{0,3})?)\s*", text)
    return float(found[1]) if found else 1.0


def browser(agent: str) -> str:
    """Return a browser's name as people know it, from its User-Agent: "Firefox on Linux"."""
    names = {"Edg/": "Edge", "OPR/": "Opera", "Firefox/": "Firefox", "Chrome/": "Chrome", "Safari/": "Safari"}
    systems = {"iPhone": "iPhone", "iPad": "iPad", "Android": "Android", "Windows": "Windows"}
    systems |= {"Mac OS": "Mac", "Linux": "Linux"}
    name = next((name for mark, name in names.items() if mark in agent), "A browser")
    system = next((name for mark, name in systems.items() if mark in agent), "")
    return f"{name} on {system}" if system else name


def number(text: str) -> int | None:
    """Parse a whole number of at most 18 digits; return None for anything else."""
    return int(text) if text.isdecimal() and len(text) <= 18 else None

"""A draft as text: the canonical prompt with its flags, and the values of a form."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

from bot.errors import Offer
from bot.options import YES, as_text
from bot.prompts.draft import PARAMS, Draft


def said(draft: Draft) -> dict[str, str]:
    """Return the options that are set as text, as in a form. A file is not text and is left out."""
    values = {each.name: getattr(draft, each.name) for each in fields(draft)}
    texts = {name: value for name, value in values.items() if not isinstance(value, bytes)}
    return {name: as_text(value) for name, value in texts.items() if value not in ("", None, ())}


def render(draft: Draft) -> str:
    """Render the one canonical text that parses back to the same draft (but for a source that is a file)."""
    return with_options(draft.prompt, {name: v for name, v in said(draft).items() if name != "prompt"})


def flags(values: Mapping[str, str]) -> str:
    """Format options that were set as text as flags: `--ar 16:9 --count 2`."""
    return " ".join(_flags(values))


def with_options(words: str, values: Mapping[str, object]) -> str:
    """Append the flags, or put them first where a quotation mark in the words could pair with theirs."""
    if not re.search(r'["“”„«»]', words):
        return " ".join([words, *_flags(values)]).strip()
    return " ".join([*_flags(values, quote_all=True), words]).strip()


def _flags(values: Mapping[str, object], *, quote_all: bool = False) -> Iterator[str]:
    for option in PARAMS.values():
        value = values.get(option.name)
        if option.name == "prompt" or value is None or isinstance(value, bytes):
            continue
        text = as_text(value)
        if option.kind == "boolean":
            yield option.flag if text in YES else f"{option.flag}=no"
        else:
            yield f"{option.flag} {_quoted(text, quote_all and option.kind == 'text')}"


def _quoted(value: str, always: bool) -> str:
    if not always and re.fullmatch(r"[\w.:+-]+", value) and not value.startswith("--"):
        return value
    escaped = re.sub(r'(["\\])', r"\\\1", value)
    return f'"{escaped}"'


def offer(label: str, draft: Draft, **changes: Any) -> Offer:
    """Create an offer of what would be possible instead: the draft with changes, as text."""
    return Offer(label, render(replace(draft, **changes)))


def size_text(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]}"

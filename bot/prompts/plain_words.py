"""Reads what is unmistakable at the ends of a prompt, and leaves the rest alone."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from typing import Any

from bot.prompts import styles
from bot.prompts.draft import PARAMS
from bot.prompts.param import Plain


def read(words: str, taken: Iterable[str]) -> tuple[str, dict[str, Any]]:
    """Return the prompt without what was found, and the options that it says; none of `taken`."""
    known = {"aspect" if name == "size" else name for name in taken}
    found: dict[str, Any] = {}
    before = -1
    while before < len(found):
        before = len(found)
        words = _once(words, found, known)
    return words, found


def _once(words: str, found: dict[str, Any], taken: set[str]) -> str:
    """Return the words without the first option that they say, which is added to `found`."""
    for option, plain, pattern in _patterns():
        match = None if option in taken or option in found else pattern.search(words)
        value = plain.value(match) if match else None
        if match and value is not None:
            found[option] = value
            bare = words[match.end("value") :] in ("", ".")
            if bare and match["value"].casefold() in plain.stays:
                return words
            kept = match.groupdict().get("kept") or ""
            return (words[: match.start()] + kept + plain.instead(match) + words[match.end() :]).strip()
    return words


@functools.cache
def _patterns() -> tuple[tuple[str, Plain, re.Pattern[str]], ...]:
    """Compile the patterns of plain words that set an option at the start or end of a longer prompt."""
    known = styles.load()
    return tuple(
        (name, param.plain, re.compile(pattern, re.IGNORECASE))
        for name, param in PARAMS.items()
        if param.plain
        for pattern in param.plain.patterns(known)
    )

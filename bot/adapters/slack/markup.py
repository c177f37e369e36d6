"""What Slack's editor makes of words, undone: formatting, and emoji by their names."""

from __future__ import annotations

import re

_EMOJI = re.compile(r"(?<![\w:]):([a-z][a-z0-9_'+-]{0,60}):(?![\w:])")
_SKIN = re.compile(r"(?<=:):skin-tone-\d:|:skin-tone-\d:")
_QUOTE = re.compile(r"(?m)^[ \t]{0,8}>{1,3} ?")
_MARKS = (
    re.compile(r"(?<![\w*])\*(?![\s*])([^*\n]{1,2000})(?<!\s)\*(?![\w*])"),
    re.compile(r"(?<!\w)_(?![\s_])([^_\n]{1,2000})(?<!\s)_(?!\w)"),
    re.compile(r"(?<![\w~])~(?![\s~])([^~\n]{1,2000})(?<!\s)~(?![\w~])"),
    re.compile(r"(?<![\w`])`(?![\s`])([^`\n]{1,2000})(?<!\s)`(?![\w`])"),
)


def meant(text: str) -> str:
    """Return a prompt without formatting, and with emoji as words."""
    return in_words(unformatted(text)).strip()


def unformatted(text: str) -> str:
    """Return words without the marks of bold, italic, struck and code, and of quotes."""
    text = _QUOTE.sub("", text).replace("```", " ")
    for mark in _MARKS:
        text = mark.sub(r"\1", text)
    return text


def in_words(text: str) -> str:
    """Return a prompt with emoji as the words that name them: ":red_car:" → "red car"."""
    return _EMOJI.sub(lambda found: re.sub("[_-]", " ", found[1]), _SKIN.sub("", text))

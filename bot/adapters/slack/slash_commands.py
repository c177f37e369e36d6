"""What people type after /easel, read by the one vocabulary.

`/easel history fox`, `/easel vary 1a2b3c4d5e6f 2 strong`, `/easel settings style="oil painting" private`,
`/easel admin gift @ada 600`: a command's name, then its options by name (`count=2`, `count: 2`, `--count
2`), by position, or as the bare word of a yes-or-no option.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from bot import commands
from bot.adapters.slack import markup
from bot.errors import Refusal
from bot.i18n import _
from bot.options import Command, Option, Unusable, bounded, clip, read_value, unknown

EASEL = "/easel"
IMAGINE = "/imagine"

_TOKEN = re.compile(r"(?P<key>[^\s\"=:]*[=:])?\"(?P<quoted>[^\"]*)\"|(?P<bare>\S+)")
_SEPARATOR = re.compile("[=:]")
_QUOTES = str.maketrans("“”„«»", '"""""')


def read(text: str, team: str = "") -> tuple[str, dict[str, object]]:
    """Return the command's name and options as typed; `team`: where people are mentioned. Raises Refusal."""
    words = plain(bounded(text), team).translate(_QUOTES).strip().removeprefix("/")
    if not words:
        return "help", {}
    command, rest = commands.find(words)
    if command.option("prompt"):
        return command.name, {"prompt": markup.meant(rest)}
    return command.name, _options(command, list(_tokens(rest)))


def _tokens(text: str) -> Iterator[str]:
    for match in _TOKEN.finditer(text):
        quoted = match["quoted"]
        yield match["bare"] if quoted is None else f"{match['key'] or ''}{quoted}"


def _options(command: Command, tokens: list[str]) -> dict[str, object]:
    said: dict[str, object] = {}
    free: list[str] = []
    while tokens:
        token = tokens.pop(0)
        option, value = _named(command, token)
        if option is None:
            free.append(token)
            continue
        _say(said, option, _next(option, tokens) if value is None else value)
    _place(command, free, said)
    return said


def _named(command: Command, token: str) -> tuple[Option | None, str | None]:
    """Return the option that a token names, and its value where the token has one. Raises Refusal."""
    key, value = (*_SEPARATOR.split(token, maxsplit=1), None)[:2]
    if value is not None and (option := command.by_flag(str(key).lstrip("-"))):
        return option, value or None
    if token.startswith("--") and (option := command.by_flag(token[2:])):
        return option, None
    if token.startswith("--") and len(token) > 2:
        flags = [option.name for option in command.options]
        raise Refusal(
            unknown(
                _("There is no option of {command} called {name}.", command=command.name), token[2:], flags
            )
        )
    option = command.by_flag(token)
    return (option, None) if option and option.kind == "boolean" else (None, None)


def _next(option: Option, tokens: list[str]) -> str:
    """Take the value after an option's name from `tokens`; a yes-or-no option needs none."""
    if not tokens or (option.kind == "boolean" and not _takes(option, tokens[0])):
        return "yes" if option.kind == "boolean" else ""
    return tokens.pop(0)


def _say(said: dict[str, object], option: Option, value: str) -> None:
    if option.name in said:
        raise Refusal(_("{label} is given twice. Keep one of them.", label=option.label), code="twice")
    said[option.name] = value


def _place(command: Command, words: list[str], said: dict[str, object]) -> None:
    """Give words without a name to the options in their order."""
    places = [option for option in _places(command) if option.name not in said]
    for place, option in enumerate(places):
        if not words:
            return
        last = place == len(places) - 1
        if last and option.kind == "text" and not option.choices:
            said[option.name] = " ".join(words)
            return
        if option.required or _takes(option, words[0]) or last:
            said[option.name] = words.pop(0)
    if words:
        extra = clip(" ".join(words))
        raise Refusal(
            _(
                "“{extra}” is too much for {EASEL} {name}. {EASEL} help {name} tells.",
                extra=extra,
                EASEL=EASEL,
                name=command.name,
            )
        )


def _places(command: Command) -> list[Option]:
    """Return the options that have a position: neither booleans nor free texts after an optional one."""
    found: list[Option] = []
    free = False
    for option in (each for each in command.options if not each.named):
        optional_text = option.kind == "text" and not option.required and not option.choices
        if option.kind != "boolean" and not (optional_text and free):
            found.append(option)
        free = free or optional_text
    return found


def _takes(option: Option, word: str) -> bool:
    try:
        read_value(option, word)
    except Unusable:
        return False
    return True


# ---- Slack's own marks

_MARK = re.compile(r"<([@#!])?([^<>|\s][^<>|]*)(?:\|([^<>]*))?>")
_ENTITIES: Mapping[str, str] = {"&lt;": "<", "&gt;": ">", "&amp;": "&"}
_ENTITY = re.compile("|".join(_ENTITIES))


def plain(text: str, team: str = "") -> str:
    """Return Slack's text as typed: links by label, channels by name; people by name, or by id.

    With a `team`, people, user groups and channels become ids, as commands take them.
    """

    def unmark(match: re.Match[str]) -> str:
        kind, target, label = match[1], match[2], match[3]
        if kind == "@":
            return f"slack:{team}:{target}" if team else f"@{label or 'someone'}"
        if kind == "#":
            return target if team else f"#{label or 'channel'}"
        if team and target.startswith("subteam^"):
            return target.removeprefix("subteam^")
        if kind == "!":
            return label or f"@{target.partition('^')[0]}"
        return label or target.removeprefix("mailto:")

    return _ENTITY.sub(lambda match: _ENTITIES[match[0]], _MARK.sub(unmark, text))

"""Commands that are typed as text, read by the one vocabulary."""

from __future__ import annotations

import itertools
import re

from bot import commands
from bot.errors import Refusal
from bot.i18n import _
from bot.options import Command, Option, bounded, clip, unknown


def typed(line: str) -> tuple[str, dict[str, object]]:
    """Parse a typed line into a command and its options; no leading slash: a prompt. Raises Refusal.

    Options are named as in `/settings style: oil painting` or `/settings --style "oil painting"`, and
    without any mark where the line begins with one, as in `/settings reset`; words in front of them fill the
    others in their order, as in `/vary 1a2b3c4d5e6f 2 strong`.
    """
    if not bounded(line).lstrip().startswith("/"):
        return "imagine", {"prompt": line}
    command, rest = commands.find(line.strip()[1:])
    if command.name == "imagine":
        return command.name, {"prompt": rest}
    return command.name, _options(command, rest)


def _options(command: Command, text: str) -> dict[str, object]:
    names = "|".join(option.name for option in command.options) or "(?!)"
    bare = "(?::|(?!\\S))" if _begins_with_a_name(command, text) else ":"
    marks = list(re.finditer(rf"(?<!\S)(?:--([\w-]+)(?:=|(?!\S))|({names}){bare})", text))
    options: dict[str, object] = {}
    for mark, after in itertools.zip_longest(marks, marks[1:]):
        option = command.by_flag(mark[1] or mark[2]) or _unknown(command, mark[1])
        value = text[mark.end() : after.start() if after else None].strip().strip('"“”')
        options[option.name] = value or (option.kind == "boolean" or "")
    _fill(command, text[: marks[0].start() if marks else None].split(), options)
    return options


def _begins_with_a_name(command: Command, text: str) -> bool:
    """Tell whether the first word is an option's name, and could be nothing else."""
    words = text.split(maxsplit=1)
    free = command.options and _is_free_text(command.options[0])
    return bool(words) and not free and any(option.name == words[0] for option in command.options)


def _fill(command: Command, words: list[str], options: dict[str, object]) -> None:
    """Give the words to the options that are still free; free text takes all that are left."""
    for option in command.options:
        if words and option.name not in options:
            taken = len(words) if _is_free_text(option) else 1
            options[option.name] = " ".join(words[:taken])
            del words[:taken]
    if words:
        raise Refusal(_("/{name} does not take “{names}”.", name=command.name, names=clip(" ".join(words))))


def _is_free_text(option: Option) -> bool:
    return option.kind == "text" and not option.choices and not option.completes


def _unknown(command: Command, name: str) -> Option:
    known = [option.name for option in command.options]
    raise Refusal(
        unknown(_("There is no flag of /{command} {name}.", command=command.name), name, known, dashes="--"),
        code="unknown",
    )

"""The vocabulary, declared once: every command, its options, ranges, choices and help.

The adapters' slash options, modals and chips, the command line's flags, the flags inside a prompt and /help
are all made from `COMMANDS`. The names keep to the strictest platform: words of `^[-_a-z0-9]{1,32}$`, help of
at most 100 characters, required options first, at most 25 subcommands in a group.

A name of several words, as in "admin person gift", is a subcommand: `verb` is its last word, `group` those
before it. An adapter shows a group as its platform does (`/admin person gift`, `/easel admin person gift`,
`python -m bot admin person gift`) and passes the whole name to `Router.handle`. `find` reads a typed line; it
also knows the names that commands had before (`ALSO`). Commands of the group "admin" are for those whose
`Member.admin` is set; the studio decides, adapters may only hide them from the others.

A person, role or channel is text. Where a platform has a picker for them, its adapter uses that and passes a
member's id ("discord:123"), or the platform's own id of a role or channel, as it stands in `Member.roles` and
`Origin.channel`. Typed mentions (`<@123>`, `<@&5>`, `<#C1|general>`) are understood too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bot.commands.admin import ADMINISTRATION
from bot.commands.user import FOR_MEMBERS
from bot.errors import Refusal
from bot.i18n import _
from bot.models import Tier
from bot.options import Command, Unusable, Value, blank, clip, read_value, suggest, unknown
from bot.prompts.param import Param
from engine.types import ModelInfo, TaskKind

COMMANDS = (*FOR_MEMBERS, *ADMINISTRATION)


FOR_ALL = tuple(each for each in COMMANDS if not each.admin)
"""Those that need no administrator."""


def group(name: str) -> tuple[Command, ...]:
    """Return the subcommands of a group and of the groups inside it; none when there is no such group."""
    return tuple(each for each in COMMANDS if each.name.startswith(f"{name} "))


ALSO = {
    "admin review": "reports",
    "admin person": "admin person show",
    "admin block": "admin person block",
    "admin unblock": "admin person unblock",
    "admin gift": "admin person gift",
    "admin reset": "admin person reset",
    "admin invite": "admin person invite",
    "admin tiers": "admin tier list",
    "admin tier": "admin tier person",
    "admin role": "admin tier role",
    "admin set": "admin quota person",
    "admin budget": "admin quota budget",
    "admin channel": "admin set channel",
    "admin models": "admin set models",
    "admin loras": "admin set loras",
    "admin styles": "admin set styles",
    "admin defaults": "admin set defaults",
    "admin language": "admin set language",
    "admin moderation": "admin set moderation",
    "admin moderators": "admin set moderators",
}
"""Further names of commands: mostly those that they had before there were groups."""


def command(name: str) -> Command:
    """Return the command of that name. Raises Refusal for a name that is not in the vocabulary."""
    name = ALSO.get(name, name)
    found = next((each for each in COMMANDS if each.name == name), None)
    if found is None:
        first = name.split(" ")[0]
        near = suggest(name, [each for each in NAMES if each.startswith(f"{first} ")] or NAMES)
        near = ALSO.get(near, near)
        hint = _("Did you mean /{name}?", name=near) if near else _("/help lists the commands.")
        raise Refusal(_("There is no command /{name}. {hint}", name=clip(name), hint=hint), code="unknown")
    return found


def beginning(words: Sequence[str]) -> str:
    """Return the longest name of a command that the words begin with, in any case; empty where none does."""
    for length in range(MOST_WORDS, 0, -1):
        name = " ".join(words[:length]).casefold()
        if name in NAMES:
            return name
    return ""


NAMES = (*(each.name for each in COMMANDS), *ALSO)
MOST_WORDS = max(len(name.split()) for name in NAMES)


def find(line: str) -> tuple[Command, str]:
    """Return the command that a typed line begins with, and the rest of the line. Raises Refusal."""
    words = line.split(maxsplit=MOST_WORDS)
    name = beginning(words)
    if not name:
        return command(" ".join(words[: _unknown_length(words)]).casefold()), ""
    return command(name), _after(line, len(name.split()))


def _unknown_length(words: Sequence[str]) -> int:
    """Return how many words of a line that begins with no command are its name, as far as can be told."""
    return 2 if words and group(words[0].casefold()) else 1


def _after(line: str, words: int) -> str:
    """Return what follows after the first words of a line."""
    parts = line.split(maxsplit=words)
    return parts[words].rstrip() if len(parts) > words else ""


def check(name: str, options: Mapping[str, object]) -> dict[str, Value]:
    """Convert a command's options to typed values. Raises Refusal for the first that cannot be used.

    Empty text and None mean "not given" and are left out.
    """
    asked = command(name)
    for key in options:
        if asked.option(key) is None:
            beginning = _("There is no option of /{command} called {name}.", command=name)
            raise Refusal(unknown(beginning, key, (each.name for each in asked.options)))
    said = {key: value for key, value in options.items() if not blank(value)}
    for each in asked.options:
        if each.required and each.name not in said:
            notice = (
                _("/{command} needs a {option}, for example {example}.")
                if each.example
                else _("/{command} needs a {option}.")
            )
            told = notice.format(command=name, option=each.name, example=each.example)
            raise Refusal(told, code="missing")
    try:
        return {each.name: read_value(each, said[each.name]) for each in asked.options if each.name in said}
    except Unusable as error:
        raise Refusal(error.notice) from error


# --- the commands as they are for somebody ----------------------------------------------------------------


def vocabulary(models: Sequence[ModelInfo], tiers: Sequence[Tier]) -> tuple[Command, ...]:
    """Return the commands as far as any of these models can do them, with the widest ranges of all tiers."""
    tasks = frozenset[TaskKind]().union(*(model.tasks for model in models))
    known = (each for each in COMMANDS if each.name not in _TASKS or _TASKS[each.name] in tasks)
    return tuple(each if each.admin else _narrowed(each, models, tiers) for each in known)


_TASKS: Mapping[str, TaskKind] = {"vary": "image_to_image", "extend": "outpaint", "region": "inpaint"}
"""What a model must do for a command."""


def _narrowed(command: Command, models: Sequence[ModelInfo], tiers: Sequence[Tier]) -> Command:
    options = (each.narrowed(models, tiers) if isinstance(each, Param) else each for each in command.options)
    if command.name == "upscale" and not any("creative_upscale" in model.tasks for model in models):
        options = (each for each in options if each and each.name != "kind")
    return replace(command, options=tuple(each for each in options if each))

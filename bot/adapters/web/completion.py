"""What may follow in the composer while somebody types: commands after `/`, options after `--`, values."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bot import commands
from bot.commands.complete import MOST_CHOICES, Vocabulary
from bot.errors import Refusal
from bot.models import Member
from bot.options import Command, Option
from bot.prompts.styles import load as load_styles

_FIRST = re.compile(r"/\S+ ([^\s-]\S*|)")
_SPAN = 200  # characters before the caret that are looked at
_FLAG = re.compile(r"(?<!\S)--([\w-]*)$")
_VALUE = re.compile(r"(?<!\S)--([\w-]+)[ =]([^\s-][^\s]*|\"[^\"]*)?$")


@dataclass(frozen=True, slots=True)
class Completion:
    """What may stand in place of the text's last `length` characters: (text, label)."""

    length: int
    choices: tuple[tuple[str, str], ...]


NOTHING = Completion(0, ())


async def complete(text: str, vocabulary: Vocabulary, member: Member) -> Completion:
    """Return what may follow the text up to the caret. Raises StoreError."""
    known = await vocabulary.known(member)
    if re.fullmatch(r"/\S*(?: [a-z]*)?", text) and (found := _commands(text, known, member)).choices:
        return found
    command = _command(text, known)
    if command is None:
        return NOTHING
    if (first := _FIRST.fullmatch(text)) and command.options and command.options[0].completes:
        return await _values(first[1], command.options[0], vocabulary, member)
    tail = text[-_SPAN:]
    if flag := _FLAG.search(tail):
        return _flags(flag[1], command)
    if (value := _VALUE.search(tail)) and (option := command.by_flag(value[1])):
        return await _values(value[2] or "", option, vocabulary, member)
    return NOTHING


def _commands(text: str, known: tuple[Command, ...], member: Member) -> Completion:
    wanted = text[1:].casefold()
    found = [(f"/{each.name} ", each.help) for each in known if member.admin or not each.admin]
    return Completion(len(text), tuple((name, help) for name, help in found if name[1:].startswith(wanted)))


def _command(text: str, known: tuple[Command, ...]) -> Command | None:
    """Return the command that the text is for, as the member has it; none while its name is typed."""
    name = "imagine"
    if text.startswith("/"):
        try:
            name = commands.find(text[1:])[0].name
        except Refusal:
            return None
    return next((each for each in known if each.name == name), None)


def _flags(typed: str, command: Command) -> Completion:
    options = [each for each in command.options if each.name != "prompt" and each.kind != "picture"]
    wanted = typed.casefold()
    found = [(f"{each.flag} ", each.help) for each in options if each.flag[2:].startswith(wanted)]
    return Completion(len(typed) + 2, tuple(found[:MOST_CHOICES]))


async def _values(typed: str, option: Option, vocabulary: Vocabulary, member: Member) -> Completion:
    wanted = typed.lstrip('"').casefold()
    if option.completes:
        found = await vocabulary.complete(option.completes, wanted, member)
        if option.completes == "aspects":
            found += [(ratio, ratio) for ratio in load_styles().ratios if ratio.startswith(wanted)]
    else:
        found = [each for each in option.labelled if each[0].startswith(wanted)]
    exact = [value for value, _ in found] == [wanted]
    quoted = [(f'"{value}" ' if " " in value else f"{value} ", label) for value, label in found]
    return Completion(len(typed), () if exact else tuple(quoted[:MOST_CHOICES]))

"""Discord's commands, made from the one vocabulary."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from inspect import Parameter, Signature
from typing import Any

import discord
from discord import AppCommandOptionType, ChannelType, app_commands
from discord.app_commands import AppCommandContext, AppInstallationType, Choice, Range

from bot import commands
from bot.i18n import _
from bot.options import Command, Completes, Option

MOST_TEXT = 6000  # characters a text option may have
MOST_IN_MENU = 5  # entries in a message's menu
INSTALLS = AppInstallationType(guild=True, user=True)
CONTEXTS = AppCommandContext(guild=True, dm_channel=True, private_channel=True)
GROUPS = {
    "admin": _("For those who manage this server: people, tiers, budgets, rules."),
    "admin person": _("One person: what they used, blocks, gifts."),
    "admin tier": _("Tiers of people and roles."),
    "admin quota": _("GPU seconds of people, roles, channels."),
    "admin set": _("What holds here: channels, models, defaults, moderation."),
    "reference": _("Saved references: images to paint by."),
    "contest": _("Contests: entries, a vote, a result."),
    "privacy": _("Your own data."),
    "api": _("Keys for your programs."),
}

Interaction = discord.Interaction[Any]
Slash = app_commands.Command[Any, ..., None]
Run = Callable[[Interaction, str, dict[str, Any]], Awaitable[None]]
Complete = Callable[[Interaction, Completes, str], Awaitable[list[tuple[str, str]]]]
Menu = Callable[[Interaction, discord.Message], Awaitable[None]]


class Picker(app_commands.Transformer[Any]):
    """An option that people fill by choosing from a list of Discord's; `name` is what the studio is told."""

    def __init__(self, kind: AppCommandOptionType, name: Callable[[Any], str], *types: ChannelType) -> None:
        self._kind, self._name, self._types = kind, name, list(types)

    @property
    def type(self) -> AppCommandOptionType:
        return self._kind

    @property
    def channel_types(self) -> list[ChannelType]:
        return self._types

    async def transform(self, interaction: Interaction, value: Any, /) -> str:
        return self._name(value)


def _role(role: discord.Role) -> str:
    return "everyone" if role.is_default() else str(role.id)


_PICKERS = {
    "person": Picker(AppCommandOptionType.user, lambda person: f"discord:{person.id}"),
    "role": Picker(AppCommandOptionType.role, _role),
    "channel": Picker(
        AppCommandOptionType.channel,
        lambda channel: str(channel.id),
        *(ChannelType.text, ChannelType.news, ChannelType.voice, ChannelType.stage_voice, ChannelType.forum),
    ),
}


def slash_commands(
    run: Run, complete: Complete, known: Sequence[Command] = commands.COMMANDS
) -> list[Slash | app_commands.Group]:
    """Build a slash command for each command.

    Names of several words become subcommands of a group, or of a group inside a group.
    """
    alone = [each for each in known if not each.group]
    plain = [_slash(each, run, complete) for each in alone]
    return [*plain, *_groups(known, run, complete)]


def _groups(known: Sequence[Command], run: Run, complete: Complete) -> list[app_commands.Group]:
    """Build the groups with all that is inside them; Discord takes two levels."""
    made: dict[str, app_commands.Group] = {}
    for each in (each for each in known if each.group):
        outer, _, inner = each.group.partition(" ")
        for name in (outer, each.group) if inner else (outer,):
            if name not in made:
                made[name] = _group(name, made.get(outer), hidden=each.admin)
        made[each.group].add_command(_slash(each, run, complete))
    return [each for each in made.values() if each.parent is None]


def _group(name: str, parent: app_commands.Group | None, *, hidden: bool) -> app_commands.Group:
    """Build a group; Discord hides one for administrators from others, and the studio checks again."""
    verb = name.rpartition(" ")[2]
    if parent:
        return app_commands.Group(name=verb, description=GROUPS[name], parent=parent)
    return app_commands.Group(name=verb, description=GROUPS[name], **(HIDDEN if hidden else OPEN))


OPEN: dict[str, Any] = {"allowed_contexts": CONTEXTS, "allowed_installs": INSTALLS}
HIDDEN: dict[str, Any] = {
    "default_permissions": discord.Permissions(manage_guild=True),
    "allowed_contexts": AppCommandContext(guild=True, dm_channel=False, private_channel=False),
    "allowed_installs": AppInstallationType(guild=True, user=False),
}
"""For those who manage a server; people bring none of it along."""


def _fitting(command: Command) -> Command:
    """Return /imagine without options that another command has: Discord takes 25. Flags do in the prompt."""
    if command.name != "imagine":
        return command
    return replace(command, options=tuple(each for each in command.options if not each.command))


def _slash(command: Command, run: Run, complete: Complete) -> Slash:
    command = _fitting(command)

    async def callback(interaction: Interaction, **options: Any) -> None:
        said = {name: value for name, value in options.items() if value is not None}
        await run(interaction, command.name, said)

    made: Slash
    asked = [Parameter("interaction", Parameter.POSITIONAL_OR_KEYWORD, annotation=Interaction)]
    signature = Signature([*asked, *map(_parameter, command.options)])
    callback.__signature__ = signature  # type: ignore[attr-defined]
    if command.options:
        app_commands.describe(**{each.name: each.help for each in command.options})(callback)
    if limited := {each.name: _choices(each) for each in command.options if each.choices}:
        app_commands.choices(**limited)(callback)
    made = app_commands.Command(name=command.verb, description=command.help, callback=callback)
    if command.administrators and not command.group:  # of no group that is hidden from the others
        for name, value in HIDDEN.items():
            setattr(made, name, value)
    for each in command.options:
        if each.completes and each.kind == "text":
            made.autocomplete(each.name)(_completion(each, complete))
    return made


def _parameter(option: Option) -> Parameter:
    default = Parameter.empty if option.required else None
    kind = Parameter.POSITIONAL_OR_KEYWORD
    return Parameter(option.name, kind, default=default, annotation=_annotation(option))


def _annotation(option: Option) -> Any:
    match option.kind:
        case "picture":
            return discord.Attachment
        case "boolean":
            return bool
        case "integer":
            return _limited(int, option)
        case "number":
            return _limited(float, option)
        case "person" | "role" | "channel":
            return _PICKERS[option.kind]
    most = min(MOST_TEXT, int(option.maximum or MOST_TEXT))
    return str if option.choices else Range[str, 1, most]


def _limited(number: type[int] | type[float], option: Option) -> Any:
    if option.minimum is None and option.maximum is None:
        return number
    low = None if option.minimum is None else number(option.minimum)
    high = None if option.maximum is None else number(option.maximum)
    return Range[number, low, high]


def _choices(option: Option) -> list[Choice[str]]:
    return [Choice(name=label, value=value) for value, label in option.labelled]


def _completion(option: Option, complete: Complete) -> Any:
    async def offer(interaction: Interaction, typed: str) -> list[Choice[str]]:
        found = await complete(interaction, option.completes, typed)
        return [Choice(name=label[:100] or value, value=value) for value, label in found if len(value) <= 100]

    return offer


def menu(name: str, act: Menu) -> app_commands.ContextMenu:
    """Build an entry of a message's context menu that calls `act` with the interaction and the message."""

    async def callback(interaction: Interaction, message: discord.Message) -> None:
        await act(interaction, message)

    return app_commands.ContextMenu(name=name, callback=callback)

"""Discord's commands agree with the vocabulary and with Discord's limits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import discord
import pytest

from bot import commands
from bot.actions import MENU
from bot.adapters.discord import slash_commands
from bot.adapters.discord.languages import Translator
from bot.i18n import Text
from bot.i18n.catalogs import LANGUAGES
from bot.i18n.speech import say
from tests import messages


def made() -> list[Any]:
    async def nothing(*_: Any) -> Any:
        return []

    return slash_commands.slash_commands(nothing, nothing)


def payloads() -> list[dict[str, Any]]:
    tree = discord.app_commands.CommandTree(discord.Client(intents=discord.Intents.none()))
    return [each.to_dict(tree) for each in made()]


def leaves() -> dict[str, dict[str, Any]]:
    """What can be asked for, by its whole name."""
    return dict(pair for each in payloads() for pair in under(each))


def under(command: dict[str, Any], before: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    name = f"{before} {command['name']}".strip()
    inside = [each for each in command["options"] if each["type"] in (1, 2)]
    if not inside:
        yield name, command
    for each in inside:
        yield from under(each, name)


async def test_every_command_of_the_vocabulary_is_there() -> None:
    assert leaves().keys() == {each.name for each in commands.COMMANDS}


async def test_only_administration_is_hidden_from_most() -> None:
    hidden = {each["name"] for each in payloads() if each.get("default_member_permissions")}

    for_all = {each.name.split()[0] for each in commands.COMMANDS if not each.admin}
    assert hidden == {each.name.split()[0] for each in commands.COMMANDS} - for_all


async def test_names_and_descriptions_keep_to_discord_s_limits() -> None:
    for command in (*payloads(), *leaves().values()):
        for each in (command, *command["options"]):
            assert re.fullmatch(r"[-_a-z0-9]{1,32}", each["name"])
            assert 1 <= len(each["description"]) <= 100
        assert len(command["options"]) <= 25
        for group in (each for each in command["options"] if each["type"] == 2):
            assert 1 <= len(group["options"]) <= 25


def characters(command: dict[str, Any]) -> int:
    """Of names, descriptions and values, each in its longest language, as Discord counts them."""
    shown = [
        (command["name"], {}),
        (command.get("description", ""), command.get("description_localizations")),
    ]
    shown += [(each["name"], each.get("name_localizations")) for each in command.get("choices", ())]
    values = [str(each["value"]) for each in command.get("choices", ())]
    longest = (max(map(len, (words, *(others or {}).values()))) for words, others in shown)
    return sum(longest) + sum(map(len, values)) + sum(map(characters, command.get("options", ())))


async def test_no_command_is_longer_than_discord_takes() -> None:
    tree = discord.app_commands.CommandTree(discord.Client(intents=discord.Intents.none()))
    for each in made():
        payload = await each.get_translated_payload(tree, Translator())
        assert characters(payload) <= 8000, payload["name"]


async def test_required_options_come_first() -> None:
    for command in leaves().values():
        required = [each.get("required", False) for each in command["options"]]
        assert required == sorted(required, reverse=True), command["name"]


async def test_options_keep_their_ranges_and_choices() -> None:
    found = {each["name"]: {o["name"]: o for o in each["options"]} for each in payloads()}

    assert found["imagine"]["seed"]["max_value"] == 2**32 - 1
    assert found["imagine"]["strength"]["type"] == 10
    assert [each["value"] for each in found["vary"]["strength"]["choices"]] == ["subtle", "strong"]
    assert found["edit"]["source"]["type"] == found["blend"]["image5"]["type"] == 11


def texts() -> set[str]:
    asked = commands.COMMANDS
    options = [option for command in asked for option in command.options]
    choices = {each.name for option in options for each in slash_commands._choices(option)}
    return {each.help for each in (*asked, *options)} | choices | set(slash_commands.GROUPS.values())


@pytest.mark.parametrize("language", messages.FOREIGN)
def test_every_language_has_every_text_within_discord_s_limits(language: str) -> None:
    for text in texts():
        assert is_spoken(text, language), text
        assert 1 <= len(say(text, language)) <= 100
    for name in (Text("Use as reference"), *(each.menu for each in MENU)):
        assert is_spoken(name, language), name
        assert 1 <= len(say(name, language)) <= 32


def is_spoken(text: str, language: str) -> bool:
    """Whether a text is a message of a catalogue, or a language in its own name."""
    return text in LANGUAGES.values() or (isinstance(text, Text) and messages.is_known(text, language))


async def test_every_group_is_described() -> None:
    groups = {each.group for each in commands.COMMANDS if each.group}
    assert slash_commands.GROUPS.keys() == groups | {each.split()[0] for each in groups}
    assert all(len(each.split()) <= 2 for each in groups)


@pytest.mark.parametrize("command", [c for c in commands.COMMANDS if any(o.completes for o in c.options)])
async def test_what_can_be_completed_is(command: commands.Command) -> None:
    shown = {each["name"]: each for each in leaves()[command.name]["options"]}
    for option in slash_commands._fitting(command).options:
        typed = option.kind not in ("person", "role", "channel", "picture")
        assert bool(shown[option.name].get("autocomplete")) == bool(option.completes and typed)

"""Discord's commands agree with the vocabulary and with Discord's limits."""

from __future__ import annotations

import re
from typing import Any

import discord
import pytest

from bot import commands
from bot.adapters.discord import vocabulary
from bot.adapters.discord.languages import LANGUAGES


def payloads() -> list[dict[str, Any]]:
    async def nothing(*_: Any) -> Any:
        return []

    tree = discord.app_commands.CommandTree(discord.Client(intents=discord.Intents.none()))
    return [each.to_dict(tree) for each in vocabulary.slash_commands(nothing, nothing)]


async def test_every_command_of_the_vocabulary_is_there_and_edit() -> None:
    assert [each["name"] for each in payloads()] == [*(each.name for each in commands.COMMANDS), "edit"]


async def test_names_and_descriptions_keep_to_discord_s_limits() -> None:
    for command in payloads():
        for each in (command, *command["options"]):
            assert re.fullmatch(r"[-_a-z0-9]{1,32}", each["name"])
            assert 1 <= len(each["description"]) <= 100
        assert len(command["options"]) <= 25


async def test_required_options_come_first() -> None:
    for command in payloads():
        required = [each.get("required", False) for each in command["options"]]
        assert required == sorted(required, reverse=True), command["name"]


async def test_options_keep_their_ranges_and_choices() -> None:
    found = {each["name"]: {o["name"]: o for o in each["options"]} for each in payloads()}

    assert found["imagine"]["seed"]["max_value"] == 2**32 - 1
    assert found["imagine"]["strength"]["type"] == 10
    assert [each["value"] for each in found["vary"]["strength"]["choices"]] == ["subtle", "strong"]
    assert found["edit"]["source"]["required"] and found["edit"]["source"]["type"] == 11


def texts() -> set[str]:
    asked = (*commands.COMMANDS, vocabulary.edit())
    options = [option for command in asked for option in command.options]
    choices = {choice.capitalize() for option in options for choice in option.choices}
    return {each.help for each in (*asked, *options)} | choices


@pytest.mark.parametrize("words", LANGUAGES.values(), ids=map(str, LANGUAGES))
def test_every_language_has_every_text_within_discord_s_limits(words: dict[str, str]) -> None:
    assert texts() - words.keys() == set()
    assert all(1 <= len(text) <= 100 for text in words.values())


@pytest.mark.parametrize("option", [o for c in commands.COMMANDS for o in c.options if o.completes])
async def test_what_can_be_completed_is(option: commands.Option) -> None:
    shown = [o for each in payloads() for o in each["options"] if o["name"] == option.name]
    assert any(each.get("autocomplete") for each in shown)

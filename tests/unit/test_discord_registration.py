"""When Easel's commands are written to Discord; in virtual time."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import discord
import pytest

from bot.adapters.discord import registration
from bot.adapters.discord.registration import FILE, LONGEST_DELAY, SHORTEST_DELAY, register
from tests.virtual import virtually


class Command:
    def __init__(self, help: str) -> None:
        self.help = help

    async def get_translated_payload(self, tree: object, translator: object) -> dict[str, str]:
        return {"description": self.help}


class Tree:
    """Discord's side: `troubles` are raised by the next writings."""

    def __init__(self, help: str = "Paint.", application: int = 1) -> None:
        self.client = SimpleNamespace(application_id=application)
        self.translator = object()
        self.help = help
        self.troubles: list[Exception] = []
        self.written: list[float] = []

    def _get_all_commands(self, *, guild: object) -> list[Command]:
        return [Command(self.help)]

    async def sync(self) -> None:
        self.written.append(asyncio.get_running_loop().time())
        if self.troubles:
            raise self.troubles.pop(0)


def http(status: int) -> discord.HTTPException:
    response: Any = SimpleNamespace(status=status, reason="no", headers={})
    return discord.HTTPException(response, {"code": 0, "message": "no"})


def registered(tree: Tree, folder: Path) -> list[float]:
    """When it was written."""
    client: Any = tree
    virtually(register(client, folder))
    return tree.written


def test_what_discord_knows_is_not_written_again(tmp_path: Path) -> None:
    assert registered(Tree(), tmp_path) == [0.0]
    assert registered(Tree(), tmp_path) == []


@pytest.mark.parametrize("changed", [Tree("Draw."), Tree(application=2)])
def test_what_changed_is_written(tmp_path: Path, changed: Tree) -> None:
    registered(Tree(), tmp_path)
    assert registered(changed, tmp_path) == [0.0]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"0" * 64])
def test_a_hash_that_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    assert registered(Tree(), tmp_path) == [0.0]


def test_a_folder_that_takes_no_file_costs_a_writing_at_the_next_start(tmp_path: Path) -> None:
    assert registered(Tree(), tmp_path / "gone") == [0.0]


@pytest.mark.parametrize(
    "error",
    [
        discord.RateLimited(5.0),
        http(429),
        http(500),
        http(403),
        http(400),
        aiohttp.ClientError("no"),
        TimeoutError(),
        OSError("no"),
        discord.app_commands.MissingApplicationID(),
    ],
)
def test_whatever_discord_refuses_is_tried_again(tmp_path: Path, error: Exception) -> None:
    tree = Tree()
    tree.troubles = [error]

    assert registered(tree, tmp_path) == [0.0, SHORTEST_DELAY]
    assert (tmp_path / FILE).read_text()


def test_pauses_grow_and_have_an_end(tmp_path: Path) -> None:
    tree = Tree()
    tree.troubles = [http(500) for _ in range(12)]
    times = registered(tree, tmp_path)
    pauses = [after - before for before, after in itertools.pairwise(times)]

    assert pauses[:3] == [30.0, 60.0, 120.0] and pauses[-1] == LONGEST_DELAY == max(pauses)


def test_a_pause_that_discord_names_is_kept(tmp_path: Path) -> None:
    tree = Tree()
    tree.troubles = [discord.RateLimited(9000.0), discord.RateLimited(2.0)]

    assert registered(tree, tmp_path) == [0.0, 9000.0, 9000.0 + 2 * SHORTEST_DELAY]


def test_the_log_says_what_is_wrong_and_no_address(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = Tree()
    tree.troubles = [aiohttp.ClientError("https://discord.com/secret"), discord.RateLimited(77.0)]
    registered(tree, tmp_path)

    said = capsys.readouterr().out
    assert "could not be registered" in said and "again_in=77" in said and "secret" not in said
    assert registration.FILE in [each.name for each in tmp_path.iterdir()]

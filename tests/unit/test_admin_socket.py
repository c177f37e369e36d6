"""The command line's door into a running Easel."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from bot.admin import admin_socket
from bot.admin.admin_socket import Order
from bot.easel import Easel
from bot.errors import EaselError, Refusal
from bot.messages.types import Bar, Card
from bot.models import INSTANCE, Origin

STATUS = Order(command="admin status", options={"a": "ü"}, tenant=INSTANCE, name="root")


class Recorder:
    """Stands for the services: remembers who asked, and answers."""

    def __init__(self, answer: Card | Exception) -> None:
        self.answer = answer
        self.asked: list[tuple[str, Mapping[str, object], Origin]] = []

    @property
    def admin(self) -> Recorder:
        return self

    accounts = speech = admin

    async def administer(self, name: str, options: Mapping[str, object], origin: Origin) -> Card:
        self.asked.append((name, options, origin))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def quota(self, options: Mapping[str, object], origin: Origin) -> Card:
        return await self.administer("quota", options, origin)

    def said(self, card: Card, origin: Origin) -> Card:
        return card


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Near, so that its name is short enough for a socket."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@asynccontextmanager
async def running(folder: Path, answer: Card | Exception) -> AsyncIterator[Recorder]:
    easel = Recorder(answer)
    async with admin_socket.listening(cast(Easel, easel), folder):
        yield easel


async def raw(folder: Path, line: bytes) -> dict[str, Any]:
    reader, writer = await asyncio.open_unix_connection(str(folder / "control.sock"))
    writer.write(line)
    writer.write_eof()
    said = await reader.readline()
    writer.close()
    return dict(json.loads(said)) if said else {}


async def test_an_order_is_obeyed_as_the_operator_s(folder: Path) -> None:
    card = Card(
        kind="text",
        title="T",
        facts=("a", "b"),
        body=("c",),
        bar=Bar(done=0.5, label="half"),
        files=(("x.csv", bytes(range(256))),),
    )
    async with running(folder, card) as easel:
        assert await admin_socket.ask(folder, STATUS) == card
    ((name, options, origin),) = easel.asked
    assert (name, options) == ("admin status", {"a": "ü"})
    assert (origin.surface, origin.member.tenant, origin.member.admin) == ("cli", INSTANCE, True)
    assert origin.member.id == "cli:root" and origin.event


async def test_only_this_user_may_come_in_and_nothing_stays_behind(folder: Path) -> None:
    (folder / "control.sock").touch()  # left by a process that was killed
    async with running(folder, Card(kind="text")):
        mode = os.stat(folder / "control.sock").st_mode
        assert stat.S_ISSOCK(mode) and not mode & 0o077
    assert not (folder / "control.sock").exists()
    assert await admin_socket.ask(folder, STATUS) is None


async def test_a_refusal_comes_back_and_no_error_shows_itself(folder: Path) -> None:
    async with running(folder, Refusal("Not now.")):
        with pytest.raises(Refusal, match=r"^Not now\.$"):
            await admin_socket.ask(folder, STATUS)
    async with running(folder, EaselError("The disk is full.")):
        with pytest.raises(Refusal, match=r"^The disk is full\.$"):
            await admin_socket.ask(folder, STATUS)
    async with running(folder, RuntimeError("secret")):
        with pytest.raises(Refusal, match="its log tells why"):
            await admin_socket.ask(folder, STATUS)


async def test_somebody_s_allowance_is_asked_for_as_theirs(folder: Path) -> None:
    order = Order(command="quota", options={}, tenant="cli:local", name="ada")
    async with running(folder, Card(kind="text", title="Your quota")) as easel:
        assert await admin_socket.ask(folder, order) == Card(kind="text", title="Your quota")
    ((name, _, origin),) = easel.asked
    assert (name, origin.member.id, origin.member.tenant) == ("quota", "cli:ada", "cli:local")


async def test_no_other_command_comes_through(folder: Path) -> None:
    async with running(folder, Card(kind="text")) as easel:
        for name in ("imagine", "privacy delete", "admin nothing", ""):
            with pytest.raises(Refusal):
                await admin_socket.ask(folder, Order(command=name, options={}, tenant=INSTANCE, name="root"))
        assert easel.asked == []


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"{}\n", b"[1]\n", b"\xff\xfe\n", b"null\n", b'{"command": 1}\n']
)
async def test_nonsense_ends_neither_the_door_nor_easel(folder: Path, line: bytes) -> None:
    async with running(folder, Card(kind="text")):
        said = await raw(folder, line)
        assert set(said) <= {"refusal"}
        assert await admin_socket.ask(folder, STATUS) == Card(kind="text")


async def test_a_folder_with_too_long_a_name_only_costs_the_door(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = folder / ("a" * 120)
    deep.mkdir()
    async with running(deep, Card(kind="text")):
        assert await admin_socket.ask(deep, STATUS) is None

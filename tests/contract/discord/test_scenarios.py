"""What people do on any chat surface, here on Discord."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.contract import chats
from tests.contract.chats import *  # noqa: F403 the scenarios
from tests.contract.chats import Chat, Message
from tests.contract.discord.conftest import Opens, Server, labels, said


class Person(chats.Person):
    """A member of the server, in its channel and in direct messages."""

    def __init__(self, server: Server, actor: Any) -> None:
        self._server, self._actor = server, actor
        self._channel = server.channel
        self._last: Any = None  # what came of the last press

    async def imagine(self, text: str) -> None:
        await self._actor.slash(self._channel, "imagine", prompt=text)

    async def ask(self, command: str) -> None:
        await self._actor.slash(self._channel, command)

    async def say(self, words: str, picture: bytes = b"", about: Message | None = None) -> None:
        me = self._server.client.user
        assert me
        files = [("picture.png", picture)] if picture else []
        reply = {"reply_to": about.raw} if about else {}
        await self._actor.send(self._channel, f"{me.mention} {words}", attachments=files, **reply)

    async def press(self, message: Message, label: str) -> None:
        if label in message.labels:
            self._last = await self._actor.click(message.raw, label=label)
        else:
            self._last = await self._server.choose(self._actor, message.raw, label)

    async def react(self, message: Message, emoji: str, *, added: bool = True) -> None:
        await self._actor.set_reaction(message.raw, emoji, reacted=added)

    async def choose(self, entry: str, message: Message | None = None, picture: bytes = b"") -> None:
        files = [("picture.png", picture)] if picture else []
        about = message.raw if message else await self._actor.send(self._channel, "look", attachments=files)
        self._last = await self._actor.context_menu(self._channel, entry, about)

    async def fill(self, prompt: str) -> None:
        await self._actor.submit_modal(self._last, {**_filled(self._last.modal), "prompt": prompt})

    def messages(self) -> list[Message]:
        found = self._channel.history(viewer=self._actor)
        found += self._actor.user.dm_channel.history(viewer=self._actor.user)
        mine = [each for each in found if each.author.bot]
        return [
            Message(said(each), tuple(labels(each)), len(each.attachments), each)
            for each in sorted(mine, key=lambda each: each.id)
        ]


def _filled(modal: Any) -> dict[str, Any]:
    """What stands in a form before anybody changes it."""
    fields = [each["component"] for each in modal["components"]]
    texts = {each["custom_id"]: each.get("value") or "" for each in fields if each["type"] == 4}
    chosen = {
        each["custom_id"]: [option["value"] for option in each["options"] if option.get("default")]
        for each in fields
        if each["type"] == 3
    }
    return texts | {name: values for name, values in chosen.items() if values}


@pytest.fixture
async def server(opened: Opens) -> AsyncIterator[Server]:
    async with opened(fixture=True, max_source_mb=1) as server:
        yield server


@pytest.fixture
def chat(server: Server) -> Chat:
    return Chat(Person(server, server.ada), Person(server, server.ben), server.house.store)

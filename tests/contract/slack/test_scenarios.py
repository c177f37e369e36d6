"""What people do on any chat surface, here in Slack."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.contract import chats
from tests.contract.chats import *  # noqa: F403 the scenarios
from tests.contract.chats import Chat, Message
from tests.contract.slack.conftest import Opens
from tests.contract.slack.house import House
from tests.contract.slack.people import Person as Member
from tests.contract.slack.state import BOT, File


class Person(chats.Person):
    """A member of the workspace, in its channel."""

    def __init__(self, house: House, member: Member) -> None:
        self._house, self._member = house, member

    async def imagine(self, text: str) -> None:
        await self._member.slash(f"/imagine {text}")

    async def ask(self, command: str) -> None:
        await self._member.slash(f"/easel {command}")

    async def say(self, words: str, picture: bytes = b"", about: Message | None = None) -> None:
        thread = about.raw.ts if about else ""
        await self._member.say(f"<@{BOT}> {words}", thread=thread, files=self._files(picture))

    async def press(self, message: Message, label: str) -> None:
        await self._house.acked(await self._member.press(message.raw, label))

    async def react(self, message: Message, emoji: str, *, added: bool = True) -> None:
        name = {"⭐": "star", "✉️": "email", "❌": "x", "🎉": "tada"}[emoji]
        await self._member.react(message.raw, name, added=added)

    async def choose(self, entry: str, message: Message | None = None, picture: bytes = b"") -> None:
        about = message.raw if message else await self._member.say("look", files=self._files(picture))
        await self._member.shortcut(entry, about)

    async def fill(self, prompt: str) -> None:
        await self._member.submit(await self._member.form(), prompt=prompt)

    def messages(self) -> list[Message]:
        found = self._house.wire.visible(self._member.id)
        mine = sorted((each for each in found if each.user == BOT), key=lambda each: each.ts)
        return [Message(each.shown, tuple(each.labels), len(each.pictures), each) for each in mine]

    def _files(self, picture: bytes) -> list[File]:
        return [self._house.wire.hand_in(picture)] if picture else []


@pytest.fixture
async def house(opened: Opens) -> AsyncIterator[House]:
    async with opened(max_source_mb=1) as house:
        yield house


@pytest.fixture
def chat(house: House) -> Chat:
    return Chat(Person(house, house.ada), Person(house, house.ben), house.store)

"""Reactions on Discord: by the real discord.py, as Discord tells of them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from bot.adapters import reactions
from bot.models import State
from tests.contract.chats import RESULT, Chat
from tests.contract.discord import test_scenarios
from tests.contract.discord.conftest import Connects, Server, said
from tests.contract.discord.line import Line, requests
from tests.contract.discord.wire import ADA, BOT, CHANNEL, DM, MODERATORS, Fault, member, place
from tests.contract.reactions import *  # noqa: F403 the scenarios
from tests.contract.reactions import until

BEN, CAL = 501, 502
server = test_scenarios.server


@pytest.fixture
def chat(server: Server) -> Chat:
    ids = tuple(f"discord:{each.id}" for each in (server.ada, server.ben))
    ada, ben = (test_scenarios.Person(server, each) for each in (server.ada, server.ben))
    return Chat(ada, ben, server.house.store, ids)


async def test_a_letter_brings_the_originals_to_whoever_asked(chat: Chat, server: Server) -> None:
    await chat.painted("a red fox in snow --seed 7")
    before = len(chat.ben.messages())
    await chat.ben.react(await chat.ben.see(RESULT), "✉️")
    await until(lambda: _has(chat, before + 1))

    letter = server.ben.user.dm_channel.history(viewer=server.ben.user)[-1]
    names = [each.filename for each in letter.attachments]
    assert names == [f"red-fox-in-snow_7_{number}.png" for number in (1, 2, 3, 4)]
    assert "a red fox in snow" in said(letter)
    assert server.ada.user.dm_channel.history(viewer=server.ada.user) == []


async def _has(chat: Chat, count: int) -> bool:
    return len(chat.ben.messages()) >= count


async def test_a_closed_door_is_silent(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    job, message = await _painted(line)
    closed = {"message": "Cannot send messages to this user", "code": 50007}
    line.wire.faults.append(Fault("POST", r"/users/@me/channels", 403, closed))
    await line.wire.react(message, "✉️", who=BEN)
    await line.wire.until(lambda: requests(line, "POST", "/users/@me/channels"))
    await line.wire.react(message, "⭐", who=BEN)
    await _marked(line, BEN)
    assert not [each for each in requests(line, "POST", "/messages") if "originals" in str(each.json)]
    assert (await line.house.store.job(job)).state is State.RENDERED  # type: ignore[union-attr]


async def test_a_moderator_s_cross_deletes_and_is_written_down(line: Line) -> None:
    job, message = await _painted(line)
    await line.wire.react(message, "❌", who=BEN)
    await line.wire.react(message, "⭐", who=BEN)
    await _marked(line, BEN)
    assert (await line.house.store.job(job)).state is State.RENDERED  # type: ignore[union-attr]

    await line.wire.react(message, "❌", who=CAL, member=member(CAL, "cal", roles=(MODERATORS,)))
    await line.house.until(job, State.DELETED)
    audit = await line.house.store.audit(line.house.tenants[0])
    assert [(each.by, each.what, each.target) for each in audit] == [(f"discord:{CAL}", "delete", job)]


async def test_bots_ourselves_others_messages_and_other_servers_are_left_alone(line: Line) -> None:
    job, message = await _painted(line)
    robot = member(CAL, "robot", roles=(MODERATORS,))
    robot["user"]["bot"] = True
    await line.wire.react(message, "❌", who=CAL, member=robot)
    await line.wire.react(message, "❌", who=BOT)
    await line.wire.react(message, "❌", message_author_id="12345")
    await line.wire.react(message, "❌", guild_id="999999999999999999")
    await line.wire.react(message, "❌", custom="4711")
    await line.wire.react(message + 1, "❌")
    await line.wire.react(message, "⭐", who=BEN)
    await _marked(line, BEN)
    assert (await line.house.store.job(job)).state is State.RENDERED  # type: ignore[union-attr]


async def test_reactions_work_after_a_restart(connected: Connects) -> None:
    async with connected() as line:
        _job, message = await _painted(line)
    async with connected() as line:
        await line.wire.react(message, "⭐", who=BEN)
        await _marked(line, BEN)


async def test_200_letters_in_a_second_open_few_and_hold_up_nobody(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 200 presses of one person on one picture, one letter; a command meanwhile is answered at once."""
    _job, message = await _painted(line)
    for number in range(200):
        await line.wire.react(message, "✉️", who=BEN, added=number % 2 == 0)
    began = time.monotonic()
    token = await line.wire.slash("queue")
    await line.wire.answered(token, "The queue is empty")
    assert time.monotonic() - began < 5
    await line.wire.react(message, "⭐", who=BEN)
    await _marked(line, BEN)
    await asyncio.sleep(5 * reactions.PAUSE)
    assert len(requests(line, "POST", "/users/@me/channels")) == 1


async def test_in_direct_messages_whoever_asked_is_who_they_were(line: Line) -> None:
    """Discord names no member there, and the place is another one than the job's."""
    await line.wire.say("<@1002> a fox --count 1 --private")
    await line.wire.until(lambda: [m for m in line.wire.messages.values() if m.channel == DM])
    job = await line.ended()
    assert job.message and job.message["channel"] == DM and job.origin.member.tenant == line.house.tenants[0]
    letter: dict[str, Any] = {"channel_id": str(DM), "guild_id": None, "member": None}

    await line.wire.react(job.message["message"], "⭐", who=BEN, **letter)
    await line.wire.react(job.message["message"], "⭐", **letter)

    await _marked(line, ADA)
    assert await line.house.store.favourites_of([f"discord:{BEN}"]) == []
    await line.wire.react(job.message["message"], "❌", **letter)
    await line.house.until(job.id, State.DELETED)


async def _painted(line: Line) -> tuple[str, int]:
    await line.wire.join(place(CHANNEL))
    shown = await line.painted("a red fox --count 1")
    job = await line.ended()
    return job.id, shown.id


async def _marked(line: Line, who: int) -> None:
    async def there() -> bool:
        return bool(await line.house.store.favourites_of([f"discord:{who}"]))

    await until(there)

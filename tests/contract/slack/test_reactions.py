"""Reactions in Slack: by the real slack-bolt, as Slack tells of them."""

from __future__ import annotations

import asyncio
import time

import pytest

from bot.adapters import reactions
from bot.models import Job, State
from tests.contract.chats import RESULT, Chat
from tests.contract.reactions import *  # noqa: F403 the scenarios
from tests.contract.reactions import marks, until
from tests.contract.slack import test_scenarios
from tests.contract.slack.conftest import Opens
from tests.contract.slack.house import House
from tests.contract.slack.state import BOT, GENERAL, TEAM

MOST_LAG = 0.5  # seconds that the event loop may be late on a busy machine
house = test_scenarios.house


@pytest.fixture
def chat(house: House) -> Chat:
    ids = tuple(f"slack:{TEAM}:{each.id}" for each in (house.ada, house.ben))
    ada, ben = (test_scenarios.Person(house, each) for each in (house.ada, house.ben))
    return Chat(ada, ben, house.store, ids)


async def test_a_letter_brings_the_originals_to_whoever_asked(chat: Chat, house: House) -> None:
    job, _ = await chat.painted("a red fox in snow --seed 7")
    await chat.ben.react(await chat.ben.see(RESULT), "✉️")
    told = await chat.ben.see("The file is in your direct messages with Easel.")
    assert told.raw.channel == GENERAL and told.raw.only == house.ben.id
    direct = house.wire.direct(house.ben.id).id
    files = [id for each in house.wire.messages.values() if each.channel == direct for id in each.files]
    assert [house.wire.files[id].name for id in files] == [
        f"red-fox-in-snow_7_{number}.png" for number in (1, 2, 3, 4)
    ]
    assert chat.ada.sees("The file is in") is None
    assert (await chat.store.job(job.id)).state is State.RENDERED  # type: ignore[union-attr]


async def test_where_no_direct_messages_are_sent_one_sentence_says_so(opened: Opens) -> None:
    async with opened(direct_messages=False) as house:
        chat_ = Chat(
            test_scenarios.Person(house, house.ada), test_scenarios.Person(house, house.ben), house.store
        )
        await chat_.painted()
        await chat_.ben.react(await chat_.ben.see(RESULT), "✉️")
        told = await chat_.ben.see("Easel sends no direct messages here.")
        assert told.raw.only == house.ben.id


async def test_an_app_s_reaction_is_nobody_s_wish(chat: Chat, house: House) -> None:
    job, message = await chat.painted()
    house.ben.user.is_bot = True
    await house.ben.react(message.raw, "x")
    await house.ben.react(message.raw, "star")
    await house.ada.react(message.raw, "star")

    async def hers() -> bool:
        return bool(await chat.store.favourites_of([chat.ids[0]]))

    await until(hers)
    assert await chat.store.favourites_of([chat.ids[1]]) == []
    assert (await chat.store.job(job.id)).state is State.RENDERED  # type: ignore[union-attr]


async def test_a_copy_in_another_channel_is_known_by_its_buttons(chat: Chat, house: House) -> None:
    await chat.ada.imagine("a secret owl --count 1 --private")
    job = await chat.ended()
    await house.easel.messages.shared(job, {**(job.message or {})}, job.origin)
    card = house.easel.cards.card(job)
    workspace = await house.adapter._ready()._workspaces.find(TEAM)
    assert workspace
    ref = await house.adapter._ready().delivery.share(workspace, job, card, GENERAL)
    copy = next(
        each
        for each in house.wire.messages.values()
        if each.channel == GENERAL and each.ts == ref["shared"][-1]["ts"]
    )
    assert copy.user == BOT
    await house.ada.react(copy, "star")

    async def there() -> bool:
        return bool(await chat.store.favourites_of([chat.ids[0]]))

    await until(there)


async def test_200_reactions_in_a_second_are_one_and_stop_nobody(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, message = await chat.painted("a red fox in snow --count 1")
    monkeypatch.setattr(reactions, "GATHER", 0.3)
    monkeypatch.setattr(reactions, "PAUSE", 0.3)
    looked: list[str] = []
    looked_up = chat.store.job_posted

    async def counted(surface: str, place: str) -> Job | None:
        looked.append(place)
        return await looked_up(surface, place)

    monkeypatch.setattr(chat.store, "job_posted", counted)
    began, late = time.monotonic(), 0.0
    for _ in range(100):
        at = time.monotonic()
        await chat.ben.react(message, "⭐", added=False)
        await chat.ben.react(message, "⭐", added=True)
        await asyncio.sleep(0)
        late = max(late, time.monotonic() - at)
    took = time.monotonic() - began

    async def marked() -> bool:
        return await marks(chat, job) == 1

    await until(marked)

    assert len(looked) <= 2 + took / 0.3, "what a person takes back at once is not done"
    assert late < MOST_LAG

"""What people put on results' messages, the same on every platform that has reactions.

As in `chats`, a module imports these and brings the fixture `chat`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from bot.adapters import reactions
from bot.models import Job, State
from tests.contract.chats import PATIENCE, RESULT, Chat


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reactions, "GATHER", 0.02)
    monkeypatch.setattr(reactions, "PAUSE", 0.02)


async def until(there: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not await there():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def marks(chat: Chat, job: Job) -> int:
    """How many people have the job among their favourites."""
    names = ("ada", "ben")
    rows = [await chat.store.favourites_of([each]) for each in {*names, *chat.ids}]
    return sum(job.id == marked for row in rows for marked, _ in row)


async def settled(chat: Chat) -> None:
    """Return when whatever was heard before has been done: another favourite has come and gone."""
    count = len(await chat.jobs())
    await chat.ada.imagine("a marker --count 1")
    job = await chat.ended(count + 1)
    message = await chat.ada.see("a marker")
    while RESULT not in message.text:
        message = await chat.ada.see("a marker")
        await asyncio.sleep(0.01)
    await chat.ben.react(message, "⭐")
    await until(lambda: _is(marks(chat, job), 1))


async def _is(found: Awaitable[int], wanted: int) -> bool:
    return await found == wanted


async def test_a_star_marks_a_favourite_until_it_is_taken_away(chat: Chat) -> None:
    job, _ = await chat.painted()
    message = await chat.ben.see(RESULT)
    await chat.ben.react(message, "⭐")
    await until(lambda: _is(marks(chat, job), 1))
    await chat.ben.ask("favourites")
    assert "a red fox in snow" in (await chat.ben.see("Your favourites")).text

    await chat.ben.react(message, "⭐", added=False)
    await until(lambda: _is(marks(chat, job), 0))


async def test_a_cross_by_the_owner_deletes_and_one_by_somebody_else_says_nothing(chat: Chat) -> None:
    job, message = await chat.painted()
    before = len(chat.ben.messages())
    await chat.ben.react(await chat.ben.see(RESULT), "❌")
    await settled(chat)
    assert (await chat.store.job(job.id)).state is State.RENDERED  # type: ignore[union-attr]
    assert len(chat.ben.messages()) == before + 1, "the marker's result alone"

    await chat.ada.react(message, "❌")
    await chat.ben.see("These images were deleted.")
    assert (await chat.store.job(job.id)).state is State.DELETED  # type: ignore[union-attr]


async def test_other_emoji_and_status_messages_do_nothing(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, message = await chat.painted()
    asked: list[str] = []
    looked_up = chat.store.job_posted

    async def counted(surface: str, place: str) -> Job | None:
        asked.append(place)
        return await looked_up(surface, place)

    monkeypatch.setattr(chat.store, "job_posted", counted)
    for _ in range(20):
        await chat.ben.react(message, "🎉")
        await chat.ben.react(message, "🎉", added=False)
    await chat.ben.react(message, "✉️", added=False)
    await settled(chat)
    assert len(asked) == 1, "only the star cost a look into the database"
    assert await marks(chat, job) == 0

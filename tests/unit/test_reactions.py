"""Reactions: whose turn it is, what counts, and how much may wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bot.actions import ACTIONS
from bot.adapters import reactions
from bot.adapters.reactions import PersonQueue, Reaction


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reactions, "GATHER", 0.0)
    monkeypatch.setattr(reactions, "PAUSE", 0.0)


def adding(done: list[str], what: str) -> Callable[[], Awaitable[None]]:
    async def work() -> None:
        done.append(what)

    return work


async def until(there: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not there():  # noqa: ASYNC110 nothing tells of it
            await asyncio.sleep(0.001)


async def test_of_a_thing_only_the_last_word_is_done() -> None:
    queue, done = PersonQueue(), list[str]()
    for number in range(200):
        queue.put("ada", "fox", adding(done, f"fox {number}"))
    queue.put("ada", "owl", adding(done, "owl"))
    await until(lambda: len(done) == 2)
    assert done == ["fox 199", "owl"]


async def test_one_person_may_have_so_much_waiting_and_others_are_served() -> None:
    queue, done = PersonQueue(), list[str]()
    for number in range(reactions.MOST_OF_ONE + 10):
        queue.put("ada", number, adding(done, f"{number}"))
    queue.put("ben", "fox", adding(done, "ben"))
    await until(lambda: len(done) == reactions.MOST_OF_ONE + 1)
    assert "ben" in done and str(reactions.MOST_OF_ONE) not in done


async def test_all_together_may_have_so_much_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reactions, "MOST", 5)
    queue, done = PersonQueue(), list[str]()
    for number in range(9):
        queue.put(f"person {number}", "fox", adding(done, f"{number}"))
    queue.put("person 0", "fox", adding(done, "again"))
    await until(lambda: len(done) == 5)
    assert sorted(done) == ["1", "2", "3", "4", "again"]


async def test_few_are_done_at_a_time() -> None:
    queue, inside, most = PersonQueue(), set[int](), [0]

    def work(number: int) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            inside.add(number)
            most[0] = max(most[0], len(inside))
            await asyncio.sleep(0)
            inside.remove(number)
            done.append(str(number))

        return run

    done: list[str] = []
    for number in range(20):
        queue.put(f"person {number}", "fox", work(number))
    await until(lambda: len(done) == 20)
    assert most[0] <= reactions.AT_ONCE


async def test_what_fails_stops_nothing() -> None:
    async def broken() -> None:
        raise RuntimeError("no")

    queue, done = PersonQueue(), list[str]()
    queue.put("ada", "fox", broken)
    queue.put("ada", "owl", adding(done, "owl"))
    await until(lambda: done == ["owl"])


async def test_what_waits_when_a_surface_closes_is_left() -> None:
    queue, done = PersonQueue(), list[str]()
    queue.put("ada", "fox", adding(done, "fox"))
    await queue.close()
    assert done == []


@pytest.mark.parametrize(
    ("emoji", "added", "name"),
    [
        ("⭐", True, "favourite"),
        ("⭐", False, "favourite"),
        ("✉️", True, "download"),
        ("✉", True, "download"),
        ("✉️", False, ""),
        ("❌", True, "delete"),
        ("❌", False, ""),
        ("❎", True, ""),
        ("", True, ""),
    ],
)
def test_what_an_emoji_stands_for(emoji: str, added: bool, name: str) -> None:
    spec = Reaction(emoji=emoji, person="ada", message="1:2", added=added).spec
    assert (spec.name if spec else "") == name


def test_an_emoji_stands_for_one_thing() -> None:
    found = [each.reaction for each in ACTIONS if each.reaction]
    assert len(found) == len(set(found)) and not any("\ufe0f" in each for each in found)

"""Killed between what Slack did and what our books say of it: every message stands once."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.models import State
from tests.contract.slack import methods
from tests.contract.slack.conftest import Opens
from tests.contract.slack.house import DONE, House
from tests.contract.slack.people import Person
from tests.contract.slack.state import ADA, BOT, BOT_TOKEN, GENERAL, RANDOM, SECRET
from tests.contract.slack.wire import Wire
from tests.processes import Process

DIRECT = "direct"
POSTED = "before:message:1"  # the first message stands in Slack, and its row does not know


@asynccontextmanager
async def killed(
    folder: Path, wire: Wire, failpoint: str = POSTED, *, after: float | None = None
) -> AsyncIterator[Person]:
    """Somebody who talks to an Easel that is killed there, or after so many seconds, and was at the end."""
    process = Process("tests.contract.slack.victim", str(folder), wire.url, failpoint)
    try:
        await wire.until(lambda: wire.connections)
        yield Person(wire, ADA)
        if after is not None:
            await asyncio.sleep(after)
            process.kill()
        await asyncio.to_thread(process.wait)
        assert process.returncode == -signal.SIGKILL
    finally:
        process.kill()  # where it lived longer than it should
        process.communicate()


def standing(house: House, text: str) -> list[str]:
    """Where messages of the app's with a text in them are."""
    found = [m for m in house.wire.messages.values() if m.user == BOT and not m.deleted]
    return [m.channel for m in found if text in m.shown]


@pytest.mark.parametrize("channel", [GENERAL, RANDOM, SECRET, DIRECT])
async def test_a_message_that_was_posted_before_a_kill_is_not_posted_again(
    tmp_path: Path, opened: Opens, slack: Wire, channel: str
) -> None:
    place = slack.direct(ADA).id if channel == DIRECT else channel
    async with killed(tmp_path, slack) as ada:
        await ada.slash("/imagine a fox", place)

    async with opened() as house:
        await house.ended()
        assert standing(house, "a fox") == standing(house, DONE) == [place]


LONGER = [pytest.param(seed, marks=pytest.mark.soak) for seed in range(3, 33)]


@pytest.mark.parametrize("seed", [1, 2, *LONGER])
async def test_killed_at_any_moment_each_job_is_shown_once(
    tmp_path: Path, opened: Opens, slack: Wire, seed: int
) -> None:
    dice = random.Random(seed)
    places = (GENERAL, RANDOM, SECRET, slack.direct(ADA).id)
    for round in range(2):
        async with killed(tmp_path, slack, "before:admit_all:1000", after=dice.uniform(0.0, 0.4)) as ada:
            for number in range(8):
                await ada.slash(f"/imagine fox {round} of {number} --count 1", places[number % 4])

    async with opened() as house:
        await house.painted("/imagine the last one --count 1")
        for job in await house.jobs():
            await house.until(job.id, State.RENDERED)
            assert standing(house, job.prompt) == [job.origin.channel], job.prompt


async def test_a_reply_in_a_thread_is_found_again_too(tmp_path: Path, opened: Opens, slack: Wire) -> None:
    async with killed(tmp_path, slack) as ada:
        said = await ada.say(f"<@{BOT}> a fox")

    async with opened() as house:
        job = await house.ended()
        assert standing(house, "a fox") == [GENERAL] and house.message(job).thread == said.ts


@pytest.mark.parametrize(
    "failpoint", ["before:admit_all:1", "after:admit_all:1", "after:message:1", "before:end:1"]
)
async def test_killed_at_other_moments_it_is_shown_once(
    tmp_path: Path, opened: Opens, slack: Wire, failpoint: str
) -> None:
    async with killed(tmp_path, slack, failpoint) as ada:
        sent = await ada.slash("/imagine a fox", RANDOM)

    async with opened() as house:
        if failpoint == "before:admit_all:1":
            assert await house.jobs() == []
            await house.wire.again(sent)  # nothing was admitted; it is as if it had never been asked
        await house.ended()
        assert standing(house, "a fox") == standing(house, DONE) == [RANDOM]


@methods.needed
async def test_where_it_may_not_look_it_says_it_to_the_person_alone(
    tmp_path: Path, opened: Opens, slack: Wire
) -> None:
    slack.installs[BOT_TOKEN].scopes -= {"channels:join"}
    async with killed(tmp_path, slack) as ada:
        await ada.slash("/imagine a fox", RANDOM)

    async with opened() as house:
        await house.ended()
        assert standing(house, DONE) == [slack.direct(ADA).id]
        assert standing(house, "a fox").count(RANDOM) == 1
    slack.problems = [each for each in slack.problems if "conversations.join" not in each]


async def test_a_channel_is_not_joined_without_need(opened: Opens, slack: Wire) -> None:
    async with opened() as house:
        await house.painted("/imagine a fox", channel=RANDOM)

    async with opened() as house:
        await house.painted("/imagine a wolf", channel=RANDOM)
        assert BOT not in slack.channels[RANDOM].members

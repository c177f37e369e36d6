"""The connection breaks in every way that Discord knows, and nothing is lost or done twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from bot.accounts import tiers
from tests.contract.discord import wire as server
from tests.contract.discord.house import Rooms, rooms
from tests.contract.discord.line import DONE, Connects, Line, on_loopback, requests
from tests.contract.discord.wire import CHANNEL, Fault, Limit, Message, Wire


@asynccontextmanager
async def running(wire: Wire, folder: Path) -> AsyncIterator[tuple[Rooms, asyncio.Task[None]]]:
    """A studio whose adapter connects to a server that is prepared already."""
    async with rooms(folder) as house:
        task = asyncio.create_task(house.adapter.run())
        try:
            yield house, task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.adapters.discord.adapter.SHORTEST_DELAY", 0.05)


# ---- sessions


async def test_a_dropped_connection_is_resumed(line: Line) -> None:
    await line.painted(count=1)

    await line.wire.drop()
    await line.painted("again there", count=1)

    assert [each["op"] for each in line.wire.hellos] == [2, 6]


async def test_discord_may_ask_to_reconnect(line: Line) -> None:
    await line.painted(count=1)

    await line.wire.ask_to_reconnect()
    await line.painted("again there", count=1)

    assert [each["op"] for each in line.wire.hellos] == [2, 6]


@pytest.mark.parametrize(("resumable", "hellos"), [(False, [2, 2]), (True, [2, 6])])
async def test_an_invalid_session_is_begun_anew_or_resumed(
    line: Line, resumable: bool, hellos: list[int]
) -> None:
    await line.painted(count=1)

    await line.wire.invalidate(resumable=resumable)
    await line.painted("again there", count=1)

    assert [each["op"] for each in line.wire.hellos] == hellos


async def test_an_interaction_that_is_told_again_after_a_resume_is_one_job(line: Line) -> None:
    token = await line.wire.slash("imagine", prompt="a fox")
    line.wire.missed = [line.wire.last]
    await line.wire.drop()
    await line.wire.answered(token, DONE)
    await line.wire.until(lambda: len(requests(line, "POST", f"{token}/callback")) == 2)

    await line.painted("another", count=1)

    assert len(await line.house.jobs()) == 2


async def test_an_interaction_that_is_told_twice_at_once_is_one_job(connected: Connects) -> None:
    async with connected(step_seconds=0.05) as line:
        token = await line.wire.slash("imagine", prompt="a fox")
        await line.wire.send(line.wire.last["t"], line.wire.last["d"])

        await line.wire.answered(token, DONE)
        await line.wire.until(lambda: len(requests(line, "POST", f"{token}/callback")) == 2)
        assert len(await line.house.jobs()) == 1


async def test_a_message_that_is_told_again_after_a_resume_is_one_job_and_one_answer(line: Line) -> None:
    await line.wire.say("<@1002> a fox")
    line.wire.missed = [line.wire.last]
    await line.wire.drop()
    await line.wire.connected()
    await line.painted("another", count=1)

    jobs = await line.house.jobs()
    await asyncio.gather(*(line.house.until(job.id, *type(job.state)) for job in jobs))
    assert len(jobs) == 2
    assert len([m for m in line.wire.messages.values() if "a fox" in m.text and m.channel == CHANNEL]) == 1


# ---- handshakes and tokens


@pytest.mark.usefixtures("hasty")
async def test_a_gateway_that_is_not_there_is_tried_again(tmp_path: Path) -> None:
    async with on_loopback() as wire:
        wire.faults.append(Fault("GET", r"/gateway/bot", 404, {"message": "not now", "code": 0}))
        async with running(wire, tmp_path):
            token = await wire.slash("help")

            await wire.answered(token, "/imagine")


@pytest.mark.usefixtures("hasty")
async def test_a_first_handshake_that_fails_is_tried_again(tmp_path: Path) -> None:
    async with on_loopback() as wire:
        wire.slammed = 2
        async with running(wire, tmp_path):
            token = await wire.slash("help")

            await wire.answered(token, "/imagine")
        assert wire.slammed == 0


@pytest.mark.usefixtures("hasty")
async def test_a_later_handshake_that_fails_is_tried_again(line: Line) -> None:
    await line.painted(count=1)

    line.wire.slammed = 1
    await line.wire.drop()

    await line.painted("again there", count=1)
    assert line.wire.slammed == 0


async def test_a_refused_token_leaves_the_rest_running(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with on_loopback() as wire, rooms(tmp_path) as house:
        wire.token_is_good = False

        await asyncio.wait_for(house.adapter.run(), server.PATIENCE)

        assert capsys.readouterr().out.count("Discord does not accept DISCORD_TOKEN") == 1
        assert house.easel.queries.lanes() == ()


async def test_a_token_refused_by_the_gateway_ends_it_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with on_loopback() as wire, rooms(tmp_path) as house:
        wire.refuse = 4004

        await asyncio.wait_for(house.adapter.run(), server.PATIENCE)

        assert "Discord does not accept DISCORD_TOKEN" in capsys.readouterr().out


@pytest.mark.usefixtures("hasty")
async def test_a_token_that_is_reset_meanwhile_ends_it_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with on_loopback() as wire, running(wire, tmp_path) as (house, task):
        await wire.connected()
        wire.refuse, wire.token_is_good = 4004, False

        await wire.invalidate(resumable=False)

        await asyncio.wait_for(asyncio.shield(task), server.PATIENCE)
        assert "Discord does not accept DISCORD_TOKEN" in capsys.readouterr().out
        assert house.easel.queries.lanes() == ()


# ---- rates


async def test_a_server_error_at_the_acknowledgement_is_tried_again(line: Line) -> None:
    line.wire.faults.append(Fault("POST", r"/interactions/.*", 503, {"message": "busy", "code": 0}))

    message = await line.painted(count=1)

    assert len(message.attachments) == 1


async def test_a_storm_of_refusals_is_sat_out(line: Line) -> None:
    slow = {"message": "You are being rate limited.", "retry_after": 0.1, "global": True}
    headers = {"Retry-After": "0.1", "Via": "1.1 google", "X-RateLimit-Global": "true"}
    busy = Fault("PATCH", r"/webhooks/.*", 502, {"message": "bad gateway", "code": 0}, times=2)
    line.wire.faults += [Fault("PATCH", r"/webhooks/.*", 429, slow, headers, times=3), busy]

    messages = await asyncio.gather(*(line.painted(f"fox {number}", count=1) for number in range(3)))

    assert all(len(message.attachments) == 1 for message in messages)
    assert busy.times == 0


async def test_results_never_wait_behind_progress(connected: Connects) -> None:
    """A channel takes five edits in five seconds; the bot's own messages share them."""
    async with connected(step_seconds=0.1, edit_interval=0.05) as line:
        limit = Limit("PATCH", rf"/channels/{CHANNEL}/messages/\d+", most=5, seconds=5.0)
        line.wire.limits.append(limit)
        began = time.monotonic()
        for number in range(3):
            await line.wire.say(f"<@1002> fox {number}, one picture")

        await line.wire.until(lambda: _done(line) == 3, patience=60.0)
        edits = len(requests(line, "PATCH", f"/channels/{CHANNEL}/messages"))

        assert limit.refused == 0
        assert edits <= 3 + 1 + (time.monotonic() - began) / 2.0


async def test_a_flood_of_words_is_answered_by_one_message_an_ask_and_one_refusal(
    connected: Connects,
) -> None:
    """Twenty requests at once, by the tiers that ship: one is painted, one refusal says why no more are."""
    async with connected(tiers=tiers.load()) as line:
        for number in range(20):
            await line.wire.say(f"<@1002> a picture of fox {number}, one picture")
        await line.wire.say("<@1002> what can you do")  # the last word, so all others have arrived
        await line.wire.until(lambda: _done(line) == 1 and "Easel paints" in _said(line))
        await asyncio.gather(*_handling())

        jobs = await line.house.jobs()
        await line.wire.until(
            lambda: len(_standing(line)) < 4
        )  # the result has taken the status message's place
        assert len(jobs) == 1 and len(_standing(line)) == 3
        assert _said(line).count("may ask once in 5 s") == 1


def _said(line: Line) -> str:
    return "\n".join(message.text for message in line.wire.messages.values())


def _standing(line: Line) -> list[Message]:
    return [each for each in line.wire.messages.values() if not each.deleted]


def _handling() -> list[asyncio.Task[Any]]:
    """What the client still does with messages that it was sent."""
    return [task for task in asyncio.all_tasks() if task.get_name().startswith("discord.py: on_message")]


def _done(line: Line) -> int:
    return sum(DONE in message.text for message in line.wire.messages.values())

"""What a server's administrators read and set, and which servers there are, on Discord's wire."""

from __future__ import annotations

from typing import Any

import pytest

from bot.adapters.discord import presence
from bot.errors import Unreachable
from bot.messages import marks
from bot.messages.types import Card
from tests.contract.discord.house import SMALL
from tests.contract.discord.line import DONE, Connects, Line, requests
from tests.contract.discord.wire import CHANNEL, EPHEMERAL, GUILD, Fault, Pick, member, place

MANAGER = {"member": member(permissions=1 << 5)}
HERE = f"discord:{GUILD}"


async def test_a_log_is_a_message_that_pings_nobody_and_shows_names(line: Line) -> None:
    await line.wire.join(place(CHANNEL))
    card = Card(kind="text", body=(f"{marks.person('discord:4002', 'Ben')} is blocked",))

    await line.house.adapter.announce(HERE, str(CHANNEL), card)

    (sent,) = requests(line, "POST", f"/channels/{CHANNEL}/messages")
    assert sent.json["allowed_mentions"] == {"parse": []}
    assert "<@4002> is blocked" in str(sent.json["components"])


@pytest.mark.parametrize(
    ("tenant", "channel", "answer"),
    [
        (HERE, "999", {"code": 10003, "message": "Unknown Channel"}),
        (HERE, "everybody", None),
        ("discord:55", str(CHANNEL), None),  # a channel of another server
    ],
)
async def test_a_log_is_told_to_no_channel_but_the_server_s_own(
    line: Line, tenant: str, channel: str, answer: Any
) -> None:
    await line.wire.join(place(CHANNEL))
    if answer:
        line.wire.faults.append(Fault("GET", rf"/channels/{channel}", 404, answer))

    with pytest.raises(Unreachable, match="the channel is gone"):
        await line.house.adapter.announce(tenant, channel, Card(kind="text", body=("hello",)))

    assert requests(line, "POST", "/channels/") == []


async def test_an_answer_names_people_and_tells_times_in_the_reader_s_zone(line: Line) -> None:
    token = await line.wire.command(
        "admin person block", MANAGER, person=Pick(6, 4002), hours=24, reason="Spam"
    )

    answer = await line.wire.answered(token, "is blocked until")

    assert answer.flags & EPHEMERAL
    assert "<@4002> is blocked until <t:" in answer.text


async def test_covered_pictures_are_spoilers(line: Line) -> None:
    token = await line.wire.command("admin spoiler", MANAGER, channel=Pick(7, CHANNEL))
    await line.wire.answered(token, f"<#{CHANNEL}>")

    message = await line.painted(count=1)

    (name,) = message.attachments
    assert str(name).find("SPOILER_") >= 0 or name["filename"].startswith("SPOILER_")
    edits = [each for each in line.wire.requests if "'spoiler': True" in str(each.json)]
    assert edits


async def test_the_presence_tells_model_and_queue_and_changes_seldom(
    connected: Connects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "PAUSE", 0.05)
    async with connected(step_seconds=0.2) as line:
        shown = line.wire.presences
        await line.wire.until(lambda: _states(line)[-1:] == [f"{SMALL.title} · free"])
        await line.painted(count=1)
        await line.wire.until(lambda: _states(line)[-1:] == [f"{SMALL.title} · free"] and len(shown) == 3)

        assert _states(line) == [f"{SMALL.title} · {each}" for each in ("free", "1 job in the queue", "free")]


def _states(line: Line) -> list[str]:
    return [each["activities"][0]["state"] for each in line.wire.presences]


async def test_a_server_that_is_not_listed_is_left_with_one_sentence(connected: Connects) -> None:
    async with connected(discord_servers=("77",)) as line:
        await line.wire.join(place(CHANNEL))

        await line.wire.until(lambda: requests(line, "DELETE", f"/users/@me/guilds/{GUILD}"))

        token = await line.wire.slash("imagine", prompt="a fox")  # somebody brought it along alone
        answer = await line.wire.until(lambda: _aside(line, token, "Easel is not open to this server."))
        assert answer.flags & EPHEMERAL
        assert await line.house.jobs() == []


def _aside(line: Line, token: str, words: str) -> Any:
    found = line.wire.aside(token)
    return found if found and words in found.text else None


async def test_a_listed_server_is_served(connected: Connects) -> None:
    async with connected(discord_servers=(str(GUILD),)) as line:
        await line.wire.join(place(CHANNEL))

        assert DONE in (await line.painted(count=1)).text
        assert requests(line, "DELETE", "/users/@me/guilds") == []


async def test_the_setup_goes_from_step_to_step_in_its_own_message(line: Line) -> None:
    token = await line.wire.command("setup", MANAGER)
    first = await line.wire.answered(token, "step 1 of 5")
    assert first.flags & EPHEMERAL

    pressed = await line.wire.press(first, "Skip", **MANAGER)

    second = await line.wire.answered(pressed, "step 2 of 5")
    assert second.id == first.id

"""A contest on Discord, by the real discord.py: messages of the bot's own that change, and private votes."""

from __future__ import annotations

from typing import Any

from tests.contract.discord.line import Line, requests
from tests.contract.discord.wire import CHANNEL, EPHEMERAL, Fault, Message, member, place
from tests.contract.reactions import until

MANAGE_SERVER, BOSS, BEN = 1 << 5, 4009, 4002
THERE = {"member": member(BEN, "ben")}


async def boss(line: Line, command: str, **options: Any) -> str:
    about = {"member": member(BOSS, "boss", permissions=MANAGE_SERVER)}
    return await line.wire.command(command, about, **options)


def board(line: Line, text: str) -> Message | None:
    """The newest message in the channel, of no interaction, with a text in it."""
    found = [each for each in line.wire.messages.values() if each.channel == CHANNEL and text in each.text]
    return found[-1] if found else None


async def entered(line: Line) -> Message:
    """A contest with Ada's entry; the message that calls for entries."""
    await line.wire.join(place(CHANNEL))
    token = await boss(line, "contest start", theme="*foxes* @everyone", days=2)
    await line.wire.answered(token, "The contest has begun.")
    call = await line.wire.until(lambda: board(line, "foxes"))
    result = await line.painted("a red fox --count 1")
    await line.ended()
    more = await line.wire.press(result, "⋯")
    behind = await line.wire.answered(more, "a red fox")
    token = await line.wire.press(behind, "Enter contest")
    await line.wire.answered(token, "Entered in")
    return call


async def test_a_contest_from_its_start_to_its_result(line: Line) -> None:
    call = await entered(line)
    assert "\\*foxes\\* \\@everyone" in call.text and "<t:" in call.text and not call.flags & EPHEMERAL

    await line.wire.answered(await boss(line, "contest end"), "the vote is open")
    page = await line.wire.until(lambda: board(line, "Press a number"))
    assert "Entry 1" in page.text and list(page.buttons) == ["1"] and len(page.attachments) == 1
    assert "red fox" not in str(page.components) + str(page.attachments), "it names nobody's words"

    token = await line.wire.press(page, "1", **THERE)
    look = await line.wire.answered(token, "Entry 1")
    assert look.flags & EPHEMERAL and len(look.attachments) == 1
    hers = await line.wire.answered(await line.wire.press(page, "1"), "Entry 1")
    own = await line.wire.press(hers, "Vote for this one")
    token = await line.wire.press(look, "Vote for this one", **THERE)
    await line.wire.answered(token, "You vote for entry 1")
    await line.wire.until(lambda: (found := line.wire.aside(own)) and "your own entry" in found.text)

    await line.wire.answered(await boss(line, "contest end"), "The contest has ended.")
    result = await line.wire.until(lambda: board(line, "1 vote"))
    assert "1. Ada (entry 1), 1 vote" in result.text.replace("\\", "") and len(result.attachments) == 1
    assert "Voting has ended." in page.text and page.buttons == {}
    posts = requests(line, "POST", f"/channels/{CHANNEL}/messages")
    assert all(each.json["allowed_mentions"]["parse"] == [] for each in posts)

    token = await boss(line, "contest export")
    told = await line.wire.answered(token, "foxes")
    assert told.flags & EPHEMERAL and told.attachments[0]["filename"].endswith(".csv")


async def test_a_deleted_picture_leaves_the_vote(line: Line) -> None:
    await entered(line)
    await line.wire.answered(await boss(line, "contest end"), "the vote is open")
    page = await line.wire.until(lambda: board(line, "Press a number"))
    job = await line.ended()
    await line.house.easel.router.press(f"v1:delete:{job.id}", job.origin)
    await line.house.easel.contests.tick()
    assert page.attachments == [] and page.buttons == {} and "Entry 1" not in page.text


async def test_a_voting_message_that_somebody_deleted_stays_away_and_the_result_comes(line: Line) -> None:
    await entered(line)
    await line.wire.answered(await boss(line, "contest end"), "the vote is open")
    page = await line.wire.until(lambda: board(line, "Press a number"))
    gone = {"code": 10008, "message": "Unknown Message"}
    line.wire.faults.append(Fault("PATCH", rf"/channels/{CHANNEL}/messages/{page.id}", 404, gone, times=9))
    await line.wire.answered(await boss(line, "contest end"), "The contest has ended.")
    await line.wire.until(lambda: board(line, "0 votes"))


async def test_a_channel_that_was_deleted_ends_it(line: Line) -> None:
    await entered(line)
    await line.wire.send("CHANNEL_DELETE", place(CHANNEL))
    tenant = line.house.tenants[0]

    async def over() -> bool:
        return await line.house.store.contests(tenant) == []

    await until(over)

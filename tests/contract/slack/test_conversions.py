"""A channel that was open and is made private: from then on nothing of it is shown outside."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.contract.slack.conftest import Opens
from tests.contract.slack.house import DONE, House
from tests.contract.slack.state import ADA, BOSS, BOT, GENERAL, RANDOM, Channel, Fault, Message

CLUB = "C8CLUB"


@pytest.fixture
async def club(house: House) -> Message:
    """A channel of Ada's and the boss', where something was painted while it was open."""
    house.wire.channels[CLUB] = Channel(CLUB, "club", members={ADA, BOSS, BOT})
    message = await house.painted("/imagine a secret fox", channel=CLUB)
    assert not (await house.newest()).origin.seen_in
    return message


async def nothing_leaks(house: House, message: Message) -> None:
    """Ben, who is not in the channel, asks in every way."""
    (job,) = await house.jobs()
    lines = (f"show {job.id}", f"vary {job.id}", f"upscale {job.id}")
    await house.ben.slash("/easel history everyone=yes")
    await house.ben.see("none yet")
    for line in lines:
        await house.ben.slash(f"/easel {line}")
    await house.ben.slash(f"/imagine a wolf --source {job.id}:1")
    copied = house.wire.keep(replace(message, ts=house.wire.new_ts(), channel=GENERAL))
    for label in ("Info", "Again", "Edit"):
        await house.ben.press(copied, label)
    await house.ben.shortcut("Use as reference", copied)

    def refusals() -> list[Message]:
        return [m for m in house.wire.visible(house.ben.id) if "There is no job" in m.shown]

    await house.wire.until(lambda: len(refusals()) == 8)
    said = [m for m in house.wire.visible(house.ben.id) if m is not copied]
    assert not [m for m in said if "secret" in m.shown] and len(await house.jobs()) == 1


@pytest.mark.parametrize("told", [True, False], ids=["told", "not told"])
async def test_what_was_open_is_closed(house: House, club: Message, told: bool) -> None:
    await house.ada.makes_private(CLUB, told=told)

    await nothing_leaks(house, club)

    (job,) = await house.jobs()
    assert job.origin.seen_in == (CLUB,), "and stays so"
    await house.boss.slash("/easel history everyone=yes", CLUB)
    await house.boss.see("1. a secret fox", CLUB)
    await house.ada.slash(f"/easel vary {job.id}")  # her own, elsewhere
    assert (await house.ended(count=2)).origin.private


async def test_where_slack_does_not_tell_nothing_is_shown_and_nothing_is_closed_for_good(
    house: House, club: Message
) -> None:
    house.wire.faults.append(Fault("conversations.info", "internal_error", channel=CLUB, times=1000))

    await nothing_leaks(house, club)

    house.wire.faults.clear()
    await house.ben.slash("/easel history everyone=yes", RANDOM)
    await house.ben.see("1. a secret fox", RANDOM)


async def test_an_old_conversion_closes_nothing_that_came_after_it(house: House, club: Message) -> None:
    """Made private an hour ago, and public again since; Slack tells of it late."""
    await house.ada.makes_private(CLUB, age=3600.0)
    house.wire.channels[CLUB].kind = "channel"
    await house.acked(house.wire.sent[-1])

    await house.ben.slash("/easel history everyone=yes")
    await house.ben.see("1. a secret fox")
    await house.painted("/imagine a wolf", channel=CLUB)
    assert not (await house.newest()).origin.seen_in


async def test_the_queue_names_nothing_of_it(opened: Opens) -> None:
    async with opened(step_seconds=0.5) as house:
        house.wire.channels[CLUB] = Channel(CLUB, "club", members={ADA, BOSS, BOT})
        await house.ada.slash("/imagine a secret wolf", CLUB)
        await house.ada.see("a secret wolf", CLUB)
        await house.ada.makes_private(CLUB, told=False)

        await house.ben.slash("/easel queue")

        told = await house.ben.see("Queue")
        assert "1. someone: 1 job" in told.shown, "not even who asked"
        assert "secret" not in told.shown and "Ada" not in told.shown


@pytest.mark.parametrize("way", ["command", "mention", "press"])
async def test_what_a_payload_says_closes_at_once(house: House, club: Message, way: str) -> None:
    """The answer that was remembered for the channel says that it is open."""
    await house.ada.makes_private(CLUB, told=False)
    match way:
        case "command":
            await house.ada.slash("/imagine a wolf --count 1", CLUB)
        case "press":
            await house.ada.press(club, "Again")
        case _:
            await house.ada.say("make it blue", CLUB, thread=club.ts)

    job = await house.ended(count=2)
    assert job.origin.seen_in == (CLUB,)
    asked = [call for call in house.wire.calls_of("conversations.info") if call.args["channel"] == CLUB]
    assert len(asked) == 1 or way == "mention"


async def test_a_result_shared_in_a_channel_that_was_made_private_is_its_people_s(
    house: House, club: Message
) -> None:
    await house.ada.slash("/imagine a bear --private")
    await house.ended(count=2)
    mine = house.ada.sees(DONE, house.wire.direct(ADA).id)
    assert mine
    await house.ada.makes_private(CLUB, told=False)

    await house.ada.press(mine, "Share to channel")
    await house.ada.submit(await house.ada.form("Share"), where=CLUB)

    shared = await house.opened_up((await house.newest()).id)
    assert shared.origin.seen_in == (CLUB,)

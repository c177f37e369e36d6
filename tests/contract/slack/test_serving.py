"""What a workspace's administrators read and set, and which workspaces there are, on Slack's wire."""

from __future__ import annotations

import pytest

from bot.errors import Unreachable
from bot.messages import marks
from bot.messages.types import Card
from tests.contract.slack.conftest import Opens
from tests.contract.slack.house import House
from tests.contract.slack.state import ADA, BOSS, BOT, GENERAL, Fault
from tests.contract.slack.test_administration import answer

HERE = "slack:T1HOME"


async def test_the_setup_stands_on_the_home_tab_of_administrators_until_it_is_done(house: House) -> None:
    await house.boss.opens_home()
    home = await house.boss.home("step 1 of 5")
    await house.ada.opens_home()
    assert "step 1 of 5" not in (await house.ada.home()).shown

    for step in range(2, 6):
        await house.boss.press(home, "Skip")
        home = await house.boss.home(f"step {step} of 5")
    await house.boss.press(home, "It works")

    home = await house.boss.home("Queue")
    await house.wire.until(lambda: "of 5" not in house.wire.homes[BOSS].shown)


async def test_a_log_is_a_message_that_pings_nobody(house: House) -> None:
    ben = marks.person("slack:T1HOME:U3BEN", "Ben")
    card = Card(kind="text", body=(f"{ben} is blocked in {marks.channel(GENERAL)}",))

    await house.adapter.announce(HERE, GENERAL, card)

    message = await house.ada.see("is blocked")
    assert message.shown == f"Ben is blocked in <#{GENERAL}>" and message.pings == set()


async def test_a_log_whose_channel_is_gone_is_unreachable(house: House) -> None:
    house.wire.faults.append(Fault("chat.postMessage", "channel_not_found"))

    with pytest.raises(Unreachable):
        await house.adapter.announce(HERE, "C9GONE", Card(kind="text", body=("hello",)))


async def test_answers_name_people_and_tell_times_in_the_reader_s_zone(house: House) -> None:
    told = await answer(house, "/easel admin person block <@U3BEN|ben> 24")

    assert told.only == BOSS and told.pings == set()
    assert "<@U3BEN> is blocked until <!date^" in told.shown


async def test_spoilers_are_said_not_to_exist(house: House) -> None:
    assert "Slack has no spoilers" in (await answer(house, "/easel admin spoiler #general")).shown


async def test_a_workspace_that_is_not_listed_is_refused_with_one_sentence(opened: Opens) -> None:
    async with opened(slack_workspaces=("T9OTHER",)) as house:
        await house.ada.slash("/imagine a fox")

        told = await house.ada.see("Easel is not open to this workspace.")
        assert told.only == ADA and await house.jobs() == []


async def test_a_listed_workspace_is_served(opened: Opens) -> None:
    async with opened(slack_workspaces=("T1HOME",)) as house:
        await house.painted("/imagine a fox --count 1")


async def test_direct_messages_can_be_closed_to_requests(opened: Opens) -> None:
    async with opened(direct_messages=False) as house:
        direct = house.wire.direct(ADA).id
        await house.ada.say("a picture of a red fox", direct)

        await house.wire.until(
            lambda: [
                m for m in house.wire.visible(ADA, direct) if m.user == BOT and "Ask in a channel" in m.shown
            ]
        )
        assert await house.jobs() == []
        await house.painted("/imagine a fox --count 1")

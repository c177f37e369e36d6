"""A contest in Slack, by the real slack-bolt: messages that change, private votes, files taken out again."""

from __future__ import annotations

from bot.models import State
from tests.contract.reactions import until
from tests.contract.slack.conftest import Opens
from tests.contract.slack.house import House
from tests.contract.slack.state import GENERAL, TEAM, Message

TENANT = f"slack:{TEAM}"


async def entered(house: House) -> None:
    """A contest with Ada's entry."""
    await house.boss.slash("/easel contest start red foxes & <wolves> --days 2 --entries=2")
    await house.boss.see("The contest has begun.")
    await house.painted("/imagine a secret fox --count 1", house.ada)
    message = house.message(await house.newest())
    await house.ada.press(message, "Enter contest")
    await house.ada.see("Entered in")


def page(house: House) -> Message | None:
    return house.ben.sees("Press a number", GENERAL)


async def test_a_contest_from_its_start_to_its_result(opened: Opens) -> None:
    async with opened() as house:
        await entered(house)
        call = await house.ben.see("Contest: red foxes")
        assert "2 entries" in call.shown and not call.only
        await house.boss.slash("/easel contest end")
        voting = await house.ben.see("Press a number")
        assert "Entry 1" in voting.shown and len(voting.pictures) == 1 and not voting.only
        assert "secret" not in str(voting.blocks)

        await house.ben.press(voting, "1")
        look = await house.ben.see("Entry 1")
        while not look.only:
            look = await house.ben.see("Entry 1")
        await house.ben.press(look, "Vote for this one")
        await house.ben.see("You vote for entry 1.")
        await house.ada.press(voting, "1")
        await house.ada.see("Entry 1")
        assert house.ada.sees("You vote") is None

        await house.boss.slash("/easel contest end")
        result = await house.ben.see("1. Ada (entry 1), 1 vote")
        assert len(result.pictures) == 1 and not result.only
        assert "Voting has ended." in voting.shown and "1" not in voting.labels
        await house.boss.slash("/easel contest export format=json")
        await house.boss.see("The file is in your direct messages with Easel.")


async def test_a_deleted_picture_leaves_the_vote_and_slack(opened: Opens) -> None:
    async with opened() as house:
        await entered(house)
        await house.boss.slash("/easel contest end")
        voting = await house.ben.see("Press a number")
        job = await house.newest()
        await house.ada.press(house.message(job), "Delete")

        async def gone() -> bool:
            found = await house.store.job(job.id)
            return bool(found and found.state is State.DELETED)

        await until(gone)
        await house.easel.contests.tick()
        assert voting.pictures == [] and "Entry 1" not in voting.shown
        assert all(file.deleted for file in house.wire.files.values() if file.name.startswith("contest"))


async def test_a_channel_that_is_archived_ends_it(opened: Opens) -> None:
    async with opened() as house:
        await entered(house)
        await house.ada.event(
            {"type": "channel_deleted", "channel": GENERAL, "event_ts": house.wire.new_ts()}
        )

        async def over() -> bool:
            return await house.store.contests(TENANT) == []

        await until(over)

"""Results are new messages: whom they mention, where they stand, what becomes of the status message."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.models import Job, State
from engine.errors import OutOfMemory
from tests.contract.slack.conftest import Opens
from tests.contract.slack.house import DONE, House
from tests.contract.slack.state import ADA, BOT, BOT_TOKEN, GENERAL, RANDOM, Fault, Message
from tests.contract.slack.test_departures import hidden, is_deleted
from tests.contract.slack.test_killed import killed, standing
from tests.contract.slack.wire import Wire

SAVED = "message:2"  # the result's reference is written down; the first one was the status message's


def former(house: House, job: Job) -> Message:
    """The message that a result has replaced."""
    assert job.message
    channel, _, ts = job.message["former"].partition(":")
    return house.wire.messages[channel, ts]


@pytest.mark.parametrize("channel", [GENERAL, RANDOM])
async def test_a_result_is_a_new_message_that_mentions_whoever_asked(house: House, channel: str) -> None:
    result = await house.painted("/imagine a fox for <@U3BEN>", channel=channel)
    job = await house.newest()

    assert result.pings == {ADA} and result.shown.startswith(f"<@{ADA}> a fox")
    assert former(house, job).deleted and result.channel == channel and not result.thread
    assert [call.args["metadata"]["event_payload"] for call in house.wire.calls_of("chat.postMessage")] == [
        {"job": job.id},
        {"job": job.id, "part": "end"},
    ]


async def test_who_does_not_want_it_is_named_and_not_mentioned(house: House) -> None:
    await house.ada.slash("/easel settings --notify off")
    await house.ada.see("Finished images mention you: no")
    result = await house.painted("/imagine a fox")
    assert result.pings == set() and result.shown.startswith("@Ada a fox")

    await house.ada.slash("/easel settings --notify on")
    await house.ada.see("Finished images mention you: yes")
    assert (await house.painted("/imagine a wolf")).pings == {ADA}


async def test_the_form_of_the_settings_switches_it_off_and_on(house: House) -> None:
    await house.ada.opens_home()
    home = await house.ada.home()
    for chosen, told in (([], "no"), (["yes"], "yes")):
        await house.ada.press(home, "Change defaults")
        form = await house.ada.form("settings")
        await house.ada.submit(form, notify=chosen)
        await house.ada.home(f"Finished images mention you: {told}")


async def test_the_event_of_our_own_deletion_hides_nothing(house: House) -> None:
    await house.painted("/imagine a fox")
    job = await house.newest()
    status = former(house, job)
    await is_deleted(house, status)
    await is_deleted(house, status, told=False)
    await house.painted("/imagine a wolf")

    row = await house.store.job(job.id)
    assert row and not row.hidden
    await is_deleted(house, house.message(job))
    await hidden(house, job.id)


async def test_a_thread_under_the_status_message_keeps_it_and_gets_the_result(opened: Opens) -> None:
    async with opened(step_seconds=0.3) as house:
        await house.ada.slash("/imagine a fox")
        status = await house.ada.see("a fox")
        await house.ben.say("I hope it has a hat", thread=status.ts)
        job = await house.ended()
        result = house.message(job)

        assert result.thread == status.ts and result.pings == {ADA} and result.pictures
        await house.wire.until(lambda: "The result is in a newer message." in status.shown)
        assert not status.deleted and status.labels == []

        await house.ben.say("make it blue", thread=status.ts)
        child = await house.ended(count=2)
        assert (child.parent, child.prompt) == (job.id, "a fox, blue")
        assert house.message(child).thread == status.ts

        await house.ada.press(result, "Delete")
        await house.until(job.id, State.DELETED)
        await house.wire.until(lambda: "a fox" not in status.shown)


async def test_direct_messages_are_edited_in_place(house: House) -> None:
    result = await house.painted("/imagine a fox", channel=house.wire.direct(ADA).id)
    job = await house.newest()
    assert job.message and "former" not in job.message and result.versions > 1 and not result.pings


async def test_a_status_message_that_slack_does_not_delete_is_one_line(house: House) -> None:
    house.wire.faults.append(Fault("chat.delete", "cant_delete_message"))
    await house.painted("/imagine a fox")
    status = former(house, await house.newest())
    assert status.shown == "a fox\nThe result is in a newer message." and status.labels == []


async def test_a_status_message_that_somebody_deleted_is_not_followed_by_a_result(opened: Opens) -> None:
    async with opened(step_seconds=0.2) as house:
        await house.ada.slash("/imagine a fox", RANDOM)
        (await house.ada.see("a fox")).deleted = True
        job = await house.ended()
        assert job.hidden and standing(house, DONE) == []


async def test_a_channel_that_takes_no_posts_any_more_shows_it_in_the_status_message(opened: Opens) -> None:
    async with opened(step_seconds=0.2) as house:
        await house.ada.slash("/imagine a fox")
        status = await house.ada.see("a fox")
        house.wire.channels[GENERAL].read_only = True
        job = await house.ended()
        assert house.message(job) is status and DONE in status.shown


async def test_a_failure_is_told_only_to_whoever_waited_long(
    opened: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(fault=lambda job: OutOfMemory("too little")) as house:
        await house.ada.slash("/imagine a fox")
        early = house.message(await house.ended(State.FAILED))
        monkeypatch.setattr("bot.jobs.cards.LONG_WAIT", 0.0)
        await house.ada.slash("/imagine a wolf")
        late = house.message(await house.ended(State.FAILED, count=2))
        assert early.pings == set() and late.pings == {ADA}


@pytest.mark.parametrize(
    "failpoint", [f"before:{SAVED}", f"after:{SAVED}", "after:end:1", "before:delivered:1"]
)
@pytest.mark.parametrize("channel", [GENERAL, RANDOM])
async def test_killed_around_the_result_it_stands_once_and_the_status_message_goes(
    tmp_path: Path, opened: Opens, slack: Wire, channel: str, failpoint: str
) -> None:
    async with killed(tmp_path, slack, failpoint) as ada:
        await ada.slash("/imagine a fox", channel)

    async with opened() as house:
        job = await house.ended()
        assert standing(house, "a fox") == standing(house, DONE) == [channel]
        assert house.message(job).pings == {ADA}


async def test_where_it_cannot_look_nothing_is_posted_twice(
    tmp_path: Path, opened: Opens, slack: Wire
) -> None:
    slack.installs[BOT_TOKEN].scopes -= {"channels:join"}
    async with killed(tmp_path, slack, f"before:{SAVED}") as ada:
        await ada.slash("/imagine a fox", RANDOM)

    async with opened() as house:
        await house.ended()
        posts = [m for m in house.wire.messages.values() if m.user == BOT and m.metadata]
        assert len(posts) == 2, "the status message, edited, and the result that was posted before"
    slack.problems = [each for each in slack.problems if "conversations.join" not in each]

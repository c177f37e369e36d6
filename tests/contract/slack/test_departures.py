"""What Slack takes away: messages, channels, whole workspaces; and what moderators may."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.models import Job, State
from tests.contract.slack.conftest import Opens
from tests.contract.slack.house import House
from tests.contract.slack.methods import Json
from tests.contract.slack.state import BOT, GENERAL, RANDOM, Fault, Message, Sent
from tests.contract.slack.test_administration import answer


async def happens(house: House, event: Json) -> Sent:
    """An event, whether the loopback Slack knows its subscription or not."""
    return await house.ada.event(event | {"event_ts": house.wire.new_ts()})


async def is_deleted(house: House, message: Message, *, told: bool = True) -> None:
    about: Json = {
        "type": "message",
        "subtype": "message_deleted",
        "hidden": True,
        "channel": message.channel,
        "deleted_ts": message.ts,
        "channel_type": "channel",
    }
    await happens(house, about | ({"previous_message": house.wire.payload(message)} if told else {}))


async def row(house: House, id: str) -> Job:
    job = await house.store.job(id)
    assert job
    return job


async def hidden(house: House, id: str) -> None:
    async with asyncio.timeout(30):
        while not (await row(house, id)).hidden:  # noqa: ASYNC110 only the row knows
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("way", ["deleted", "untold", "channel_deleted", "channel_archive", "archive"])
async def test_what_was_deleted_is_seen_by_its_owner_alone(house: House, way: str) -> None:
    message = await house.painted("/imagine a red fox --count 1")
    job = await house.newest()
    match way:
        case "deleted" | "untold":
            await is_deleted(house, message, told=way == "deleted")
        case "channel_deleted":
            await happens(house, {"type": "channel_deleted", "channel": GENERAL})
        case "channel_archive":
            subtype = {"type": "message", "subtype": "channel_archive", "channel": GENERAL}
            await happens(house, subtype | {"user": house.boss.id, "ts": house.wire.new_ts()})
        case "archive":
            body = {"type": "message", "subtype": "group_archive", "channel": GENERAL}
            await happens(house, body | {"user": house.boss.id, "ts": house.wire.new_ts()})
    await hidden(house, job.id)

    told = await answer(house, f"/easel show {job.id}", channel=RANDOM)
    assert "There is no job" in told.shown
    listed = await answer(house, "/easel history everyone: yes", channel=RANDOM)
    assert "red fox" not in listed.shown
    mine = await answer(house, f"/easel show {job.id}", house.ada.id, RANDOM)
    assert "red fox" in mine.shown and mine.pictures


async def test_a_copy_that_is_deleted_where_it_was_shared_counts_too(house: House) -> None:
    message = await house.painted("/imagine a red fox --count 1 --private")
    job = await house.newest()
    await house.ada.press(message, "Share to channel")
    await house.ada.submit(await house.ada.form("Share"), where=RANDOM)
    copy = await house.wire.see("red fox", house.ben.id, RANDOM)
    await house.opened_up(job.id)

    await is_deleted(house, copy)

    await hidden(house, job.id)


async def test_other_messages_hide_nothing(house: House) -> None:
    message = await house.painted("/imagine a red fox --count 1")
    job = await house.newest()
    words = await house.ben.say("hello")
    direct = await answer(house, "/easel history", house.ada.id)
    await is_deleted(house, words)
    await is_deleted(house, Message(message.ts, RANDOM, BOT, "other"), told=False)
    await is_deleted(house, Message("1.0", house.wire.direct(house.ada.id).id, BOT, blocks=direct.blocks))
    await house.painted("/imagine a wolf --count 1")

    assert not (await row(house, job.id)).hidden


# ---- removed


@pytest.mark.parametrize("event", [{"type": "app_uninstalled"}, {"type": "tokens_revoked"}])
async def test_what_waits_and_runs_in_a_workspace_that_removed_easel_is_cancelled(
    opened: Opens, event: Json
) -> None:
    async with opened(step_seconds=0.3) as house:
        for number in range(3):
            await house.ada.slash(f"/imagine fox {number}")
            await house.ada.see(f"fox {number}")
        more = {"tokens": {"bot": [BOT], "oauth": []}} if event["type"] == "tokens_revoked" else {}
        await happens(house, event | more)

        jobs = [await house.until(job.id, State.CANCELLED) for job in await house.jobs()]

        assert len(jobs) == 3 and {job.reason for job in jobs} == {"Easel was removed from this workspace."}
        [line] = [each for each in await house.store.audit("slack:T1HOME") if each.what == "removed"]
        assert line.after == "3 jobs cancelled: Easel was removed from this workspace."


async def test_a_person_s_token_that_is_revoked_cancels_nothing(opened: Opens) -> None:
    async with opened(step_seconds=0.05) as house:
        await house.ada.slash("/imagine a fox --count 1")
        await house.ada.see("a fox")
        await happens(house, {"type": "tokens_revoked", "tokens": {"oauth": [house.ada.id], "bot": []}})

        assert (await house.ended()).state is State.RENDERED


@pytest.mark.parametrize("type", ["group_left", "group_deleted", "channel_deleted"])
async def test_what_waits_and_runs_where_nothing_can_be_posted_is_cancelled(opened: Opens, type: str) -> None:
    async with opened(step_seconds=0.3) as house:
        await house.ada.slash("/imagine a fox", RANDOM)
        await house.ada.slash("/imagine a wolf --private", RANDOM)
        await house.ada.slash("/imagine a bear --count 1", GENERAL)
        await house.ada.see("a bear")
        await house.ada.see("a wolf")
        await house.ada.see("a fox")

        await happens(house, {"type": type, "channel": RANDOM})

        jobs: dict[str, Any] = {job.prompt: job for job in await house.jobs()}
        gone = await house.until(jobs["a fox"].id, State.CANCELLED)
        assert "this channel" in gone.reason if type == "group_left" else "archived or deleted" in gone.reason
        for name in ("a wolf", "a bear"):
            assert (await row(house, jobs[name].id)).state is not State.CANCELLED
        assert (await row(house, jobs["a fox"].id)).hidden == (type != "group_left")


# ---- moderators


async def test_a_user_group_may_be_named_to_moderate(house: House) -> None:
    house.wire.groups["S1DESIGN"] = ("design", {house.ben.id})
    await answer(house, "/easel admin moderators role: <!subteam^S1DESIGN|@design>")
    message = await house.painted("/imagine a fox --count 1")

    await house.ben.press(message, "Delete")

    await house.wire.until(lambda: "were deleted" in message.shown)
    await house.ben.slash("/easel reports")
    assert (await house.ben.see("No open reports.")).only == house.ben.id


# ---- ends and progress


async def test_an_end_is_shown_while_slack_hangs_at_progress(opened: Opens) -> None:
    """An edit that hangs is let go a moment after the end has come."""
    async with opened(step_seconds=0.2, edit_interval=0.05) as house:
        await house.ada.slash("/imagine a fox --count 1")
        await house.ada.see("a fox")
        hangs = Fault("chat.update", "internal_error", seconds=30.0)
        house.wire.faults.append(hangs)

        job = await house.ended()

        assert hangs.times == 0 and job.delivered and job.finished
        assert (job.delivered - job.finished).total_seconds() < 10.0

"""What goes wrong: the person is told in one sentence, the job's row says why, and nothing else stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from bot.adapters.slack.handlers import BROKEN
from bot.errors import StoreError
from bot.models import State
from engine.errors import OutOfMemory
from tests.contract.slack.conftest import Opens
from tests.contract.slack.house import DONE, House
from tests.contract.slack.people import Person
from tests.contract.slack.state import (
    ADA,
    BOT,
    BOT_TOKEN,
    GENERAL,
    RANDOM,
    SECRET,
    Channel,
    Fault,
    Message,
    User,
)


def a_sentence(message: Message) -> None:
    """What tells somebody of a trouble: short, plain, without the words of a machine."""
    text = message.shown
    assert 10 < len(text) < 400 and text.rstrip("_").endswith("."), text
    for word in ("!", "Oops", "Traceback", "Exception", "Error", "{", "_not_", "invalid_", "slack_sdk"):
        assert word not in text, text


# ---- the place is lost while it paints


def archived(house: House, channel: str) -> None:
    house.wire.channels[channel].archived = True


def deleted(house: House, channel: str) -> None:
    house.wire.channels[channel].deleted = True


def removed(house: House, channel: str) -> None:
    house.wire.channels[channel].members.discard(BOT)


PLACES = {
    "archived": (archived, GENERAL),
    "deleted": (deleted, GENERAL),
    "removed": (removed, SECRET),
}


@pytest.mark.parametrize(("lose", "channel"), PLACES.values(), ids=PLACES.keys())
async def test_where_the_place_is_lost_the_result_comes_directly(
    opened: Opens, lose: Callable[[House, str], None], channel: str
) -> None:
    async with opened(step_seconds=0.1) as house:
        await house.ada.slash("/imagine a fox", channel)
        await house.ada.see("a fox")
        lose(house, channel)

        job = await house.ended()
        direct = house.wire.direct(ADA).id
        message = house.ada.sees(DONE, direct)
        assert message and message.pictures and house.message(job) is message
        assert len([m for m in house.wire.visible(channel=direct) if DONE in m.shown]) == 1


@pytest.mark.parametrize(("lose", "channel"), PLACES.values(), ids=PLACES.keys())
async def test_a_result_that_can_go_nowhere_says_why(
    opened: Opens, lose: Callable[[House, str], None], channel: str
) -> None:
    async with opened(step_seconds=0.1) as house:
        await house.ada.slash("/imagine a fox", channel)
        await house.ada.see("a fox")
        lose(house, channel)
        house.wire.faults.append(Fault("conversations.open", "user_disabled", times=1000))
        direct = house.wire.direct(ADA).id
        house.wire.faults.append(
            Fault("chat.postMessage", "messages_tab_disabled", channel=direct, times=1000)
        )
        house.wire.faults.append(Fault("chat.postMessage", "messages_tab_disabled", channel=ADA, times=1000))

        job = await house.ended()
        assert job.reason.startswith("It could not be delivered:") and job.reason.endswith(".")
        assert len(job.pictures) == 5
        await house.ben.slash("/imagine a wolf", RANDOM)
        await house.ended(count=2)


@pytest.mark.parametrize("denied", [False, True], ids=["posts taken", "posts denied"])
@pytest.mark.parametrize("error", ["cant_update_message", "edit_window_closed", "posting_to_channel_denied"])
async def test_a_message_that_may_not_be_edited_is_outlived(opened: Opens, error: str, denied: bool) -> None:
    async with opened(step_seconds=0.1) as house:
        await house.ada.slash("/imagine a fox")
        await house.ada.see("a fox")
        house.wire.faults.append(Fault("chat.update", error, channel=GENERAL, times=1000))
        if denied:
            post = Fault("chat.postMessage", "restricted_action", channel=GENERAL, times=1000)
            house.wire.faults.append(post)

        message = house.message(await house.ended())
        assert [m for m in house.wire.visible() if DONE in m.shown] == [message] and message.pictures
        assert message.channel == (house.wire.direct(ADA).id if denied else GENERAL)


async def test_a_message_that_somebody_deleted_stays_away(opened: Opens) -> None:
    async with opened(step_seconds=0.1) as house:
        await house.ada.slash("/imagine a fox")
        (await house.ada.see("a fox")).deleted = True

        job = await house.ended()
        assert job.reason == "It could not be delivered: its message was deleted."
        assert house.ben.sees(DONE) is None


async def test_a_read_only_channel_is_told_at_once(house: House) -> None:
    house.wire.channels[GENERAL].read_only = True
    await house.ada.slash("/imagine a fox")

    await house.ended()
    assert house.ada.sees(DONE)
    assert house.ben.sees("a fox") is None


async def test_a_channel_without_the_app_still_answers_the_one_who_asked(house: House) -> None:
    house.wire.channels["G9"] = Channel("G9", "closed", "group", {ADA})
    await house.ada.slash("/imagine a fox", "G9")

    await house.ended()
    message = house.ada.sees(DONE)
    assert message and message.pictures


async def test_a_mention_that_was_taken_back_is_outlived(house: House) -> None:
    said = await house.ada.say(f"<@{BOT}> a fox")
    said.deleted = True
    house.wire.faults.append(
        Fault("chat.postMessage", "cannot_reply_to_message", channel=GENERAL, times=1000)
    )

    job = await house.ended()
    assert house.ada.sees(DONE) or job.reason


# ---- the workspace is lost


@pytest.mark.parametrize("dead", ["token_revoked", "account_inactive"])
async def test_a_token_that_is_revoked_midway_ends_the_job_with_a_reason(opened: Opens, dead: str) -> None:
    async with opened(step_seconds=0.1) as house:
        await house.ada.slash("/imagine a fox")
        await house.ada.see("a fox")
        house.wire.installs[BOT_TOKEN].dead = dead

        job = await house.ended()
        assert job.reason.startswith("It could not be delivered:") and job.reason.endswith(".")
        assert len(job.pictures) == 5


async def test_an_app_that_is_uninstalled_midway_leaves_the_rest_running(opened: Opens) -> None:
    async with opened(step_seconds=0.1) as house:
        await house.ada.slash("/imagine a fox")
        await house.ada.see("a fox")
        house.wire.installs[BOT_TOKEN].dead = "account_inactive"
        if "app_uninstalled" in house.wire.manifest["settings"]["event_subscriptions"]["bot_events"]:
            await house.acked(await house.ada.event({"type": "app_uninstalled"}))

        job = await house.ended(State.CANCELLED)
        assert job.reason == "Easel was removed from this workspace." and job.device_seconds == 0


async def test_a_workspace_that_comes_back_is_served_again(opened: Opens) -> None:
    async with opened() as house:
        house.wire.installs[BOT_TOKEN].dead = "token_revoked"
        await house.ada.slash("/imagine a fox")
        await asyncio.sleep(0.3)
        house.wire.installs[BOT_TOKEN].dead = ""

        await house.painted("/imagine a wolf")


# ---- people


async def test_a_guest_paints_and_is_no_admin(house: House) -> None:
    message = await house.painted("/imagine a fox", house.guest)
    job = await house.newest()

    assert job.origin.member.name == "Guest" and not job.origin.member.admin
    other = await house.painted("/imagine a wolf")
    await house.guest.press(other, "Delete")
    a_sentence(await house.guest.see("can do that."))
    assert message.pictures and other.pictures


async def test_a_guest_does_not_reach_channels_that_they_are_not_in(house: House) -> None:
    await house.painted("/imagine a fox", channel=RANDOM)
    job = await house.newest()

    await house.guest.slash("/easel history everyone=yes")
    await house.guest.see("none yet")
    await house.guest.slash(f"/easel show {job.id}")
    a_sentence(await house.guest.see("There is no job"))

    message = await house.painted("/imagine a wolf")
    await house.guest.press(message, "Again")
    assert (await house.ended(count=3)).prompt == "a wolf"


@pytest.mark.parametrize("error", ["user_not_found", "user_not_visible", "internal_error"])
async def test_somebody_whom_slack_does_not_tell_about_paints_too(house: House, error: str) -> None:
    house.wire.faults.append(Fault("users.info", error, times=1000))

    await house.painted()

    job = await house.newest()
    assert job.origin.member.name and not job.origin.member.admin


async def test_somebody_of_another_workspace_reaches_nothing_of_ours(house: House) -> None:
    """A channel that two companies share: a button's id is known there."""
    message = await house.painted("/imagine a fox")
    house.wire.users["U7EVE"] = User("U7EVE", "eve", admin=True, team="T9ELSEWHERE")
    house.wire.channels[GENERAL].members.add("U7EVE")
    eve = Person(house.wire, "U7EVE")

    await eve.press(message, "Delete")
    await house.painted("/imagine a wolf")

    assert message.pictures


# ---- forms and buttons that are too old


async def test_a_form_that_comes_too_late_says_so(opened: Opens) -> None:
    async with opened() as house:
        house.wire.faults.append(Fault("views.open", "expired_trigger_id"))
        await house.ada.slash("/imagine")

        told = await house.wire.until(lambda: next((m for m in house.wire.visible() if m.only == ADA), None))
        a_sentence(told)


async def test_a_form_of_another_version_says_so(house: House) -> None:
    await house.ada.slash("/imagine")
    form = await house.ada.form()
    form.data["callback_id"] = "v0:forgotten"

    sent = await house.ada.submit(form, prompt="a wolf")

    await house.acked(sent)
    await house.wire.until(
        lambda: (
            (sent.answer and sent.answer.get("response_action"))
            or [m for m in house.wire.visible() if m.user == BOT]
        )
    )
    assert await house.jobs() == []


async def test_a_mention_whose_thread_cannot_be_looked_up_is_answered(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def locked(*_: Any, **__: Any) -> None:
        raise StoreError("the database is locked")

    root = await house.ada.say("look what I found")
    monkeypatch.setattr(house.store, "jobs", locked)

    await house.ada.say(f"<@{BOT}> a fox", thread=root.ts)

    a_sentence(await house.ada.see(BROKEN))


async def test_a_share_that_cannot_be_written_down_says_so(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: Any) -> None:
        raise StoreError("the disk is full")

    await house.ada.slash("/imagine a fox --private")
    await house.ended()
    mine = house.ada.sees(DONE)
    assert mine
    await house.ada.press(mine, "Share to channel")
    form = await house.ada.form("Share")
    monkeypatch.setattr(house.store, "publish", full)

    await house.ada.submit(form)

    a_sentence(await house.ada.see(BROKEN))


@pytest.mark.parametrize("kind", ["command", "shortcut", "entry"])
async def test_what_another_version_s_manifest_offers_says_so(house: House, kind: str) -> None:
    features = house.wire.manifest["features"]
    features["slash_commands"].append({"command": "/dream"})
    for place in ("global", "message"):
        features["shortcuts"].append({"name": f"Old {place}", "type": place, "callback_id": "v0:old"})
    said = await house.ben.say("my fox")

    match kind:
        case "command":
            sent = await house.ada.slash("/dream a fox")
        case "shortcut":
            sent = await house.ada.shortcut("Old global")
        case _:
            sent = await house.ada.shortcut("Old message", said)

    await house.acked(sent)
    if kind == "shortcut":
        assert "does not know" in (await house.ada.form("Easel")).shown
    else:
        a_sentence(await house.ada.see("does not know"))


async def test_an_edit_of_a_job_that_was_deleted_meanwhile_says_so(house: House) -> None:
    message = await house.painted()
    await house.ada.press(message, "Edit")
    form = await house.ada.form()
    await house.store.delete((await house.newest()).id)

    sent = await house.ada.submit(form, prompt="a wolf")

    await house.acked(sent)
    told = await house.wire.until(lambda: (sent.answer and str(sent.answer)) or house.ada.sees("deleted"))
    assert "deleted" in str(told) or "deleted" in told.shown
    assert len(await house.jobs()) == 1


async def test_a_button_of_a_deleted_job_says_so(house: House) -> None:
    message = await house.painted()
    await house.store.delete((await house.newest()).id)

    await house.ada.press(message, "U1")

    told = await house.ada.see("Those images were deleted.")
    a_sentence(told)
    assert told.only == ADA


@pytest.mark.parametrize("label", ["Delete", "Cancel"])
async def test_a_button_that_ends_something_may_be_pressed_twice(opened: Opens, label: str) -> None:
    async with opened(step_seconds=1.0 if label == "Cancel" else 0.0) as house:
        await house.ada.slash("/imagine a fox")
        message = await house.wire.until(
            lambda: next((m for m in house.wire.visible() if label in m.labels), None)
        )

        await house.acked(*[await house.ada.press(message, label) for _ in range(2)])

        await house.ended(State.CANCELLED, State.DELETED)
        assert len(await house.jobs()) == 1 and house.ada.sees(BROKEN) is None


@pytest.mark.parametrize("id", ["v1:vary:nobody", "v9:again:123", "again", "v1:upscale:abc:99", "x" * 255])
async def test_a_button_that_nobody_knows_says_so(house: House, id: str) -> None:
    message = await house.painted()
    button = {"type": "button", "action_id": id, "text": {"type": "plain_text", "text": "?"}}

    sent = await house.ada.act(message, {"block_id": "b"}, button)

    await house.acked(sent)
    a_sentence(await house.wire.until(lambda: next((m for m in house.wire.visible() if m.only == ADA), None)))


# ---- wishes that cannot be


WISHES = {
    "too many": "a fox --count 16",
    "negative": "a fox --count -3",
    "not a number": "a fox --guidance nan",
    "no such option": "a fox --colour red",
    "no such style": "a fox --style charcoalish",
    "a size without end": "a fox --size 99999x99999",
    "too long": "fox " * 1200,
    "nothing but spaces": "\u200b\u2060",
    "flags alone": "--count 2",
}


@pytest.mark.parametrize("wish", WISHES.values(), ids=WISHES.keys())
async def test_a_wish_that_cannot_be_is_refused_privately(house: House, wish: str) -> None:
    await house.ada.slash(f"/imagine {wish}")

    told = await house.wire.until(lambda: next((m for m in house.wire.visible() if m.only == ADA), None))
    a_sentence(told)
    assert (
        await house.jobs() == [] and len([m for m in house.wire.visible(house.ben.id) if m.user == BOT]) == 0
    )


async def test_a_form_whose_wish_cannot_be_is_answered_privately(house: House) -> None:
    await house.ada.slash("/imagine")
    await house.ada.submit(await house.ada.form(), prompt="a fox", size="99x99999999")

    told = await house.wire.until(lambda: next((m for m in house.wire.visible() if m.user == BOT), None))
    a_sentence(told)
    assert told.only == ADA and await house.jobs() == []


async def test_a_refused_mention_bothers_nobody_else(house: House) -> None:
    await house.ada.say(f"<@{BOT}> a fox --count 16")

    told = await house.ada.see("Try --count 4.")
    assert told.only == ADA and house.ben.sees("Try --count 4.") is None


async def test_a_job_that_fails_says_why(opened: Opens) -> None:
    async with opened(fault=lambda job: OutOfMemory()) as house:
        await house.ada.slash("/imagine a fox")

        job = await house.ended(State.FAILED)
        message = house.message(job)
        assert "Nothing was charged." in message.shown and "Try again" in message.labels


async def test_a_studio_that_closes_says_so(house: House) -> None:
    await house.painted()
    house.easel.router._gate.close()

    await house.ada.slash("/imagine a wolf")

    told = await house.ada.see("stopping or starting")
    a_sentence(told)


async def test_what_breaks_inside_is_told_in_one_sentence(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def broken(*args: Any, **more: Any) -> None:
        raise RuntimeError("a flaw of ours")

    monkeypatch.setattr(house.easel.router, "handle", broken)
    await house.ada.slash("/imagine a fox")

    told = await house.wire.until(lambda: next((m for m in house.wire.visible() if m.only == ADA), None))
    a_sentence(told)
    assert "a flaw of ours" not in told.shown
    assert "a flaw of ours" in "".join(capsys.readouterr())

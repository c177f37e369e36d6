"""Pictures that Slack is slow to show, or never does, and ends that must wait for a token."""

from __future__ import annotations

import pytest

from bot.adapters.slack import delivery, files
from bot.models import State
from tests.contract.slack import blocks as kit
from tests.contract.slack.conftest import Opens
from tests.contract.slack.house import DONE, House
from tests.contract.slack.state import ADA, BOT, BOT_TOKEN, GENERAL, Fault, Message
from tests.contract.slack.test_http import inhabit, install, many

PREPARING = "Slack is still preparing the images"
NOT_SHOWN = "Press Show again"
FOR_EVER = 1e6


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(files, "AGAIN", (0.01, 0.01, 0.01))


def uploads(house: House) -> int:
    return len(house.wire.calls_of("files.getUploadURLExternal"))


def finished(house: House, user: str = ADA) -> list[Message]:
    """The messages that show a result, of all that somebody sees."""
    return [m for m in house.wire.visible(user) if DONE in m.shown]


# ---- answers that mean nothing yet


@pytest.mark.parametrize("error", ["file_not_found", "file_update_failed"])
async def test_an_upload_that_slack_does_not_know_at_first_is_completed_again(
    house: House, error: str
) -> None:
    house.wire.faults.append(Fault("files.completeUploadExternal", error, times=2))

    message = await house.painted()

    assert message.pictures and uploads(house) == 1


@pytest.mark.parametrize(
    "method",
    [
        "chat.postMessage",
        "chat.update",
        "chat.getPermalink",
        "chat.delete",
        "files.getUploadURLExternal",
        "files.completeUploadExternal",
        "files.info",
    ],
)
async def test_a_page_in_place_of_an_answer_is_tried_again(house: House, method: str) -> None:
    fault = Fault(method, page="<html>Please wait</html>", times=2)
    house.wire.faults.append(fault)

    channel = house.wire.direct(ADA).id if method == "chat.update" else GENERAL  # where an end is an edit
    message = await house.painted(channel=channel)

    assert fault.times == 0 and message.pictures
    assert len(finished(house)) == 1


@pytest.mark.parametrize("method", ["chat.postMessage", "chat.update"])
async def test_an_answer_that_nobody_knows_is_tried_again_but_not_for_ever(
    house: House, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(delivery, "TRIES", 2)
    house.wire.faults.append(Fault("chat.postMessage", "invalid_arguments", pictures=True, times=1000))
    house.wire.faults.append(Fault("chat.update", "invalid_arguments", times=1000))
    channel = house.wire.direct(ADA).id if method == "chat.update" else GENERAL  # where an end is an edit
    await house.ada.slash("/imagine a fox", channel)

    job = await house.ended()

    assert job.reason == "It could not be delivered: Slack answered invalid_arguments."
    posts = [call for call in house.wire.calls_of("chat.postMessage") if kit.pictures(call.blocks)]
    assert len(posts) == (3 if method == "chat.postMessage" else 0)
    assert finished(house) == []
    house.wire.faults.clear()
    assert (await house.painted("/imagine a wolf")).pictures


async def test_a_result_whose_post_slack_keeps_refusing_is_shown_in_the_status_message(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "TRIES", 2)
    house.wire.faults.append(Fault("chat.postMessage", "invalid_arguments", pictures=True, times=1000))

    message = await house.painted()

    assert message.pictures and [m for m in house.wire.visible() if m.user == BOT] == [message]
    assert not (await house.newest()).reason


async def test_files_that_get_unknown_answers_are_left_out_in_the_end(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "TRIES", 2)
    house.wire.faults.append(Fault("files.getUploadURLExternal", "unknown_subtype", times=1000))
    await house.ada.slash("/imagine a fox")

    job = await house.ended()

    message = house.message(job)
    assert NOT_SHOWN in message.shown and DONE in message.shown and not message.pictures
    assert "Show again" in message.labels and uploads(house) == 3


# ---- files that cannot be shown yet, or never


async def test_a_file_that_is_not_ready_is_waited_for_and_not_uploaded_again(house: House) -> None:
    house.wire.ready_after = FOR_EVER
    await house.ada.slash("/imagine a fox")
    message = await house.ada.see(PREPARING)
    assert "Done." in message.shown and DONE in message.shown and "U1" in message.labels
    (job,) = await house.jobs()
    assert not job.delivered, "it is still owed"

    for file in house.wire.files.values():
        file.ready = 0.0

    result = house.message(await house.ended())
    assert result.pictures and PREPARING not in result.shown and result.pings == {ADA}
    assert message.deleted and finished(house) == [result]
    assert uploads(house) == 1


async def test_a_file_that_is_never_ready_ends_in_a_button_that_works(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "USABLE_SECONDS", 1.0)
    house.wire.ready_after = FOR_EVER
    await house.ada.slash("/imagine a fox")
    job = await house.ended()
    message = house.message(job)
    assert NOT_SHOWN in message.shown and not message.pictures and "web studio" not in message.shown
    assert uploads(house) == 1

    house.wire.ready_after = 0.0
    await house.ben.press(message, "Show again")

    await house.wire.until(lambda: message.pictures)
    assert NOT_SHOWN not in message.shown and "Show again" not in message.labels
    assert uploads(house) == 2 and len(await house.jobs()) == 1


async def test_blocks_that_slack_keeps_refusing_end_in_the_same_button(house: House) -> None:
    refusing = Fault("chat.postMessage", "invalid_blocks", pictures=True, times=delivery.PATIENCE)
    house.wire.faults.append(refusing)
    await house.ada.slash("/imagine a fox")
    job = await house.ended()
    message = house.message(job)
    assert refusing.times == 0 and NOT_SHOWN in message.shown
    assert finished(house) == [message]

    await house.ada.press(message, "Show again")

    await house.wire.until(lambda: message.pictures)
    assert finished(house) == [message]


async def test_the_button_works_after_a_restart(opened: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened() as house:
        monkeypatch.setattr(files, "USABLE_SECONDS", 0.5)
        house.wire.ready_after = FOR_EVER
        await house.ada.slash("/imagine a fox")
        message = house.message(await house.ended())
        house.wire.ready_after = 0.0

    async with opened() as house:
        await house.ada.press(message, "Show again")
        await house.wire.until(lambda: message.pictures)


async def test_an_answer_whose_pictures_are_not_ready_says_so(house: House) -> None:
    await house.painted()
    job = await house.newest()
    house.wire.ready_after = FOR_EVER
    house.adapter._ready()._files.forget(
        await house.adapter._ready()._workspaces.find("T1HOME"),  # type: ignore[arg-type]
        [each.blob for each in job.pictures],
    )

    await house.ben.slash(f"/easel show {job.id}")

    await house.ben.see("Slack is still preparing the images. Try again in a minute.")


# ---- a token that comes back


async def test_an_end_that_a_revoked_token_kept_is_shown_when_it_works_again(opened: Opens) -> None:
    async with opened(step_seconds=0.1) as house:
        await house.ada.slash("/imagine a fox")
        message = await house.ada.see("a fox")
        house.wire.installs[BOT_TOKEN].dead = "token_revoked"
        job = await house.ended()
        assert job.reason and finished(house) == []

        house.wire.installs[BOT_TOKEN].dead = ""
        await house.ada.opens_home()

        await house.wire.until(lambda: message.deleted)
        job = await house.until(job.id, State.RENDERED)
        result = house.message(job)
        assert result.pictures and result.pings == {ADA} and not job.reason
        assert finished(house) == [result]


async def test_an_end_that_a_revoked_token_kept_is_shown_at_the_next_start(opened: Opens) -> None:
    async with opened(step_seconds=0.1) as house:
        await house.ada.slash("/imagine a fox", GENERAL)
        message = await house.ada.see("a fox")
        house.wire.installs[BOT_TOKEN].dead = "account_inactive"
        await house.ended()

    house.wire.installs[BOT_TOKEN].dead = ""
    async with opened() as house:
        await house.wire.until(lambda: message.deleted)
        (result,) = [m for m in house.wire.visible(ADA) if "a fox" in m.shown]
        assert result.pictures and DONE in result.shown and result.pings == {ADA}


async def test_installing_again_ends_what_was_begun(opened: Opens) -> None:
    async with many(opened) as house:
        await install(house, "T5NORTH")
        north = inhabit(house.wire, "T5NORTH")
        house.wire.ready_after = FOR_EVER
        await north.slash("/imagine a fox", "CT5NORTH")
        message = await north.see(PREPARING)
        await house.acked(await north.event({"type": "app_uninstalled", "event_ts": "1.0"}))
        house.wire.installs.pop("xoxb-ours-T5NORTH")
        job = await house.ended()
        assert job.reason == "It could not be delivered: Easel was removed from this workspace."

        house.wire.ready_after = 0.0
        for file in house.wire.files.values():
            file.ready = 0.0
        await install(house, "T5NORTH")

        await house.wire.until(lambda: message.deleted)
        job = await house.until(job.id, State.RENDERED)
        result = house.message(job)
        assert result.pictures and PREPARING not in result.shown and not job.reason
        assert finished(house, north.id) == [result] and uploads(house) == 1

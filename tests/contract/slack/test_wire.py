"""The real slack_bolt and slack_sdk on the wire: what comes twice, late or not at all, and what breaks."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest

from bot import telemetry
from bot.images import pictures
from bot.models import State
from bot.surfaces import Settings
from tests.contract.slack import blocks as kit
from tests.contract.slack import methods
from tests.contract.slack import wire as server
from tests.contract.slack.api import PATIENCE
from tests.contract.slack.conftest import Opens
from tests.contract.slack.house import DONE, House, png, rooms
from tests.contract.slack.state import ADA, APP_TOKEN, BOT, BOT_TOKEN, GENERAL, SIGNING_SECRET, Fault
from tests.contract.slack.wire import Wire

# ---- calls


@methods.needed
async def test_calls_are_what_the_descriptions_say(house: House) -> None:
    message = await house.painted()
    for label in ("Edit", "Info", "U1"):
        await house.acked(await house.ada.press(message, label))
    await house.ended(count=2)
    await house.ada.slash("/imagine a fox --private")
    await house.ended(count=3)
    await house.ada.opens_home()
    await house.ada.home()
    await house.ada.opens_panel()

    asked = {call.method for call in house.wire.calls}
    assert asked >= {
        "apps.connections.open",
        "auth.test",
        "chat.postMessage",
        "chat.update",
        "files.getUploadURLExternal",
        "files.completeUploadExternal",
        "files.info",
        "users.info",
        "views.open",
        "views.publish",
    }
    assert house.wire.problems == []


async def test_the_tokens_go_where_they_belong(house: House) -> None:
    await house.painted()

    for call in house.wire.calls:
        assert call.token == (APP_TOKEN if call.method == "apps.connections.open" else BOT_TOKEN)


# ---- what comes twice


async def test_an_event_that_is_sent_again_makes_one_job(
    opened: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "ACK_SECONDS", 0.2)
    async with opened() as house:
        house.wire.mute = 2
        await house.ada.say(f"<@{BOT}> a fox")
        await house.wire.until(lambda: any(sent.tries == 2 for sent in house.wire.sent))

        await house.ended()
        await house.wire.until(lambda: all(sent.acked for sent in house.wire.sent))
        await house.painted("/imagine another")
        assert len(await house.jobs()) == 2


@pytest.mark.parametrize("kind", ["slash", "press", "shortcut", "submit", "reply"])
async def test_whatever_comes_twice_makes_one_job(house: House, kind: str) -> None:
    message = await house.painted("/imagine a fox --count 1")
    match kind:
        case "slash":
            sent = await house.ada.slash("/imagine a wolf")
        case "press":
            sent = await house.ada.press(message, "Again")
        case "shortcut":
            sent = await house.ada.shortcut("Variations", message)
        case "submit":
            await house.ada.slash("/imagine")
            sent = await house.ada.submit(await house.ada.form(), prompt="a wolf")
        case _:
            await house.ada.say("make it blue", thread=message.ts)
            sent = house.wire.sent[-1]
    await house.ended(count=2)

    await house.wire.again(sent)
    await house.wire.again(sent)
    await house.painted("/imagine another")
    assert len(await house.jobs()) == 3


async def test_a_retry_that_comes_after_a_restart_makes_one_job(opened: Opens) -> None:
    async with opened() as house:
        await house.ada.say(f"<@{BOT}> a fox")
        await house.ended()
        sent = house.wire.sent[-1]

    async with opened() as house:
        await house.wire.again(sent)
        await house.painted("/imagine another")
        assert len(await house.jobs()) == 2


async def test_the_same_words_again_are_another_wish(house: House) -> None:
    await house.painted("/imagine a fox")
    await house.painted("/imagine a fox")

    assert len(await house.jobs()) == 2


# ---- connections


@pytest.mark.parametrize("reason", ["warning", "refresh_requested"])
async def test_a_connection_is_changed_while_something_paints(opened: Opens, reason: str) -> None:
    async with opened(step_seconds=0.05) as house:
        await house.ada.slash("/imagine a fox")
        await house.ada.see("a fox")

        await house.wire.disconnect(reason)
        await house.wire.until(lambda: house.wire.hellos >= 2)
        sent = await house.ada.slash("/imagine a wolf")

        await house.acked(sent)
        await house.ended(count=2)
        assert len(await house.jobs()) == 2


@pytest.mark.parametrize("way", ["closed", "broken"])
async def test_a_lost_connection_is_found_again(opened: Opens, way: str) -> None:
    async with opened() as house:
        await house.painted()

        await (house.wire.drop() if way == "broken" else house.wire.disconnect(close=True))
        await house.wire.until(lambda: house.wire.hellos >= 2 and house.wire.connections)

        await house.painted("/imagine a wolf")


async def test_payloads_may_come_over_any_connection(opened: Opens, tmp_path: Path, slack: Wire) -> None:
    async with opened() as house:
        await house.wire.disconnect("warning")
        sent = [await house.ada.slash(f"/imagine fox {n} --count 1") for n in range(6)]
        await house.acked(*sent)
        await house.ended(count=6)
        assert len(await house.jobs()) == 6


async def test_slack_that_is_away_at_first_is_waited_for(opened: Opens, slack: Wire) -> None:
    slack.faults.append(Fault("auth.test", status=503))
    slack.faults.append(Fault("apps.connections.open", status=503))

    async with opened() as house:
        await house.painted()


@pytest.mark.parametrize("error", ["invalid_auth", "account_inactive", "token_revoked"])
async def test_a_token_that_slack_refuses_leaves_the_rest_running(
    tmp_path: Path, slack: Wire, capsys: pytest.CaptureFixture[str], error: str
) -> None:
    slack.faults.append(Fault("auth.test", error, times=1000))

    async with rooms(tmp_path, slack) as house:
        await asyncio.wait_for(house.adapter.run(), PATIENCE)
        assert house.easel.queries.lanes() == ()

    assert "SLACK_BOT_TOKEN" in capsys.readouterr().out
    assert slack.hellos == 0


async def test_an_app_token_that_slack_refuses_leaves_the_rest_running(
    tmp_path: Path, slack: Wire, capsys: pytest.CaptureFixture[str]
) -> None:
    slack.faults.append(Fault("apps.connections.open", "invalid_auth", times=1000))

    async with rooms(tmp_path, slack) as house:
        await asyncio.wait_for(house.adapter.run(), PATIENCE)

    assert "SLACK_APP_TOKEN" in capsys.readouterr().out


# ---- rates and breakdowns


@pytest.mark.parametrize(
    ("method", "result"),
    [
        ("chat.postMessage", False),
        ("chat.postMessage", True),
        ("chat.update", True),
        ("files.getUploadURLExternal", False),
        ("files.info", False),
    ],
)
async def test_a_rate_limit_is_waited_out(house: House, method: str, result: bool) -> None:
    fault = Fault(method, retry_after=1, pictures=result)
    house.wire.faults.append(fault)

    message = await house.painted(channel=_where(house, method))

    assert fault.times == 0 and len(house.wire.limited) == 1 and message.pictures
    asked = [call.at for call in house.wire.calls_of(method) if kit.pictures(call.blocks) or not result]
    assert asked[1] - asked[0] >= 0.9
    assert len([m for m in house.wire.visible() if m.user == BOT]) == 1


@pytest.mark.parametrize(
    ("method", "result"),
    [
        ("chat.postMessage", False),
        ("chat.postMessage", True),
        ("chat.update", True),
        ("files.getUploadURLExternal", False),
        ("files.completeUploadExternal", False),
        ("files.info", False),
    ],
)
async def test_a_server_error_is_tried_again(house: House, method: str, result: bool) -> None:
    fault = Fault(method, status=503, pictures=result)
    house.wire.faults.append(fault)

    message = await house.painted(channel=_where(house, method))

    assert fault.times == 0 and message.pictures
    assert [m for m in house.wire.visible() if m.user == BOT] == [message]


def _where(house: House, method: str) -> str:
    """A channel where an end is shown by this method."""
    return house.wire.direct(ADA).id if method == "chat.update" else GENERAL


async def test_a_file_that_is_not_ready_is_waited_for(opened: Opens) -> None:
    async with opened() as house:
        house.wire.ready_after = 1.0

        message = await house.painted()

        assert message.pictures
        assert len(house.wire.calls_of("files.info")) >= 2


async def test_a_file_that_blocks_do_not_take_yet_is_tried_again(house: House) -> None:
    for method in ("chat.postMessage", "chat.update"):
        fault = Fault(method, "invalid_blocks", pictures=True, times=2)
        house.wire.faults.append(fault)

        message = await house.painted(channel=_where(house, method))

        assert fault.times == 0 and message.pictures and DONE in message.shown


async def test_many_jobs_at_once_keep_within_the_limits(opened: Opens) -> None:
    """A minute's fifty edits are shared; the ends come first. Posts take turns once Slack says so."""
    async with opened(step_seconds=0.02, edit_interval=None) as house:
        house.wire.limits = True
        people = (house.ada, house.ben, house.boss, house.guest)
        for number in range(12):
            await people[number % 4].slash(f"/imagine fox {number} --count 1")

        def asked() -> set[str]:
            posts = house.wire.calls_of("chat.postMessage")
            return {post.args["metadata"]["event_payload"]["job"] for post in posts}

        await house.wire.until(lambda: len(asked()) == 12)
        for job in reversed(await house.jobs()):  # 24 posts take as many seconds
            await house.until(job.id, State.RENDERED)

        assert {call.method for call in house.wire.limited} <= {"chat.postMessage"}
        assert len(house.wire.limited) <= 12
        assert len([m for m in house.wire.visible() if m.user == BOT]) == 12
        assert all(house.message(job).pictures for job in await house.jobs())


async def test_slack_that_is_ill_for_a_while_gets_everything_in_the_end(house: House) -> None:
    ill = [
        Fault("chat.postMessage", status=500, pictures=True, times=2),
        Fault("chat.postMessage", retry_after=1, pictures=True),
        Fault("chat.delete", retry_after=1),
        Fault("files.completeUploadExternal", "internal_error"),
        Fault("users.info", status=502),
    ]
    house.wire.faults += ill
    await house.ada.slash("/imagine a fox")

    job = await house.ended()
    assert house.message(job).pictures and not job.reason
    assert not [each for each in ill if each.times]
    assert len([m for m in house.wire.visible() if m.user == BOT]) == 1


# ---- secrets


async def test_no_secret_is_logged_or_stored(opened: Opens) -> None:
    stream = io.StringIO()
    telemetry.set_up(Settings(log_level="debug"), stream)  # it knows no secrets here, so it hides none
    async with opened() as house:
        house.wire.faults += [
            Fault("chat.postEphemeral", "internal_error"),
            Fault("files.info", status=500),
            Fault("chat.update", "fatal_error"),
        ]
        await house.ada.slash("/imagine a secret fox --private")
        await house.ended()
        await house.ada.slash("/imagine")
        await house.ada.form()
        await house.ada.shortcut("Use as reference", await house.ben.say("a secret wolf"))
        await house.ada.suggestions("an old menu", "a secret bear")
        await house.wire.drop()
        await house.wire.until(lambda: house.wire.hellos >= 2)
        folder = house.settings.data_dir

    printed = stream.getvalue()
    secrets = (BOT_TOKEN, APP_TOKEN, SIGNING_SECRET, "secret-of-the-url", "secret-of-the-trigger", "ticket-")
    assert "job accepted" in printed
    assert not [each for each in (*secrets, "secret fox", "secret wolf", "secret bear") if each in printed]
    files = [path.read_bytes() for path in folder.glob("easel.db*") if path.stat().st_size]
    assert files and not [each for each in secrets if any(each.encode() in file for file in files)]


async def test_the_token_goes_to_slack_alone(house: House, slack: Wire) -> None:
    async with server.served(slack.manifest) as elsewhere:
        fox = house.wire.hand_in(png(), url=f"{elsewhere.url}/files-pri/T1/F1/fox.png")
        await house.ada.say(f"<@{BOT}> in oil", files=[fox])

        told = await house.ada.see("outside of Slack")
        assert told.channel == GENERAL and house.ben.sees("outside of Slack") in (None, told)
        assert elsewhere.calls == [] and await house.jobs() == []


# ---- pictures that people send


async def test_a_source_that_is_too_large_is_not_even_fetched(opened: Opens) -> None:
    async with opened(max_source_mb=1) as house:
        large = house.wire.hand_in(png(), size=60_000_000)
        await house.ada.say(f"<@{BOT}> in oil", files=[large])

        await house.ada.see("at most 1 MB")
        assert await house.jobs() == []


@pytest.mark.parametrize("told", [{"size": 60_000_000}, {"told": "image/heic", "name": "IMG_1.HEIC"}])
async def test_slack_s_own_smaller_picture_is_taken_of_what_cannot_be_read(
    opened: Opens, told: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "reads_heic", lambda: False)
    async with opened(max_source_mb=1) as house:
        smaller = house.wire.hand_in(png())
        photograph = house.wire.hand_in(b"what no one can read", smaller=smaller, **told)
        await house.ada.say(f"<@{BOT}> in oil", files=[photograph])

        assert (await house.ended()).request.source


@pytest.mark.parametrize("told", ["", "application/octet-stream", "text/plain"])
async def test_a_picture_whose_type_is_wrong_is_known_by_its_bytes(house: House, told: str) -> None:
    fox = house.wire.hand_in(png(), told=told)
    await house.ada.say(f"<@{BOT}> in oil", files=[fox])

    assert (await house.ended()).request.source


async def test_a_source_that_lies_about_its_size_is_not_read_to_the_end(opened: Opens) -> None:
    async with opened(max_source_mb=1) as house:
        large = house.wire.hand_in(png() + bytes(3_000_000), size=1000)
        await house.ada.say(f"<@{BOT}> in oil", files=[large])

        await house.ada.see("at most 1 MB")


async def test_a_file_that_is_no_picture_is_refused(house: House) -> None:
    await house.ada.slash("/imagine")
    form = await house.ada.form()
    await house.ada.submit(form, prompt="in oil", source=[house.wire.hand_in(b"no picture", name="fox.png")])

    await house.wire.until(
        lambda: house.ada.sees("PNG, JPEG or WebP") or "PNG, JPEG or WebP" in str(house.wire.sent[-1].answer)
    )
    assert await house.jobs() == []


@pytest.mark.parametrize("where", ["mention", "direct", "reply"])
async def test_words_with_a_file_that_is_no_picture_are_refused(house: House, where: str) -> None:
    message = await house.painted()
    pdf = house.wire.hand_in(b"%PDF-1.7 of sixty pages", name="brief.pdf")
    match where:
        case "mention":
            await house.ada.say(f"<@{BOT}> like this", files=[pdf])
        case "direct":
            await house.ada.say("like this", house.wire.direct(ADA).id, files=[pdf])
        case _:
            await house.ada.say("see the brief", thread=message.ts, files=[pdf])  # said to others
            await house.ada.say("make it like this", thread=message.ts, files=[pdf])

    await house.ada.see("That isn't an image.")
    assert len(await house.jobs()) == 1


async def test_who_asks_is_asked_for_once(house: House) -> None:
    for number in range(3):
        await house.painted(f"/imagine fox {number} --count 1")

    assert len([call for call in house.wire.calls_of("users.info") if call.args["user"] == ADA]) == 1

"""The real discord.py against a Discord on loopback: what goes over the wire, and what breaks."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from bot import actions
from bot.messages import job_cards
from bot.messages.types import Card
from bot.models import Job, State
from tests.contract.discord.conftest import png
from tests.contract.discord.line import DONE, Connects, Line, requests
from tests.contract.discord.wire import ADA, CHANNEL, DM, EPHEMERAL, Fault, Message, bot_user, member, place
from tests.specs import DISCORD as SPEC

# ---- the way of a request


async def test_a_command_over_the_gateway_becomes_a_picture_that_decodes(line: Line) -> None:
    message = await line.painted(count=1)

    (attachment,) = message.attachments
    picture = Image.open(io.BytesIO(line.wire.files[attachment["id"]]))
    picture.load()
    assert picture.size == (64, 64)
    assert attachment["description"] == "a red fox in snow"


async def test_requests_are_what_the_official_document_says(line: Line) -> None:
    if not SPEC.exists():
        pytest.skip("the official OpenAPI document is not at hand")
    message = await line.painted()
    for label in ("Edit", "Info", "U1"):
        token = await line.wire.press(message, label)
        await line.wire.until(lambda token=token: token in line.wire.callbacks)
    await line.wire.answered(token, "4×")
    await line.wire.slash("imagine", prompt="a fox", count=16)
    for name in ("queue", "history", "quota", "styles", "settings", "help"):
        token = await line.wire.slash(name)
        await line.wire.until(lambda token=token: _settled(line, token))
    await line.wire.until(lambda: requests(line, "PUT", "/commands"))

    checked = {(each.method, each.path.split("/")[1]) for each in line.wire.requests if each.json is not None}
    assert checked >= {("PUT", "applications"), ("POST", "interactions"), ("PATCH", "webhooks")}
    assert line.wire.problems == []


def _settled(line: Line, token: str) -> bool:
    found = line.wire.response(token)
    return found is not None and bool(found.text)


async def test_every_interaction_is_acknowledged_within_a_second(line: Line) -> None:
    message = await line.painted()
    tokens = [await line.wire.press(message, label) for label in ("U1", "Edit", "Info", "Again")]
    tokens += [await line.wire.slash(name) for name in ("queue", "history", "help")]

    await line.wire.until(lambda: set(tokens) <= line.wire.callbacks.keys())

    assert max(seconds for _, seconds in line.wire.callbacks.values()) < 1.0


async def test_commands_can_be_installed_anywhere(line: Line) -> None:
    (put,) = await line.wire.until(lambda: requests(line, "PUT", "/commands"))
    names = {each["name"]: each for each in put.json}
    assert {"imagine", "edit", "upscale", "vary", "queue", "cancel", "history", "show"} <= names.keys()
    assert {each["name"] for each in put.json if each["type"] == 3} == {
        *("Use as reference", "Describe", "Variations", "Upscale", "Verify")
    }
    everywhere = [each for each in put.json if each["name"] not in ("admin", "setup")]
    assert all(each["integration_types"] == [0, 1] for each in everywhere)
    assert all(each["contexts"] == [0, 1, 2] for each in everywhere)
    assert names["Upscale"]["name_localizations"] == {"de": "Vergrößern", "fr": "Agrandir"}
    assert names["queue"]["description_localizations"]["de"].startswith("Die Warteschlange")
    options = {each["name"]: each for each in names["imagine"]["options"]}
    assert options["prompt"]["max_length"] == 4000
    assert (options["count"]["min_value"], options["count"]["max_value"]) == (1, 16)
    assert options["source"]["type"] == 11 and options["style"]["autocomplete"]


async def test_nothing_pings_and_no_intent_is_privileged(line: Line) -> None:
    await line.painted("@everyone <@4001> a fox", count=1)

    for each in [*requests(line, "PATCH", "/webhooks/"), *requests(line, "POST", "/webhooks/")]:
        assert each.json["allowed_mentions"]["parse"] == []
    (identify,) = [each["d"] for each in line.wire.hellos]
    privileged = (1 << 1) | (1 << 8) | (1 << 15)
    assert identify["intents"] & privileged == 0


async def test_a_source_is_fetched_and_used(line: Line) -> None:
    token = await line.wire.slash("edit", files={"source": png()}, prompt="in oil", strength=0.3)

    await line.wire.answered(token, DONE)

    assert (await line.ended()).request.source


async def test_a_source_that_is_too_large_is_not_even_fetched(connected: Connects) -> None:
    async with connected(max_source_mb=1) as line:
        await line.wire.slash("edit", files={"source": bytes(2_000_000)}, prompt="in oil")

        refusal = await line.wire.until(lambda: _of(line, "at most 1 MB"))
        assert refusal.flags & EPHEMERAL


def _of(line: Line, text: str) -> Message | None:
    return next((m for m in line.wire.messages.values() if text in m.text), None)


# ---- presses


async def test_a_double_click_paints_once(connected: Connects) -> None:
    async with connected() as line:
        message = await line.painted()
        first, second = [await line.wire.press(message, "Again") for _ in range(2)]

        await line.wire.until(lambda: {first, second} <= line.wire.callbacks.keys())
        await line.wire.answered(first, DONE)
        assert line.wire.callbacks[second][0] == 6
        assert len(await line.house.jobs()) == 2


async def test_a_cancelled_job_says_so(connected: Connects) -> None:
    async with connected(step_seconds=1.0) as line:
        token = await line.started()
        await line.wire.press(line.wire.response(token), "Cancel")

        await line.wire.answered(token, "cancelled, nothing charged")


# ---- tokens, permissions, deletions


async def test_an_expired_token_is_outlived(connected: Connects) -> None:
    async with connected(step_seconds=0.2) as line:
        token = await line.started()
        line.wire.expired.add(token)

        await line.wire.answered(token, DONE)
        assert requests(line, "PATCH", f"/channels/{CHANNEL}/")


async def test_a_private_result_outlives_its_token_as_a_direct_message(connected: Connects) -> None:
    async with connected(step_seconds=0.2) as line:
        token = await line.started(private=True)
        line.wire.expired.add(token)

        job = await line.ended()
        (sent,) = [m for m in line.wire.messages.values() if m.channel == DM]
        assert DONE in sent.text and len(sent.attachments) == 4
        assert sent.nonce == f"{job.id}-dm" and job.message == {
            "channel": DM,
            "message": sent.id,
            "own": True,
        }


async def test_a_result_that_can_go_nowhere_says_why(connected: Connects) -> None:
    async with connected(step_seconds=0.2) as line:
        token = await line.started()
        line.wire.expired.add(token)
        gone = {"code": 50001, "message": "Missing Access"}
        closed = {"code": 50007, "message": "Cannot send messages to this user"}
        line.wire.faults += [
            Fault("PATCH", r"/channels/\d+/messages/\d+", 403, gone, times=100),
            Fault("POST", rf"/channels/{CHANNEL}/messages", 403, gone, times=100),
            Fault("POST", rf"/channels/{DM}/messages", 403, closed, times=100),
        ]

        job = await line.ended()
        assert "takes no direct messages" in job.reason and len(job.pictures) == 5


@pytest.mark.parametrize(
    "mine",
    [{"authorizing_integration_owners": {"1": str(ADA)}}, {"app_permissions": "0"}],
    ids=["it is not there", "it does not see the channel"],
)
async def test_where_the_bot_may_not_edit_itself_the_result_can_be_fetched(
    connected: Connects, monkeypatch: pytest.MonkeyPatch, mine: dict[str, Any]
) -> None:
    monkeypatch.setattr("bot.adapters.discord.context.TOKEN_SECONDS", 100.0)
    async with connected(step_seconds=0.5) as line:
        data = {"id": "9", "name": "imagine", "type": 1, "options": [_text("prompt", "a fox")]}
        token = await line.wire.interact(2, data, **mine)
        waiting = await line.wire.answered(token, "a fox")

        fetched = await line.wire.press(waiting, "Fetch result", **mine)

        answer = await line.wire.answered(fetched, "a fox")
        assert answer.flags & EPHEMERAL
        await line.wire.answered(token, DONE)
        assert "Fetch result" not in line.wire.response(token).buttons
        assert not requests(line, "PATCH", "/channels/")


async def test_a_message_that_stands_still_gets_its_way_to_the_result_in_time(
    connected: Connects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.adapters.discord.delivery.LAST_MINUTES", 59.0)
    monkeypatch.setattr("bot.adapters.discord.context.TOKEN_SECONDS", 60.0)
    async with connected(fault=lambda job: TimeoutError()) as line:  # it hangs: no step, no news
        token = await line.started(private=True)

        await line.wire.until(lambda: "Fetch result" in line.wire.response(token).buttons)
        assert "Cancel" in line.wire.response(token).buttons


async def test_who_fetches_a_result_too_early_gets_it_by_the_newer_token(
    connected: Connects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.adapters.discord.context.TOKEN_SECONDS", 100.0)
    async with connected(step_seconds=0.3) as line:
        token = await line.wire.command("imagine", STRANGE, prompt="a fox", count=1)
        waiting = await line.wire.answered(token, "a fox")
        fetched = await line.wire.press(waiting, "Fetch result", **STRANGE)
        await line.wire.answered(fetched, "a fox")
        await line.wire.until(lambda: line.wire.originals.get(fetched))
        line.wire.expired.add(token)

        answer = await line.wire.answered(fetched, DONE)
        assert answer.flags & EPHEMERAL and len(answer.attachments) == 1
        assert not _in(line, DM) and DONE not in line.wire.response(token).text
        job = await line.ended()
        assert "secret-token" not in str(job.origin.reply), "tokens are sealed at rest"


async def test_somebody_else_s_look_does_not_turn_the_result_to_them(
    connected: Connects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.adapters.discord.context.TOKEN_SECONDS", 100.0)
    async with connected(step_seconds=0.3) as line:
        token = await line.wire.command("imagine", STRANGE, prompt="a fox", count=1)
        waiting = await line.wire.answered(token, "a fox")
        other = {"member": member(4002, "ben"), **STRANGE}
        fetched = await line.wire.press(waiting, "Fetch result", **other)
        await line.wire.answered(fetched, "a fox")
        line.wire.expired.add(token)

        await line.wire.until(lambda: [m for m in _in(line, DM) if DONE in m.text])
        assert DONE not in line.wire.response(fetched).text


STRANGE = {"authorizing_integration_owners": {"1": str(ADA)}}  # only Ada has installed Easel


async def test_where_only_a_person_has_installed_it_five_follow_ups_suffice(connected: Connects) -> None:
    async with connected(step_seconds=0.1) as line:
        token = await line.wire.command("imagine", STRANGE, prompt="a fox")
        message = await line.wire.answered(token, DONE)
        for label in ("Info", "Edit", "U1", "Again"):
            pressed = await line.wire.press(message, label, **STRANGE)
            await line.wire.until(lambda pressed=pressed: pressed in line.wire.callbacks)
        refused = await line.wire.command("imagine", STRANGE, prompt="a fox", count=16, size="9999x9999")
        await line.wire.until(lambda: (found := line.wire.aside(refused)) and found.text)

        assert line.wire.follow_ups[token] == 0
        assert max(line.wire.follow_ups.values(), default=0) <= 1


@pytest.mark.parametrize(("count", "whispered"), [(3, 0), (8, 2)])
async def test_a_series_has_its_messages_where_only_a_person_has_installed_it(
    connected: Connects, count: int, whispered: int
) -> None:
    async with connected(step_seconds=0.01) as line:
        asked = await line.wire.command("imagine", STRANGE, prompt=f"a fox --repeat {count} --count 1")
        await line.wire.until(lambda: (found := line.wire.aside(asked)) and "Start" in found.text)
        question = line.wire.aside(asked)
        assert question
        token = await line.wire.press(question, f"Start {count} jobs", **STRANGE)
        await line.wire.until(
            lambda: len([each for each in line.wire.messages.values() if DONE in each.text]) == count
        )
        shown = [each for each in line.wire.messages.values() if f"of {count}" in each.text]
        assert sorted(each.text.split(f" of {count}")[0][-1] for each in shown) == [
            str(number) for number in range(1, count + 1)
        ]
        assert len(_in(line, DM)) == whispered
        assert f"1 of {count}" in (await line.wire.answered(token, DONE)).text


async def test_a_private_result_is_edited_where_only_a_person_has_installed_it(connected: Connects) -> None:
    async with connected(step_seconds=0.05) as line:
        token = await line.wire.command("imagine", STRANGE, prompt="a fox", private=True)

        message = await line.wire.answered(token, DONE)

        assert message.flags & EPHEMERAL and line.wire.follow_ups[token] == 0


async def test_a_queue_that_is_longer_than_a_token_is_told_by_the_bot_itself(
    connected: Connects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.adapters.discord.context.TOKEN_SECONDS", 21.0)  # one second until it is let be
    async with connected(step_seconds=0.2) as line:
        token = await line.started()

        message = await line.wire.answered(token, DONE)

        await line.ended()
        assert len(message.attachments) == 4 and message.nonce.endswith("-end")
        assert requests(line, "DELETE", f"/channels/{CHANNEL}/messages/")


async def test_pictures_are_made_to_fit_the_place(line: Line) -> None:
    same: dict[str, Any] = {"prompt": "a fox", "seed": 7, "count": 1}
    whole = await line.painted(**same)
    limit = whole.attachments[0]["size"] - 1000  # the next one's signature may be some bytes shorter

    token = await line.wire.command("imagine", {"attachment_size_limit": limit}, **same)
    smaller = await line.wire.answered(token, DONE)
    token = await line.wire.command("imagine", {"attachment_size_limit": 10}, **same)
    none = await line.wire.answered(token, DONE)

    assert [each["filename"].rpartition(".")[2] for each in smaller.attachments] == ["webp"]
    assert smaller.attachments[0]["size"] <= limit
    assert none.attachments == [] and "too large for Discord here" in none.text
    assert "web studio" not in none.text  # nobody in Discord can open an address of this machine
    line.house.easel.logins.address = "https://easel.example.org"
    token = await line.wire.command("imagine", {"attachment_size_limit": 10}, **same)
    assert "Get it in the web studio: /studio opens it." in (await line.wire.answered(token, DONE)).text


async def test_what_is_too_large_for_a_direct_message_is_sent_smaller(
    connected: Connects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A boosted server takes more than a direct message does."""
    async with connected() as line:
        whole = await line.painted(seed=7, count=1)
        limit = whole.attachments[0]["size"] - 1000  # as above
        monkeypatch.setattr("bot.adapters.discord.delivery.LEAST_LIMIT", limit)
        too_large = {"code": 40005, "message": "Request entity too large"}
        line.wire.faults += [
            Fault("PATCH", r"/(webhooks|channels)/.*", 403, {"code": 50001, "message": "no"}, times=999),
            Fault("POST", rf"/channels/{CHANNEL}/messages", 403, {"code": 50001, "message": "no"}, times=999),
            Fault("POST", rf"/channels/{DM}/messages", 413, too_large),
        ]

        await line.wire.slash("imagine", prompt="a red fox in snow", seed=7, count=1)

        sent = await line.wire.until(lambda: next((m for m in _in(line, DM) if m.attachments), None))
        assert 0 < sent.attachments[0]["size"] <= limit and (await line.ended()).reason == ""


def _in(line: Line, channel: int) -> list[Message]:
    return [message for message in line.wire.messages.values() if message.channel == channel]


async def test_a_file_comes_with_its_answer(line: Line) -> None:
    await line.painted(count=1)

    token = await line.wire.slash("privacy export")

    answer = await line.wire.answered(token, "Your data")
    (attached,) = answer.attachments
    assert answer.flags & EPHEMERAL
    assert zipfile.is_zipfile(io.BytesIO(line.wire.files[attached["id"]]))
    shown = [each["file"]["url"] for each in answer.components[0]["components"] if each["type"] == 13]
    assert shown == [f"attachment://{attached['filename']}"]


async def test_a_picture_for_age_restricted_channels_is_sent_to_nobody_directly(
    connected: Connects, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rated(job: Job, *more: Any) -> Card:
        return replace(done(job, *more), adult=True)

    async with connected(step_seconds=0.2) as line:
        line.wire.places[CHANNEL] = place(CHANNEL, nsfw=True)
        done = job_cards.done
        monkeypatch.setattr("bot.messages.job_cards.done", rated)
        token = await line.started(private=True)
        line.wire.expired.add(token)

        await line.ended()
        (sent,) = [m for m in line.wire.messages.values() if m.channel == DM]
        assert sent.attachments == [] and "age-restricted" in sent.text


def _text(name: str, value: str) -> dict[str, Any]:
    return {"name": name, "type": 3, "value": value}


async def test_a_message_that_somebody_deleted_stays_away(connected: Connects) -> None:
    async with connected(step_seconds=0.2) as line:
        token = await line.started()
        line.wire.response(token).deleted = True

        job = await line.ended()
        assert job.reason == "It could not be delivered: its message was deleted."


async def test_a_mention_is_answered_by_a_reply(line: Line) -> None:
    await line.wire.say("<@1002> two pictures of a fox")

    message = await line.wire.until(lambda: _of(line, DONE))

    job = await line.ended()
    first, result = requests(line, "POST", f"/channels/{CHANNEL}/messages")
    assert first.json["enforce_nonce"] and first.json["nonce"] == job.id
    assert result.json["enforce_nonce"] and result.json["nonce"] == f"{job.id}-end"
    assert first.json["allowed_mentions"] == {"parse": [], "replied_user": False}
    assert result.json["allowed_mentions"] == {"parse": [], "users": [ADA], "replied_user": False}
    assert result.json["message_reference"]["message_id"] == job.origin.reply["reply_to"]
    assert len(message.attachments) == 2 and message.channel == CHANNEL


def _reply(line: Line, message: Message, **more: Any) -> dict[str, Any]:
    """What Discord adds to a message that replies to one of the bot's."""
    shown = line.wire.payload(message)
    about = {"channel_id": str(message.channel), "message_id": shown["id"]}
    return {"type": 19, "referenced_message": shown, "message_reference": about} | more


async def test_a_reply_that_asks_for_a_change_is_painted_and_talk_is_not(line: Line) -> None:
    message = await line.painted(count=2)
    parent = await line.ended()
    for words in ("thanks, looks great", "what model is this?", "👍", "I like number 2"):
        await line.wire.say(words, **_reply(line, message))
    ben = {"id": "77", "username": "ben", "discriminator": "0", "avatar": None}
    mentions = [bot_user(), ben]
    await line.wire.say("<@77> make it blue", **_reply(line, message, mentions=mentions))
    await line.wire.say("#2 but at night", **_reply(line, message))

    await line.wire.until(lambda: _of(line, "at night"))
    child = await line.ended()
    assert len(await line.house.jobs()) == 2
    assert (child.parent, child.prompt) == (parent.id, f"{parent.prompt}, at night")
    assert child.request.source == actions.picture(parent, 1).blob
    nonces = [each.json["nonce"] for each in requests(line, "POST", f"/channels/{CHANNEL}/messages")]
    assert nonces == [f"{parent.id}-end", child.id, f"{child.id}-end"]


async def test_a_reply_that_may_be_a_change_is_asked_about_for_a_while(line: Line) -> None:
    await line.wire.join(place(CHANNEL))
    message = await line.painted(count=2)
    await line.wire.say("a wolf", **_reply(line, message))

    question = await line.wire.until(lambda: _of(line, "Shall Easel paint that?"))
    _, sent = requests(line, "POST", f"/channels/{CHANNEL}/messages")
    assert sent.json["allowed_mentions"] == {"parse": [], "replied_user": False}
    await line.wire.press(question, "Paint “a wolf”")

    await line.wire.until(lambda: len([m for m in line.wire.messages.values() if DONE in m.text]) == 2)
    child = await line.ended()
    assert (child.prompt, child.origin.private) == ("a red fox in snow, a wolf", False)


async def test_where_a_mention_may_not_be_answered_the_result_is_sent_directly(line: Line) -> None:
    missing = {"code": 50013, "message": "Missing Permissions"}
    line.wire.faults.append(Fault("POST", rf"/channels/{CHANNEL}/messages", 403, missing, times=100))

    await line.wire.say("<@1002> a fox")

    message = await line.wire.until(lambda: _of(line, DONE))
    assert message.channel == DM


async def test_a_private_mention_is_answered_directly_alone(line: Line) -> None:
    await line.wire.say("<@1002> a fox --private")

    await line.wire.until(lambda: _of(line, DONE))
    assert {message.channel for message in line.wire.messages.values()} == {DM}


async def test_deleting_an_old_private_job_bothers_nobody(line: Line) -> None:
    token = await line.started(private=True)
    job = await line.ended()
    line.wire.expired.add(token)
    press = await line.wire.press(line.wire.response(token), "Delete")

    await line.wire.answered(press, "were deleted")
    await line.house.until(job.id, State.DELETED)
    assert not [m for m in line.wire.messages.values() if m.channel == DM]


async def test_a_permission_lost_midway_sends_the_result_directly(connected: Connects) -> None:
    async with connected(step_seconds=0.2) as line:
        await line.wire.say("<@1002> a fox")
        await line.wire.until(lambda: _of(line, "a fox"))
        missing = {"code": 50001, "message": "Missing Access"}
        line.wire.faults += [
            Fault("PATCH", rf"/channels/{CHANNEL}/messages/\d+", 403, missing, times=100),
            Fault("POST", rf"/channels/{CHANNEL}/messages", 403, missing, times=100),
        ]

        message = await line.wire.until(lambda: _of(line, DONE))
        assert message.channel == DM


async def test_a_command_that_has_changed_says_so(line: Line) -> None:
    token = await line.wire.slash("forgotten")

    message = await line.wire.answered(token, "Restart Discord")

    assert message.flags & EPHEMERAL


# ---- rates and breakdowns


async def test_a_rate_limit_is_waited_out(line: Line) -> None:
    slow = {"message": "You are being rate limited.", "retry_after": 0.2, "global": False}
    fault = Fault("PATCH", r"/webhooks/.*", 429, slow, {"Retry-After": "0.2", "Via": "1.1 google"})
    line.wire.faults.append(fault)

    message = await line.painted(count=1)

    assert fault.times == 0 and len(message.attachments) == 1


async def test_a_server_error_is_tried_again(line: Line) -> None:
    fault = Fault("PATCH", r"/webhooks/.*", 503, {"message": "busy", "code": 0})
    line.wire.faults.append(fault)

    message = await line.painted(count=1)

    assert fault.times == 0 and len(message.attachments) == 1


async def test_no_token_is_logged(connected: Connects, capsys: pytest.CaptureFixture[str]) -> None:
    async with connected(step_seconds=0.1) as line:
        token = await line.started()
        line.wire.expired.add(token)
        await line.ended()

    printed = capsys.readouterr()
    assert "job accepted" in printed.out
    assert "secret-token" not in printed.out + printed.err

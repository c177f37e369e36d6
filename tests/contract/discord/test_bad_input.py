"""What people send that cannot be done: one clear private sentence each, never silence."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from PIL import Image

from bot.models import State
from tests.contract.discord.conftest import png
from tests.contract.discord.line import DONE, Connects, Line, requests
from tests.contract.discord.wire import ADA, CHANNEL, DM, EPHEMERAL, Fault, Message, member

BEN = 4002
UPDATE = 6  # the kind of a callback that leaves the pressed message as it is
GONE = {"code": 10003, "message": "Unknown Channel"}
MISSING = {"code": 50001, "message": "Missing Access"}
CLOSED = {"code": 50007, "message": "Cannot send messages to this user"}


async def refused(line: Line, token: str) -> Message:
    """The private sentence that an interaction got, once nothing else of it is left to see."""

    def there() -> Message | None:
        found = line.wire.aside(token)
        return found if found and found.text and found.flags & EPHEMERAL else None

    answer: Message = await line.wire.until(there)
    if line.wire.callbacks[token][0] != UPDATE:
        await line.wire.until(lambda: _unseen(line.wire.response(token)))
    assert len(answer.text) < 300 and answer.text[-1] in ".”" and "!" not in answer.text
    return answer


def _unseen(original: Message | None) -> bool:
    return original is None or original.deleted or bool(original.flags & EPHEMERAL)


# ---- words


@pytest.mark.parametrize(
    "words",
    [
        "@everyone a fox",
        "@here <@4001> <@&7001> <#3001> a fox",
        "**bold** __under__ `code` ||spoiler|| ~~no~~ a fox",
        "# heading\n> quote\n- list\n```code``` a fox",
        "[link](https://example.org) https://example.org <https://example.org> a fox",
        "<:emoji:123> </imagine:9> <t:0:R> <id:guide> a fox",
    ],
)
async def test_words_ping_nobody_and_mark_nothing_up(line: Line, words: str) -> None:
    message = await line.painted(words, count=1)

    unescaped = re.sub(r"\\.", "", message.text.removeprefix(f"<@{ADA}> **").replace("**\n", "\n", 1))
    assert not re.search(r"[@<>`|~\[\]]|https?://|\*\*", unescaped)
    for each in [*requests(line, "PATCH", "/webhooks/"), *requests(line, "POST", "/webhooks/")]:
        assert each.json["allowed_mentions"] == {"parse": []}
    (told,) = requests(line, "POST", f"/channels/{CHANNEL}/messages")
    assert told.json["allowed_mentions"] == {"parse": [], "users": [ADA], "replied_user": False}


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("a\u200b fo\u200bx\ufeff", "a fox"),
        ("a \u202exof\u202c red", "a xof red"),
        ("ثعلب أحمر في الثلج", "ثعلب أحمر في الثلج"),
        ("שועל \u2067אדום\u2069", "שועל אדום"),
        ("a 👩\u200d🚀 in space", "a 👩\u200d🚀 in space"),
    ],
)
async def test_unseen_and_right_to_left_words_stay_in_their_place(line: Line, words: str, shown: str) -> None:
    message = await line.painted(words, count=1)

    assert message.text.startswith(f"<@{ADA}> **{shown}**\n")
    assert message.attachments[0]["description"] == shown


async def test_words_of_nothing_seen_are_refused(line: Line) -> None:
    token = await line.wire.slash("imagine", prompt="\u200b\u200d\u202e")

    assert "prompt" in (await refused(line, token)).text


async def test_four_thousand_characters_are_painted(line: Line) -> None:
    message = await line.painted("a fox and " * 400, count=1)

    assert message.text.startswith(f"<@{ADA}> **a fox and a fox")
    assert len(message.text) <= 4000 and len(message.attachments[0]["description"]) == 1024


async def test_a_longer_prompt_is_refused(line: Line) -> None:
    token = await line.wire.slash("imagine", prompt="a" * 6000)

    assert "4,000 characters" in (await refused(line, token)).text


# ---- files


async def test_a_file_that_is_no_picture_is_refused(line: Line) -> None:
    about = {"filename": "notes.txt", "content_type": "text/plain"}
    token = await line.wire.slash("edit", files={"source": b"some words"}, about=about, prompt="in oil")

    assert "PNG, JPEG or WebP" in (await refused(line, token)).text


async def test_a_file_of_sixty_megabytes_is_not_even_fetched(line: Line) -> None:
    token = await line.wire.slash(
        "edit", files={"source": png()}, about={"size": 60_000_000}, prompt="in oil"
    )

    assert "60 MB" in (await refused(line, token)).text
    assert line.wire.fetched == []


async def test_a_file_that_is_larger_than_it_says_is_refused(connected: Connects) -> None:
    async with connected(max_source_mb=1) as line:
        noise = io.BytesIO()
        Image.effect_noise((1200, 1200), 90).save(noise, "PNG")
        token = await line.wire.slash(
            "edit", files={"source": noise.getvalue()}, about={"size": 100}, prompt="in oil"
        )

        assert "at most 1 MB" in (await refused(line, token)).text


async def test_a_file_that_is_gone_is_refused(line: Line) -> None:
    about = {"url": f"{line.wire.url}/cdn/none"}
    token = await line.wire.slash("edit", files={"source": png()}, about=about, prompt="in oil")

    assert "Send it again" in (await refused(line, token)).text


# ---- places that change


async def test_a_channel_that_is_deleted_sends_the_result_directly(connected: Connects) -> None:
    async with connected(step_seconds=0.2) as line:
        await line.started()
        line.wire.faults += [
            Fault("PATCH", r"/(webhooks|channels)/.*", 404, GONE, times=999),
            Fault("POST", rf"/channels/{CHANNEL}/messages", 404, GONE, times=999),
        ]

        await line.wire.until(lambda: [m for m in line.wire.messages.values() if m.channel == DM])
        assert (await line.ended()).reason == ""


async def test_a_channel_that_is_deleted_with_no_other_way_is_noted(connected: Connects) -> None:
    async with connected(step_seconds=0.2) as line:
        await line.started()
        line.wire.faults += [
            Fault("PATCH", r"/(webhooks|channels)/.*", 404, GONE, times=999),
            Fault("POST", rf"/channels/{CHANNEL}/messages", 404, GONE, times=999),
            Fault("POST", rf"/channels/{DM}/messages", 403, CLOSED, times=999),
        ]

        job = await line.ended()
        assert "takes no direct messages" in job.reason and len(job.pictures) == 5


async def test_where_edits_are_refused_progress_is_not_sent_again_and_again(connected: Connects) -> None:
    async with connected(step_seconds=0.2, edit_interval=0.05) as line:
        token = await line.started()
        line.wire.expired.add(token)
        line.wire.faults.append(Fault("PATCH", r"/channels/.*", 403, MISSING, times=999))

        await line.ended()
        edits = requests(line, "PATCH", f"/channels/{CHANNEL}/")
        assert len(edits) <= 2, "one of progress, and the end"


async def test_access_that_is_lost_while_the_token_lives_changes_nothing(connected: Connects) -> None:
    async with connected(step_seconds=0.2) as line:
        token = await line.started()
        line.wire.faults.append(Fault("PATCH", r"/channels/.*", 403, MISSING, times=999))

        message = await line.wire.answered(token, DONE)
        assert len(message.attachments) == 4 and message.channel == CHANNEL


async def test_an_interaction_that_is_too_old_is_let_go(line: Line) -> None:
    unknown = {"code": 10062, "message": "Unknown interaction"}
    fault = Fault("POST", r"/interactions/.*", 404, unknown)
    line.wire.faults.append(fault)
    await line.wire.slash("imagine", prompt="too late")
    await line.wire.until(lambda: fault.times == 0)

    await line.painted(count=1)

    assert len(await line.house.jobs()) == 1  # nothing is painted for an answer that nobody can see


# ---- presses


async def test_a_button_of_a_deleted_job_says_so(line: Line) -> None:
    message = await line.painted(count=1)
    job = await line.ended()
    await line.house.store.delete(job.id)

    for label in ("Upscale", "Edit", "Info", "Again", "Delete"):
        token = await line.wire.press(message, label)
        assert (await refused(line, token)).text == "Those images were deleted."


@pytest.mark.parametrize("label", ["Cancel", "Delete"])
async def test_a_button_of_somebody_else_s_job_is_refused(connected: Connects, label: str) -> None:
    async with connected(step_seconds=0.3 if label == "Cancel" else 0.0) as line:
        token = await line.started() if label == "Cancel" else ""
        message = line.wire.response(token) if token else await line.painted(count=1)

        pressed = await line.wire.press(message, label, member=member(BEN, "ben"))

        answer = await refused(line, pressed)
        assert answer.text == "Only Ada or an administrator can do that."


async def test_a_button_of_another_server_s_job_finds_nothing(line: Line) -> None:
    message = await line.painted(count=1)
    elsewhere = {"guild_id": "2999", "guild": {"id": "2999", "locale": "en-US", "features": []}}

    for label in ("Upscale", "Edit", "Info", "Delete"):
        token = await line.wire.press(message, label, **elsewhere)
        assert "There is no job" in (await refused(line, token)).text


async def test_a_button_of_a_private_job_is_nobody_else_s(line: Line) -> None:
    message = await line.painted(count=1, private=True)

    token = await line.wire.press(message, "Upscale", member=member(BEN, "ben"))

    assert "There is no job" in (await refused(line, token)).text


@pytest.mark.parametrize(
    "id",
    [
        "v1:upscale:1a2b3c4d5e6f:9",
        "v1:upscale:1a2b3c4d5e6f",
        "v1:explode:1a2b3c4d5e6f",
        "v0:upscale:1a2b3c4d5e6f:1",
        "v1",
        ":",
        "something of another bot",
        "v1:try:",
        "v1:info:" + "x" * 92,
        "v1:info:\u202e\n",
    ],
)
async def test_a_button_that_is_not_ours_is_told_so(line: Line, id: str) -> None:
    button = {"type": 2, "style": 2, "label": "Press me", "custom_id": id}
    message = Message(9999, CHANNEL, components=[{"type": 1, "components": [button]}])
    line.wire.messages[message.id] = message

    token = await line.wire.press(message, "Press me")

    assert (await refused(line, token)).text


async def test_a_form_that_is_not_ours_is_told_so(line: Line) -> None:
    token = await line.wire.interact(5, {"custom_id": "v7:form:new", "components": []})

    assert "Easel does not know this" in (await refused(line, token)).text


async def test_a_form_about_a_deleted_job_says_so(line: Line) -> None:
    message = await line.painted(count=1)
    pressed = await line.wire.press(message, "Edit")
    form = await line.wire.until(lambda: line.wire.modals.get(pressed))
    await line.house.store.delete((await line.ended()).id)
    prompt = {"type": 18, "component": {"type": 4, "custom_id": "prompt", "value": "a wolf"}}

    data = {"custom_id": form["custom_id"], "components": [prompt]}
    token = await line.wire.interact(5, data, message=line.wire.payload(message))

    assert (await refused(line, token)).text == "Those images were deleted."


async def test_a_cancel_that_comes_too_late_says_so(connected: Connects) -> None:
    async with connected(step_seconds=0.05) as line:
        token = await line.started(count=1)
        early = line.wire.payload(line.wire.response(token))
        await line.wire.answered(token, DONE)

        job = await line.ended()
        data = {"component_type": 2, "custom_id": f"v1:cancel:{job.id}", "id": 1}
        late = await line.wire.interact(3, data, message=early)

        assert (await refused(line, late)).text == "That job has ended already."


async def test_two_clicks_on_delete_delete_once(line: Line) -> None:
    message = await line.painted(count=1)
    job = await line.ended()
    first, second = [await line.wire.press(message, "Delete") for _ in range(2)]

    await line.wire.until(lambda: {first, second} <= line.wire.callbacks.keys())
    assert (await line.house.until(job.id, State.DELETED)).state is State.DELETED
    await line.wire.until(lambda: message.text == "These images were deleted.")


async def test_a_picture_that_is_not_there_is_refused(line: Line) -> None:
    await line.painted(count=1)
    job = await line.ended()

    token = await line.wire.slash("upscale", job=job.id, picture=9)

    assert "has only one" in (await refused(line, token)).text


async def test_an_unknown_job_is_refused(line: Line) -> None:
    for name, options in (
        ("upscale", {"job": "nothing"}),
        ("vary", {"job": "@everyone"}),
        ("show", {"job": "x"}),
    ):
        token = await line.wire.slash(name, **options)
        assert "There is no job" in (await refused(line, token)).text


async def test_what_breaks_inside_is_told_without_its_cause(
    line: Line,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret cause")

    monkeypatch.setattr("bot.router.Router.handle", broken)
    token = await line.wire.slash("queue")

    answer = await refused(line, token)
    assert answer.text.startswith("Easel could not do that.") and "secret" not in answer.text
    # Where the log goes depends on whether an earlier test has set it up.
    assert "secret cause" in capsys.readouterr().out + caplog.text


async def test_a_studio_that_is_too_slow_to_ask_says_that_it_is_busy(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.adapters.discord.handlers.EYES_PATIENCE", 0.0)

    token = await line.wire.slash("imagine", prompt="a fox")

    assert (await refused(line, token)).text == "Easel is busy at the moment. Try again in a minute."
    assert await line.house.jobs() == []


# ---- mentions, which have no private answers


async def test_a_mention_is_refused_by_a_direct_message(line: Line) -> None:
    await line.wire.say("<@1002> explicit porn")

    answer = await line.wire.until(lambda: _of(line, "not allowed here"))
    assert answer.channel == DM and answer.nonce.endswith("-dm")
    assert {message.channel for message in line.wire.messages.values()} == {DM}


TOO_MANY = {"code": 40003, "message": "You are opening direct messages too fast."}


@pytest.mark.parametrize(
    "fault",
    [
        Fault("POST", rf"/channels/{DM}/messages", 403, CLOSED),
        Fault("POST", r"/users/@me/channels", 429, TOO_MANY, {"Retry-After": "60"}),
    ],
    ids=["closed", "too many"],
)
async def test_where_no_direct_message_arrives_a_hint_stands_for_a_moment(
    line: Line, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    monkeypatch.setattr("bot.adapters.discord.handlers.HINT_SECONDS", 0.2)
    line.wire.faults.append(fault)

    await line.wire.say("<@1002> explicit porn")

    hint = await line.wire.until(lambda: _of(line, "Ask with /imagine"))
    assert hint.channel == CHANNEL and "sexual" not in hint.text
    await line.wire.until(lambda: hint.deleted)


async def test_a_refused_mention_that_is_told_again_is_answered_once(line: Line) -> None:
    await line.wire.say("<@1002> a fox --count 99")
    await line.wire.until(lambda: _of(line, "at once"))
    await line.wire.send(line.wire.last["t"], line.wire.last["d"])

    sent = await line.wire.until(lambda: _two(requests(line, "POST", f"/channels/{DM}/messages")))
    assert sent[0].json["nonce"] == sent[1].json["nonce"] and sent[1].json["enforce_nonce"]


async def test_an_answer_that_cannot_be_given_at_all_is_let_go(line: Line) -> None:
    line.wire.faults += [
        Fault("POST", rf"/channels/{DM}/messages", 403, CLOSED, times=9),
        Fault("POST", rf"/channels/{CHANNEL}/messages", 403, MISSING, times=9),
    ]

    await line.wire.say("<@1002> a fox --count 99")

    await line.wire.until(lambda: requests(line, "POST", f"/channels/{CHANNEL}/messages"))
    await line.painted("another", count=1)


def _two(found: list[Any]) -> list[Any]:
    return found if len(found) == 2 else []


def _of(line: Line, text: str) -> Message | None:
    return next((m for m in line.wire.messages.values() if text in m.text), None)

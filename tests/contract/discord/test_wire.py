"""The real discord.py against a Discord on loopback: what goes over the wire, and what breaks."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import discord
import pytest
import yarl
from PIL import Image

from bot.models import State
from tests.contract.discord import wire as server
from tests.contract.discord.conftest import Rooms, png, rooms
from tests.contract.discord.wire import ADA, CHANNEL, DM, EPHEMERAL, SPEC, Fault, Message, Wire

DONE = "seed"  # what only the card of the result says


class Line:
    """A studio that is logged in to the server."""

    def __init__(self, wire: Wire, house: Rooms) -> None:
        self.wire, self.house = wire, house
        house.tenants = (f"discord:{server.GUILD}", f"discord:dm:{ADA}")
        house.viewer = f"discord:{ADA}"

    async def painted(self, prompt: str = "a red fox in snow", **options: Any) -> Message:
        token = await self.wire.slash("imagine", prompt=prompt, **options)
        return await self.wire.answered(token, DONE)

    async def started(self, prompt: str = "a fox", **options: Any) -> str:
        """/imagine, not painted yet; its token."""
        token = await self.wire.slash("imagine", prompt=prompt, **options)
        await self.wire.answered(token, prompt)
        return token

    async def ended(self, *states: State) -> Any:
        job = max(await self.house.jobs(), key=lambda job: job.created)
        return await self.house.until(job.id, *(states or (State.RENDERED,)))


Connects = Callable[..., Any]


@pytest.fixture
def connected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Connects:
    """`async with connected(...) as line`."""
    monkeypatch.setattr("bot.studio.LAST_WORDS", 0.2)  # what still paints when a test ends is nobody's

    @asynccontextmanager
    async def connect(**changes: Any) -> AsyncIterator[Line]:
        async with served(monkeypatch) as wire, rooms(tmp_path, **changes) as house:
            running = asyncio.create_task(house.adapter.run())
            try:
                yield Line(wire, house)
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running
        assert wire.problems == []

    return connect


@asynccontextmanager
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Wire]:
    async with server.served() as wire:
        monkeypatch.setattr(discord.http.Route, "BASE", f"{wire.url}/api/v10")
        gateway = yarl.URL(wire.url.replace("http", "ws"))
        monkeypatch.setattr(discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", gateway)
        monkeypatch.setattr(discord.asset.Asset, "BASE", wire.url)
        yield wire


@pytest.fixture
async def line(connected: Connects) -> AsyncIterator[Line]:
    async with connected() as line:
        yield line


def requests(line: Line, method: str, part: str) -> list[server.Request]:
    return [each for each in line.wire.requests if each.method == method and part in each.path]


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
    await line.painted(count=1)

    (put,) = requests(line, "PUT", "/commands")
    names = {each["name"]: each for each in put.json}
    assert {"imagine", "edit", "upscale", "vary", "queue", "cancel", "history", "show"} <= names.keys()
    assert {"Use as source", "Variations", "Upscale", "Info"} <= names.keys()
    assert all(each["integration_types"] == [0, 1] for each in put.json)
    assert all(each["contexts"] == [0, 1, 2] for each in put.json)
    assert names["Upscale"]["name_localizations"] == {"de": "Vergrößern"}
    assert names["queue"]["description_localizations"]["de"].startswith("Wer wartet")
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


async def test_a_replayed_interaction_is_answered_once(line: Line) -> None:
    token = await line.wire.slash("imagine", prompt="a fox")
    await line.wire.answered(token, DONE)
    id = token.removeprefix("secret-token-")
    line.wire._ids = iter([int(id), *range(90_000, 91_000)])  # type: ignore[assignment]

    replayed = await line.wire.slash("imagine", prompt="a fox")
    await line.wire.until(lambda: len(requests(line, "POST", f"{replayed}/callback")) == 2)
    await line.painted("another", count=1)

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
            Fault("POST", rf"/channels/{DM}/messages", 403, closed, times=100),
        ]

        job = await line.ended()
        assert "takes no direct messages" in job.reason and len(job.pictures) == 5


async def test_where_the_bot_is_not_itself_the_result_can_be_fetched(
    connected: Connects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.adapters.discord.desk.TOKEN_SECONDS", 100.0)
    async with connected(step_seconds=0.5) as line:
        mine = {"authorizing_integration_owners": {"1": str(ADA)}}
        data = {"id": "9", "name": "imagine", "type": 1, "options": [_text("prompt", "a fox")]}
        token = await line.wire.interact(2, data, **mine)
        waiting = await line.wire.answered(token, "a fox")

        fetched = await line.wire.press(waiting, "Fetch result", **mine)

        answer = await line.wire.answered(fetched, "a fox")
        assert answer.flags & EPHEMERAL
        await line.wire.answered(token, DONE)
        assert "Fetch result" not in line.wire.response(token).buttons
        assert not requests(line, "PATCH", "/channels/")


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

    (post,) = requests(line, "POST", f"/channels/{CHANNEL}/messages")
    assert post.json["enforce_nonce"] and post.json["nonce"] == (await line.ended()).id
    assert post.json["allowed_mentions"] == {"parse": [], "replied_user": False}
    assert len(message.attachments) == 2 and message.channel == CHANNEL


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
        line.wire.faults.append(Fault("PATCH", rf"/channels/{CHANNEL}/messages/\d+", 403, missing, times=100))

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


async def test_a_dropped_connection_is_resumed(line: Line) -> None:
    await line.painted(count=1)

    await line.wire.drop()
    await line.painted("again there", count=1)

    assert [each["op"] for each in line.wire.hellos] == [2, 6]


async def test_an_invalid_session_is_begun_anew(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    await line.painted(count=1)

    await line.wire.invalidate(resumable=False)
    await line.painted("again there", count=1)

    assert [each["op"] for each in line.wire.hellos] == [2, 2]


async def test_a_refused_token_leaves_the_rest_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with served(monkeypatch) as wire, rooms(tmp_path) as house:
        wire.token_is_good = False

        await asyncio.wait_for(house.adapter.run(), server.PATIENCE)

        assert capsys.readouterr().out.count("Discord does not accept DISCORD_TOKEN") == 1
        assert house.studio.line() == ()


async def test_a_token_refused_by_the_gateway_ends_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with served(monkeypatch) as wire, rooms(tmp_path) as house:
        wire.refuse = 4004

        await asyncio.wait_for(house.adapter.run(), server.PATIENCE)

        assert "Discord does not accept DISCORD_TOKEN" in capsys.readouterr().out


async def test_a_failed_handshake_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.adapters.discord.adapter.SHORTEST_DELAY", 0.05)
    async with served(monkeypatch) as wire, rooms(tmp_path) as house:
        wire.faults.append(Fault("GET", r"/gateway/bot", 404, {"message": "not now", "code": 0}))
        running = asyncio.create_task(house.adapter.run())

        token = await wire.slash("help")
        await wire.answered(token, "/imagine")

        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_no_token_is_logged(connected: Connects, capsys: pytest.CaptureFixture[str]) -> None:
    async with connected(step_seconds=0.1) as line:
        token = await line.started()
        line.wire.expired.add(token)
        await line.ended()

    printed = capsys.readouterr()
    assert "job accepted" in printed.out
    assert "secret-token" not in printed.out + printed.err

"""The loopback Slack itself: what it must refuse, so that the tests that rely on it can fail."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from PIL import Image
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from tests.contract.slack import blocks as kit
from tests.contract.slack import methods, wire
from tests.contract.slack.people import Person, sample
from tests.contract.slack.state import (
    ADA,
    APP_TOKEN,
    BOT_TOKEN,
    GENERAL,
    GONE,
    RANDOM,
    SECRET,
    SIGNING_SECRET,
    Fault,
    Message,
)
from tests.contract.slack.wire import Wire

MANIFEST: dict[str, Any] = {
    "features": {
        "slash_commands": [{"command": "/imagine"}],
        "shortcuts": [{"name": "Imagine", "type": "global", "callback_id": "imagine"}],
        "app_home": {"home_tab_enabled": True},
    },
    "oauth_config": {"scopes": {"bot": ["chat:write", "files:write", "files:read", "im:write"]}},
    "settings": {"event_subscriptions": {"bot_events": ["app_mention"]}},
}


@pytest.fixture
async def slack() -> AsyncIterator[Wire]:
    async with wire.served(MANIFEST) as served:
        yield served


@pytest.fixture
def client(slack: Wire) -> AsyncWebClient:
    return AsyncWebClient(token=BOT_TOKEN, base_url=f"{slack.url}/api/")


async def refused(call: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        await call
    return str(caught.value.response.get("error"))


async def test_a_method_that_does_not_exist(slack: Wire, client: AsyncWebClient) -> None:
    assert await refused(client.api_call("chat.shout")) in ("unknown_method", "invalid_arguments")
    assert slack.problems


@methods.needed
async def test_an_argument_that_does_not_exist(slack: Wire, client: AsyncWebClient) -> None:
    call = client.api_call("chat.postMessage", json={"channel": GENERAL, "text": "x", "colour": "red"})
    assert await refused(call) == "invalid_arguments"
    assert slack.problems == ["chat.postMessage takes no argument colour"]


@methods.needed
async def test_an_argument_that_is_missing(slack: Wire, client: AsyncWebClient) -> None:
    assert await refused(client.api_call("chat.postMessage", json={"text": "x"})) == "invalid_arguments"
    assert slack.problems == ["chat.postMessage needs channel"]


@methods.needed
async def test_json_where_only_forms_are_taken(slack: Wire, client: AsyncWebClient) -> None:
    call = client.api_call("files.getUploadURLExternal", json={"filename": "a.png", "length": 1})
    assert await refused(call) == "invalid_arguments"
    assert slack.problems == ["files.getUploadURLExternal takes no JSON"]


@methods.needed
async def test_a_scope_that_the_manifest_does_not_have(slack: Wire, client: AsyncWebClient) -> None:
    assert await refused(client.users_info(user=ADA)) == "missing_scope"
    assert "users:read" in slack.problems[0]


@pytest.mark.parametrize("dead", ["token_revoked", "account_inactive"])
async def test_a_token_that_is_not_good(slack: Wire, client: AsyncWebClient, dead: str) -> None:
    slack.installs[BOT_TOKEN].dead = dead
    assert await refused(client.auth_test()) == dead
    client.token = "xoxb-made-up"
    assert await refused(client.auth_test()) == "invalid_auth"
    assert slack.problems == []


async def test_channels_that_cannot_be_posted_to(slack: Wire, client: AsyncWebClient) -> None:
    assert await refused(client.chat_postMessage(channel="C404", text="x")) == "channel_not_found"
    assert await refused(client.chat_postMessage(channel=RANDOM, text="x")) == "not_in_channel"
    slack.channels[SECRET].members.clear()
    assert await refused(client.chat_postMessage(channel=SECRET, text="x")) == "channel_not_found"
    slack.channels[GENERAL].read_only = True
    assert await refused(client.chat_postMessage(channel=GENERAL, text="x")) == "restricted_action"
    slack.channels[GENERAL].archived = True
    assert await refused(client.chat_postMessage(channel=GENERAL, text="x")) == "is_archived"
    assert await refused(client.conversations_open(users=GONE)) == "user_disabled"
    assert slack.problems == []


async def test_only_own_messages_that_stand_can_be_changed(slack: Wire, client: AsyncWebClient) -> None:
    theirs = slack.keep(Message(slack.new_ts(), GENERAL, ADA, "mine"))
    call = client.chat_update(channel=GENERAL, ts=theirs.ts, text="yours")
    assert await refused(call) == "cant_update_message"
    hidden = await client.chat_postEphemeral(channel=GENERAL, user=ADA, text="psst")
    call = client.chat_update(channel=GENERAL, ts=hidden["message_ts"], text="louder")
    assert await refused(call) == "message_not_found"


async def test_an_update_without_blocks_takes_them_away(slack: Wire, client: AsyncWebClient) -> None:
    blocks = [{"type": "divider"}]
    posted = await client.chat_postMessage(channel=GENERAL, text="x", blocks=blocks)
    await client.chat_update(channel=GENERAL, ts=posted["ts"], text="y")
    message = slack.messages[(GENERAL, posted["ts"])]
    assert (message.text, message.blocks, message.versions) == ("y", [], 2)


BUTTON = {"type": "button", "action_id": "a", "text": {"type": "plain_text", "text": "U1"}}
PARAGRAPH = {"type": "section", "text": {"type": "mrkdwn", "text": "x"}}
WRONG_BLOCKS = {
    "51 blocks": [{"type": "divider"}] * 51,
    "a kind that is unknown": [{"type": "gallery"}],
    "a key that is unknown": [PARAGRAPH | {"colour": "red"}],
    "26 buttons": [{"type": "actions", "elements": [BUTTON | {"action_id": str(n)} for n in range(26)]}],
    "one action twice": [{"type": "actions", "elements": [BUTTON, BUTTON]}],
    "a value that is too long": [{"type": "actions", "elements": [BUTTON | {"value": "x" * 2001}]}],
    "an action that is too long": [{"type": "actions", "elements": [BUTTON | {"action_id": "x" * 256}]}],
    "a style that is unknown": [{"type": "actions", "elements": [BUTTON | {"style": "plain"}]}],
    "an empty text": [{"type": "section", "text": {"type": "mrkdwn", "text": ""}}],
    "a text that is too long": [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}],
    "a header that is too long": [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}],
    "an alt text that is too long": [{"type": "image", "image_url": "https://x", "alt_text": "x" * 2001}],
    "a picture without alt text": [{"type": "image", "image_url": "https://x", "alt_text": ""}],
    "a picture of nothing": [{"type": "image", "alt_text": "a fox"}],
    "a name twice": [{"type": "divider", "block_id": "a"}, {"type": "divider", "block_id": "a"}],
    "too much text": [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3000}}] * 5,
}


@pytest.mark.parametrize("blocks", WRONG_BLOCKS.values(), ids=WRONG_BLOCKS.keys())
async def test_blocks_that_are_wrong(slack: Wire, client: AsyncWebClient, blocks: list[Any]) -> None:
    call = client.chat_postMessage(channel=GENERAL, text="x", blocks=blocks)
    assert await refused(call) == "invalid_blocks"
    assert slack.problems


TITLE = {"type": "plain_text", "text": "Paint"}
MODAL = {"type": "modal", "title": TITLE, "blocks": [PARAGRAPH]}
INPUT = {
    "type": "input",
    "label": {"type": "plain_text", "text": "Prompt"},
    "element": {"type": "plain_text_input", "action_id": "prompt"},
}
WRONG_VIEWS = {
    "a title that is too long": MODAL | {"title": TITLE | {"text": "x" * 25}},
    "metadata that is too long": MODAL | {"private_metadata": "x" * 3001},
    "inputs and nothing to send": MODAL | {"blocks": [INPUT]},
    "101 blocks": MODAL | {"blocks": [PARAGRAPH] * 101},
    "no blocks": MODAL | {"blocks": []},
    "a value that is too long": MODAL
    | {"submit": TITLE, "blocks": [INPUT | {"element": INPUT["element"] | {"initial_value": "x" * 3001}}]},  # type: ignore[operator]
    "a home tab": MODAL | {"type": "home"},
}


@pytest.mark.parametrize("view", WRONG_VIEWS.values(), ids=WRONG_VIEWS.keys())
async def test_views_that_are_wrong(slack: Wire, client: AsyncWebClient, view: dict[str, Any]) -> None:
    call = client.views_open(trigger_id=slack.new_trigger(), view=view)
    assert await refused(call) == "invalid_arguments"
    assert slack.problems


async def test_a_trigger_is_good_once_and_for_three_seconds(slack: Wire, client: AsyncWebClient) -> None:
    first, late = slack.new_trigger(), slack.new_trigger()
    await client.views_open(trigger_id=first, view=MODAL)
    assert await refused(client.views_open(trigger_id=first, view=MODAL)) == "exchanged_trigger_id"
    slack.pass_time(4)
    assert await refused(client.views_open(trigger_id=late, view=MODAL)) == "expired_trigger_id"
    assert slack.problems == []


async def test_a_response_url_is_good_five_times_and_for_half_an_hour(slack: Wire) -> None:
    often, late = slack.new_hook(GENERAL, ADA), slack.new_hook(GENERAL, ADA)
    async with aiohttp.ClientSession() as session:

        async def post(url: str) -> int:
            async with session.post(url, json={"text": "x"}) as response:
                return response.status

        assert [await post(often) for _ in range(6)] == [200] * 5 + [404]
        slack.pass_time(30 * 60 + 1)
        assert await post(late) == 404
    assert [each.get("error") for each in slack.posts[5:]] == ["used_url", "expired_url"]


async def test_a_file_can_be_shown_once_it_is_ready(slack: Wire, client: AsyncWebClient) -> None:
    slack.ready_after = 1000.0
    id = await uploaded(slack, client, png())
    picture = [{"type": "image", "alt_text": "a fox", "slack_file": {"id": id}}]

    call = client.chat_postMessage(channel=GENERAL, text="x", blocks=picture)
    assert await refused(call) == "invalid_blocks"
    assert (await client.files_info(file=id))["file"]["mimetype"] == ""

    slack.files[id].ready = 0.0
    posted = await client.chat_postMessage(channel=GENERAL, text="x", blocks=picture)
    assert slack.messages[(GENERAL, posted["ts"])].pictures == [id]
    assert slack.problems == []


async def test_a_file_that_is_no_picture_cannot_be_shown(slack: Wire, client: AsyncWebClient) -> None:
    id = await uploaded(slack, client, png("WEBP"))
    picture = [{"type": "image", "alt_text": "a fox", "slack_file": {"id": id}}]
    assert (
        await refused(client.chat_postMessage(channel=GENERAL, text="x", blocks=picture)) == "invalid_blocks"
    )


def png(kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (32, 32), "teal").save(out, kind)
    return out.getvalue()


async def uploaded(slack: Wire, client: AsyncWebClient, content: bytes) -> str:
    ticket = await client.files_getUploadURLExternal(filename="fox.png", length=len(content))
    async with aiohttp.ClientSession() as session:
        await session.post(ticket["upload_url"], data=content)
    await client.files_completeUploadExternal(files=[{"id": ticket["file_id"], "title": "fox"}])
    return str(ticket["file_id"])


async def test_a_file_needs_the_token(slack: Wire) -> None:
    file = slack.about_file(slack.hand_in(png()))
    async with aiohttp.ClientSession() as session:
        async with session.get(file["url_private"]) as response:
            assert response.content_type == "text/html"
        headers = {"Authorization": f"Bearer {BOT_TOKEN}"}
        async with session.get(file["url_private"], headers=headers) as response:
            assert await response.read() == png()


@methods.needed
async def test_limits_by_channel_and_by_method(slack: Wire, client: AsyncWebClient) -> None:
    slack.limits = True
    for _ in range(5):
        posted = await client.chat_postMessage(channel=GENERAL, text="x")
    assert await refused(client.chat_postMessage(channel=GENERAL, text="x")) == "ratelimited"
    for _ in range(50):
        await client.chat_update(channel=GENERAL, ts=posted["ts"], text="y")
    with pytest.raises(SlackApiError) as caught:
        await client.chat_update(channel=GENERAL, ts=posted["ts"], text="y")
    assert caught.value.response.status_code == 429
    assert 50 < int(caught.value.response.headers["Retry-After"]) <= 60
    slack.pass_time(60)
    await client.chat_update(channel=GENERAL, ts=posted["ts"], text="y")


async def test_faults_come_on_demand(slack: Wire, client: AsyncWebClient) -> None:
    slack.faults += [
        Fault("chat.postMessage", "is_archived", channel=GENERAL),
        Fault("auth.test", retry_after=7),
    ]
    assert await refused(client.chat_postMessage(channel=GENERAL, text="x")) == "is_archived"
    await client.chat_postMessage(channel=GENERAL, text="x")
    with pytest.raises(SlackApiError) as caught:
        await client.auth_test()
    assert caught.value.response.headers["Retry-After"] == "7"


@methods.needed
async def test_what_it_answers_is_what_slack_answers(slack: Wire, client: AsyncWebClient) -> None:
    slack.faults.append(Fault("auth.test", "is_archived"))
    await refused(client.auth_test())
    assert slack.problems == ["Slack never answers auth.test with is_archived: mend this server"]


def test_whom_a_message_pings() -> None:
    def marked(text: str) -> list[Any]:
        return [{"type": "section", "text": {"type": "mrkdwn", "text": text}}]

    assert kit.pings(marked("<!channel> <@U2ADA> <!subteam^S1> &lt;!here&gt;")) == {
        "<!channel>",
        "U2ADA",
        "<!subteam^S1>",
    }
    assert kit.pings([], "hello <!everyone|all>") == {"<!everyone|all>"}
    plain = [{"type": "section", "text": {"type": "plain_text", "text": "<!channel>"}}]
    assert kit.pings(plain) == set()


@asynccontextmanager
async def bolt(slack: Wire) -> AsyncIterator[list[Any]]:
    """The barest app that there is, in Socket Mode; what it heard."""
    heard: list[Any] = []
    client = AsyncWebClient(token=BOT_TOKEN, base_url=f"{slack.url}/api/")
    app = AsyncApp(client=client, signing_secret=SIGNING_SECRET)

    @app.event("app_mention")
    async def mentioned(body: dict[str, Any]) -> None:
        heard.append(body)

    handler = AsyncSocketModeHandler(app, APP_TOKEN, ping_interval=0.2)
    await handler.connect_async()
    try:
        yield heard
    finally:
        await handler.close_async()


@pytest.mark.parametrize("way", ["refresh_requested", "warning", "closed", "broken"])
async def test_connections_end_and_begin_again(slack: Wire, way: str) -> None:
    ada = Person(slack)
    async with bolt(slack) as heard:
        await slack.until(lambda: slack.connections == 1)
        if way == "broken":
            await slack.drop()
        else:
            await slack.disconnect(
                "warning" if way == "warning" else "refresh_requested", close=way == "closed"
            )
        await slack.until(lambda: slack.hellos == 2 and slack.connections == 1)

        await ada.say("<@U1EASEL> a fox")
        await slack.until(lambda: heard)

    assert heard[0]["event"]["text"] == "<@U1EASEL> a fox"
    assert slack.problems == []


async def test_an_event_that_is_not_acknowledged_comes_again(
    slack: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "ACK_SECONDS", 0.05)
    slack.mute = 1
    async with bolt(slack) as heard:
        await Person(slack).say("<@U1EASEL> a fox")
        await slack.until(lambda: len(heard) >= 2)

    assert heard[0]["event_id"] == heard[1]["event_id"]
    assert slack.sent[0].tries >= 2


@methods.needed
async def test_payloads_have_the_shape_of_the_samples(slack: Wire) -> None:
    ada = Person(slack)
    message = slack.keep(
        Message(slack.new_ts(), GENERAL, "U1EASEL", blocks=[{"type": "actions", "elements": [BUTTON]}])
    )
    slash = await ada.slash("/imagine a fox")
    shortcut = await ada.shortcut("Imagine")
    press = await ada.press(message, "U1")
    event = await ada.event(
        {"type": "app_mention", "user": ADA, "text": "x", "ts": "1.0", "channel": GENERAL, "event_ts": "1.0"}
    )

    for sent, path in (
        (slash, "app-backend/slash-commands/SlashCommandPayload.json"),
        (press, "app-backend/interactive-components/BlockActionPayload.json"),
        (event, "events/AppMentionPayload.json"),
    ):
        assert strange(sent.payload, sample(path)) == []
    assert shortcut.payload["callback_id"] == "imagine"


def strange(payload: Any, known: Any, path: str = "") -> list[str]:
    """What a payload has that the sample has not; what stands in lists is not looked at."""
    if not isinstance(payload, dict) or not isinstance(known, dict) or not known:
        return []
    found = [f"{path}/{key}" for key in payload.keys() - known.keys()]
    return found + [
        each
        for key in payload.keys() & known.keys()
        for each in strange(payload[key], known[key], f"{path}/{key}")
    ]

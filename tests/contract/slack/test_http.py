"""HTTP mode: signed requests in place of a socket, and the installation into many workspaces."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from cryptography.fernet import Fernet

from bot.adapters.slack.installations import SealedInstallations
from bot.errors import StoreError
from bot.settings import Secret
from tests.contract.slack.conftest import Opens
from tests.contract.slack.house import DONE, House
from tests.contract.slack.people import Person
from tests.contract.slack.state import (
    BOT,
    CLIENT_ID,
    CLIENT_SECRET,
    Channel,
    User,
)
from tests.contract.slack.wire import Wire

HTTP: dict[str, Any] = {"slack_app_token": Secret(), "slack_http_port": 0}
KEY, OTHER_KEY = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.fixture
async def house(opened: Opens) -> AsyncIterator[House]:
    async with opened(**HTTP) as house:
        yield house


async def test_everything_comes_signed(house: House) -> None:
    message = await house.painted()
    await house.ada.press(message, "U2")
    await house.ended(count=2)
    await house.ada.say(f"<@{BOT}> a wolf")
    await house.ended(count=3)
    await house.ada.slash("/imagine")
    await house.ada.submit(await house.ada.form(), prompt="a bear")
    await house.ended(count=4)
    await house.ada.opens_home()
    await house.ada.home("a bear")

    assert {sent.status for sent in house.wire.sent} == {200}
    assert max(sent.seconds for sent in house.wire.sent) < 1.0
    assert house.wire.connections == 0 and not house.wire.calls_of("apps.connections.open")


async def test_a_form_s_mistakes_are_told_in_the_answer(house: House) -> None:
    await house.ada.slash("/imagine")
    form = await house.ada.form()

    sent = await house.wire.taken(await house.ada.submit(form, prompt="a wolf", size="very large"))

    assert sent.answer and "size" in sent.answer["errors"] and sent.status == 200


async def test_a_retry_makes_no_second_job(house: House) -> None:
    await house.ada.say(f"<@{BOT}> a fox")
    await house.ended()
    for sent in list(house.wire.sent):
        await house.wire.again(sent, "http_timeout")
        await house.wire.again(sent, "http_error")

    await house.painted("/imagine another")
    assert len(await house.jobs()) == 2 and {sent.status for sent in house.wire.sent} == {200}


async def test_a_signed_request_that_is_replayed_makes_no_second_job(house: House) -> None:
    await house.ada.slash("/imagine a fox")
    await house.ended()
    (sent,) = house.wire.sent

    for _ in range(3):
        await house.wire.again(sent)

    await house.painted("/imagine another")
    assert len(await house.jobs()) == 2


async def test_slack_s_own_question_is_answered(house: House) -> None:
    body = json.dumps({"type": "url_verification", "challenge": "3eZbrw1aB", "token": "legacy"})
    headers = {"Content-Type": "application/json"} | house.wire.signature(body)
    async with (
        aiohttp.ClientSession() as session,
        session.post(house.wire.request_url, data=body, headers=headers) as answer,
    ):
        assert answer.status == 200 and "3eZbrw1aB" in await answer.text()


# ---- many workspaces


@asynccontextmanager
async def many(opened: Opens, *keys: str) -> AsyncIterator[House]:
    """The app without a token of its own."""
    settings = HTTP | {
        "slack_bot_token": Secret(),
        "slack_client_id": CLIENT_ID,
        "slack_client_secret": Secret(CLIENT_SECRET),
        "slack_token_keys": Secret(",".join(keys or (KEY,))),
    }
    async with opened(**settings) as house:
        yield house


def site(house: House, path: str) -> str:
    return f"http://127.0.0.1:{house.adapter.port}{path}"


async def install(house: House, team: str, *, code: str = "", state: str = "") -> int:
    """What an administrator's browser does; the status of the last page."""
    house.wire.codes[f"code-{team}"] = team
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        async with session.get(site(house, "/slack/install"), allow_redirects=False) as page:
            text = await page.text() + page.headers.get("Location", "")
            assert page.status in (200, 302)
        found = re.search(r"https://slack\.com/oauth/v2/authorize\?[^\"\s>]+", text)
        assert found, text
        asked = parse_qs(urlsplit(found[0].replace("&amp;", "&")).query)
        assert asked["client_id"] == [CLIENT_ID]
        wanted = set(house.wire.manifest["oauth_config"]["scopes"]["bot"])
        assert set(asked["scope"][0].split(",")) == wanted
        back = {"code": code or f"code-{team}", "state": state or asked["state"][0]}
        cookies = {name: morsel.value for name, morsel in page.cookies.items()}
        async with session.get(site(house, "/slack/oauth_redirect"), params=back, cookies=cookies) as page:
            await page.text()
            return page.status


def inhabit(wire: Wire, team: str) -> Person:
    """Somebody in another workspace, with a channel; the ids of people are not unique over workspaces."""
    user, channel = f"U{team}", f"C{team}"
    wire.users[user] = User(user, "eve", team=team)
    wire.channels[channel] = Channel(channel, "lobby", members={user, BOT}, team=team)
    return Person(wire, user)


async def test_each_workspace_is_served_with_its_own_token(opened: Opens) -> None:
    async with many(opened) as house:
        assert await install(house, "T5NORTH") == 200
        assert await install(house, "T6SOUTH") == 200
        north, south = inhabit(house.wire, "T5NORTH"), inhabit(house.wire, "T6SOUTH")

        await north.slash("/imagine a fox", "CT5NORTH")
        await house.ended()
        await south.slash("/imagine a wolf", "CT6SOUTH")
        await house.ended(count=2)

        assert north.sees(DONE, "CT5NORTH") and south.sees(DONE, "CT6SOUTH")
        posts = [call.token for call in house.wire.calls_of("chat.postMessage")]
        assert posts == ["xoxb-ours-T5NORTH"] * 2 + ["xoxb-ours-T6SOUTH"] * 2, "a status message, a result"
        assert {job.origin.member.tenant for job in await house.jobs()} == {"slack:T5NORTH", "slack:T6SOUTH"}


async def test_a_button_from_another_workspace_is_refused(opened: Opens) -> None:
    async with many(opened) as house:
        for team in ("T5NORTH", "T6SOUTH"):
            await install(house, team)
        north, south = inhabit(house.wire, "T5NORTH"), inhabit(house.wire, "T6SOUTH")
        await north.slash("/imagine a secret fox", "CT5NORTH")
        await house.ended()
        theirs = north.sees(DONE)
        assert theirs
        forged = house.wire.keep(type(theirs)(house.wire.new_ts(), "CT6SOUTH", BOT, blocks=theirs.blocks))

        for label in ("U1", "Info", "Delete", "Again"):
            await house.acked(await south.press(forged, label))
        await south.slash("/imagine a wolf", "CT6SOUTH")
        await house.ended(count=2)

        assert len(await house.jobs()) == 2 and theirs.pictures
        others = [m for m in house.wire.visible(south.id) if m is not forged]
        assert not [m for m in others if "secret fox" in m.shown]


async def test_tokens_are_sealed_at_rest_and_keys_can_be_changed(opened: Opens) -> None:
    async with many(opened, KEY) as house:
        await install(house, "T5NORTH")
        folder = house.settings.data_dir
    assert not _stored(folder, "xoxb-ours-T5NORTH")

    async with many(opened, OTHER_KEY, KEY) as house:
        pass

    async with many(opened, OTHER_KEY) as house:
        north = inhabit(house.wire, "T5NORTH")
        await north.slash("/imagine a fox", "CT5NORTH")
        await house.ended()
        assert north.sees(DONE)
    assert not _stored(folder, "xoxb-ours-T5NORTH")


def _stored(folder: Any, text: str) -> bool:
    return any(text.encode() in path.read_bytes() for path in folder.glob("easel.db*"))


async def test_what_could_not_be_taken_is_taken_when_slack_sends_it_again(
    opened: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with many(opened) as house:
        await install(house, "T5NORTH")
        north = inhabit(house.wire, "T5NORTH")
        with monkeypatch.context() as patch:
            patch.setattr(SealedInstallations, "find", _cannot)
            await north.say(f"<@{BOT}> a fox", "CT5NORTH")
            await house.wire.until(lambda: all(sent.status for sent in house.wire.sent))

        for sent in list(house.wire.sent):
            await house.wire.again(sent, "http_error")

        job = await house.ended()
        assert len(await house.jobs()) == 1 and job.prompt == "a fox"


async def _cannot(*_: object, **__: object) -> None:
    raise StoreError("the disk is full")


async def test_an_installation_goes_when_the_app_is_removed(opened: Opens) -> None:
    async with many(opened) as house:
        await install(house, "T5NORTH")
        north = inhabit(house.wire, "T5NORTH")
        await house.acked(await north.event({"type": "app_uninstalled", "event_ts": "1.0"}))
        house.wire.installs["xoxb-ours-T5NORTH"].dead = "account_inactive"

        sent = await north.slash("/imagine a fox", "CT5NORTH")
        await house.wire.until(lambda: sent.status)

        assert sent.status == 200 and await house.jobs() == []
        assert house.wire.said("not installed", north.id) or "not installed" in str(sent.answer)


async def test_a_removal_that_could_not_be_saved_is_taken_when_it_comes_again(
    opened: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with many(opened) as house:
        await install(house, "T5NORTH")
        north = inhabit(house.wire, "T5NORTH")
        with monkeypatch.context() as patch:
            patch.setattr(SealedInstallations, "removed", _cannot)
            sent = await north.event({"type": "app_uninstalled", "event_ts": "1.0"})
            await house.wire.until(lambda: sent.status)
        assert sent.status == 503 and await house.store.installation("slack:T5NORTH")

        await house.wire.again(sent, "http_error")

        await house.wire.until(lambda: sent.acked)
        assert await house.store.installation("slack:T5NORTH") is None


REMOVALS = (
    {"type": "app_uninstalled", "event_ts": "1.0"},
    {"type": "tokens_revoked", "tokens": {"bot": [BOT]}, "event_ts": "1.0"},
)


@pytest.mark.parametrize("event", REMOVALS, ids=[str(each["type"]) for each in REMOVALS])
@pytest.mark.parametrize("whole", [False, True], ids=["workspace", "organisation"])
async def test_a_late_removal_leaves_a_newer_installation(
    opened: Opens, event: dict[str, Any], whole: bool
) -> None:
    async with many(opened) as house:
        if whole:
            house.wire.organisations["T5NORTH"] = "E1"
        place = "E1" if whole else "T5NORTH"
        north = inhabit(house.wire, "T5NORTH")
        for _ in range(2):  # installed, removed, and installed again
            await install(house, place)

        await house.acked(await north.event(event, age=60.0))

        await north.slash("/imagine a fox", "CT5NORTH")
        await house.ended()
        assert north.sees(DONE) and await house.store.installation(f"slack:{place}")

        await house.acked(await north.event(event))
        assert await house.store.installation(f"slack:{place}") is None


@pytest.mark.parametrize(
    "wrong", [{"code": "made-up"}, {"state": "made-up"}, {"state": "x" * 5000}, {"state": "\u2066é"}]
)
async def test_an_installation_that_is_not_ours_is_refused(opened: Opens, wrong: dict[str, str]) -> None:
    async with many(opened) as house:
        status = await install(house, "T5NORTH", **wrong)

        assert 400 <= status <= 401 or (status == 500 and "code" in wrong)
        assert not _stored(house.settings.data_dir, "T5NORTH")


async def test_a_state_is_taken_once(opened: Opens) -> None:
    async with many(opened) as house:
        async with aiohttp.ClientSession() as session:
            async with session.get(site(house, "/slack/install"), allow_redirects=False) as page:
                text = await page.text() + page.headers.get("Location", "")
                cookies = {name: morsel.value for name, morsel in page.cookies.items()}
            state = re.search(r"state=([^&\"\s]+)", text)
            assert state
            statuses = []
            for team in ("T5NORTH", "T6SOUTH"):
                house.wire.codes[f"code-{team}"] = team
                back = f"/slack/oauth_redirect?code=code-{team}&state={state[1]}"
                async with session.get(site(house, back), cookies=cookies) as page:
                    statuses.append(page.status)

        assert statuses[0] == 200 and statuses[1] in (400, 401)

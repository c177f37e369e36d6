"""The adapter's smaller parts: hosts, repeats, paces, people, sealed installations, errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.fernet import Fernet
from slack_sdk.errors import SlackApiError
from slack_sdk.oauth.installation_store import Installation

from bot.adapters.slack import cache, channels, delivery, errors, installations, users
from bot.adapters.slack.dedup import key_of
from bot.adapters.slack.delivery import PostPace
from bot.adapters.slack.installations import SealedInstallations, SealedStates, vault
from bot.adapters.slack.workspaces import SLACK_API, Workspace, Workspaces, team_of
from bot.dedup import Dedup
from bot.errors import Refusal, SettingError, TryLater, Unreachable
from bot.settings import Secret
from bot.store import Store

HOME = Workspace(team="T1", token="xoxb-secret")


# ---- hosts


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.mark.parametrize(
    ("url", "ours"),
    [
        ("https://files.slack.com/files-pri/T1-F1/fox.png", True),
        ("https://slack.com/api/auth.test", True),
        ("https://hooks.slack.com/actions/T1/1/x", True),
        ("https://slack-files.com/T1-F1", True),
        ("http://files.slack.com/fox.png", False),
        ("https://files.slack.com.example.org/fox.png", False),
        ("https://notslack.com/fox.png", False),
        ("https://evil-slack-files.com/fox.png", False),
        ("https://files.slack.com@example.org/fox.png", False),
        ("https://user@files.slack.com/fox.png", False),
        ("https://files.slack.com:8443/fox.png", False),
        ("https://example.org/?x=files.slack.com", False),
        ("file:///etc/passwd", False),
        ("", False),
    ],
)
async def test_a_token_goes_to_slack_s_hosts_alone(
    session: aiohttp.ClientSession, url: str, ours: bool
) -> None:
    assert Workspaces(session, SLACK_API).is_slack(url) is ours


async def test_a_stand_in_for_slack_is_its_own_and_only_host(session: aiohttp.ClientSession) -> None:
    stand_in = Workspaces(session, "http://127.0.0.1:4000/api/")

    assert stand_in.is_slack("http://127.0.0.1:4000/files/1")
    assert not stand_in.is_slack("http://127.0.0.1:4001/files/1")
    assert not stand_in.is_slack("https://files.slack.com/fox.png")


def test_a_workspace_does_not_show_its_token() -> None:
    assert "xoxb" not in repr(HOME)


# ---- what comes twice


def test_a_key_is_new_once_and_the_oldest_are_forgotten() -> None:
    seen = Dedup(most=3)

    assert [seen.first(key) for key in ("a", "a", "b", "c", "a", "d", "a")] == [
        True,
        False,
        True,
        True,
        False,
        True,
        True,
    ]
    assert seen.first("") and seen.first("")


def test_a_delivery_is_named_by_its_event_or_by_trigger_and_action() -> None:
    press = {"type": "block_actions", "trigger_id": "1.2", "actions": [{"action_id": "v1:again:1"}]}
    other = press | {"actions": [{"action_id": "v1:info:1"}]}

    assert key_of({"event_id": "Ev1", "trigger_id": "1.2"}) == "event:Ev1"
    assert key_of(press) == key_of(dict(press)) != key_of(other)
    assert key_of({"command": "/imagine", "trigger_id": "1.2"}) not in ("", key_of(press))
    assert key_of({}) == key_of({"type": "ssl_check"}) == ""


# ---- whose it is

TEAMS: dict[str, tuple[dict[str, Any], str]] = {
    "an event": ({"team_id": "T1", "authorizations": [{"team_id": "T1"}]}, "T1"),
    "of an organisation": ({"team_id": "T1", "authorizations": [{"team_id": None}]}, "T1"),
    "its message": ({"team_id": None, "authorizations": [{"team_id": None}], "event": {"team": "T1"}}, "T1"),
    "its home": ({"authorizations": [{}], "event": {"view": {"team_id": "T1"}}}, "T1"),
    "its organisation's id": ({"team_id": "E1", "event": {"team": "E1", "user_team": "E1"}}, ""),
    "a shared channel": (
        {"is_ext_shared_channel": True, "context_team_id": "T1", "team_id": "T9", "event": {"team": "T9"}},
        "T1",
    ),
    "a stranger in one": (
        {"is_ext_shared_channel": True, "authorizations": [{"team_id": None}], "event": {"team": "T9"}},
        "",
    ),
    "a form in one": ({"view": {"app_installed_team_id": "T1"}, "team": {"id": "T9"}}, "T1"),
    "a form of an organisation": (
        {"view": {"app_installed_team_id": "E1"}, "team": None, "user": {"team_id": "T1"}},
        "T1",
    ),
    "nothing": ({}, ""),
    "odd": ({"authorizations": ["x"], "event": "x", "team": "x", "view": 1, "user": "U1"}, ""),
}


@pytest.mark.parametrize(("body", "team"), TEAMS.values(), ids=TEAMS.keys())
def test_a_payload_tells_its_workspace_or_nothing(body: dict[str, Any], team: str) -> None:
    assert team_of(body) == team


# ---- rates


def test_a_pace_lets_so_many_through_and_then_more_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(delivery.time, "monotonic", lambda: now[0])
    pace = PostPace(3, 60.0)

    assert [pace.may() for _ in range(5)] == [True, True, True, False, False]
    now[0] += 20.0
    assert [pace.may() for _ in range(2)] == [True, False]
    now[0] += 3600.0
    assert sum(pace.may() for _ in range(10)) == 3


# ---- people


def person(**about: Any) -> Any:
    return {"id": "U1", "team_id": "T1", "name": "ada", "real_name": "Ada", "profile": {}} | about


@pytest.mark.parametrize(
    ("about", "admin", "guest", "external"),
    [
        ({}, False, False, False),
        ({"is_admin": True}, True, False, False),
        ({"is_owner": True}, True, False, False),
        ({"is_primary_owner": True}, True, False, False),
        ({"is_restricted": True}, False, True, False),
        ({"is_ultra_restricted": True}, False, True, False),
        ({"team_id": "T9"}, False, False, True),
        ({"is_stranger": True}, False, False, True),
    ],
)
def test_slack_tells_who_somebody_is(about: Any, admin: bool, guest: bool, external: bool) -> None:
    found = users._read(person(**about), HOME, "")

    assert (found.admin, found.guest, found.external) == (admin, guest, external)


def test_an_organisation_s_people_are_ours_in_each_of_its_workspaces() -> None:
    grid = Workspace(team="T1", enterprise="E1", token="x")
    colleague = person(team_id="T2", enterprise_user={"enterprise_id": "E1"})

    assert not users._read(colleague, grid, "").external
    assert users._read(colleague, HOME, "").external


def test_rights_at_home_are_none_elsewhere() -> None:
    grid = Workspace(team="T1", enterprise="E1", is_whole=True, token="x")
    grown = {"enterprise_user": {"enterprise_id": "E1", "teams": ["T2"]}, "is_admin": True}

    visitor = users._read(person(team_id="T2", **grown), grid, "")
    assert (visitor.admin, visitor.guest, visitor.external) == (False, True, False)
    assert users._read(person(team_id="T1"), grid, "").external  # of no organisation that is known
    stranger = {"enterprise_user": {"enterprise_id": "E9"}}
    assert users._read(person(team_id="T1", **stranger), grid, "").external


class Answering:
    """A client that answers what it is told to, and counts."""

    def __init__(self, **answers: Any) -> None:
        self.answers, self.asked = answers, 0

    def talk(self, token: str = "", *, team: str = "", patient: bool = False) -> Any:
        return self

    async def _answer(self, name: str) -> Any:
        self.asked += 1
        if isinstance(self.answers[name], Exception):
            raise self.answers[name]
        return self.answers[name]

    async def conversations_info(self, **_: Any) -> Any:
        return await self._answer("channel")

    async def users_info(self, **_: Any) -> Any:
        return await self._answer("user")

    async def usergroups_list(self, **_: Any) -> Any:
        return await self._answer("groups")


def refused(code: str, status: int = 200, headers: Any = None) -> SlackApiError:
    class Response(dict[str, Any]):
        status_code = status

    response = Response(error=code)
    response.headers = headers or {}  # type: ignore[attr-defined]
    return SlackApiError("no", response)


async def test_user_groups_are_roles_and_guests_have_one_too() -> None:
    groups = {
        "usergroups": [{"id": "S2", "users": ["U1"]}, {"id": "S1", "users": ["U1", "U2"]}, {"id": "S3"}]
    }
    slack: Any = Answering(user={"user": person(is_restricted=True)}, groups=groups)
    known = users.SlackUsers(slack, admins=("U9",))

    member = await known.member(HOME, "U1")

    assert (member.tenant, member.id, member.name) == ("slack:T1", "slack:T1:U1", "Ada")
    assert member.roles == ("guest", "S1", "S2") and not member.admin
    assert (await known.member(HOME, "U9")).admin
    asked = slack.asked
    await known.member(HOME, "U1")
    assert slack.asked == asked


async def test_without_the_scope_there_are_no_groups_and_it_is_not_asked_again() -> None:
    slack: Any = Answering(user={"user": person()}, groups=refused("missing_scope"))
    known = users.SlackUsers(slack)

    assert (await known.member(HOME, "U1")).roles == ()
    await known.member(HOME, "U2")
    assert slack.asked == 3  # two people, one question for the groups


async def test_whom_slack_does_not_tell_about_is_a_guest() -> None:
    slack: Any = Answering(user=refused("internal_error"), groups={"usergroups": []})

    member = await users.SlackUsers(slack).member(HOME, "U1", "ada")

    assert (member.name, member.admin, member.guest, member.roles) == ("ada", False, True, ("guest",))


async def test_somebody_of_another_organisation_is_refused() -> None:
    slack: Any = Answering(user={"user": person(team_id="T9")}, groups={"usergroups": []})

    with pytest.raises(Refusal, match="Only members of this workspace"):
        await users.SlackUsers(slack).member(HOME, "U1")


CHANNELS = {
    "public": ({"is_channel": True, "is_private": False}, False),
    "private": ({"is_channel": True, "is_private": True}, True),
    "an old private one": ({"is_group": True, "is_channel": False, "is_private": True}, True),
    "a group": ({"is_mpim": True, "is_private": True}, True),
    "odd": ({}, True),
}


@pytest.mark.parametrize(("about", "closed"), CHANNELS.values(), ids=CHANNELS.keys())
async def test_slack_tells_whether_a_channel_is_closed(about: Any, closed: bool) -> None:
    slack: Any = Answering(channel={"channel": about})
    known = channels.Places(slack)

    found = await asyncio.gather(*(known.is_closed(HOME, "C1") for _ in range(5)))

    assert set(found) == {closed} and slack.asked == 1


@pytest.mark.parametrize(
    ("trouble", "remembered"),
    [("missing_scope", users.REMEMBERED), ("channel_not_found", users.REMEMBERED), ("ratelimited", 60.0)],
)
async def test_a_channel_that_slack_does_not_tell_about_is_closed_for_a_while(
    monkeypatch: pytest.MonkeyPatch, trouble: str, remembered: float
) -> None:
    now = 1000.0
    monkeypatch.setattr(cache.time, "monotonic", lambda: now)
    slack: Any = Answering(channel=refused(trouble))
    known = channels.Places(slack)
    assert await known.is_closed(HOME, "C1")

    slack.answers["channel"] = {"channel": CHANNELS["public"][0]}
    now += remembered - 1
    assert await known.is_closed(HOME, "C1")
    now += 2
    assert not await known.is_closed(HOME, "C1")


async def test_a_channel_that_slack_is_slow_about_keeps_no_other_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Slow(Answering):
        async def conversations_info(self, *, channel: str) -> Any:
            if channel == "C1":
                await asyncio.Event().wait()
            return await self._answer("channel")

    monkeypatch.setattr(channels, "PATIENCE", 0.5)
    slack: Any = Slow(channel={"channel": CHANNELS["public"][0]})
    known = channels.Places(slack)
    slow = asyncio.create_task(known.is_closed(HOME, "C1"))

    assert not await known.is_closed(HOME, "C2") and not slow.done()
    assert await slow


# ---- installations

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(f"sqlite:///{tmp_path}/easel.db")
    yield store
    await store.close()


def installed(team: str | None, enterprise: str | None = None, *, whole: bool = False) -> Installation:
    return Installation(
        team_id=team,
        enterprise_id=enterprise,
        is_enterprise_install=whole,
        bot_token=f"xoxb-of-{team or enterprise}",
        bot_user_id="UBOT",
        bot_id="BBOT",
        user_id="U1",
    )


async def test_an_installation_is_sealed_and_found_again(store: Store, tmp_path: Path) -> None:
    kept = SealedInstallations(store, vault(Secret(NEW)))
    await kept.async_save(installed("T1"))

    found = await kept.find("T1")
    assert found and found.bot_token == "xoxb-of-T1" and found.bot_user_id == "UBOT"
    assert await kept.find("T2") is None and await kept.find("") is None
    sealed = await store.installation("slack:T1")
    assert sealed and "xoxb" not in sealed
    stored = await asyncio.to_thread(lambda: [path.read_bytes() for path in tmp_path.glob("easel.db*")])
    assert stored and not any(b"xoxb-of" in data for data in stored)


async def test_an_organisation_s_installation_serves_its_workspaces(store: Store) -> None:
    kept = SealedInstallations(store, vault(Secret(NEW)))
    await kept.async_save(installed(None, "E1", whole=True))
    await kept.async_save(installed("T2", "E1"))

    first, own = await kept.find("T1", "E1"), await kept.find("T2", "E1")
    assert first and first.bot_token == "xoxb-of-E1"
    assert own and own.bot_token == "xoxb-of-T2"
    await kept.async_delete_all(enterprise_id="E1", team_id="T2")
    again = await kept.find("T2", "E1")
    assert again and again.bot_token == "xoxb-of-E1"


async def test_what_is_older_never_undoes_what_is_newer(store: Store) -> None:
    kept = SealedInstallations(store, vault(Secret(NEW)))
    newer, older = installed("T1"), installed("T1")
    newer.installed_at, older.installed_at, older.bot_token = 2000.5, 1000.0, "xoxb-old"

    await kept.async_save(newer)
    await kept.async_save(older)
    assert not await kept.removed("T1", "", 1999.0)

    found = await kept.find("T1")
    assert found and found.bot_token == "xoxb-of-T1"
    assert await kept.removed("T1", "", 2000.0)  # events tell whole seconds
    assert await kept.find("T1") is None
    assert await kept.removed("T1", "", 1.0)  # there is nothing to keep


async def test_a_removal_spares_what_was_installed_meanwhile(store: Store) -> None:
    kept = SealedInstallations(store, vault(Secret(NEW)))
    await kept.async_save(installed("T1"))
    sealed = await store.installation("slack:T1")
    await kept.async_save(installed("T1"))

    await store.remove_installation("slack:T1", sealed or "")

    assert await kept.find("T1")


async def test_keys_rotate(store: Store) -> None:
    await SealedInstallations(store, vault(Secret(OLD))).async_save(installed("T1"))
    both = SealedInstallations(store, vault(Secret(f"{NEW}, {OLD}")))

    assert await both.rotate() == 1
    found = await SealedInstallations(store, vault(Secret(NEW))).find("T1")
    assert found and found.bot_token == "xoxb-of-T1"
    lost = SealedInstallations(store, vault(Secret(OLD)))
    assert await lost.find("T1") is None and await lost.rotate() == 0


@pytest.mark.parametrize(
    "keys", ["", ",", "short", f"{NEW},broken"], ids=["none", "blanks", "short", "broken"]
)
def test_keys_that_are_none_are_named(keys: str) -> None:
    with pytest.raises(SettingError, match="SLACK_TOKEN_KEYS"):
        vault(Secret(keys))


async def test_a_state_is_taken_once_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    states = SealedStates(vault(Secret(NEW)))
    first, second = await states.async_issue(), await states.async_issue()

    assert first != second and await states.async_consume(first)
    assert not await states.async_consume(first)
    assert not await states.async_consume("made up") and not await states.async_consume("")
    monkeypatch.setattr(installations, "STATE_SECONDS", -1)
    assert not await states.async_consume(second)


# ---- errors


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (refused("is_archived"), Unreachable, "archived"),
        (refused("channel_not_found"), Unreachable, "gone"),
        (refused("restricted_action_read_only_channel"), Unreachable, "rules"),
        (refused("token_revoked"), Unreachable, "removed from the workspace"),
        (refused("message_not_found"), Unreachable, "deleted"),
        (refused("something_new"), errors.UnknownAnswer, "something_new"),
        (refused(""), errors.UnknownAnswer, "status 200"),
        (refused("internal_error"), TryLater, "internal_error"),
        (refused("ratelimited", 429, {"Retry-After": "7"}), TryLater, "ratelimited"),
        (refused("fatal_error", 503), TryLater, "fatal_error"),
        (SlackApiError("no", "<html>"), TryLater, "status"),
        (TimeoutError(), TryLater, "cannot be reached"),
        (aiohttp.ClientConnectionError("xoxb-secret in a url"), TryLater, "cannot be reached"),
    ],
)
def test_errors_say_what_to_do(error: Exception, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words) as raised, errors.translated():
        raise error
    assert "xoxb" not in str(raised.value)
    if "ratelimited" in str(raised.value):
        assert isinstance(raised.value, TryLater) and raised.value.after == 7.0

"""The workspaces that Easel is installed in, and a client to talk to each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.authorization.async_authorize import AsyncAuthorize
from slack_bolt.context.async_context import AsyncBoltContext
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from bot.adapters.slack.errors import FAILURES
from bot.adapters.slack.installations import SealedInstallations

SLACK_API = "https://slack.com/api/"
PATIENCE = 1.5  # seconds that a call gets on the way to an answer that has three
CALLS = 50  # at a time for a workspace, so that one that Slack is slow about holds up no other
_SLACK_HOSTS = ("slack.com", "slack-files.com")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """One workspace as the app sees it."""

    team: str
    enterprise: str = ""
    is_whole: bool = False  # installed by the organisation, for all of its workspaces
    bot_user: str = ""  # the app's user
    bot: str = ""  # the app as the author of messages
    token: str = field(repr=False)


class Workspaces:
    """Finds the workspace of an event. Without `installations` there is one, and its token is given."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: str = SLACK_API,
        installations: SealedInstallations | None = None,
    ) -> None:
        self._session = session
        self._base_url = base_url
        self._installations = installations
        self._only: Workspace | None = None
        self._calls: dict[str, asyncio.Semaphore] = {}
        self._organisations: dict[str, str] = {}  # by workspace, as their events told

    async def sign_in(self, token: str) -> Workspace:
        """Use this token for everything. Raises SlackApiError when Slack does not accept it."""
        me = await self.talk(token).auth_test()
        whole = bool(me.get("is_enterprise_install"))
        self._only = Workspace(
            team="" if whole else me["team_id"],
            enterprise=me.get("enterprise_id") or "",
            is_whole=whole,
            bot_user=me["user_id"],
            bot=me.get("bot_id") or "",
            token=token,
        )
        return self._only

    async def find(self, team: str, enterprise: str = "") -> Workspace | None:
        """Return the workspace, or None where Easel is not installed (any more). Raises StoreError.

        A token for one workspace is for that one alone, whichever was named. None where no workspace is
        known: it is never guessed.
        """
        if self._only:
            known = self._only.team or team
            return replace(self._only, team=known) if known else None
        if self._installations is None:
            return None
        found = await self._installations.find(team, enterprise)
        if found is None or not found.bot_token or not (team or found.team_id):
            return None
        if found.is_enterprise_install and team:
            self._organisations[team] = enterprise
        return Workspace(
            team=team or found.team_id or "",
            enterprise=found.enterprise_id or "",
            is_whole=bool(found.is_enterprise_install),
            bot_user=found.bot_user_id or "",
            bot=found.bot_id or "",
            token=found.bot_token,
        )

    async def find_again(self, team: str) -> Workspace | None:
        """Return a workspace that was found before, also through its organisation. Raises StoreError."""
        return await self.find(team, self._organisations.get(team, ""))

    async def home_of(self, user: str, enterprise: str) -> str:
        """Return a person's own workspace in an organisation, or nothing where Slack does not tell in time.

        Raises StoreError.
        """
        token = self._only.token if self._only and self._only.is_whole else ""
        if not token and self._installations:
            found = await self._installations.find("", enterprise)
            token = (found.bot_token if found else "") or ""
        if not (token and user):
            return ""
        try:
            async with asyncio.timeout(PATIENCE):
                team = (await self.talk(token, team=enterprise).users_info(user=user))["user"].get(
                    "team_id"
                ) or ""
        except FAILURES:
            return ""
        return team if team.startswith("T") else ""

    def talk(self, token: str = "", *, team: str = "", patient: bool = False) -> AsyncWebClient:
        """Return a workspace's client. A patient one waits when it is told to, once; others never repeat."""
        handlers: list[Any] = [AsyncRateLimitErrorRetryHandler(max_retry_count=1)] if patient else []
        gate = self._calls.setdefault(team, asyncio.Semaphore(CALLS))
        return _Client(
            gate,
            token=token or None,
            base_url=self._base_url,
            session=self._session,
            retry_handlers=handlers,
        )

    def is_slack(self, url: str) -> bool:
        """Tell whether an address is on Slack's own hosts; only those ever get a token or a picture."""
        asked, ours = urlsplit(url), urlsplit(self._base_url)
        if ours.hostname not in ("slack.com", "slack-gov.com"):  # a stand-in for Slack, as in tests
            return (asked.scheme, asked.netloc) == (ours.scheme, ours.netloc)
        host = asked.hostname or ""
        known = any(host == each or host.endswith(f".{each}") for each in (*_SLACK_HOSTS, ours.hostname))
        return asked.scheme == "https" and known and asked.port in (None, 443) and not asked.username


class _Client(AsyncWebClient):
    """A client that makes so many calls at a time, with all others of its workspace."""

    def __init__(self, gate: asyncio.Semaphore, **about: Any) -> None:
        super().__init__(**about)
        self._gate = gate

    async def api_call(self, *what: Any, **about: Any) -> Any:
        async with self._gate:
            return await super().api_call(*what, **about)


def team_of(body: Mapping[str, Any]) -> str:
    """Return the workspace that something was sent from ("T1"), or nothing where it does not say.

    Where a whole organisation installed the app, `authorizations[0].team_id` is null, and so is `team` of
    what is pressed outside of channels. In a channel that is shared with another organisation, the team of
    the author or of the form may be the other one; the app's own is named beside it.
    """
    return next((each for each in _teams(body) if str(each or "").startswith("T")), "")


def _teams(body: Mapping[str, Any]) -> Iterator[Any]:
    """Yield whatever may be the workspace's id, the surest first; an organisation's ("E1") is none."""
    view, event, team = (_mapping(body.get(key)) for key in ("view", "event", "team"))
    first = _mapping(next(iter(body.get("authorizations") or ()), None))
    yield view.get("app_installed_team_id")
    yield first.get("team_id")
    if body.get("is_ext_shared_channel"):
        yield body.get("context_team_id")
    yield team.get("id") or body.get("team")
    yield body.get("team_id")
    if not body.get("is_ext_shared_channel"):  # else these may be another organisation's
        yield event.get("team")
        yield event.get("user_team")
        yield _mapping(event.get("view")).get("team_id")
        yield _mapping(body.get("user")).get("team_id")
        yield view.get("team_id")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


class Doorkeeper(AsyncAuthorize):
    """Tells Bolt whose token an event is for: that of the workspace in the event's context."""

    async def __call__(
        self, *, context: AsyncBoltContext, enterprise_id: str | None, user_id: str | None, **_: Any
    ) -> AuthorizeResult | None:
        workspace: Workspace | None = context.get("workspace")
        if workspace is None:
            return None
        return AuthorizeResult(
            enterprise_id=enterprise_id,
            team_id=workspace.team,
            bot_user_id=workspace.bot_user,
            bot_id=workspace.bot,
            bot_token=workspace.token,
            user_id=user_id,
        )

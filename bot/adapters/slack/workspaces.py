"""The workspaces that Easel is installed in, and a client to talk to each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.authorization.async_authorize import AsyncAuthorize
from slack_bolt.context.async_context import AsyncBoltContext
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

from bot.adapters.slack.installations import SealedInstallations

SLACK_API = "https://slack.com/api/"
_SLACK_HOSTS = ("slack.com", "slack-files.com")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """One workspace as the app sees it."""

    team: str
    enterprise: str = ""
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

    async def sign_in(self, token: str) -> Workspace:
        """Use this token for everything. Raises SlackApiError when Slack does not accept it."""
        me = await self.talk(token).auth_test()
        self._only = Workspace(
            team=me["team_id"],
            enterprise=me.get("enterprise_id") or "",
            bot_user=me["user_id"],
            bot=me.get("bot_id") or "",
            token=token,
        )
        return self._only

    async def find(self, team: str, enterprise: str = "") -> Workspace | None:
        """The workspace, or None where Easel is not installed (any more). Raises StoreError."""
        if self._only:
            return replace(self._only, team=team or self._only.team)
        if self._installations is None:
            return None
        found = await self._installations.find(team, enterprise)
        if found is None or not found.bot_token:
            return None
        return Workspace(
            team=team or found.team_id or "",
            enterprise=found.enterprise_id or "",
            bot_user=found.bot_user_id or "",
            bot=found.bot_id or "",
            token=found.bot_token,
        )

    def talk(self, token: str = "", *, patient: bool = False) -> AsyncWebClient:
        """A client. A patient one waits when it is told to, once; the others never repeat a request."""
        handlers: list[Any] = [AsyncRateLimitErrorRetryHandler(max_retry_count=1)] if patient else []
        return AsyncWebClient(
            token=token or None, base_url=self._base_url, session=self._session, retry_handlers=handlers
        )

    def is_slack(self, url: str) -> bool:
        """Whether an address is one of Slack's own hosts: only those ever get a token or a picture."""
        asked, ours = urlsplit(url), urlsplit(self._base_url)
        if ours.hostname not in ("slack.com", "slack-gov.com"):  # a stand-in for Slack, as in tests
            return (asked.scheme, asked.netloc) == (ours.scheme, ours.netloc)
        host = asked.hostname or ""
        known = any(host == each or host.endswith(f".{each}") for each in (*_SLACK_HOSTS, ours.hostname))
        return asked.scheme == "https" and known and asked.port in (None, 443) and not asked.username


class Doorkeeper(AsyncAuthorize):
    """Tells Bolt whose token an event is for, and leaves the workspace in the event's context."""

    def __init__(self, find: Callable[..., Any]) -> None:
        self._find = find

    async def __call__(
        self,
        *,
        context: AsyncBoltContext,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str | None,
        **_: Any,
    ) -> AuthorizeResult | None:
        workspace: Workspace | None = await self._find(team_id or "", enterprise_id or "")
        if workspace is None:
            return None
        context["workspace"] = workspace
        return AuthorizeResult(
            enterprise_id=enterprise_id,
            team_id=team_id,
            bot_user_id=workspace.bot_user,
            bot_id=workspace.bot,
            bot_token=workspace.token,
            user_id=user_id,
        )

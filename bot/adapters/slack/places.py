"""Whether a channel is open to its whole workspace. Asked of Slack and remembered."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError

from bot.adapters.slack.errors import code_of
from bot.adapters.slack.people import MOST, REMEMBERED, SOON
from bot.adapters.slack.workspaces import Workspace, Workspaces

log = structlog.stdlib.get_logger(__name__)


class Places:
    """Knows which channels are closed: private channels, groups, and those that Slack does not tell about."""

    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces
        self._known: OrderedDict[tuple[str, str], tuple[float, bool]] = OrderedDict()
        self._asking = asyncio.Lock()  # so that a crowd asks once

    async def is_closed(self, workspace: Workspace, channel: str) -> bool:
        """Whether only its members can look into a channel."""
        key = (workspace.team, channel)
        if (known := self._remembered(key)) is not None:
            return known
        async with self._asking:
            if (known := self._remembered(key)) is not None:
                return known
            closed, remembered = await self._ask(workspace, channel)
            self._known[key] = (time.monotonic() + remembered, closed)
            while len(self._known) > MOST:
                self._known.popitem(last=False)
            return closed

    def _remembered(self, key: tuple[str, str]) -> bool | None:
        until, closed = self._known.get(key, (0.0, True))
        return closed if time.monotonic() < until else None

    async def _ask(self, workspace: Workspace, channel: str) -> tuple[bool, float]:
        """What Slack says, and for how long to believe it."""
        try:
            answer = await self._workspaces.talk(workspace.token).conversations_info(channel=channel)
        except SlackApiError as error:
            # Public channels are told about wherever they are; private ones need a scope that Easel has not.
            told = code_of(error) in ("missing_scope", "channel_not_found")
            if not told:
                log.warning("a channel is not known", cause=code_of(error))
            return True, REMEMBERED if told else SOON
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            log.warning("a channel is not known", cause=type(error).__name__)
            return True, SOON
        about = answer["channel"]
        return not about.get("is_channel") or bool(about.get("is_private")), REMEMBERED

"""Whether a channel is open to its whole workspace. Asked of Slack and remembered."""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from dataclasses import dataclass

import structlog

from bot.adapters.slack.errors import FAILURES, code_of
from bot.adapters.slack.people import MOST, REMEMBERED, SOON
from bot.adapters.slack.workspaces import Workspace, Workspaces

log = structlog.stdlib.get_logger(__name__)

PATIENCE = 2.0  # seconds that Slack gets to tell about a channel; a form must be open within three


@dataclass(slots=True)
class _Known:
    closed: asyncio.Task[bool]
    until: float = math.inf  # while it is being asked


class Places:
    """Knows which channels are closed: private channels, groups, and those that Slack does not tell about."""

    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()

    async def is_closed(self, workspace: Workspace, channel: str) -> bool:
        """Whether only its members can look into a channel. A crowd asks once."""
        key = (workspace.team, channel)
        known = self._known.get(key)
        if known is None or known.until < time.monotonic():
            known = self._known[key] = _Known(asyncio.create_task(self._look(workspace, channel)))
            while len(self._known) > MOST:
                self._known.popitem(last=False)
        return await asyncio.shield(known.closed)

    async def _look(self, workspace: Workspace, channel: str) -> bool:
        closed, remembered = await self._ask(workspace, channel)
        if known := self._known.get((workspace.team, channel)):
            known.until = time.monotonic() + remembered
        return closed

    async def _ask(self, workspace: Workspace, channel: str) -> tuple[bool, float]:
        """What Slack says, and for how long to believe it."""
        try:
            async with asyncio.timeout(PATIENCE):
                answer = await self._workspaces.talk(workspace.token).conversations_info(channel=channel)
        except FAILURES as error:
            # Public channels are told about wherever they are; private ones need a scope that Easel has not.
            told = code_of(error) in ("missing_scope", "channel_not_found")
            if not told:
                log.warning("a channel is not known", cause=code_of(error))
            return True, REMEMBERED if told else SOON
        about = answer.get("channel") or {}
        return not about.get("is_channel") or bool(about.get("is_private")), REMEMBERED

"""Whether a channel is open to its whole workspace: what Slack was asked, and what its payloads say."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog

from bot.adapters.slack.cache import Cache
from bot.adapters.slack.errors import FAILURES, code_of
from bot.adapters.slack.users import REMEMBERED, SOON
from bot.adapters.slack.workspaces import PATIENCE, Workspace, Workspaces

log = structlog.stdlib.get_logger(__name__)

_CLOSED_NAMES = ("privategroup", "directmessage", "mpdm-")
_CLOSED_TYPES = ("group", "mpim", "im")
TO_PRIVATE = "channel_convert_to_private"


class Places:
    """Knows which channels are closed: private channels, groups, and those that Slack does not tell about."""

    def __init__(self, workspaces: Workspaces) -> None:
        self._workspaces = workspaces
        self._known: Cache[bool] = Cache()

    async def is_closed(self, workspace: Workspace, channel: str) -> bool:
        """Tell whether only its members can look into a channel. Concurrent calls ask Slack once."""
        return await self._known.get(
            (workspace.team, channel),
            lambda: self._ask(workspace, channel),
            True,
            PATIENCE,
            stand_in=False,  # it may have been closed since the old answer
        )

    async def is_closed_now(self, workspace: Workspace, channel: str) -> bool | None:
        """Tell whether the channel is closed at this moment; None where Slack does not tell in time."""
        try:
            async with asyncio.timeout(PATIENCE):
                closed, remembered = await self._ask(workspace, channel)
        except TimeoutError:
            return None
        if remembered == SOON:
            return None
        self._known.put((workspace.team, channel), closed, remembered)
        return closed

    def close(self, workspace: Workspace, channel: str) -> None:
        """Forget that a channel is open, since a payload says that it is private: Slack is asked again.

        The payload is not taken for the answer itself: it may arrive late, when the channel is open again.
        """
        if not self._known.old((workspace.team, channel), False):
            self._known.forget((workspace.team, channel))

    async def _ask(self, workspace: Workspace, channel: str) -> tuple[bool, float]:
        """Ask Slack whether a channel is closed; return that, and for how many seconds to remember it."""
        try:
            answer = await self._workspaces.talk(workspace.token, team=workspace.team).conversations_info(
                channel=channel
            )
        except FAILURES as error:
            # Public channels are told about wherever they are; private ones need a scope that Easel has not.
            told = code_of(error) in ("missing_scope", "channel_not_found")
            if not told:
                log.warning("a channel is not known", cause=code_of(error))
            return True, REMEMBERED if told else SOON
        about = answer.get("channel") or {}
        return not about.get("is_channel") or bool(about.get("is_private")), REMEMBERED


def channel_of(event: Mapping[str, Any]) -> str:
    """Return the channel of an event, described or only named; an empty text for direct messages."""
    channel = event.get("channel")
    id = channel.get("id") if isinstance(channel, Mapping) else channel
    return "" if str(id or "D").startswith("D") else str(id)


def says_closed(payload: Mapping[str, Any]) -> bool:
    """Tell whether a payload itself says that its channel is not open: by the channel's type or name."""
    channel = payload.get("channel")
    name = payload.get("channel_name") or (channel.get("name") if isinstance(channel, Mapping) else "")
    return (
        str(name or "").startswith(_CLOSED_NAMES)
        or payload.get("channel_type") in _CLOSED_TYPES
        or TO_PRIVATE in (payload.get("type"), payload.get("subtype"))
    )

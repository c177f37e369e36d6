"""Messages and files that people name by their links, in the channel where they are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import Refusal
from bot.i18n import _

ELSEWHERE = _("That is in another channel. Ask there, or choose “Verify” in the message's menu.")
NOT_SHOWN = _(
    "Easel cannot see that message. Invite Easel to the channel, or choose “Verify” in the message's menu."
)

FILE_NOT_SHOWN = _("Easel cannot see that file. Share it in this channel, or attach the image itself.")

_LINK = re.compile(
    r"https://[\w.-]+/archives/(?P<channel>\w+)/p(?P<seconds>\d{10})(?P<micros>\d{6})"
    r"(?:\?(?:.*&)?thread_ts=(?P<thread>\d+\.\d+).*)?(?:\?.*)?",
    re.ASCII,
)
_TS = re.compile(r"(?P<seconds>\d{10})\.(?P<micros>\d{6})", re.ASCII)
_FILE = re.compile(r"https?://[\w.:-]+/files(?:-pri)?/\w+[/-](?P<file>F\w+)(?:/.*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class MessageLink:
    """Where a message stands."""

    channel: str
    ts: str
    thread: str = ""


def message_of(text: str, channel: str) -> MessageLink | None:
    """Return the message that a link names, or a bare ts in this channel; None for anything else."""
    if found := _LINK.fullmatch(text):
        ts = f"{found['seconds']}.{found['micros']}"
        return MessageLink(found["channel"], ts, found["thread"] or "")
    return MessageLink(channel, text) if _TS.fullmatch(text) else None


def file_of(text: str) -> str:
    """Return the id of the file that a link names, or an empty text."""
    found = _FILE.fullmatch(text)
    return found["file"] if found else ""


async def message(client: AsyncWebClient, link: MessageLink, channel: str) -> Any:
    """Return a message of this channel. Raises Refusal, SlackApiError."""
    if link.channel != channel:
        raise Refusal(ELSEWHERE, code="place")
    one: dict[str, Any] = {"oldest": link.ts, "latest": link.ts, "inclusive": True}
    if link.thread:
        page = await client.conversations_replies(channel=channel, ts=link.thread, **one)
    else:
        page = await client.conversations_history(channel=channel, limit=1, **one)
    found = next((each for each in page["messages"] if each.get("ts") == link.ts), None)
    if found is None:
        raise Refusal(NOT_SHOWN, code="no_picture")
    return found


async def file(client: AsyncWebClient, id: str, channel: str) -> dict[str, Any]:
    """Return a file that was shared in this channel, as Slack describes it. Raises Refusal, SlackApiError."""
    found: dict[str, Any] = (await client.files_info(file=id))["file"]
    shared = [*found.get("channels", ()), *found.get("groups", ()), *found.get("ims", ())]
    if channel not in shared:
        raise Refusal(ELSEWHERE, code="place")
    return found

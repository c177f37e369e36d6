"""Messages that may stand in Slack without our knowing where: their answer was lost, or Easel was killed.

Slack has no key that would make a repeated post one. So each message of a job carries the job's id as
metadata, and before a post is repeated it is looked for among the messages of its time. A public channel is
joined for that, since an app reads only those it is in. Where it still cannot be told, nothing is repeated.

https://docs.slack.dev/messaging/message-metadata
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.adapters.slack.errors import code_of, is_closed, is_doubtful
from bot.errors import Unreachable
from bot.models import Job

log = structlog.stdlib.get_logger(__name__)

MARK = "easel_job"  # the metadata's type
END = "end"  # the part of a job that its result is
SKEW = 300.0  # seconds that Slack's clock may be away from ours
PAGES = 20  # of messages that are read for one job
MOST_NOTED = 5000
_BLIND = ("missing_scope", "invalid_cursor", "too_many_members")


class Untold(Unreachable):
    """Easel may have shown this already, and cannot look."""


class PostRecovery:
    """Remembers which posts are in doubt, and looks for them."""

    def __init__(self) -> None:
        self._since = time.time()
        self._tried: OrderedDict[tuple[str, str], float] = (
            OrderedDict()
        )  # job, part → when a post in doubt began
        self._read: OrderedDict[tuple[str, ...], str] = OrderedDict()  # channel, job, part → read until there

    @contextmanager
    def posting(self, job: Job, part: str = "") -> Iterator[None]:
        """Remember a post as doubtful while the block runs, and after it unless Slack tells the outcome."""
        key = (job.id, part)
        note(self._tried, key, time.time())
        try:
            yield
        except SlackApiError as error:
            if not is_doubtful(error):
                self._tried.pop(key, None)
            raise
        self._tried.pop(key, None)

    async def find(self, client: AsyncWebClient, channel: str, thread: str, job: Job, part: str = "") -> str:
        """Return the ts of the job's message, or an empty text. Raises Untold, SlackApiError."""
        began = self._tried.get((job.id, part))
        due = (job.finished if part == END else None) or job.created  # nothing was posted before that
        if began is None and due.timestamp() >= self._since:
            return ""
        first = began or due.timestamp()
        window = {"oldest": f"{first - SKEW:.6f}", "latest": f"{(began or self._since) + SKEW:.6f}"}
        try:
            return await self._search(client, channel, thread, (job.id, part), window)
        except SlackApiError as error:
            if not (is_closed(error) or code_of(error) in _BLIND):
                raise
            log.warning("a message cannot be looked for", job_id=job.id, cause=code_of(error))
            raise Untold("Easel cannot tell whether it has shown this already.") from error

    async def _search(
        self,
        client: AsyncWebClient,
        channel: str,
        thread: str,
        wanted: tuple[str, str],
        window: dict[str, str],
    ) -> str:
        place = (channel, *wanted)
        for _ in range(PAGES):
            page = await _joined(client, channel, thread, window | {"cursor": self._read.get(place, "")})
            for message in page["messages"]:
                if _shown_in(message) == wanted:
                    return str(message["ts"])
            cursor = (page.get("response_metadata") or {}).get("next_cursor", "")
            if not cursor:
                self._read.pop(place, None)
                return ""
            note(self._read, place, cursor)  # Slack may let us read one page a minute: go on there
        raise Untold("Easel cannot tell whether it has shown this already.")


async def _joined(client: AsyncWebClient, channel: str, thread: str, about: dict[str, str]) -> Any:
    """Return a page of messages; join a public channel that Easel is not in to read it."""
    try:
        return await _page(client, channel, thread, about)
    except SlackApiError as error:
        if code_of(error) != "not_in_channel":
            raise
    await client.conversations_join(channel=channel)
    return await _page(client, channel, thread, about)


async def _page(client: AsyncWebClient, channel: str, thread: str, about: dict[str, str]) -> Any:
    wanted: dict[str, Any] = {key: value for key, value in about.items() if value}
    wanted |= {"include_all_metadata": True, "limit": 200}
    if thread:
        return await client.conversations_replies(channel=channel, ts=thread, **wanted)
    return await client.conversations_history(channel=channel, **wanted)


def mark(job: Job, part: str = "") -> dict[str, Any]:
    """Return the metadata of a job's message; `part` is END for a result, and empty for the first one."""
    about = {"job": job.id} | ({"part": part} if part else {})
    return {"event_type": MARK, "event_payload": about}


def _shown_in(message: Any) -> tuple[str, str]:
    """Return the job that a message shows, and which of its messages it is."""
    found = message.get("metadata") or {}
    about = found.get("event_payload", {}) if found.get("event_type") == MARK else {}
    return str(about.get("job", "")), str(about.get("part", ""))


def note(known: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    """Remember something, and of the oldest no more than fits."""
    known[key] = value
    while len(known) > MOST_NOTED:
        known.popitem(last=False)

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
        self._tried: OrderedDict[str, float] = OrderedDict()  # job → when a post began whose end is unknown
        self._read: OrderedDict[tuple[str, str], str] = OrderedDict()  # channel, job → how far it was read

    @contextmanager
    def posting(self, job: Job) -> Iterator[None]:
        """Remember a post as doubtful while the block runs, and after it unless Slack tells the outcome."""
        note(self._tried, job.id, time.time())
        try:
            yield
        except SlackApiError as error:
            if not is_doubtful(error):
                self._tried.pop(job.id, None)
            raise
        self._tried.pop(job.id, None)

    async def find(self, client: AsyncWebClient, channel: str, thread: str, job: Job) -> str:
        """Return the ts of the job's message, or an empty text. Raises Untold, SlackApiError."""
        began = self._tried.get(job.id)
        if began is None and job.created.timestamp() >= self._since:
            return ""
        first = began or job.created.timestamp()
        window = {"oldest": f"{first - SKEW:.6f}", "latest": f"{(began or self._since) + SKEW:.6f}"}
        try:
            return await self._search(client, channel, thread, job.id, window)
        except SlackApiError as error:
            if not (is_closed(error) or code_of(error) in _BLIND):
                raise
            log.warning("a message cannot be looked for", job_id=job.id, cause=code_of(error))
            raise Untold("Easel cannot tell whether it has shown this already.") from error

    async def _search(
        self, client: AsyncWebClient, channel: str, thread: str, job: str, window: dict[str, str]
    ) -> str:
        place = (channel, job)
        for _ in range(PAGES):
            page = await _joined(client, channel, thread, window | {"cursor": self._read.get(place, "")})
            for message in page["messages"]:
                if _job_of(message) == job:
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


def _job_of(message: Any) -> str:
    about = message.get("metadata") or {}
    return str(about.get("event_payload", {}).get("job", "")) if about.get("event_type") == MARK else ""


def note(known: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    """Remember something, and of the oldest no more than fits."""
    known[key] = value
    while len(known) > MOST_NOTED:
        known.popitem(last=False)

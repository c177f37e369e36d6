"""A place's log: one channel in which administrators read of reports, blocks, failures and changes.

What happens within a moment is told by one message, and a place gets few of them: what does not fit is
counted. Where the channel is gone, the administrators are told with the next answer they get, and nothing
else stops.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from bot.adapters.base import Announces, ChatAdapter
from bot.dedup import Dedup
from bot.errors import StoreError, TryLater, Unreachable
from bot.i18n import _
from bot.i18n.speech import Speech
from bot.messages import marks
from bot.messages.types import Card
from bot.models import INSTANCE, Job, State
from bot.store import Store

log = structlog.stdlib.get_logger(__name__)

GATHER = 1.0  # seconds in which what happens is put into one message
PAUSE = 10.0  # seconds between two messages in one place
MOST_LINES = 10  # of a message; of more, the number is told
REMEMBERED = 1000  # failed jobs that were told


@dataclass(slots=True)
class Pending:
    """What a place is to be told."""

    lines: list[str] = field(default_factory=list)
    more: int = 0

    def add(self, line: str) -> None:
        if len(self.lines) < MOST_LINES:
            self.lines.append(line)
        else:
            self.more += 1


@dataclass(eq=False)
class LogChannel:
    """`gather` and `pause` are the seconds before a message and after it."""

    _store: Store
    _speech: Speech
    _adapters: Mapping[str, ChatAdapter]
    gather: float = GATHER
    pause: float = PAUSE
    _waiting: dict[str, Pending] = field(default_factory=dict, init=False)
    _telling: dict[str, asyncio.Task[None]] = field(default_factory=dict, init=False)
    _broken: dict[str, str] = field(default_factory=dict, init=False)
    _failed: Dedup = field(default_factory=lambda: Dedup(REMEMBERED), init=False)

    def tell(self, tenant: str, line: str) -> None:
        """Tell a place's administrators something, if they have a log. It is sent in the background."""
        if tenant == INSTANCE or tenant in self._broken:
            return
        self._waiting.setdefault(tenant, Pending()).add(line)
        if tenant not in self._telling:
            self._telling[tenant] = asyncio.create_task(self._tell_all(tenant), name=f"log of {tenant}")

    def ended(self, job: Job) -> None:
        """Tell of a job that failed, once."""
        if job.state is not State.FAILED or not self._failed.first(job.id):
            return
        owner = job.origin.member
        who = marks.person(owner.id, owner.name)
        self.tell(
            owner.tenant, _("Job {id} of {who} failed: {reason}", id=job.id, who=who, reason=job.reason)
        )

    def trouble(self, tenant: str) -> str:
        """Return a sentence about a log that cannot be written to; empty where it can."""
        reason = self._broken.get(tenant)
        if reason is None:
            return ""
        return _("The log channel cannot be used: {reason} Choose one with /admin log.", reason=reason)

    def mended(self, tenant: str) -> None:
        """Write to the place's log again: another channel was chosen."""
        self._broken.pop(tenant, None)

    async def close(self) -> None:
        tasks = list(self._telling.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # ---- in the background

    async def _tell_all(self, tenant: str) -> None:
        """Send what there is to tell, a message at a time, until there is nothing more."""
        try:
            await asyncio.sleep(self.gather)
            while found := self._waiting.pop(tenant, None):
                await self._send(tenant, found)
                await asyncio.sleep(self.pause)
        finally:
            self._telling.pop(tenant, None)

    async def _send(self, tenant: str, found: Pending) -> None:
        try:
            channel = (await self._store.policy(tenant)).log
            if channel:
                await self._announce(tenant, channel, found)
        except Unreachable as error:
            self._broken[tenant] = error.args[0]
            log.warning("a log channel cannot be used", tenant=tenant, cause=str(error))
        except (TryLater, StoreError) as error:
            log.warning("a log channel was not told", tenant=tenant, cause=str(error))

    async def _announce(self, tenant: str, channel: str, found: Pending) -> None:
        adapter = self._adapters.get(tenant.partition(":")[0])
        if not isinstance(adapter, Announces):
            return
        more = [_("and {count} more", count=found.more)] if found.more else []
        card = Card(kind="text", body=(*found.lines, *more))
        await adapter.announce(tenant, channel, self._speech.said_in(card, tenant))

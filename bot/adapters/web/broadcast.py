"""What changes, told to the open pages. A slow page misses steps in between and delays nobody."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from dataclasses import dataclass

from bot.adapters.web.parsing import number
from bot.messages.types import Card
from bot.models import Job, Member

PAGES = 16
"""Pages that one person may have open."""

REMEMBERED = 256
"""How many changed jobs can be told again to a page that reconnects; beyond that it reloads."""


@dataclass(frozen=True, slots=True)
class Change:
    """The newest card of a job. `number` counts all changes since the start."""

    number: int
    job: Job
    card: Card


@dataclass(frozen=True, slots=True)
class News:
    """What a page has not seen yet, oldest first."""

    changes: tuple[Change, ...]
    line: bool  # the line moved
    reload: bool  # too much was missed: the page asks for everything again


class Page:
    """One open page. Holds at most one change per job."""

    def __init__(self, member: Member, session: str = "") -> None:
        self.member = member
        self.session = session
        self.closed = False
        self._changes: OrderedDict[str, Change] = OrderedDict()
        self._line = self._reload = False
        self._awake = asyncio.Event()

    def offer(self, change: Change) -> None:
        self._line = True
        if change.job.is_seen_by(self.member):
            self._changes[change.job.id] = change
            self._changes.move_to_end(change.job.id)
        if len(self._changes) > REMEMBERED:
            self.start_over()
        self._awake.set()

    def start_over(self) -> None:
        self._changes.clear()
        self._reload = True
        self._awake.set()

    def close(self) -> None:
        self.closed = True
        self._awake.set()

    async def news(self, patience: float) -> News:
        """Wait for something new; empty when nothing comes within `patience` seconds."""
        try:
            async with asyncio.timeout(patience):
                await self._awake.wait()
        except TimeoutError:
            return News((), False, False)
        news = News(tuple(self._changes.values()), self._line, self._reload)
        self._changes.clear()
        self._line = self._reload = False
        self._awake.clear()
        return news


class Broadcast:
    """Knows the open pages and the last changes."""

    def __init__(self) -> None:
        self._start = secrets.token_hex(4)  # tells numbers of this run from those of an earlier one
        self._number = 0
        self._forgotten = 0  # the highest number that can no longer be told
        self._recent: OrderedDict[str, Change] = OrderedDict()
        self._pages: set[Page] = set()

    def publish(self, job: Job, card: Card) -> None:
        self._number += 1
        change = Change(self._number, job, card)
        self._recent[job.id] = change
        self._recent.move_to_end(job.id)
        if len(self._recent) > REMEMBERED:
            self._forgotten = self._recent.popitem(last=False)[1].number
        for page in self._pages:
            page.offer(change)

    def mark(self, number: int | None = None) -> str:
        """Return a mark of where the news stands; a page hands it back to get what came after it."""
        return f"{self._start}-{self._number if number is None else number}"

    def job(self, id: str) -> Job | None:
        """Return a job that changed lately, as it was then, or None; the caller checks who may see it."""
        change = self._recent.get(id)
        return change.job if change else None

    def is_full(self, member: Member) -> bool:
        """Tell whether somebody has as many pages open as one person may have."""
        return sum(page.member.id == member.id for page in self._pages) >= PAGES

    def end(self, session: str) -> None:
        """Close the pages of a session that has ended."""
        for page in self._pages:
            if page.session == session:
                page.close()

    def open(self, member: Member, since: str, session: str = "") -> Page:
        page = Page(member, session)
        self._catch_up(page, since)
        self._pages.add(page)
        return page

    def leave(self, page: Page) -> None:
        self._pages.discard(page)

    def close(self) -> None:
        for page in self._pages:
            page.close()

    def __len__(self) -> int:
        return len(self._pages)

    def _catch_up(self, page: Page, since: str) -> None:
        start, _, text = since.partition("-")
        heard = number(text)
        if start != self._start or heard is None or not self._forgotten <= heard <= self._number:
            page.start_over()
            return
        for change in self._recent.values():
            if change.number > heard:
                page.offer(change)

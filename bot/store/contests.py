"""Contests, their entries and votes. Whatever changes one locks its row first, so two never interleave.

A vote is a row under (contest, member), so nobody has two. An entry goes with its picture, and takes its
votes with it. Whatever changes what a contest's messages should show is counted, and so is what they show.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlmodel import Session

from bot.models import AuditLine, Contest, ContestEntry, ContestPhase
from bot.store import identities
from bot.store.database import Database
from bot.store.rows import insert_once, table_of, write_down
from bot.store.tables import ContestEntryRow, ContestRow, ContestVoteRow

MOST_ENTRIES = 50  # of a contest: what voting messages have room for

_contests = table_of(ContestRow)
_entries = table_of(ContestEntryRow)
_votes = table_of(ContestVoteRow)


class ContestStore(Database):
    """The part of the store that keeps contests."""

    async def start_contest(self, contest: Contest, line: AuditLine | None = None) -> bool:
        """Write a new contest and the audit's line; False where another one runs in its place."""

        def work(session: Session) -> bool:
            running = select(_contests.c.id).where(_contests.c.tenant == contest.tenant, _running())
            if session.connection().execute(running.limit(1)).first():
                return False
            values = {name: getattr(contest, name) for name in _contests.c.keys()}
            session.connection().execute(_contests.insert(), values)
            write_down(session, line)
            return True

        return await self._write(work)

    async def contest(self, id: str) -> Contest | None:
        found = await self._contests_where(_contests.c.id == id)
        return found[0] if found else None

    async def contests(self, tenant: str = "", *, running: bool = True) -> list[Contest]:
        """Return those that run, or all, of one place or of all; the newest first."""
        wanted = [*([_contests.c.tenant == tenant] if tenant else []), *([_running()] if running else [])]
        return await self._contests_where(*wanted)

    async def contests_due(self, now: datetime) -> list[Contest]:
        """Return those whose phase is over, or whose messages are not as they should be."""
        over = (_contests.c.phase != "ended") & (_contests.c.closes <= now)
        return await self._contests_where(or_(over, _contests.c.changes != _contests.c.shown))

    async def entries(self, contest: str) -> list[ContestEntry]:
        """Return a contest's entries by their numbers, with the votes that each has."""
        mine = (_votes.c.contest == _entries.c.contest) & (_votes.c.number == _entries.c.number)
        votes = select(func.count()).where(mine).scalar_subquery().label("votes")
        query = select(_entries, votes).where(_entries.c.contest == contest)
        query = query.order_by(_entries.c.number, _entries.c.at, _entries.c.job, _entries.c.index)
        found = await self._read(lambda session: session.connection().execute(query).all())
        return [ContestEntry(**row._mapping) for row in found]

    async def voted(self, contest: str, member: str) -> int:
        """Return the number of the entry that a member votes for; 0 where they have not voted."""

        def work(session: Session) -> int:
            names = identities.names_of(session, member)
            mine = (_votes.c.contest == contest, _votes.c.member.in_(names))
            return int(session.connection().scalar(select(_votes.c.number).where(*mine).limit(1)) or 0)

        return await self._read(work)

    # ---- what people do

    async def enter(self, contest: str, job: str, index: int, member: str, name: str) -> str:
        """Enter a picture of a job; return "" or why not: "closed", "again", "most" of theirs, "full"."""
        now = self._clock()

        def work(session: Session) -> str:
            found = _locked(session, contest)
            if found is None or found.phase != "entries":
                return "closed"
            names = identities.names_of(session, member)
            there = session.connection().execute(select(_entries).where(_entries.c.contest == contest)).all()
            if any((each.job, each._mapping["index"]) == (job, index) for each in there):
                return "again"
            if sum(each.member in names for each in there) >= found.each:
                return "most"
            if len(there) >= MOST_ENTRIES:
                return "full"
            key = {"contest": contest, "job": job, "index": index}
            values = {**key, "member": member, "name": name, "number": 0, "at": now}
            session.connection().execute(_entries.insert(), values)
            return ""

        return await self._write(work)

    async def vote(self, contest: str, number: int, member: str) -> str:
        """Vote for an entry, in place of another; return "" or why not: "closed", "gone", "own"."""
        now = self._clock()

        def work(session: Session) -> str:
            found = _locked(session, contest)
            if found is None or found.phase != "voting":
                return "closed"
            of = (_entries.c.contest == contest, _entries.c.number == number)
            owner = session.connection().scalar(select(_entries.c.member).where(*of))
            names = identities.names_of(session, member)
            if owner is None or owner in names:
                return "gone" if owner is None else "own"
            before = (_votes.c.contest == contest, _votes.c.member.in_(names))
            session.connection().execute(delete(_votes).where(*before))
            values = {"contest": contest, "member": member, "number": number, "at": now}
            insert_once(session, ContestVoteRow, values, ("contest", "member"))
            return ""

        return await self._write(work)

    # ---- its phases and messages

    async def advance_contest(
        self, id: str, before: ContestPhase, after: ContestPhase, line: AuditLine | None = None
    ) -> bool:
        """Go from one phase to the next and write the audit's line; False where it is in another one.

        Entries get their numbers, in an order that tells nothing, when voting begins.
        """
        now = self._clock()

        def work(session: Session) -> bool:
            found = _locked(session, id)
            if found is None or found.phase != before:
                return False
            if after == "voting":
                _number(session, id)
            ends = now + timedelta(days=found.voting_days) if after == "voting" else now
            values = {"phase": after, "closes": ends, "changes": found.changes + 1}
            session.connection().execute(update(_contests).where(_contests.c.id == id).values(**values))
            write_down(session, line)
            return True

        return await self._write(work)

    async def contest_messages(self, id: str, messages: dict[str, Any], *, shown: int | None = None) -> None:
        """Store the references to a contest's messages, and up to which change they show it."""
        values: dict[str, Any] = {"messages": messages} | ({} if shown is None else {"shown": shown})
        change = update(_contests).where(_contests.c.id == id).values(**values)
        await self._write(lambda session: session.connection().execute(change) and None)

    async def abandon_contest(self, id: str) -> bool:
        """End a contest whose channel is gone, without another word; False when it had ended."""
        values = {"phase": "ended", "closes": self._clock(), "shown": _contests.c.changes}

        def work(session: Session) -> bool:
            found = _locked(session, id)
            if found is None or (found.phase == "ended" and found.changes == found.shown):
                return False
            session.connection().execute(update(_contests).where(_contests.c.id == id).values(**values))
            return True

        return await self._write(work)

    async def drop_contests(self, before: datetime) -> None:
        """Forget contests that ended before a moment."""

        def work(session: Session) -> None:
            old = select(_contests.c.id).where(_contests.c.phase == "ended", _contests.c.closes < before)
            for id in list(session.connection().scalars(old)):
                for table in (_votes, _entries):
                    session.connection().execute(delete(table).where(table.c.contest == id))
                session.connection().execute(delete(_contests).where(_contests.c.id == id))

        await self._write(work)

    async def entered_by(self, members: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """Return what members have entered, and voted for, in contests."""
        entries = select(_entries.c.contest, _entries.c.job, _entries.c.index, _entries.c.at)
        votes = select(_votes.c.contest, _votes.c.number, _votes.c.at).where(_votes.c.member.in_(members))
        queries = {"entries": entries.where(_entries.c.member.in_(members)), "votes": votes}

        def work(session: Session) -> dict[str, list[dict[str, Any]]]:
            return {
                name: [dict(row._mapping) for row in session.connection().execute(query)]
                for name, query in queries.items()
            }

        return await self._read(work)

    async def _contests_where(self, *wanted: Any) -> list[Contest]:
        query = select(_contests).where(*wanted).order_by(_contests.c.started.desc(), _contests.c.id)
        found = await self._read(lambda session: session.connection().execute(query).all())
        return [Contest(**row._mapping) for row in found]


def withdraw(session: Session, job: str) -> None:
    """Take a job's pictures out of contests, with the votes for them."""
    found = session.connection().execute(select(_entries).where(_entries.c.job == job)).all()
    for each in found:
        if each.number:
            of = (_votes.c.contest == each.contest, _votes.c.number == each.number)
            session.connection().execute(delete(_votes).where(*of))
    redraw(session, job)
    if found:
        session.connection().execute(delete(_entries).where(_entries.c.job == job))


def redraw(session: Session, job: str) -> None:
    """Count a change of the contests that show a job's pictures."""
    of = select(_entries.c.contest).where(_entries.c.job == job)
    shown = (_contests.c.id.in_(of), _contests.c.phase != "entries")
    session.connection().execute(update(_contests).where(*shown).values(changes=_contests.c.changes + 1))


def forget_voter(session: Session, member: str, pseudonym: str) -> None:
    """Forget a member in contests: their vote where one runs; what has ended keeps its sums without names."""
    running = select(_contests.c.id).where(_running())
    gone = (_votes.c.member == member, _votes.c.contest.in_(running))
    session.connection().execute(delete(_votes).where(*gone))
    for column in (_votes.c.member, _contests.c.by, _entries.c.member):
        session.connection().execute(
            update(column.table).where(column == member).values({column.name: pseudonym})
        )


def _running() -> Any:
    return _contests.c.phase != "ended"


def _locked(session: Session, id: str) -> Any:
    """Return a contest's row, which nobody else changes until the transaction ends; None where it is gone."""
    query = select(_contests).where(_contests.c.id == id).with_for_update()
    return session.connection().execute(query).first()


def _number(session: Session, contest: str) -> None:
    rows = session.connection().execute(select(_entries).where(_entries.c.contest == contest)).all()
    order = list(range(1, len(rows) + 1))
    random.SystemRandom().shuffle(order)
    for number, row in zip(order, rows, strict=True):
        of = (
            _entries.c.contest == contest,
            _entries.c.job == row.job,
            _entries.c.index == row._mapping["index"],
        )
        session.connection().execute(update(_entries).where(*of).values(number=number))

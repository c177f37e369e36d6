"""Many jobs at once: cancelled together, or hidden from everybody but their owners."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, update
from sqlmodel import Session

from bot.models import INSTANCE, UNFINISHED, AuditLine, Job, Person, State
from bot.store import contests, identities, ledger, money
from bot.store.database import Database
from bot.store.people import Note, change_person
from bot.store.rows import job, table_of, with_pictures, write_down
from bot.store.tables import JobRow

_jobs = table_of(JobRow)

Lines = Callable[[Sequence[Job]], Sequence[AuditLine]]
"""The audit's lines for the jobs that were cancelled."""


class Removals(Database):
    """The part of the store that ends or hides jobs which somebody other than their owner lets go."""

    async def cancel_all(
        self, surface: str, which: Callable[[Job], bool], *, tenant: str = "", reason: str, lines: Lines
    ) -> list[Job]:
        """Cancel a surface's unfinished jobs, all or a tenant's, in one transaction; as they are then."""
        now = self._clock()
        wanted = [_jobs.c.surface == surface, *([_jobs.c.tenant == tenant] if tenant else [])]

        def work(session: Session) -> list[Job]:
            ended = _cancel(session, wanted, which, reason, now)
            for line in lines(ended):
                write_down(session, line)
            return ended

        return await self._write(work)

    async def block(
        self, tenant: str, member: str, change: Callable[[Person], Person], note: Note, *, reason: str
    ) -> list[Job]:
        """Block a member and cancel what they have there, under all their names, in one transaction."""
        now = self._clock()

        def work(session: Session) -> list[Job]:
            # Whoever is being admitted is waited for, so that their job is found and cancelled.
            account = identities.locked_account_of(session, member)
            change_person(session, tenant, member, change, note)
            names = {member, *identities.members_of(session, account)}
            theirs = [_jobs.c.user_id.in_(names), *([_jobs.c.tenant == tenant] if tenant != INSTANCE else [])]
            return _cancel(session, theirs, lambda job: True, reason, now)

        return await self._write(work)

    async def hide(
        self, surface: str, *, tenant: str = "", channel: str = "", messages: Collection[str] = ()
    ) -> list[str]:
        """Hide what was shown in these messages ("<channel>:<message>"), in a channel, or in a whole tenant.

        Returns the ids of the jobs that were open before.
        """
        wanted: list[ColumnElement[bool]] = [_jobs.c.surface == surface, _jobs.c.hidden.is_(False)]
        wanted += [_jobs.c.tenant == tenant] if tenant else []
        wanted += [_jobs.c.posted.in_(messages)] if messages else []
        if channel:
            shown_there = and_(_jobs.c.posted >= f"{channel}:", _jobs.c.posted < f"{channel};")
            wanted.append(or_(shown_there, _jobs.c.channel == channel))
        if len(wanted) == 2:
            raise ValueError("a surface's jobs are not hidden all at once")
        return await self._hide(*wanted)

    async def hide_jobs(self, ids: Collection[str], tenant: str = "", *, but: str = "") -> list[str]:
        """Hide these jobs, as far as they are the tenant's.

        Not those whose result has replaced the message `but`.
        """
        former = func.coalesce(_jobs.c.message["former"].as_string(), "")
        wanted: list[ColumnElement[bool]] = [_jobs.c.id.in_(ids), _jobs.c.hidden.is_(False)]
        wanted += [former != but] if but else []
        return await self._hide(*wanted, *([_jobs.c.tenant == tenant] if tenant else []))

    async def _hide(self, *wanted: ColumnElement[bool]) -> list[str]:
        def look(session: Session) -> list[str]:
            return list(session.connection().scalars(select(_jobs.c.id).where(*wanted)))

        def work(session: Session) -> list[str]:
            ids = look(session)
            for id in ids:
                session.connection().execute(update(_jobs).where(_jobs.c.id == id).values(hidden=True))
                contests.redraw(session, id)
            return ids

        # Most messages that are deleted somewhere are not Easel's, and readers do not wait for the writer.
        return await self._write(work) if await self._read(look) else []


def posted(ref: dict[str, Any] | None) -> str:
    """Return "<channel>:<message>" as a platform names a reference's message; empty where it has none."""
    named = (ref or {}).get("message") or (ref or {}).get("ts")
    return f"{ref['channel']}:{named}" if ref and named and "channel" in ref else ""


def _cancel(
    session: Session, wanted: Sequence[Any], which: Callable[[Job], bool], reason: str, now: datetime
) -> list[Job]:
    unfinished = _jobs.c.state.in_([state.value for state in UNFINISHED])
    found = session.scalars(select(JobRow).where(unfinished, *wanted).order_by(_jobs.c.created)).all()
    ids = [each.id for each in with_pictures(session, found) if which(each)]
    return [job(session, id) for id in ids if _end(session, id, reason, now)]


def _end(session: Session, id: str, reason: str, now: datetime) -> bool:
    """Cancel a job; return whether this ended it, as the condition lets only one end through."""
    lives = (_jobs.c.id == id, _jobs.c.state.in_([state.value for state in UNFINISHED]))
    values = {"state": State.CANCELLED.value, "measured": 0.0, "reason": reason, "finished": now}
    if not session.connection().execute(update(_jobs).where(*lives).values(**values)).rowcount:
        return False
    ledger.settle(session, id, 0.0, now, lambda: money.delivered(session, id))
    return True

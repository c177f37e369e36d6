"""Reports, what administrators decide about them, and strikes with the cool-offs they bring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlmodel import Session

from bot.models import INSTANCE, AuditLine, Review, State, Strike
from bot.store import identities, logins
from bot.store.database import Database
from bot.store.privacy import blank
from bot.store.rows import insert_once, table_of, write_down
from bot.store.tables import JobRow, PersonRow, ReportRow, ReviewRow, StrikeRow

WINDOW = timedelta(days=30)  # in which strikes add up
LIMIT = 3  # strikes that begin a cool-off
FIRST_COOL_OFF = timedelta(hours=24)  # each further one within a year lasts twice as long
_YEAR = timedelta(days=365)
_LONGEST = 6  # doublings

_jobs = table_of(JobRow)
_people = table_of(PersonRow)
_reports = table_of(ReportRow)
_reviews = table_of(ReviewRow)
_strikes = table_of(StrikeRow)


class ReviewStore(Database):
    """The part of the store that moderation writes."""

    async def report(self, job: str, member: str, tenant: str) -> bool:
        """Write down that a member reports a job; False when they did before."""
        now = self._clock()

        def work(session: Session) -> bool:
            values = {"job": job, "member": member, "at": now}
            if not insert_once(session, ReportRow, values, ("job", "member")):
                return False
            review = {"job": job, "tenant": tenant, "at": now, "decision": "", "by": ""}
            insert_once(session, ReviewRow, review, ("job",))
            return True

        return await self._write(work)

    async def open_reviews(self, tenant: str = "", limit: int = 20) -> list[Review]:
        """Return reported jobs without a decision, in a tenant or everywhere, the longest waiting first."""
        count = select(func.count()).where(_reports.c.job == _reviews.c.job).scalar_subquery()
        undecided = (_reviews.c.decision == "", _jobs.c.state != State.DELETED.value)
        query = select(_reviews.c.job, _reviews.c.tenant, _reviews.c.at, count.label("reports"))
        query = query.join(_jobs, _jobs.c.id == _reviews.c.job).where(*undecided)
        query = query.where(_reviews.c.tenant == tenant) if tenant else query
        query = query.order_by(_reviews.c.at, _reviews.c.job).limit(limit)
        rows = await self._read(lambda session: session.connection().execute(query).all())
        return [Review(**row._mapping) for row in rows]

    async def decide(self, job: str, decision: str, line: AuditLine, strike: Strike | None = None) -> bool:
        """Keep or remove a reported job; False when it was decided already.

        Removed, it is marked DELETED, which is then to be shown, and `strike` counts; all in one transaction.
        """
        now = self._clock()

        def work(session: Session) -> bool:
            undecided = (_reviews.c.job == job, _reviews.c.decision == "")
            change = update(_reviews).where(*undecided).values(decision=decision, by=line.by)
            if not session.connection().execute(change).rowcount:
                return False
            if decision == "remove":
                removed = {"state": State.DELETED.value, "delivered": None}
                session.connection().execute(update(_jobs).where(_jobs.c.id == job).values(**removed))
                blank(session, job)
            if strike:
                _strike(session, strike, now)
            write_down(session, line)
            return True

        return await self._write(work)

    async def strike(self, strike: Strike) -> Strike:
        """Write down a strike, once for each key; as it is then, with the cool-off it began."""
        now = self._clock()
        return await self._write(lambda session: _strike(session, strike, now))

    async def strikes(self, member: str, tenant: str) -> list[Strike]:
        """Return the strikes that count now, of all who share the member's account, the newest last."""
        now = self._clock()
        return await self._read(lambda session: _counting(session, member, (tenant, INSTANCE), now))

    async def untold(self, member: str, tenant: str) -> Strike | None:
        """Return the oldest strike that the person was not told of, or None, and mark it as told."""

        def work(session: Session) -> Strike | None:
            mine = (_strikes.c.member == member, _strikes.c.tenant == tenant, _strikes.c.told.is_(False))
            row = session.connection().execute(select(_strikes).where(*mine).order_by(_strikes.c.at)).first()
            if row is None:
                return None
            told = update(_strikes).where(_strikes.c.key == row.key).values(told=True)
            session.connection().execute(told)
            return Strike(**row._mapping)

        if not await self._read(lambda session: _has_untold(session, member, tenant)):
            return None
        return await self._write(work)


def _has_untold(session: Session, member: str, tenant: str) -> bool:
    mine = (_strikes.c.member == member, _strikes.c.tenant == tenant, _strikes.c.told.is_(False))
    return session.connection().execute(select(_strikes.c.key).where(*mine).limit(1)).first() is not None


def _strike(session: Session, strike: Strike, now: datetime) -> Strike:
    new = insert_once(session, StrikeRow, {**asdict(strike), "at": now, "cool_off": None}, ("key",))
    if new:
        counting = _counting(session, strike.member, (strike.tenant,), now)
        if strike.at_once or len(counting) >= LIMIT:
            _begin_cool_off(session, strike, now)
    row = session.connection().execute(select(_strikes).where(_strikes.c.key == strike.key)).one()
    return Strike(**row._mapping)


def _counting(session: Session, member: str, tenants: Sequence[str], now: datetime) -> list[Strike]:
    """Return the strikes of the last 30 days since the last cool-off began."""
    found = _since(session, member, tenants, now - WINDOW)
    for index in range(len(found) - 1, -1, -1):
        if found[index].cool_off:
            return found[index + 1 :]
    return found


def _since(session: Session, member: str, tenants: Sequence[str], start: datetime) -> list[Strike]:
    names = identities.names_of(session, member)
    theirs = (_strikes.c.member.in_(names), _strikes.c.tenant.in_(tenants), _strikes.c.at > start)
    query = select(_strikes).where(*theirs).order_by(_strikes.c.at, _strikes.c.key)
    return [Strike(**row._mapping) for row in session.connection().execute(query)]


def _begin_cool_off(session: Session, strike: Strike, now: datetime) -> None:
    """Block the person for a while, unless they are blocked for longer already."""
    before = [each for each in _since(session, strike.member, (strike.tenant,), now - _YEAR) if each.cool_off]
    until = now + FIRST_COOL_OFF * 2 ** min(len(before), _LONGEST)
    change = update(_strikes).where(_strikes.c.key == strike.key).values(cool_off=until)
    session.connection().execute(change)
    this = {"tenant": strike.tenant, "member": strike.member}
    empty = {"tier": "", "blocked": False, "until": None, "reason": "", "strikes": 0}
    insert_once(session, PersonRow, this | empty, ("tenant", "member"))
    same = (_people.c.tenant == strike.tenant, _people.c.member == strike.member)
    count = len(_since(session, strike.member, (strike.tenant,), now - _YEAR))
    session.connection().execute(update(_people).where(*same).values(strikes=count))
    shorter = or_(_people.c.blocked.is_(False), _people.c.until < until)
    values: dict[str, Any] = {"blocked": True, "until": until, "reason": strike.explained}
    if session.connection().execute(update(_people).where(*same, shorter).values(**values)).rowcount:
        write_down(session, _line(strike, until, now))
        logins.end_of_blocked(session, strike.member, strike.tenant)


def _line(strike: Strike, until: datetime, now: datetime) -> AuditLine:
    return AuditLine(
        at=now,
        by="moderation",
        name="Moderation",
        surface="",
        tenant=strike.tenant,
        what="cool-off",
        target=strike.member,
        after=f"until {until:%Y-%m-%d %H:%M} UTC: {strike.category}",
    )

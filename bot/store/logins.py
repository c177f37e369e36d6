"""Who is logged in to the web studio, and the links that log people in.

Neither a cookie nor a link is kept, only a digest of it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, or_, select, update
from sqlmodel import Session

from bot.models import INSTANCE, Login, Member
from bot.store import identities
from bot.store.database import Database
from bot.store.rows import member_of, table_of
from bot.store.tables import WebLinkRow, WebSessionRow

_NOTED = timedelta(minutes=5)  # how exactly it is known when a session was last used

_sessions = table_of(WebSessionRow)
_links = table_of(WebLinkRow)


class LoginStore(Database):
    """The part of the store that knows who is logged in to the web studio."""

    async def save_link(self, digest: str, member: Member, life: timedelta) -> None:
        """Save a link that logs one browser in as the member; their older links end."""
        now = self._clock()

        def work(session: Session) -> None:
            old = or_(_links.c.member == member.id, _links.c.expires <= now)
            session.connection().execute(delete(_links).where(old))
            values = {"digest": digest, **_of(member), "expires": now + life}
            session.connection().execute(_links.insert(), values)

        await self._write(work)

    async def link_of(self, digest: str) -> Member | None:
        """Return the member that a link logs in; None where it was used, has expired, or never was."""
        good = (_links.c.digest == digest, _links.c.expires > self._clock())
        query = select(_links.c.person).where(*good)
        person = await self._read(lambda session: session.connection().scalar(query))
        return _member(person) if person else None

    async def use_link(self, link: str, digest: str, browser: str, life: timedelta) -> Member | None:
        """Take a link away and open the session for its member, in one transaction; None as in `link_of`."""
        now = self._clock()

        def work(session: Session) -> Member | None:
            good = (_links.c.digest == link, _links.c.expires > now)
            used = delete(_links).where(*good).returning(_links.c.person)
            person = session.connection().execute(used).scalar()
            if person is None:
                return None
            _open(session, digest, _member(person), browser, now, life)
            return _member(person)

        return await self._write(work)

    async def open_session(self, digest: str, member: Member, browser: str, life: timedelta) -> None:
        now = self._clock()
        await self._write(lambda session: _open(session, digest, member, browser, now, life))

    async def session(self, digest: str) -> Login | None:
        """Return the session if it is still valid, else None, and note that it was used."""
        now = self._clock()
        this = _sessions.c.digest == digest
        query = select(_sessions).where(this, _sessions.c.expires > now)
        found = await self._read(lambda session: session.connection().execute(query).first())
        if found and now - found.used > _NOTED:
            noted = update(_sessions).where(this).values(used=now)
            await self._write(lambda session: session.connection().execute(noted) and None)
        return _login(found) if found else None

    async def sessions_of(self, member: str) -> list[Login]:
        """Return the sessions of a member and of those who share their account, the last used first."""
        now = self._clock()

        def work(session: Session) -> list[Login]:
            theirs = (_sessions.c.member.in_(identities.names_of(session, member)), _sessions.c.expires > now)
            query = select(_sessions).where(*theirs).order_by(_sessions.c.used.desc(), _sessions.c.digest)
            return [_login(row) for row in session.connection().execute(query)]

        return await self._read(work)

    async def end_session(self, id: str, member: str = "") -> None:
        """End a session; with a `member`, only one that is theirs."""

        def work(session: Session) -> None:
            this = delete(_sessions).where(_sessions.c.digest == id)
            if member:
                this = this.where(_sessions.c.member.in_(identities.names_of(session, member)))
            session.connection().execute(this)

        await self._write(work)

    async def end_sessions_of(self, member: str) -> None:
        """End what a member, and those who share their account, have open; their unused links too."""
        await self._write(lambda session: end_of(session, identities.names_of(session, member)))


def end_of(session: Session, members: Collection[str]) -> None:
    for table in (_sessions, _links):
        session.connection().execute(delete(table).where(table.c.member.in_(members)))


def end_of_blocked(session: Session, member: str, tenant: str) -> None:
    """End what somebody who is blocked in a tenant has open there; a block holds for all their names."""
    members = identities.names_of(session, member)
    for table in (_sessions, _links):
        theirs = delete(table).where(table.c.member.in_(members))
        session.connection().execute(theirs if tenant == INSTANCE else theirs.where(table.c.tenant == tenant))


def _open(
    session: Session, digest: str, member: Member, browser: str, now: datetime, life: timedelta
) -> None:
    session.connection().execute(delete(_sessions).where(_sessions.c.expires <= now))
    times = {"made": now, "used": now, "expires": now + life}
    values = {"digest": digest, **_of(member), "browser": browser, **times}
    session.connection().execute(_sessions.insert(), values)


def _of(member: Member) -> dict[str, Any]:
    return {"member": member.id, "tenant": member.tenant, "person": asdict(member)}


def _member(person: dict[str, Any]) -> Member:
    return member_of({"member": person})


def _login(row: Any) -> Login:
    return Login(id=row.digest, member=_member(row.person), browser=row.browser, made=row.made, used=row.used)

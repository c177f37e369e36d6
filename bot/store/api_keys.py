"""The keys of the API. None is kept itself, only a digest of it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, or_, select, update
from sqlmodel import Session

from bot.models import INSTANCE, ApiKey, AuditLine, Member
from bot.store import identities
from bot.store.database import Database
from bot.store.rows import member_of, table_of, write_down
from bot.store.tables import ApiKeyRow

_NOTED = timedelta(minutes=5)  # how exactly it is known when a key was last used

_keys = table_of(ApiKeyRow)


class ApiKeyStore(Database):
    """The part of the store that keeps the keys of the API."""

    async def save_api_key(
        self,
        id: str,
        digest: str,
        member: Member,
        name: str,
        scope: str,
        most: int,
        line: AuditLine | None = None,
    ) -> bool:
        """Save a key, with the audit's line; False where the member, under all their names, has `most`."""
        values: dict[str, Any] = {"id": id, "digest": digest, "member": member.id, "person": asdict(member)}
        values |= {"name": name, "scope": scope, "made": self._clock(), "used": None}

        def work(session: Session) -> bool:
            theirs = _keys.c.member.in_(identities.names_of(session, member.id))
            present = session.connection().scalar(select(func.count()).select_from(_keys).where(theirs))
            if (present or 0) >= most:
                return False
            session.connection().execute(_keys.insert(), values)
            write_down(session, line)
            return True

        return await self._write(work)

    async def api_key(self, digest: str) -> ApiKey | None:
        """Return the key with that digest, and note that it was used; None where there is none."""
        now = self._clock()
        this = _keys.c.digest == digest
        found = await self._read(
            lambda session: session.connection().execute(select(_keys).where(this)).first()
        )
        if found and (found.used is None or now - found.used > _NOTED):
            noted = update(_keys).where(this).values(used=now)
            await self._write(lambda session: session.connection().execute(noted) and None)
        return _key(found) if found else None

    async def has_api_key(self, id: str) -> bool:
        """Tell whether there is still a key of that id."""
        query = select(_keys.c.id).where(_keys.c.id == id)
        return await self._read(lambda session: session.connection().scalar(query)) is not None

    async def api_keys_of(self, member: str) -> list[ApiKey]:
        """Return the keys of a member and of those who share their account, the oldest first."""

        def work(session: Session) -> list[ApiKey]:
            theirs = _keys.c.member.in_(identities.names_of(session, member))
            query = select(_keys).where(theirs).order_by(_keys.c.made, _keys.c.id)
            return [_key(row) for row in session.connection().execute(query)]

        return await self._read(work)

    async def api_keys_in(self, tenant: str) -> list[ApiKey]:
        """Return the keys that ask in a place, or everywhere with "*"; those used last come first."""

        def work(session: Session) -> list[ApiKey]:
            query = select(_keys).order_by(_keys.c.used.desc(), _keys.c.made.desc())
            found = map(_key, session.connection().execute(query))
            return [each for each in found if tenant in (INSTANCE, each.member.tenant)]

        return await self._read(work)

    async def take_api_key(self, id: str, tenant: str, line: AuditLine) -> ApiKey | None:
        """Delete a key that asks in a place, or everywhere with "*", and write the audit's line."""

        def work(session: Session) -> ApiKey | None:
            found = session.connection().execute(select(_keys).where(_keys.c.id == id)).first()
            if found is None or tenant not in (INSTANCE, _key(found).member.tenant):
                return None
            session.connection().execute(delete(_keys).where(_keys.c.id == id))
            write_down(session, line)
            return _key(found)

        return await self._write(work)

    async def update_api_keys(self, member: Member) -> None:
        """Let a member's keys of a place ask with the name and the roles that the member has there now."""
        theirs = _keys.c.member == member.id

        def stale(session: Session) -> list[str]:
            rows = session.connection().execute(select(_keys).where(theirs)).all()
            found = [(row.id, _key(row).member) for row in rows]
            return [id for id, before in found if before.tenant == member.tenant and before != member]

        if ids := await self._read(stale):
            statement = update(_keys).where(_keys.c.id.in_(ids)).values(person=asdict(member))
            await self._write(lambda session: session.connection().execute(statement) and None)

    async def write_audit(self, line: AuditLine) -> None:
        """Write a line of the audit about what changed nothing."""
        await self._write(lambda session: write_down(session, line))

    async def drop_api_key(
        self, named: str, member: str, line: Callable[[str], AuditLine] | None = None
    ) -> list[str]:
        """Delete the keys of a member, under all their names, with that id or name; return their ids.

        `line` returns the audit's line for an id.
        """

        def work(session: Session) -> list[str]:
            theirs = _keys.c.member.in_(identities.names_of(session, member))
            these = or_(_keys.c.id == named, _keys.c.name == named)
            gone = delete(_keys).where(theirs, these).returning(_keys.c.id)
            ids = list(session.connection().scalars(gone))
            for id in ids:
                write_down(session, line(id) if line else None)
            return ids

        return await self._write(work)


def forget(session: Session, members: Collection[str]) -> None:
    """Delete the keys of these members."""
    session.connection().execute(delete(_keys).where(_keys.c.member.in_(members)))


def _key(row: Any) -> ApiKey:
    person = member_of({"member": row.person})
    return ApiKey(id=row.id, member=person, name=row.name, scope=row.scope, made=row.made, used=row.used)

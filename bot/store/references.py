"""Pictures that people and places keep by name, to paint by.

A row whose picture is one of a job goes with that job. Whether somebody may still see it is asked each time.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, func, select
from sqlmodel import Session

from bot.models import Member, SavedReference
from bot.store import identities
from bot.store.database import Database
from bot.store.rows import table_of
from bot.store.tables import ReferenceRow

MOST = 50  # of one person, or of one place
_PLACE = "place "  # begins the owner's name where a place keeps it

_saved = table_of(ReferenceRow)


def place_owner(tenant: str) -> str:
    """Return the name under which a place keeps references; no member's id looks like it."""
    return f"{_PLACE}{tenant}"


class References(Database):
    """The part of the store that keeps references."""

    async def save_reference(self, kept: SavedReference) -> bool:
        """Keep a picture under a name, in the place of one that had it; False where there are too many."""
        values = {**kept.columns(), "made": self._clock()}
        owned = _saved.c.owner == kept.owner

        def work(session: Session) -> bool:
            others = select(func.count()).where(owned, _saved.c.name != kept.name)
            if (session.connection().scalar(others) or 0) >= MOST:
                return False
            session.connection().execute(delete(_saved).where(owned, _saved.c.name == kept.name))
            session.connection().execute(_saved.insert(), values)
            return True

        return await self._write(work)

    async def reference(self, name: str, member: Member) -> SavedReference | None:
        """Return what the member, under any of their names, or else their place has saved under a name."""

        def work(session: Session) -> SavedReference | None:
            owners = [*identities.names_of(session, member.id), place_owner(member.tenant)]
            query = select(_saved).where(_saved.c.name == name, _saved.c.owner.in_(owners))
            found = session.connection().execute(query.order_by(_saved.c.owner.startswith(_PLACE))).first()
            return _reference(found) if found else None

        return await self._read(work)

    async def references(self, member: Member) -> list[SavedReference]:
        """Return what the member and their place have saved, by name; the member's own first."""

        def work(session: Session) -> list[SavedReference]:
            owners = [*identities.names_of(session, member.id), place_owner(member.tenant)]
            query = select(_saved).where(_saved.c.owner.in_(owners))
            ordered = query.order_by(_saved.c.owner.startswith(_PLACE), _saved.c.name)
            return [_reference(row) for row in session.connection().execute(ordered)]

        return await self._read(work)

    async def delete_reference(self, name: str, owners: Sequence[str]) -> bool:
        """Forget what one of these owners saved under a name; False where there is nothing."""
        gone = delete(_saved).where(_saved.c.name == name, _saved.c.owner.in_(owners))
        return await self._write(lambda session: session.connection().execute(gone).rowcount > 0)

    async def references_of(self, members: Sequence[str]) -> list[SavedReference]:
        """Return what these members have saved, for themselves and for places."""
        query = select(_saved).where(_saved.c.member.in_(members)).order_by(_saved.c.name)
        found = await self._read(lambda session: session.connection().execute(query).all())
        return [_reference(row) for row in found]


def _reference(row: object) -> SavedReference:
    values = dict(row._mapping)  # type: ignore[attr-defined]
    del values["made"]
    return SavedReference(**values)


def forget_member(session: Session, member: str) -> None:
    """Forget what a member has saved, for themselves and for places."""
    session.connection().execute(delete(_saved).where(_saved.c.member == member))


def forget_job(session: Session, job: str) -> None:
    """Forget what was saved of a job's pictures."""
    session.connection().execute(delete(_saved).where(_saved.c.job == job))

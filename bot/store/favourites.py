"""Results that people have marked for themselves.

A row says only who marked what. Whether they may see it is asked whenever it is shown; a job that is deleted
takes its rows with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ScalarSelect, Select, delete, select
from sqlmodel import Session

from bot.store.database import Database
from bot.store.rows import insert_once, table_of
from bot.store.tables import FavouriteRow, IdentityRow

_favourites = table_of(FavouriteRow)
_identities = table_of(IdentityRow)


class Favourites(Database):
    """The part of the store that keeps favourites."""

    async def favour(self, job: str, member: str) -> bool:
        """Mark a job for a member; False when it was marked before."""
        values = {"member": member, "job": job, "at": self._clock()}
        return await self._write(
            lambda session: insert_once(session, FavouriteRow, values, ("member", "job"))
        )

    async def disfavour(self, job: str, members: Sequence[str]) -> bool:
        """Unmark a job for members; False when none of them had marked it."""
        gone = delete(_favourites).where(_favourites.c.job == job, _favourites.c.member.in_(members))
        return await self._write(lambda session: session.connection().execute(gone).rowcount > 0)

    async def favourites_of(self, members: Sequence[str]) -> list[tuple[str, datetime]]:
        """Return the jobs that the members have marked, and when."""
        query = select(_favourites.c.job, _favourites.c.at).where(_favourites.c.member.in_(members))
        found = await self._read(lambda session: session.connection().execute(query).all())
        return [(row.job, row.at) for row in found]


def marked_by(member: str) -> Select[tuple[str]]:
    """Return the query for the jobs that a member has marked, under any name that shares their account."""
    account: ScalarSelect[str] = (
        select(_identities.c.account).where(_identities.c.member == member).scalar_subquery()
    )
    sharing = select(_identities.c.member).where(_identities.c.account == account)
    mine = (_favourites.c.member == member) | _favourites.c.member.in_(sharing)
    return select(_favourites.c.job).where(mine)


def forget_member(session: Session, member: str) -> None:
    """Forget what a member has marked."""
    session.connection().execute(delete(_favourites).where(_favourites.c.member == member))


def forget_job(session: Session, job: str) -> None:
    """Forget who has marked a job."""
    session.connection().execute(delete(_favourites).where(_favourites.c.job == job))

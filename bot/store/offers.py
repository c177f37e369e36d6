"""Texts that were offered to somebody and are too long for a button's id."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlmodel import Session

from bot.models import new_id
from bot.store.database import Database
from bot.store.rows import table_of
from bot.store.tables import OfferRow

MOST = 100  # that are kept for one person; the oldest go first

_offers = table_of(OfferRow)


class Offers(Database):
    """The part of the store that keeps offers."""

    async def keep_offer(self, member: str, text: str) -> str:
        """Keep a text for a member and return its key; a text that is kept already has the key it had."""
        key, now = new_id(), self._clock()
        theirs = _offers.c.member == member

        def work(session: Session) -> str:
            same = update(_offers).where(theirs, _offers.c.text == text).values(made=now)
            if found := session.connection().scalar(same.returning(_offers.c.id)):
                return str(found)
            values = {"id": key, "member": member, "text": text, "made": now}
            session.connection().execute(_offers.insert(), values)
            newest = select(_offers.c.id).where(theirs).order_by(_offers.c.made.desc(), _offers.c.id)
            kept = list(session.connection().scalars(newest.limit(MOST)))
            session.connection().execute(delete(_offers).where(theirs, _offers.c.id.not_in(kept)))
            return key

        return await self._write(work)

    async def offer(self, key: str, member: str) -> str | None:
        """Return the text that was kept for the member under a key; None where there is none."""
        query = select(_offers.c.text).where(_offers.c.id == key, _offers.c.member == member)
        return await self._read(lambda session: session.connection().scalar(query))

    async def offers_of(self, members: Sequence[str]) -> list[tuple[str, datetime]]:
        """Return the texts that are kept for the members, and when each was offered."""
        query = select(_offers.c.text, _offers.c.made).where(_offers.c.member.in_(members))
        found = await self._read(lambda session: session.connection().execute(query).all())
        return [(row.text, row.made) for row in found]

    async def has_offers(self) -> bool:
        """Tell whether any text is kept."""
        query = select(_offers.c.id).limit(1)
        return await self._read(lambda session: session.connection().scalar(query)) is not None

    async def drop_offers(self, before: datetime) -> None:
        """Forget what was offered before a moment."""
        old = delete(_offers).where(_offers.c.made < before)
        await self._write(lambda session: session.connection().execute(old) and None)


def forget(session: Session, member: str) -> None:
    """Forget what was offered to a member."""
    session.connection().execute(delete(_offers).where(_offers.c.member == member))

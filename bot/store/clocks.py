"""What a wrong clock leaves behind is put right; and the time that retention goes by."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, update
from sqlmodel import Session

from bot.store.database import Database
from bot.store.identities import CODE_LIFE
from bot.store.rows import table_of
from bot.store.tables import AccountRow, JobRow, LedgerRow, LinkCodeRow, PersonRow, RetentionRow, StrikeRow

DAY = timedelta(days=1)
LONGEST = timedelta(days=64)  # a cool-off
COOL_OFF = "This is a cool-off"  # begins its reason
CATCHES_UP = 2  # days by which retention may follow a clock that jumped, in each day

_accounts = table_of(AccountRow)
_codes = table_of(LinkCodeRow)
_jobs = table_of(JobRow)
_ledger = table_of(LedgerRow)
_people = table_of(PersonRow)
_retention = table_of(RetentionRow)
_strikes = table_of(StrikeRow)


class Clocks(Database):
    """The part of the store that outlives a clock that was wrong."""

    async def heal(self) -> None:
        """Take what was written more than a day ahead of the clock as written now."""
        now = self._clock()

        def work(session: Session) -> None:
            connection, ahead = session.connection(), now + DAY
            connection.execute(update(_accounts).where(_accounts.c.accepted > ahead).values(accepted=None))
            connection.execute(delete(_codes).where(_codes.c.expires > now + CODE_LIFE + DAY))
            connection.execute(update(_strikes).where(_strikes.c.at > ahead).values(at=now))
            connection.execute(update(_jobs).where(_jobs.c.finished > ahead).values(finished=now))
            connection.execute(update(_jobs).where(_jobs.c.created > ahead).values(created=now))
            cool_off = (_people.c.reason.startswith(COOL_OFF), _people.c.until > now + LONGEST + DAY)
            connection.execute(update(_people).where(*cool_off).values(until=now + DAY))

        await self._write(work)

    async def believed(self, *, confirmed: bool = False) -> tuple[datetime, datetime]:
        """Move on the time that retention uses, and return it with the clock's time.

        It follows the clock, but no more than a day beyond what it had at the last run, and no faster than
        two days in each day: a clock that jumped deletes little before somebody notices. `confirmed`: an
        operator says that the clock is right.
        """
        now = self._clock()

        def work(session: Session) -> tuple[datetime, datetime]:
            row = session.connection().execute(select(_retention)).first()
            last, at = (row.believed, row.at) if row else (_newest(session, now),) * 2
            step = min(DAY, CATCHES_UP * max(timedelta(), now - at))
            believed = now if confirmed else min(now, last + step)
            values: dict[str, Any] = {"believed": believed, "at": now}
            if row:
                session.connection().execute(update(_retention).values(**values))
            else:
                session.connection().execute(_retention.insert().values(id=1, **values))
            return believed, now

        return await self._write(work)


def _newest(session: Session, now: datetime) -> datetime:
    """Return when the ledger was last written, or `now`."""
    newest = session.connection().scalar(select(_ledger.c.at).order_by(_ledger.c.id.desc()).limit(1))
    return min(now, newest or now)

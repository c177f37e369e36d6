"""Let one process lead: it alone starts jobs. A former leader's writes fail, since its number is too low."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select, update
from sqlmodel import Session

from bot.errors import StoreInUse
from bot.store.rows import table_of
from bot.store.tables import LeaderRow

_leader = table_of(LeaderRow)
_IS_MINE = select(_leader.c.term).where(_leader.c.term == bindparam("mine"))
_STAYS_MINE = _IS_MINE.with_for_update(read=True)
_BEGIN = update(_leader).values(term=_leader.c.term + 1).returning(_leader.c.term)

SUPERSEDED = "Another Easel has taken over this database: this one stops, and may be started again after it."


def begin(connection: Connection) -> int:
    """Return the number of a new leader. Waits for what the former one is writing at this moment."""
    return int(connection.execute(_BEGIN).scalar_one())


def check(session: Session, term: int, *, hold: bool = False) -> None:
    """Raise StoreInUse where another process leads; `hold`: none can begin to until the transaction ends."""
    query = _STAYS_MINE if hold else _IS_MINE
    if session.connection().execute(query, {"mine": term}).first() is None:
        raise StoreInUse(SUPERSEDED)

"""What places spend on models that are paid for by the image: buckets of the ledger that count money.

An amount is a whole number of parts of a unit (`engine.prices`), in the columns where other buckets have
device-milliseconds. A month is the calendar's, in UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlmodel import Session

from bot.accounts import periods
from bot.errors import EaselError
from bot.models import Spending, Spent
from bot.store import ledger
from bot.store.database import Database
from bot.store.rows import table_of
from bot.store.tables import AllowanceRow, JobRow, PictureRow

_allowances, _jobs, _pictures = table_of(AllowanceRow), table_of(JobRow), table_of(PictureRow)


class OverBudget(EaselError):
    """A budget in money does not hold this job."""

    def __init__(self, spending: Spending, spent: Spent) -> None:
        super().__init__(
            f"{spending.parts} parts of {spending.currency} wanted, {spent.parts} of {spent.cap} used"
        )
        self.spending, self.spent = spending, spent


class MoneyStore(Database):
    """The part of the store that counts money."""

    async def spent(self, account: str, caps: Iterable[tuple[str, int | None]]) -> list[Spent]:
        """Return what an account has spent this month of each currency, with its cap."""
        wanted, now = list(caps), self._clock()

        def work(session: Session) -> list[Spent]:
            return [_spent(session, account, currency, cap, now) for currency, cap in wanted]

        return await self._read(work)


def hold(session: Session, job: str, spending: Sequence[Spending], now: datetime) -> None:
    """Hold what a job costs on every budget. Raises OverBudget, and has then taken some."""
    amounts = [(_bucket(each.account, each.currency, each.cap, now), each.parts) for each in spending]
    if (full := ledger.hold_each(session, job, amounts, now)) is not None:
        each = next(each for each in spending if each.account == full.account)
        raise OverBudget(each, _spent(session, each.account, each.currency, each.cap, now, each.name))


def delivered(session: Session, job: str) -> tuple[int, int]:
    """Return how many pictures of a job have come, and how many it asked for."""
    single = (_pictures.c.job == job) & (_pictures.c.index >= 0)
    came = session.connection().scalar(select(func.count()).select_from(_pictures).where(single)) or 0
    request = session.connection().scalar(select(_jobs.c.request).where(_jobs.c.id == job)) or {}
    return came, max(came, int(request.get("count", 1)))


def _bucket(account: str, currency: str, cap: int | None, now: datetime) -> ledger.Bucket:
    month = periods.window("month", "UTC", now)
    name = f"{ledger.MONEY}{currency} {month.bucket}"
    return ledger.Bucket(account, name, ledger.BOUNDLESS if cap is None else cap, month.ends)


def _spent(
    session: Session, account: str, currency: str, cap: int | None, now: datetime, name: str = ""
) -> Spent:
    bucket = _bucket(account, currency, cap, now)
    there = (_allowances.c.account == account) & (_allowances.c.bucket == bucket.name)
    used = session.connection().scalar(select(_allowances.c.used_ms).where(there)) or 0
    assert bucket.ends is not None
    return Spent(currency=currency, parts=int(used), cap=cap, resets=bucket.ends, name=name)

"""The books: holds, charges, releases, and the allowances they add up to.

All of it works inside the caller's transaction.
"""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import bindparam, case, func, insert, select, update
from sqlmodel import Session

from bot import quota
from bot.errors import EaselError
from bot.models import Balance
from bot.store.rows import insert_once, table_of
from bot.store.tables import AllowanceRow, LedgerRow

_allowances = table_of(AllowanceRow)
_lines = table_of(LedgerRow)
_of_the_day = (_allowances.c.account == bindparam("of"), _allowances.c.day == bindparam("on"))


class OverQuota(EaselError):
    """The account's allowance of the day does not hold this job."""

    def __init__(self, balance: Balance) -> None:
        super().__init__(f"{balance.left:g} of {balance.cap:g} device-seconds are left")
        self.balance = balance


# One statement decides and takes, so that no two requests can both see the last seconds free.
_TAKE = (
    update(_allowances)
    .where(*_of_the_day, _allowances.c.used_ms + bindparam("amount") <= bindparam("limit"))
    .values(used_ms=_allowances.c.used_ms + bindparam("amount"), cap_ms=bindparam("limit"))
)
_GIVE_BACK = (
    update(_allowances).where(*_of_the_day).values(used_ms=_allowances.c.used_ms - bindparam("amount"))
)


def hold(session: Session, job: str, amount: int, account: str, cap: float, now: datetime) -> None:
    """Take `amount` device-milliseconds from today's allowance of `cap` device-seconds. Raises OverQuota."""
    limit, day = quota.held_ms(cap), quota.period(now)
    new = {"account": account, "day": day, "used_ms": 0, "cap_ms": limit}
    insert_once(session, AllowanceRow, new, ("account", "day"))
    values = {"of": account, "on": day, "amount": amount, "limit": limit}
    if session.connection().execute(_TAKE, values).rowcount == 0:
        raise OverQuota(balance(session, account, cap, now))
    _write(session, job, "hold", account, day, amount, now)


def settle(session: Session, job: str, measured: float, now: datetime) -> float:
    """Turn the job's hold into a charge and a release; returns the charge, in device-seconds."""
    query = select(_lines).where(_lines.c.job == job, _lines.c.kind == "hold")
    held = session.connection().execute(query).one()
    charge = quota.charged_ms(measured, held.amount_ms)
    release = held.amount_ms - charge
    _write(session, job, "charge", held.account, held.day, charge, now)
    _write(session, job, "release", held.account, held.day, release, now)
    session.connection().execute(_GIVE_BACK, {"of": held.account, "on": held.day, "amount": release})
    return charge / 1000


def balance(session: Session, account: str, cap: float, now: datetime) -> Balance:
    """What the account has used today, of `cap` device-seconds."""
    query = select(_allowances.c.used_ms).where(*_of_the_day)
    used = session.connection().scalar(query, {"of": account, "on": quota.period(now)})
    return Balance(cap=cap, used=(used or 0) / 1000, resets=quota.resets(now))


def check(session: Session) -> str:
    """ "ok" when every allowance is what its lines add up to: holds less releases."""
    signed = case({"hold": 1, "charge": 0, "release": -1}, value=_lines.c.kind) * _lines.c.amount_ms
    key = _lines.c.account, _lines.c.day
    sums = session.connection().execute(select(*key, func.sum(signed)).group_by(*key))
    expected = {(account, day): int(total) for account, day, total in sums}
    for row in session.connection().execute(select(_allowances)):
        if row.used_ms != expected.pop((row.account, row.day), 0):
            return f"the allowance of {row.account} on {row.day} differs from its ledger"
    return "the ledger has accounts without an allowance" if expected else "ok"


def _write(
    session: Session, job: str, kind: str, account: str, day: date, amount: int, now: datetime
) -> None:
    values = {"job": job, "kind": kind, "account": account, "day": day, "amount_ms": amount, "at": now}
    session.connection().execute(insert(_lines), values)

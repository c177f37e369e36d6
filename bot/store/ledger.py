"""The ledger: what each bucket has used, and the lines that say why.

A bucket is one account's allowance in one period, or its gifts. Everything works inside the caller's
transaction. Rows are locked in one order (the job, the account, buckets by name), so that processes that
share a database do not wait for each other in a circle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, bindparam, case, func, insert, select, update
from sqlmodel import Session

from bot.accounts import periods
from bot.errors import EaselError
from bot.models import Allowance, Balance, Budget, Tier
from bot.store.rows import insert_once, table_of
from bot.store.tables import AllowanceRow, LedgerRow

GIFTS = "gifts"  # the bucket of what an account was given
UNLIMITED = "unlimited"  # the bucket of an account whose tier has no allowances
MONEY = "money "  # begins the name of a bucket that counts money; see `store.money`
NOTHING = "nothing"  # no bucket: where lines stand that move nothing

_AHEAD = timedelta(days=2)  # by which a clock may have been ahead, and its windows count
BOUNDLESS = 2**53  # device-milliseconds: the cap of the unlimited

_allowances = table_of(AllowanceRow)
_lines = table_of(LedgerRow)
_this = (_allowances.c.account == bindparam("of"), _allowances.c.bucket == bindparam("at"))

Line = dict[str, Any]


class OverQuota(EaselError):
    """An allowance does not hold this job: of all that do not, the one that resets last."""

    def __init__(self, balance: Balance, cost: float) -> None:
        super().__init__(f"{cost:g} device-seconds wanted, {balance.left:g} of {balance.cap:g} left")
        self.balance = balance  # its name is empty for the person's own allowance, else the budget's
        self.cost = cost  # device-seconds


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where an amount goes."""

    account: str
    name: str
    cap_ms: int | None  # None: what its row says
    ends: datetime | None  # None: never
    budget: Budget | None = None  # what it counts, to tell people

    @property
    def order(self) -> tuple[str, str]:
        return self.account, self.name


# ---- where an allowance is counted


def tier_buckets(session: Session, account: str, tier: Tier, now: datetime) -> list[Bucket]:
    """Return the buckets of a tier's allowances for an account at `now`; they may not exist yet."""
    mine = (Budget(account=account, name="", allowance=each) for each in tier.allowances)
    return budget_buckets(session, mine, now) or [Bucket(account, UNLIMITED, BOUNDLESS, None)]


def unlimited_buckets(
    session: Session, account: str, periods: Iterable[Allowance], now: datetime
) -> list[Bucket]:
    """Return buckets that count an account's use without a limit, in the periods of other tiers."""
    unlimited = (Budget(account=account, name="", allowance=each) for each in periods)
    return [replace(each, cap_ms=BOUNDLESS) for each in budget_buckets(session, unlimited, now)]


def budget_buckets(session: Session, budgets: Iterable[Budget], now: datetime) -> list[Bucket]:
    """Return the buckets of budgets at `now`; they may not exist yet."""
    return [_bucket(session, each, now) for each in budgets]


def gift_bucket(account: str) -> Bucket:
    return Bucket(account, GIFTS, None, None)


def _bucket(session: Session, budget: Budget, now: datetime) -> Bucket:
    allowance = budget.allowance
    if allowance.rolling:
        name, ends = _rolling(session, budget.account, allowance, now)
    else:
        window = periods.window(allowance.per, allowance.zone, now)
        name, ends = window.bucket, window.ends
    return Bucket(budget.account, name, periods.cap_ms(allowance), ends, budget)


def _rolling(session: Session, account: str, allowance: Allowance, now: datetime) -> tuple[str, datetime]:
    prefix = f"rolling {allowance.per} "
    newest, length = _newest(session, account, prefix), periods.length(allowance.per)
    if newest and now < newest.ends <= now + length + _AHEAD:  # else a clock was wrong
        return newest.bucket, newest.ends
    return _next(prefix, newest), now + length


def _next(prefix: str, newest: Any) -> str:
    # By number, so that processes that begin a window at the same moment begin the same one.
    number = int(newest.bucket.removeprefix(prefix)) + 1 if newest else 1
    return f"{prefix}{number:06}"


def _newest(session: Session, account: str, prefix: str) -> Any:
    values = {"of": account, "low": f"{prefix}000000", "high": f"{prefix}999999"}
    return session.connection().execute(_NEWEST, values).first()


_NEWEST = (
    select(_allowances)
    .where(_allowances.c.account == bindparam("of"))
    .where(_allowances.c.bucket.between(bindparam("low"), bindparam("high")))
    .order_by(_allowances.c.bucket.desc())
    .limit(1)
)


# ---- holds

# One statement decides and takes, so that no two requests can both see the last seconds free.
_TAKE = (
    update(_allowances)
    .where(*_this, _allowances.c.used_ms + bindparam("amount") <= bindparam("limit"))
    .values(used_ms=_allowances.c.used_ms + bindparam("amount"), cap_ms=bindparam("limit"))
    .returning(_allowances.c.ends)
)
_TAKE_GIFTS = (
    update(_allowances)
    .where(*_this, _allowances.c.used_ms + bindparam("amount") <= _allowances.c.cap_ms)
    .values(used_ms=_allowances.c.used_ms + bindparam("amount"))
)
_GIVE_BACK = update(_allowances).where(*_this).values(used_ms=_allowances.c.used_ms - bindparam("amount"))


def hold(session: Session, job: str, amount: int, buckets: Iterable[Bucket], now: datetime) -> None:
    """Take `amount` device-milliseconds from every bucket. Raises OverQuota, and has then taken some."""
    found = [(each, take(session, each, amount)) for each in _distinct(buckets)]
    if full := [each for each, taken in found if taken is None]:
        raise OverQuota(_last_to_reset(session, full), amount / 1000)
    buckets = [each for _, each in found if each]
    lines = [_line(each.account, each.name, amount, cap_ms=each.cap_ms, ends=each.ends) for each in buckets]
    write(session, lines, kind="hold", job=job, key=f"{job}/hold", at=now)


def hold_each(
    session: Session, job: str, amounts: Sequence[tuple[Bucket, int]], now: datetime
) -> Bucket | None:
    """Take from each bucket its own amount; return the first that is too full, and has then taken some."""
    lines = []
    for bucket, amount in sorted(amounts, key=lambda each: each[0].order):
        if take(session, bucket, amount) is None:
            return bucket
        lines.append(_line(bucket.account, bucket.name, amount, cap_ms=bucket.cap_ms, ends=bucket.ends))
    write(session, lines, kind="hold", job=job, key=f"{job}/money", at=now)
    return None


def hold_nothing(session: Session, job: str, account: str, now: datetime) -> None:
    """Write the hold of a job that costs nothing."""
    write(session, [_line(account, NOTHING, 0)], kind="hold", job=job, key=f"{job}/hold", at=now)


def take(session: Session, bucket: Bucket, amount: int) -> Bucket | None:
    """Take from a bucket, which may be new; return it as its row is, or None when it is too full."""
    values = {"of": bucket.account, "at": bucket.name, "amount": amount, "limit": bucket.cap_ms}
    if bucket.cap_ms is None:
        del values["limit"]
        return bucket if session.connection().execute(_TAKE_GIFTS, values).rowcount else None
    for _ in range(2):  # the second time where another process has just made the row
        if row := session.connection().execute(_TAKE, values).first():
            return replace(bucket, ends=row.ends)
        if amount > bucket.cap_ms:
            return None
        if _create(session, bucket, used_ms=amount):
            return bucket
    return None


def settle(
    session: Session, job: str, measured: float, now: datetime, delivered: Callable[[], tuple[int, int]]
) -> float:
    """Turn the job's hold into a charge and a release; return the charge, in device-seconds.

    Of what is held in money, those pictures are charged that were `delivered`, of how many.
    The database refuses to settle twice: a job has one line of each key.
    """
    charges, releases = [], []
    for account, bucket, held in _held(session, job):
        charge = periods.charged_ms(measured, held)
        if bucket.startswith(MONEY):
            came, wanted = delivered()
            charge = -(-held * came // wanted)
        charges.append(_line(account, bucket, charge))
        releases.append(_line(account, bucket, held - charge))
    write(session, charges, kind="charge", job=job, key=f"{job}/charge", at=now)
    write(session, releases, kind="release", job=job, key=f"{job}/release", at=now)
    for each in releases:
        if amount := each["amount_ms"]:
            values = {"of": each["account"], "at": each["bucket"], "amount": amount}
            session.connection().execute(_GIVE_BACK, values)
    seconds = [each["amount_ms"] for each in charges if not each["bucket"].startswith(MONEY)]
    return float(max(seconds, default=0) / 1000)


def release_all(session: Session, job: str, now: datetime) -> None:
    """Release all that the job holds but money, so that it costs no device-seconds."""
    held = [each for each in _held(session, job) if not each[1].startswith(MONEY)]
    lines = [_line(account, bucket, amount) for account, bucket, amount in held]
    write(session, lines, kind="release", job=job, key=f"{job}/relax", at=now)
    for each in lines:
        values = {"of": each["account"], "at": each["bucket"], "amount": each["amount_ms"]}
        session.connection().execute(_GIVE_BACK, values)


_open = func.sum(
    case({"hold": 1, "release": -1, "charge": -1}, value=_lines.c.kind, else_=0) * _lines.c.amount_ms
)
_HELD = (
    select(_lines.c.account, _lines.c.bucket, _open)
    .where(_lines.c.job == bindparam("of"))
    .group_by(_lines.c.account, _lines.c.bucket)
)


def _held(session: Session, job: str) -> list[tuple[str, str, int]]:
    """Return account, bucket and ms of each hold of the job; of a job that holds nothing, one with 0."""
    rows = sorted((a, b, int(held)) for a, b, held in session.connection().execute(_HELD, {"of": job}))
    return [row for row in rows if row[2]] or rows[:1]


def _distinct(buckets: Iterable[Bucket]) -> list[Bucket]:
    """Sort buckets in the order of locks. Of two with one name the smaller cap counts."""
    found: dict[tuple[str, str], Bucket] = {}
    for each in sorted(buckets, key=lambda each: (each.order, -(each.cap_ms or 0))):
        found[each.order] = each
    return list(found.values())


# ---- gifts and resets


def gift(session: Session, account: str, amount: int, *, by: str, key: str, now: datetime) -> bool:
    """Give device-milliseconds; return False when this key was used before."""
    line = _line(account, GIFTS, amount)
    if not _write_once(session, line, kind="gift", key=f"gift/{key}", at=now, by=by):
        return False
    _create(session, replace(gift_bucket(account), cap_ms=0))
    _move(session, account, GIFTS, cap=amount)
    return True


def reset(session: Session, account: str, *, by: str, key: str, now: datetime) -> bool:
    """Forget what was charged in the present periods; return False when this key was used before.

    What is held stays held, and gifts stay as they are.
    """
    if not _write_once(session, _line(account, NOTHING, 0), kind="reset", key=f"reset/{key}", at=now, by=by):
        return False
    lines = []
    for row in _present(session, account, now):
        charged = row.used_ms - sum(_holds(session, row).values())
        if charged and row.bucket != GIFTS:
            lines.append(_line(account, row.bucket, charged))
            _move(session, account, row.bucket, used=-charged)
    write(session, lines, kind="reset", key=f"reset/{key}", at=now, by=by)
    return True


# ---- two accounts become one, or one two


def merge(session: Session, source: str, target: str, *, by: str, key: str, now: datetime) -> None:
    """Move all that counts at present, and all that is held, from one account to another."""
    for row in _present(session, source, now):
        if row.used_ms or (row.cap_ms and row.bucket == GIFTS):
            lines = _merge(session, row, _counterpart(session, row, target, now))
            write(session, lines, key=f"{key}/{row.bucket}", at=now, by=by)


def copy(session: Session, source: str, target: str, *, by: str, key: str, now: datetime) -> None:
    """Copy what an account has used to a new one; gifts stay with the old one."""
    for row in _present(session, source, now):
        if row.used_ms and row.bucket not in (GIFTS, UNLIMITED):
            bucket = Bucket(target, row.bucket, row.cap_ms, row.ends)
            _create(session, bucket, used_ms=row.used_ms)
            line = _line(target, row.bucket, row.used_ms, cap_ms=row.cap_ms, ends=row.ends)
            write(session, [line], kind="merge", key=f"{key}/{row.bucket}", at=now, by=by)


def _merge(session: Session, row: Any, bucket: Bucket) -> list[Line]:
    """Move one bucket's content; return the ledger lines of that."""
    given = row.cap_ms if row.bucket == GIFTS else 0
    _create(session, replace(bucket, cap_ms=0 if row.bucket == GIFTS else row.cap_ms))
    there = _row(session, bucket, _ROW.with_for_update())
    cap = there.cap_ms + given if given else max(there.cap_ms, there.used_ms + row.used_ms)
    _move(session, row.account, row.bucket, used=-row.used_ms, cap=-given)
    change = {"used": there.used_ms + row.used_ms, "cap": cap, "new_end": bucket.ends}
    session.connection().execute(_SET, {"of": bucket.account, "at": bucket.name, **change})
    new = {"cap_ms": None if given else cap, "ends": bucket.ends}
    held, lines = _holds(session, row), []
    for job, amount in held.items():
        lines.append(_line(row.account, row.bucket, amount, kind="release", job=job))
        lines.append(_line(bucket.account, bucket.name, amount, kind="hold", job=job, **new))
    for kind, amount in (("merge", row.used_ms - sum(held.values())), ("gift", given)):
        if amount:
            lines.append(_line(row.account, row.bucket, -amount, kind=kind))
            lines.append(_line(bucket.account, bucket.name, amount, kind=kind, **new))
    return lines


def _counterpart(session: Session, row: Any, account: str, now: datetime) -> Bucket:
    """Return the other account's bucket for the same purpose; of two rolling windows the later end counts."""
    if not row.bucket.startswith("rolling "):
        return Bucket(account, row.bucket, None, row.ends)
    prefix = row.bucket[:-6]
    newest = _newest(session, account, prefix)
    if newest and newest.ends > now:
        return Bucket(account, newest.bucket, None, max(row.ends, newest.ends))
    return Bucket(account, _next(prefix, newest), None, row.ends)


def _holds(session: Session, row: Any) -> dict[str, int]:
    """Return the device-milliseconds that each job holds in a bucket."""
    here = (_lines.c.account == row.account, _lines.c.bucket == row.bucket, _lines.c.job.is_not(None))
    query = select(_lines.c.job, _open).where(*here).group_by(_lines.c.job).having(_open > 0)
    return {job: int(held) for job, held in session.connection().execute(query.order_by(_lines.c.job))}


# ---- balances


def balances(session: Session, account: str, buckets: Sequence[Bucket]) -> list[Balance]:
    """Return the balance of each bucket that has a cap, and of the account's gifts if there were any."""
    found = [_balance(session, each) for each in buckets if each.name != UNLIMITED]
    given = _balance(session, gift_bucket(account))
    return [*found, given] if given.cap else found


def _balance(session: Session, bucket: Bucket) -> Balance:
    row = _row(session, bucket)
    used, cap = (row.used_ms, row.cap_ms) if row else (0, 0)
    return Balance(
        cap=(cap if bucket.cap_ms is None else bucket.cap_ms) / 1000,
        used=used / 1000,
        resets=bucket.ends,
        name=bucket.budget.name if bucket.budget else "gift",
        per=bucket.budget.allowance.per if bucket.budget else None,
    )


def describe(session: Session, account: str, now: datetime) -> str:
    """Format what the account has used of each of its present buckets, as text for the audit."""
    return "; ".join(map(_described, _present(session, account, now)))


def _described(row: Any) -> str:
    cap = f" of {row.cap_ms / 1000:g}" if row.cap_ms < BOUNDLESS else ""
    return f"{row.bucket}: {row.used_ms / 1000:g}{cap} s"


def _last_to_reset(session: Session, buckets: Sequence[Bucket]) -> Balance:
    last = max(buckets, key=lambda each: (each.ends is None, each.ends))
    return _balance(session, last)


# ---- checking balances against the lines


def check(session: Session) -> str:
    """Return "ok" when every allowance is the sum of its lines, else what differs."""
    expected = _from_lines(session)
    for row in session.connection().execute(select(_allowances)):
        if expected.pop((row.account, row.bucket), None) != (row.used_ms, row.cap_ms, row.ends):
            return f"the allowance of {row.account} ({row.bucket}) differs from its ledger"
    if expected:
        return "the ledger has accounts without an allowance"
    return "ok"


def rebuild(session: Session) -> None:
    """Compute every allowance again, from the lines alone."""
    session.connection().execute(_allowances.delete())
    for (account, bucket), (used, cap, ends) in _from_lines(session).items():
        _create(session, Bucket(account, bucket, cap, ends), used_ms=used)


_effect = case({"hold": 1, "release": -1, "reset": -1, "merge": 1}, value=_lines.c.kind, else_=0)
_sums = (
    select(
        _lines.c.account,
        _lines.c.bucket,
        func.sum(_effect * _lines.c.amount_ms).label("used"),
        func.sum(case({"gift": 1}, value=_lines.c.kind, else_=0) * _lines.c.amount_ms).label("given"),
        func.max(_lines.c.ends).label("ends"),
        func.max(case((_lines.c.cap_ms.is_not(None), _lines.c.id))).label("newest"),
    )
    .where(_lines.c.bucket != NOTHING)
    .group_by(_lines.c.account, _lines.c.bucket)
    .subquery()
)
_FROM_LINES = select(_sums, _lines.c.cap_ms).outerjoin(_lines, _lines.c.id == _sums.c.newest)


def _from_lines(session: Session) -> dict[tuple[str, str], tuple[int, int, datetime | None]]:
    """Return the used ms, the cap and the end of every bucket, computed from the lines."""
    return {
        (row.account, row.bucket): (
            int(row.used),
            int(row.given) if row.bucket == GIFTS else row.cap_ms,
            row.ends,
        )
        for row in session.connection().execute(_FROM_LINES)
    }


# ---- rows and lines

_SET = (
    update(_allowances)
    .where(*_this)
    .values(used_ms=bindparam("used"), cap_ms=bindparam("cap"), ends=bindparam("new_end"))
)
_MOVE = (
    update(_allowances)
    .where(*_this)
    .values(used_ms=_allowances.c.used_ms + bindparam("used"), cap_ms=_allowances.c.cap_ms + bindparam("cap"))
)
_ROW = select(_allowances).where(*_this)


def _row(session: Session, bucket: Bucket, query: Select[Any] = _ROW) -> Any:
    return session.connection().execute(query, {"of": bucket.account, "at": bucket.name}).first()


def _create(session: Session, bucket: Bucket, used_ms: int = 0) -> bool:
    """Make the bucket's row, unless it is there."""
    values = {
        "account": bucket.account,
        "bucket": bucket.name,
        "used_ms": used_ms,
        "cap_ms": bucket.cap_ms,
        "ends": bucket.ends,
    }
    return insert_once(session, AllowanceRow, values, ("account", "bucket"))


def _move(session: Session, account: str, bucket: str, *, used: int = 0, cap: int = 0) -> None:
    values = {"of": account, "at": bucket, "used": used, "cap": cap}
    session.connection().execute(_MOVE, values)


def _present(session: Session, account: str, now: datetime) -> list[Any]:
    """Lock and return the rows of the account's buckets whose period has not ended."""
    counts = _allowances.c.ends.is_(None) | (_allowances.c.ends > now)
    query = select(_allowances).where(_allowances.c.account == account, counts)
    query = query.order_by(_allowances.c.bucket).with_for_update()
    return list(session.connection().execute(query))


_BLANK: Line = {"job": None, "cap_ms": None, "ends": None, "by": ""}


def _line(account: str, bucket: str, amount: int, **more: Any) -> Line:
    return {**_BLANK, "account": account, "bucket": bucket, "amount_ms": amount, **more}


def write(session: Session, lines: Sequence[Line], *, key: str, **more: Any) -> None:
    if lines:
        numbered = [{**line, **more, "key": f"{key}/{n}"} for n, line in enumerate(lines)]
        session.connection().execute(insert(_lines), numbered)


def _write_once(session: Session, line: Line, **more: Any) -> bool:
    return insert_once(session, LedgerRow, {**line, **more}, ("key",))

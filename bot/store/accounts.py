"""What can be asked and done about accounts: balances, gifts, links, the ledger's lines."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from statistics import median, quantiles
from typing import Any

from sqlalchemy import Select, select
from sqlmodel import Session

from bot.accounts import periods
from bot.models import Accuracy, AuditLine, Balance, Budget, LedgerLine, State, Tier
from bot.store import aside, identities, ledger
from bot.store.database import Database
from bot.store.rows import table_of, write_down
from bot.store.tables import JobRow, LedgerRow
from engine.prices import PARTS

_PAGE = 1000  # lines read at a time

_jobs = table_of(JobRow)
_lines = table_of(LedgerRow)


class Accounts(Database):
    """The part of the store that is about accounts."""

    async def balances(self, account: str, tier: Tier, budgets: Sequence[Budget] = ()) -> list[Balance]:
        """Return the tier's allowances in its order, then the budgets, then the gifts if there were any."""
        now = self._clock()

        def work(session: Session) -> list[Balance]:
            own = ledger.tier_buckets(session, account, tier, now)
            return ledger.balances(session, account, own + ledger.budget_buckets(session, budgets, now))

        return await self._read(work)

    async def gift(self, member: str, seconds: float, line: AuditLine, key: str) -> bool:
        """Give the member's account device-seconds that last until they are used.

        Return False when this key was used before. The audit's line gets what was used before and after.
        Raises ValueError.
        """
        amount, now = periods.gift_ms(seconds), self._clock()
        return await self._administer(
            member, line, lambda session, of: ledger.gift(session, of, amount, by=line.by, key=key, now=now)
        )

    async def reset(self, member: str, line: AuditLine, key: str) -> bool:
        """Forget what the account was charged in its present periods; False when this key was used before."""
        now = self._clock()
        return await self._administer(
            member, line, lambda session, of: ledger.reset(session, of, by=line.by, key=key, now=now)
        )

    async def _administer(self, member: str, line: AuditLine, change: Callable[[Session, str], bool]) -> bool:
        now = self._clock()

        def work(session: Session) -> bool:
            account = identities.locked_account_of(session, member)
            before = ledger.describe(session, account, now)
            if not change(session, account):
                return False
            write_down(session, replace(line, before=before, after=ledger.describe(session, account, now)))
            return True

        return await self._write(work)

    async def rebuild(self) -> None:
        """Compute every balance again, from the ledger alone."""
        await self._write(ledger.rebuild)

    # ---- who shares an account

    async def account_of(self, member: str) -> str:
        """Return the account that pays for what the member asks."""
        return await self._read(lambda session: identities.account_of(session, member))

    async def members_of(self, account: str) -> list[str]:
        """Return the ids of all members that use the account."""
        return await self._read(lambda session: identities.members_of(session, account))

    async def link_code(self, member: str) -> str:
        """Create a code, for ten minutes and one use, by which another member joins this one's account."""
        now = self._clock()
        return await self._write(lambda session: identities.new_code(session, member, now))

    async def link(self, code: str, member: str) -> str:
        """Join the member's account to that of the code's maker; return the account. Raises LinkRefused."""
        now = self._clock()
        return await self._write(lambda session: identities.link(session, code, member, now))

    async def unlink(self, member: str) -> str:
        """Split the member off the shared account; return its own new account. Raises LinkRefused."""
        now = self._clock()
        return await self._write(lambda session: identities.unlink(session, member, now))

    # ---- reports

    async def lines(
        self,
        *,
        account: str = "",
        tenant: str = "",
        since: datetime | None = None,
    ) -> AsyncIterator[LedgerLine]:
        """Yield the ledger lines, oldest first; of a tenant those of its jobs."""
        query = select(_lines).order_by(_lines.c.id).limit(_PAGE)
        query = query.where(_lines.c.account == account) if account else query
        query = query.where(_lines.c.at >= since) if since else query
        if tenant:
            query = query.where(_lines.c.job.in_(select(_jobs.c.id).where(_jobs.c.tenant == tenant)))
        last = 0
        while page := await self._page(query.where(_lines.c.id > last)):
            for line in page:
                yield line
            last = page[-1].id

    async def newest_line(self) -> datetime | None:
        """Return when the ledger was last written, or None."""
        query = select(_lines.c.at).order_by(_lines.c.id.desc()).limit(1)
        return await self._read(lambda session: session.connection().scalar(query))

    async def accuracy(self, last: int = 1000) -> dict[str, Accuracy]:
        """Return the relative errors of the estimates for the last rendered jobs, by model."""
        rendered = (_jobs.c.state == State.RENDERED.value, _jobs.c.measured > 0)
        query = select(_jobs.c.request, _jobs.c.estimate, _jobs.c.measured).where(*rendered)
        query = query.order_by(_jobs.c.created.desc()).limit(last)
        rows = await self._read(lambda session: session.connection().execute(query).all())
        errors: dict[str, list[float]] = {}
        for row in rows:
            error = abs(row.measured - row.estimate) / row.measured
            errors.setdefault(str(aside.mapping(row.request).get("model")), []).append(error)
        return {model: _accuracy(found) for model, found in errors.items()}

    async def _page(self, query: Select[Any]) -> Sequence[LedgerLine]:
        return await self._read(lambda session: [_line(row) for row in session.connection().execute(query)])


def _line(row: Any) -> LedgerLine:
    money = row.bucket.startswith(ledger.MONEY)
    return LedgerLine(
        id=row.id,
        at=row.at,
        kind=row.kind,
        account=row.account,
        bucket=row.bucket,
        seconds=0.0 if money else row.amount_ms / 1000,
        job=row.job,
        by=row.by,
        key=row.key,
        money=row.amount_ms / PARTS if money else 0.0,
    )


def _accuracy(errors: Sequence[float]) -> Accuracy:
    p90 = quantiles(errors, n=10, method="inclusive")[-1] if len(errors) > 1 else errors[0]
    return Accuracy(jobs=len(errors), median=median(errors), p90=p90)

"""Administrators and records: reports, the audit, the ledger as a file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from bot import formats
from bot.accounts.access import Access
from bot.admin import csv_export
from bot.admin.asked import AdminRequest, Commands, titled, who
from bot.i18n import _, join
from bot.messages import marks
from bot.messages.types import Card
from bot.models import INSTANCE, AuditLine, LedgerLine
from bot.moderation.reviews import Reviews
from bot.store import Store

MOST_LINES = 100_000  # of the ledger in one file


@dataclass(eq=False)
class RecordCommands:
    """Answers `/reports`, `/admin decide`, `audit` and `export`."""

    _store: Store
    _access: Access
    _reviews: Reviews

    @property
    def commands(self) -> Commands:
        return {
            "reports": self._reports,
            "admin decide": self._decide,
            "admin audit": self._audit,
            "admin export": self._export,
        }

    async def _reports(self, asked: AdminRequest) -> Card:
        if asked.origin.member.admin or asked.operator:
            return await self._reviews.queue(asked.origin)
        return await self._reviews.listed(asked.origin, await self._access.rules(asked.origin.member))

    async def _decide(self, asked: AdminRequest) -> Card:
        return await self._reviews.decide(asked.options["job"], asked.options["do"], asked.origin)

    async def _audit(self, asked: AdminRequest) -> Card:
        tenant = "" if asked.tenant == INSTANCE else asked.tenant
        found = await self._store.audit(tenant, search=asked.options.get("search", ""))
        lines = [_audit_line(each, everywhere=not tenant) for each in found]
        return titled(_("Audit"), lines or [_("Nothing was changed yet.")])

    async def _export(self, asked: AdminRequest) -> Card:
        days = asked.options.get("days", 30)
        tenant = "" if asked.tenant == INSTANCE else asked.tenant
        lines = 0

        async def first() -> AsyncIterator[LedgerLine]:
            nonlocal lines
            since = datetime.now(UTC) - timedelta(days=days)
            async for each in self._store.lines(tenant=tenant, since=since):
                if lines == MOST_LINES:
                    return
                lines += 1
                yield each

        text = [piece async for piece in csv_export.ledger(first())]
        said = [_("{lines} lines of the last {days} days.", lines=f"{lines:,}", days=days)]
        said += (
            [_("There are more than {most}: choose fewer days.", most=f"{MOST_LINES:,}")]
            if lines == MOST_LINES
            else []
        )
        file = ("easel-ledger.csv", "".join(text).encode())
        return replace(titled(_("Ledger"), said), files=(file,))


def _audit_line(line: AuditLine, *, everywhere: bool) -> str:
    """Return a line of the audit, with its place where those of all places are shown."""
    place = f" in {line.tenant}" if everywhere and line.tenant != INSTANCE else ""
    name = f"{line.name} ({line.by})"
    return join(" · ", (marks.time(line.at, formats.date(line.at)), *_change(line, name, place)))


def change_line(line: AuditLine) -> str:
    """Return an administrator's change as a line of the place's log."""
    return join(" · ", _change(line, line.name))


def _change(line: AuditLine, name: str, place: str = "") -> tuple[str, ...]:
    change = f"{line.before or 'none'} → {line.after}" if line.before or line.after else ""
    return (
        join("", (marks.person(line.by, name), place)),
        join(" ", (f"/{line.what}", _target(line))),
        change,
    )


def _target(line: AuditLine) -> str:
    """Return what was changed, by its name where the surface knows it."""
    if ":" in line.target:
        return marks.person(line.target)
    if line.what in ("admin set channel", "admin quota budget", "admin log"):
        return marks.channel(line.target) if line.target else ""
    if line.what in ("admin tier role", "admin quota role"):
        return who(line.target)
    return line.target

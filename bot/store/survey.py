"""Looks through all rows for those that cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, SQLModel

from bot.store import aside, rows
from bot.store.tables import (
    InstallationRow,
    JobRow,
    LedgerRow,
    PersonRow,
    PolicyRow,
    PreferencesRow,
    RetentionRow,
)

_PAGE = 1000


def unreadable(session: Session) -> Iterator[str]:
    """Yield each row that is set aside, with its reason."""
    checks: dict[type[SQLModel], Callable[[Any], str]] = {
        JobRow: _job,
        PolicyRow: lambda row: aside.mended(rows.POLICY, row.policy)[1],
        PersonRow: lambda row: aside.mended(rows.PERSON, dict(row._mapping))[1],
        PreferencesRow: lambda row: aside.mended(rows.PREFERENCES, dict(row._mapping))[1],
        InstallationRow: lambda row: "" if isinstance(row.sealed, str) else "sealed: no text",
    }
    for kind, check in checks.items():
        table = rows.table_of(kind)
        found = session.connection().execute(table.select().execution_options(yield_per=_PAGE))
        for row in found:
            if wrong := check(row):
                key = "/".join(str(row._mapping[column.name]) for column in table.primary_key)
                yield f"{table.name} {key} ({wrong})"


def moments(session: Session) -> dict[str, datetime | None]:
    """Return when the ledger was last written, and the time that retention goes by."""
    lines, retention = rows.table_of(LedgerRow), rows.table_of(RetentionRow)
    return {
        "newest": session.connection().scalar(select(lines.c.at).order_by(lines.c.id.desc()).limit(1)),
        "believed": session.connection().scalar(select(retention.c.believed)),
    }


def _job(row: Any) -> str:
    try:
        rows.read(row)
    except rows.Unreadable as error:
        return str(error)
    return ""

"""Tables for spreadsheets: CSV whose cells are never taken for formulas."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable

from bot.models import LedgerLine

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a cell begins with that a spreadsheet might compute. Source: OWASP, CSV Injection."""

HEAD = ("id", "at", "kind", "account", "bucket", "device_seconds", "job", "by", "key")
PIECE = 500  # lines


def row(cells: Iterable[str | int | float | None]) -> str:
    """One line of CSV. Text that looks like a formula gets an apostrophe in front; numbers stay numbers."""
    out = io.StringIO()
    csv.writer(out).writerow([_cell(cell) for cell in cells])
    return out.getvalue()


def _cell(value: str | int | float | None) -> str:
    match value:
        case None:
            return ""
        case str() as text:
            return f"'{text}" if text.startswith(FORMULA) else text
        case float() as number:
            return f"{number:.3f}"
    return str(value)


def line(of: LedgerLine) -> str:
    cells = (of.id, of.at.isoformat(), of.kind, of.account, of.bucket, of.seconds, of.job, of.by, of.key)
    return row(cells)


async def ledger(lines: AsyncIterator[LedgerLine]) -> AsyncIterator[str]:
    """The books as CSV, in pieces of many lines."""
    piece = [row(HEAD)]
    async for each in lines:
        piece.append(line(each))
        if len(piece) >= PIECE:
            yield "".join(piece)
            piece.clear()
    yield "".join(piece)

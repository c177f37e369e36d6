"""Tables for spreadsheets: CSV whose cells are never taken for formulas."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

from bot.models import LedgerLine

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a cell begins with that a spreadsheet might compute. Source: OWASP, CSV Injection."""

Cell = str | int | float | None

_COLUMNS: Mapping[str, Callable[[LedgerLine], Cell]] = {
    "id": lambda of: of.id,
    "at": lambda of: of.at.isoformat(),
    "kind": lambda of: of.kind,
    "account": lambda of: of.account,
    "bucket": lambda of: of.bucket,
    "device_seconds": lambda of: of.seconds,
    "money": lambda of: f"{of.money:.4f}" if of.money else "",
    "job": lambda of: of.job,
    "by": lambda of: of.by,
    "key": lambda of: of.key,
}
ALL = tuple(_COLUMNS)
PIECE = 500  # lines


def row(cells: Iterable[Cell]) -> str:
    """Format a line of CSV. Text that looks like a formula gets an apostrophe first; numbers stay numbers."""
    return table([cells])


def table(rows: Iterable[Iterable[Cell]]) -> str:
    """Format rows as lines of CSV."""
    out = io.StringIO()
    csv.writer(out).writerows([_cell(cell) for cell in cells] for cells in rows)
    return out.getvalue()


def _cell(value: Cell) -> str:
    match value:
        case None:
            return ""
        case str() as text:
            return f"'{text}" if text.startswith(FORMULA) else text
        case float() as number:
            return f"{number:.3f}"
    return str(value)


async def ledger(lines: AsyncIterator[LedgerLine], columns: Sequence[str] = ALL) -> AsyncIterator[str]:
    """Yield the ledger as CSV with a header row, in pieces of many lines, each written in a thread."""
    yield row(columns)
    piece: list[LedgerLine] = []
    async for each in lines:
        piece.append(each)
        if len(piece) >= PIECE:
            yield await asyncio.to_thread(_written, piece, columns)
            piece = []
    yield await asyncio.to_thread(_written, piece, columns)


def _written(lines: Sequence[LedgerLine], columns: Sequence[str]) -> str:
    cells = [_COLUMNS[name] for name in columns]
    return table([cell(line) for cell in cells] for line in lines)

"""The table of the matrix in `docs/models.md`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tests.matrix import HEAD, Row

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
BEGIN, END = "<!-- made by python -m tests.matrix -->", "<!-- end -->"


def write(rows: Sequence[Row], page: Path = PAGE) -> None:
    """Put the rows in the place of the former ones."""
    text = page.read_text(encoding="utf-8")
    table = "\n".join([BEGIN, HEAD, *map(str, rows), END])
    before, _, rest = text.partition(BEGIN)
    page.write_text(f"{before}{table}{rest.partition(END)[2]}", encoding="utf-8")


def named(page: Path = PAGE) -> list[tuple[str, str]]:
    """Return title and class of each row that stands there."""
    _, _, table = page.read_text(encoding="utf-8").partition(BEGIN)
    return re.findall(r"^\| ([^|]+) \| `(\w+)` \|", table.partition(END)[0], re.MULTILINE)

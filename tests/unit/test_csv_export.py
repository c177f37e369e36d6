"""CSV that a spreadsheet does not compute."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.admin import csv_export


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_text_that_looks_like_a_formula_gets_an_apostrophe(text: str) -> None:
    assert next(csv.reader(io.StringIO(csv_export.row([text]), newline=""))) == [f"'{text}"]


def test_numbers_stay_numbers() -> None:
    assert csv_export.row([-2, -0.5, None, "a"]) == "-2,-0.500,,a\r\n"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1))
def test_every_text_comes_back_and_none_is_a_formula(cells: list[str]) -> None:
    (row,) = csv.reader(io.StringIO(csv_export.row(cells), newline=""))

    assert [cell.removeprefix("'") for cell in row] == [cell.removeprefix("'") for cell in cells]
    assert not any(cell.startswith(csv_export.FORMULA) for cell in row)

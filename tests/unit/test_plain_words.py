"""Requests in plain words, English and German, and what each asks for."""

from __future__ import annotations

from pathlib import Path

from bot.prompts import Draft, parse

LINES = (Path(__file__).parents[1] / "corpora" / "readings.tsv").read_text(encoding="utf-8").splitlines()


def wanted(line: str) -> tuple[str, Draft]:
    text, prompt, count, aspect, style = line.split("\t")
    return text, Draft(prompt=prompt, count=int(count) if count else None, aspect=aspect, style=style)


def test_requests_are_read_as_they_are_meant() -> None:
    wrong = {text: parse(text) for text, draft in map(wanted, LINES) if parse(text) != draft}
    print(f"{1 - len(wrong) / len(LINES):.1%} of {len(LINES)} requests are read as meant")  # noqa: T201
    assert len(LINES) >= 200 and len(wrong) <= 0.03 * len(LINES), wrong


def test_no_word_that_belongs_to_the_picture_is_swallowed() -> None:
    whole = [text for text, draft in map(wanted, LINES) if draft == Draft(prompt=text)]
    assert len(whole) >= 50
    assert {text: parse(text) for text in whole if parse(text).prompt != text} == {}

"""Nobody stops everybody with a text: reading one takes a time that grows no faster than its length."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot import prompts
from bot.adapters.slack import slash_commands
from bot.adapters.typed import typed
from bot.adapters.web import composer
from bot.errors import Refusal
from bot.options import MAX_TEXT
from tests import adversary

PATIENCE = 600.0  # seconds until a pattern is taken for one that never ends; all of them take a few


def measured(what: str) -> Iterator[dict[str, object]]:
    command = [sys.executable, "-m", "tests.adversary", what]
    root = Path(__file__).parents[2]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, cwd=root)
    except subprocess.TimeoutExpired as error:
        said = error.stdout.decode() if isinstance(error.stdout, bytes) else ""
        pytest.fail(f"never ended: {said.splitlines()[-1] if said else 'nothing began'}")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) % 2 == 0 and lines
    yield from map(json.loads, lines[1::2])


@pytest.mark.slow
def test_every_pattern_is_linear_in_what_somebody_types() -> None:
    found = {str(each["name"]): each for each in measured("patterns")}
    assert [each for each in found.values() if each["slow"]] == []
    assert len(found) > 100
    for name in (
        "bot.moderation.normalize._ALL_DOUBLED",
        "bot.prompts.parsing._FLAG",
        "bot.prompts.plain_words._patterns()[0][2]",
    ):
        assert f"{name} sub" in found


@pytest.mark.slow
def test_everything_that_reads_what_somebody_types_is_bounded() -> None:
    assert [each for each in measured("functions") if each["slow"]] == []


def test_no_pattern_is_hidden_from_this_test() -> None:
    hidden = [f"{where}: {method}" for where, method, pattern in adversary.written() if pattern is None]
    assert hidden == [], "say in tests/adversary.py, LOCAL, what these patterns may be"


def test_a_pattern_that_backtracks_would_be_found() -> None:
    """The one that stopped Easel once; a small part of each text is enough to see it."""
    slow = re.compile(r"(?<![^\W\d_])(?:([^\W\d_])\1+){2,}(?![^\W\d_])")
    seconds, text = adversary.measured(lambda text: slow.search(text[:31] + text[-1:]), "a")
    assert seconds > adversary.LIMIT and text.endswith("… 'H'")


@pytest.mark.parametrize(
    ("pattern", "unit"), [(r"\w+\s*,", "a"), (r"[a-z]+\d", "a"), (r"(?:a_?)+b", "a_"), (r"(?:ab?)+c", "ab")]
)
def test_a_pattern_whose_time_grows_with_the_square_would_be_found(pattern: str, unit: str) -> None:
    assert adversary.measured(re.compile(pattern).search, unit)[0] > adversary.LIMIT


@pytest.mark.parametrize(
    "read",
    [
        prompts.parse,
        lambda text: prompts.parse("a fox", {"negative": text}),
        slash_commands.read,
        typed,
        lambda text: composer.read(text, {}),
    ],
    ids=["prompt", "option", "Slack", "typed", "chips"],
)
def test_a_text_too_long_to_be_meant_is_refused_before_it_is_read(read: object) -> None:
    assert callable(read)
    with pytest.raises(Refusal, match=r"12,001 characters; at most 12,000 are read at once\. Shorten it\."):
        read("a" * (MAX_TEXT + 1))


@pytest.mark.parametrize("text", ["0" * 5000 + "7", "+" + "0" * 4999 + "7"])
def test_a_number_with_thousands_of_zeros_is_a_number(text: str) -> None:
    assert prompts.parse("a fox", {"seed": text}).seed == 7

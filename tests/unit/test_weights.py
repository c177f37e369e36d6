from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.weights import each_part, read


@pytest.mark.parametrize(
    ("prompt", "texts"),
    [
        ("a fox", {"a fox": 1.0}),
        ("fox::2 snow::1", {"fox": 2 / 3, "snow": 1 / 3}),
        ("fox:: snow", {"fox": 0.5, "snow": 0.5}),
        ("fox::3 snow", {"fox": 0.75, "snow": 0.25}),
        ("fox::.5, snow::1.5", {"fox": 0.25, "snow": 0.75}),
        ("a fox::2", {"a fox": 1.0}),
        ("fox::1 fox::1", {"fox": 1.0}),
        ("a (red:1.5) fox", {"a red fox": 1.5, "a fox": -0.5}),
        ("a (red:0.5) fox", {"a red fox": 0.5, "a fox": 0.5}),
        ("a (red:0) fox", {"a fox": 1.0}),
        ("a [red] fox", {"a red fox": 1 / 1.1, "a fox": 1 - 1 / 1.1}),
        ("(fox:1.2)", {"fox": 1.2, "": -0.2}),
        ("(fox:1.2)::1 snow::1", {"fox": 0.6, "": -0.1, "snow": 0.5}),
    ],
)
def test_weights_become_factors_of_texts(prompt: str, texts: dict[str, float]) -> None:
    assert dict(read(prompt).texts) == pytest.approx(texts)


def test_what_counts_less_than_nothing_should_not_be_there() -> None:
    found = read("a fox::2 snow::-0.5 a [tree]::-1")
    assert (found.plain, found.negative, found.texts) == ("a fox", ("snow", "a tree"), (("a fox", 1.0),))
    assert found.is_weighted
    assert read("fox::-1").plain == "fox::-1"  # nothing would be left


@pytest.mark.parametrize(
    "prompt",
    [
        "std::vector in a sign",
        "a ratio of 16:9",
        "a fox (red) in snow",
        "a verse (Genesis 1:2)",
        "at noon (12:30)",
        "a level (level:30)",
        "[a|b]",
        "[from:to:0.5]",
        "an array[i]",
        "a smile :: )"[:-4],
        "a fox, (red",
    ],
)
def test_what_is_no_weight_stays(prompt: str) -> None:
    assert read(prompt).texts == ((prompt, 1.0),) and read(prompt).plain == prompt


def test_a_style_goes_to_every_part_that_should_be_there() -> None:
    def in_oil(text: str) -> str:
        return f"{text}, oil"

    assert each_part("a fox", in_oil) == "a fox, oil"
    assert each_part("a fox::2", in_oil) == "a fox, oil"
    assert each_part("fox::2 snow::-0.5 owl", in_oil) == "fox, oil::2 snow::-0.5 owl, oil::1"


PIECES = st.sampled_from(["fox", "::", "2", "-", ".5", "(", ")", "[", "]", ":", " ", ","])


@given(prompt=st.lists(PIECES).map("".join))
def test_any_prompt_comes_to_factors_that_sum_to_one(prompt: str) -> None:
    found = read(prompt)
    assert sum(factor for _text, factor in found.texts) == pytest.approx(1.0)


@pytest.mark.parametrize("piece", ["::", "(", "(a", "[", "[a", "(a:", "a::1 ", "(a:1.1) ", ": ", "::-"])
def test_a_long_prompt_takes_no_time(piece: str) -> None:
    began = time.process_time()
    read(piece * (12_000 // len(piece)))
    assert time.process_time() - began < 2.0

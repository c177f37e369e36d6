"""What is painted and what is not. The rule was tuned on one half of the corpus, never on the other."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest

from bot.prompts import talk

CORPORA = Path(__file__).parents[1] / "corpora"
WHERE = {  # addressed, about a picture
    "fresh": (True, False),
    "named": (True, True),
    "under": (False, True),
}


def lines(half: str) -> list[tuple[str, str, str]]:
    found = [line.split("\t") for line in (CORPORA / f"talk_{half}.tsv").read_text().splitlines()]
    return [(wanted, where, words) for wanted, where, words in found]


def read(where: str, words: str) -> talk.Spoken:
    addressed, picture = WHERE[where]
    return talk.read(words, addressed=addressed, picture=picture)


def test_the_corpora_are_large_and_share_nothing() -> None:
    tuned, held = lines("tuned"), lines("held")
    assert len(tuned) + len(held) >= 500
    assert {(each[1], each[2]) for each in tuned}.isdisjoint((each[1], each[2]) for each in held)


@pytest.mark.parametrize("half", ["tuned", "held"])
def test_requests_are_painted_and_talk_is_not(half: str) -> None:
    found = Counter((wanted, read(where, words).does == "paint") for wanted, where, words in lines(half))
    requests = found["paint", True] / (found["paint", True] + found["paint", False])
    chatter = found["talk", True] / (found["talk", True] + found["talk", False])
    print(f"{half}: {requests:.1%} of requests are painted, {chatter:.1%} of talk")  # noqa: T201
    assert requests >= 0.95
    assert chatter <= 0.02


@pytest.mark.parametrize(
    ("where", "words", "left"),
    [
        ("fresh", "hi, can you paint a beach with palm trees?", "a beach with palm trees"),
        ("fresh", "draw me a dragon", "a dragon"),
        ("fresh", "kannst du einen Leuchtturm zeichnen?", "einen Leuchtturm"),
        ("fresh", "give me four images of mountains, please", "four images of mountains"),
        ("fresh", "draw a fox --ar 16:9", "a fox --ar 16:9"),
        ("fresh", "sketch of a sailing boat", "sketch of a sailing boat"),
        ("fresh", "thank you card with flowers", "thank you card with flowers"),
        ("fresh", 'a sign that says "stop"', 'a sign that says "stop"'),
        ("under", "nice, but make the sky darker", "make the sky darker"),
        ("under", "could you add a rainbow?", "add a rainbow"),
        ("under", "danke, und jetzt in blau", "in blau"),
        ("under", "I like it. Make it darker, please!", "Make it darker"),
    ],
)
def test_courtesies_are_left_out_and_nothing_else(where: str, words: str, left: str) -> None:
    found = read(where, words)
    assert (found.does, found.words) == ("paint", left)


@pytest.mark.parametrize(
    ("words", "which", "left"),
    [
        ("take number 3 and make the sky orange", "3", "make the sky orange"),
        ("#2 but at night", "2", "at night"),
        ("the left one, wider", "left", "wider"),
        ("top right, but with a smile", "top right", "with a smile"),
        ("das zweite mit mehr Schnee", "2", "mit mehr Schnee"),
        ("variations of the third one", "3", ""),
        ("the last one at sunset", "last", "at sunset"),
        ("4 in black and white", "4", "in black and white"),
    ],
)
def test_the_picture_that_is_meant(words: str, which: str, left: str) -> None:
    found = read("under", words)
    assert (found.does, found.which, found.words) == ("paint", which, left)


@pytest.mark.parametrize(
    ("which", "count", "index"),
    [
        ("2", 4, 1),
        ("7", 4, 6),
        ("left", 2, 0),
        ("right", 2, 1),
        ("right", 4, 1),
        ("top left", 4, 0),
        ("bottom left", 4, 2),
        ("bottom right", 4, 3),
        ("bottom right", 5, 4),
        ("last", 4, 3),
        ("right", 1, 0),
    ],
)
def test_a_place_in_the_grid_is_a_picture(which: str, count: int, index: int) -> None:
    assert talk.index_of(which, count) == index


@pytest.mark.parametrize(
    ("words", "does"),
    [
        ("help", "help"),
        ("what can you do?", "help"),
        ("was kannst du", "help"),
        ("how many do I have left", "quota"),
        ("wie viele Bilder habe ich noch?", "quota"),
        ("cancel that", "cancel"),
        ("stop", "cancel"),
        ("brich das ab", "cancel"),
    ],
)
def test_what_is_asked_of_easel_is_answered_where_it_is_addressed(words: str, does: str) -> None:
    assert read("fresh", words).does == read("named", words).does == does
    assert read("under", words).does == "talk"


@pytest.mark.parametrize(
    ("words", "expects"),
    [
        ("hi", True),
        ("how does that feel", True),
        ("", True),
        ("thanks", False),
        ("👍", False),
        ("lol", False),
    ],
)
def test_a_greeting_and_a_question_expect_an_answer(words: str, expects: bool) -> None:
    found = read("fresh", words)
    assert (found.does, found.expects) == ("talk", expects)


@pytest.mark.parametrize("words", ["a wolf", "maybe in blue?", "what about blue?", "ein Wolf"])
def test_what_may_be_a_request_is_asked_about(words: str) -> None:
    assert read("under", words).does == "ask"


@pytest.mark.parametrize("unit", ["please ", "( ", "can you please ", "the same ", "😀 ", "take the first "])
def test_reading_takes_no_longer_for_strange_words(unit: str) -> None:
    for where in WHERE:
        began = time.perf_counter()
        read(where, unit * 10_000)
        assert time.perf_counter() - began < 0.5

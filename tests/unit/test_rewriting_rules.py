"""Prompts made shorter or longer by rules: what is dropped and added, and that nothing said is lost."""

from __future__ import annotations

import time

import pytest

from bot.options import MAX_TEXT
from bot.rewriting.rules import LONG, Change, expanded, rewritten, shortened
from tests import adversary


@pytest.mark.parametrize(
    ("prompt", "short"),
    [
        ("please paint a very beautiful red fox, masterpiece, 8k", "a beautiful red fox"),
        ("I want to see a picture of a fox in the snow", "a fox in the snow"),
        ("Bitte male mir ein Bild von einem Fuchs im Schnee, Meisterwerk", "einem Fuchs im Schnee"),
        ("a fox, a fox, red, A FOX", "a fox, red"),
        ("a red fox in snow, red fox, snow", "a red fox in snow"),
        ("a fox; best quality; at night", "a fox, at night"),
        ("a (red, fluffy:1.3) fox, hdr", "a (red, fluffy:1.3) fox"),
        ("a fox", "a fox"),
        ("masterpiece", "masterpiece"),
        ("please", "please"),
        (" , ;", " , ;"),
    ],
)
def test_what_says_nothing_is_dropped(prompt: str, short: str) -> None:
    assert shortened(prompt) == short


def test_of_a_long_prompt_the_first_parts_stay() -> None:
    prompt = ", ".join(f"part {number} of it" for number in range(20))
    short = shortened(prompt)
    assert prompt.startswith(short) and 0 < len(short.replace(",", "").split()) <= LONG


def test_a_first_part_stays_however_long_it_is() -> None:
    prompt = " ".join(f"word{number}" for number in range(60))
    assert shortened(f"{prompt}, and more") == prompt


@pytest.mark.parametrize(
    ("prompt", "long"),
    [
        (
            "a red fox",
            "a red fox, on a plain, light background, soft daylight from the side, "
            "centred, seen from the front",
        ),
        (
            "a red fox in the snow at night.",
            "a red fox in the snow at night, centred, seen from the front, clear shapes and fine texture",
        ),
        ("closeup of fine fur at sunset in a forest", "closeup of fine fur at sunset in a forest"),
    ],
)
def test_what_is_left_open_is_added(prompt: str, long: str) -> None:
    assert expanded(prompt) == long


@pytest.mark.parametrize("change", ["shorten", "expand"])
def test_a_change_is_done_once(change: Change) -> None:
    """What comes out has nothing more to drop; a longer prompt is at last as long as it gets."""
    prompt = "please draw a very red fox, masterpiece, a fox"
    for _turn in range(3):
        prompt = rewritten(change, prompt)
    assert rewritten(change, prompt) == prompt


@pytest.mark.parametrize("unit", [",", "please ", "(", "very ", "a fox, ", "ä"])
@pytest.mark.parametrize("change", ["shorten", "expand"])
def test_the_time_grows_with_the_length_alone(change: Change, unit: str) -> None:
    seconds, _text = adversary.measured(lambda text: rewritten(change, text[:MAX_TEXT]), unit)
    assert seconds < adversary.LIMIT
    begun = time.process_time()
    rewritten(change, unit * (MAX_TEXT // len(unit)))
    assert time.process_time() - begun < 2

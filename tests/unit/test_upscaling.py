"""To which size a picture is upscaled, and what may lie behind a cut-out, as people say it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import prompts
from bot.errors import Refusal
from bot.options import Unusable
from bot.prompts.backgrounds import background_extent, read_background
from bot.upscaling import MOST_PIXELS, has_room, size_of
from engine.types import TRANSPARENT


@pytest.mark.parametrize(
    ("size", "target", "made"),
    [
        ((512, 512), "", (2048, 2048)),
        ((512, 384), "2x", (1024, 768)),
        ((512, 384), "×1,5", (768, 576)),
        ((500, 500), "3000x2000", (2000, 2000)),
        ((1500, 1000), "3000 × 2000 px", (3000, 2000)),
        ((512, 512), "A4", (2480, 2480)),
        ((512, 768), "a4", (2338, 3508)),
        ((768, 512), "A4", (3508, 2338)),
        ((768, 512), "A4 at 150 dpi", (1754, 1169)),
        ((1000, 1500), "20x30 cm at 300 dpi", (2362, 3543)),
        ((1500, 1000), "20x30cm, 300 dpi", (3543, 2362)),
        ((1500, 1000), "20 x 30 cm bei 200 dpi", (2362, 1574)),
        ((1500, 1000), "20x30 cm à 200 ppp", (2362, 1574)),
        ((500, 400), "10x8 inches", (3000, 2400)),
        ((500, 400), "200x300 mm", (2952, 2361)),
    ],
)
def test_a_size_is_read_as_people_say_it(size: tuple[int, int], target: str, made: tuple[int, int]) -> None:
    found = size_of(size, target)
    assert all(abs(one - other) <= 2 for one, other in zip(found, made, strict=True)), found


@pytest.mark.parametrize(
    ("size", "target", "notice"),
    [
        ((512, 512), "huge", "Size can be 2x, 3000x2000, A4, or 20x30 cm at 300 dpi; “huge” is none"),
        ((512, 512), "20x30 furlongs", "is none of these"),
        ((512, 512), "a9", "is none of these"),
        ((512, 512), "0x0", "which is no less"),
        ((512, 512), "1x", "which is no less"),
        ((512, 512), "0x", "is no less"),
        ((512, 512), "300x200", "That image has 512 × 512 already, which is no less."),
        ((512, 512), "99999x99999", "That is more than 18 million pixels"),
        ((512, 512), "A2 at 1200 dpi", "Try 4242 × 4242."),
        ((512, 512), "20x30 cm at 9999 dpi", "18 million"),
        ((4200, 4200), "", "That image has 4200 × 4200 already. Easel upscales to 18 million pixels."),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(size: tuple[int, int], target: str, notice: str) -> None:
    with pytest.raises(Refusal) as caught:
        size_of(size, target)
    assert notice in caught.value.notice


def test_creative_upscaling_goes_up_to_four_times() -> None:
    assert size_of((512, 512), creative=True) == (1024, 1024)
    assert size_of((512, 512), "4x", creative=True) == (2048, 2048)
    with pytest.raises(Refusal, match=r"goes up to 4×; that is 5\.0×"):
        size_of((512, 512), "5x", creative=True)


@given(st.integers(16, 5000), st.integers(16, 5000), st.text(max_size=40))
def test_nothing_is_made_that_is_too_large(width: int, height: int, target: str) -> None:
    try:
        across, down = size_of((width, height), target)
    except Refusal:
        return
    assert has_room((width, height))
    assert width <= across and height <= down and across * down <= MOST_PIXELS


# ---- backgrounds


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("transparent", TRANSPARENT),
        ("Durchsichtig", TRANSPARENT),
        ("blue", "#1c7ed6"),
        ("Blau", "#1c7ed6"),
        ("bleu", "#1c7ed6"),
        ("hellblau", "#a5d8ff"),
        ("light-blue", "#a5d8ff"),
        ("bleu clair", "#a5d8ff"),
        ("GRÜN", "#2f9e44"),
        ("weiß", "#ffffff"),
        ("doré", "#d4a017"),
        ("#0af", "#00aaff"),
        ("#00AAFF", "#00aaff"),
        ("00aaff", "#00aaff"),
        ("salmon", "#fa8072"),
    ],
)
def test_a_background_is_read_in_three_languages(typed: str, read: str) -> None:
    assert read_background(typed) == read


@pytest.mark.parametrize("typed", ["#12345", "#ggg", "sunset", "abcdefg", "#", "0x0", "rgb(1,2,3)"])
def test_anything_else_is_refused(typed: str) -> None:
    with pytest.raises(Unusable, match="Background can be transparent"):
        read_background(typed)


def test_a_colour_of_two_words_ends_where_it_ends() -> None:
    assert background_extent("light blue") == len("light blue")
    assert background_extent("light blue, sunny") == len("light blue,")
    assert background_extent("blue sky") == len("blue")
    draft = prompts.parse("a fox --background dark green --seed 7")
    assert (draft.prompt, draft.background, draft.seed) == ("a fox", "#1b5e20", 7)
    assert prompts.parse(prompts.render(draft)) == draft


def test_a_misspelt_colour_is_offered_right() -> None:
    with pytest.raises(Refusal) as caught:
        prompts.parse("a fox --background blu")
    (offer,) = caught.value.offers
    assert prompts.parse(offer.text).background == "#1c7ed6"

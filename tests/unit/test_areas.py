"""Words for a part of a picture, masks, and what is guessed."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from bot.images import regions
from bot.options import Unusable
from bot.prompts.areas import GRID, Area, Box, box_text, cell_box, cells_text, read_area
from bot.prompts.extending import outpainted, read_extend, told
from engine.types import Outpaint
from engine.workers.fake import MEMORY

LEFT, RIGHT, TOP, BOTTOM = (0, 0, 0.5, 1), (0.5, 0, 1, 1), (0, 0, 1, 0.5), (0, 0.5, 1, 1)


@pytest.mark.parametrize(
    ("words", "box"),
    [
        ("left", LEFT),
        ("the left half", LEFT),
        ("die linke Hälfte", LEFT),
        ("la moitié gauche", LEFT),
        ("rechts", RIGHT),
        ("oben", TOP),
        ("en bas", BOTTOM),
        ("top right", (0.5, 0, 1, 0.5)),
        ("in the top right corner", (0.5, 0, 1, 0.5)),
        ("oben rechts", (0.5, 0, 1, 0.5)),
        ("en haut à droite", (0.5, 0, 1, 0.5)),
        ("the bottom third", (0, 2 / 3, 1, 1)),
        ("das linke Drittel", (0, 0, 1 / 3, 1)),
        ("middle", (0.25, 0.25, 0.75, 0.75)),
        ("in der Mitte", (0.25, 0.25, 0.75, 0.75)),
        ("the middle third", (1 / 3, 0, 2 / 3, 1)),
        ("top middle", (0.25, 0, 0.75, 0.5)),
        ("the whole image", (0, 0, 1, 1)),
        ("10,20,60,80", (0.1, 0.2, 0.6, 0.8)),
        ("10% 20% 60% 80%", (0.1, 0.2, 0.6, 0.8)),
        ("12.5, 0, 50, 100", (0.125, 0, 0.5, 1)),
    ],
)
def test_positions_and_boxes_are_read(words: str, box: Box) -> None:
    area = read_area(words)

    assert area.thing == "" and not area.outside
    assert [tuple(round(side, 6) for side in each) for each in area.boxes] == [
        tuple(round(side, 6) for side in box)
    ]


@pytest.mark.parametrize(
    "words", ["the cup", "a left shoe", "the top hat of the man", "the two on the left", "."]
)
def test_other_words_are_a_thing(words: str) -> None:
    assert read_area(words) == Area(thing=words)


def test_cells_are_numbered_by_rows() -> None:
    assert read_area("cells 1 3-5").boxes == tuple(map(cell_box, (1, 3, 4, 5)))
    assert read_area("7, 8, 12").boxes == tuple(map(cell_box, (7, 8, 12)))
    assert read_area("Felder 25").boxes == ((0.8, 0.8, 1, 1),)
    assert read_area(cells_text([2, 9])).boxes == (cell_box(2), cell_box(9))
    assert cell_box(GRID + 1) == (0, 0.2, 0.2, 0.4)


def test_all_but_a_part_can_be_said() -> None:
    assert read_area("outside 10,20,60,80") == Area(boxes=((0.1, 0.2, 0.6, 0.8),), outside=True)
    assert read_area("except the cup") == Area(thing="the cup", outside=True)
    assert read_area("the background") == Area(thing="the background", outside=True)
    assert not read_area("not the background").outside


@pytest.mark.parametrize(
    "words", ["60,20,10,80", "0,0,0,0", "10,20,60,180", "cells 0", "cells 26", "cells", "cells x", "3-1"]
)
def test_what_no_picture_has_is_refused(words: str) -> None:
    with pytest.raises(Unusable):
        read_area(words)


@given(st.text(max_size=60))
def test_any_words_are_read_or_refused(words: str) -> None:
    try:
        area = read_area(words)
    except Unusable:
        return
    assert all(0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1 for x0, y0, x1, y1 in area.boxes)


@pytest.mark.parametrize(("typed", "read"), [
    ("2", "2x"), ("1,5x", "1.5x"), ("1.5×", "1.5x"), ("links", "left"), ("Haut", "up"), ("bottom", "down"),
    ("square", "1:1"), ("16:9", "16:9"), ("wide", "16:9"),
])  # fmt: skip
def test_ways_to_extend_are_read(typed: str, read: str) -> None:
    assert read_extend(typed) == read


@given(
    st.sampled_from(("left", "right", "up", "down", "1.5x", "2x", "3x", "1:1", "16:9", "1:4")),
    st.integers(1, 4000),
    st.integers(1, 4000),
)
def test_the_picture_lies_in_what_is_painted_around_it(how: str, width: int, height: int) -> None:
    task, (wide, high) = outpainted(how, "s", (width, height), MEMORY, 2048 * 2048)

    assert task.left >= 0 and task.top >= 0
    assert task.left + task.width <= wide and task.top + task.height <= high
    assert max(wide, high) <= MEMORY.max_side and wide * high <= 2048 * 2048


@pytest.mark.parametrize("how", ["left", "right", "up", "down", "1.5x", "2x"])
def test_how_it_was_extended_is_told(how: str) -> None:
    task, size = outpainted(how, "s", (512, 384), MEMORY, 2048 * 2048)

    assert told(task, size) == how
    assert outpainted(told(task, size), "s", (512, 384), MEMORY, 2048 * 2048) == (task, size)


def test_a_ratio_is_told_as_one() -> None:
    task, size = outpainted("2:1", "s", (512, 512), MEMORY, 2048 * 2048)

    assert task == Outpaint(source="s", left=256, top=0, width=512, height=512) and size == (1024, 512)
    assert told(task, size) == "2.00:1"


def png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def test_what_stands_out_is_guessed() -> None:
    picture = Image.effect_noise((256, 192), 8).convert("RGB")
    ImageDraw.Draw(picture).ellipse((40, 60, 120, 150), fill="red")

    box = regions.guessed(png(picture))

    assert box is not None
    expected = (40 / 256, 60 / 192, 121 / 256, 151 / 192)
    assert np.abs(np.subtract(box, expected)).max() < 0.04
    assert read_area(box_text(box)).boxes


@pytest.mark.parametrize("picture", [Image.new("RGB", (64, 64), "grey"), Image.new("RGB", (1, 1))])
def test_nothing_is_guessed_where_nothing_stands_out(picture: Image.Image) -> None:
    assert regions.guessed(png(picture)) is None


def test_a_mask_is_drawn_and_its_opposite() -> None:
    inside = np.asarray(Image.open(io.BytesIO(regions.drawn([(0.25, 0.5, 1, 1)], (8, 4)))))
    outside = np.asarray(Image.open(io.BytesIO(regions.drawn([(0.25, 0.5, 1, 1)], (8, 4), outside=True))))

    assert (inside[2:, 2:] == 255).all() and inside.sum() == 255 * 12
    assert (inside + outside == 255).all()
    assert not regions.is_blank(png(Image.fromarray(inside))) and regions.is_blank(
        png(Image.new("L", (3, 3)))
    )


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (900, 500)])
def test_cells_and_masks_are_shown_over_any_picture(size: tuple[int, int]) -> None:
    picture = png(Image.new("RGB", size, "white"))

    for seen in (regions.numbered(picture), regions.shown(picture, regions.drawn([(0, 0, 0.5, 1)], size))):
        assert max(Image.open(io.BytesIO(seen)).size) <= regions.SHOWN_SIDE

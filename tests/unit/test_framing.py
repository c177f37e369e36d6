"""A picture in another shape: exact sizes, one scale for both directions, and what it shows inside."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from bot.prompts import packs
from engine import framing
from engine.framing import frame, framed, subject

SIZES = {f"{pack}/{size.name}": size for pack, each in packs.load().items() for size in each.sizes}
SOURCES = ((512, 512), (64, 64), (1024, 256), (256, 1024), (900, 100), (100, 900))


def larger(part: Image.Image, factor: int) -> Image.Image:
    return part.resize((part.width * factor, part.height * factor), Image.Resampling.BICUBIC)


def drawn(size: tuple[int, int], ground: str = "white") -> Image.Image:
    """Return a circle in the middle of the lower right part."""
    picture = Image.new("RGB", size, ground)
    x, y, radius = 0.6 * size[0], 0.6 * size[1], 0.25 * min(size)
    ImageDraw.Draw(picture).ellipse((x - radius, y - radius, x + radius, y + radius), fill="red")
    return picture


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", SIZES)
def test_every_size_of_every_pack_shows_the_circle_whole_and_round(
    name: str, source: tuple[int, int]
) -> None:
    size = (SIZES[name].width, SIZES[name].height)

    made = framed(drawn(source), size, larger)

    assert made.size == size
    pixels = np.asarray(made.convert("RGB"), np.int16)
    red = (pixels[..., 0] > 150) & (pixels[..., 1] < 100)
    columns, rows = np.flatnonzero(red.any(axis=0)), np.flatnonzero(red.any(axis=1))
    across, down = columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1
    assert across == pytest.approx(down, rel=0.04, abs=4)  # a circle still, so neither cut nor distorted
    assert 0 < columns[0] and columns[-1] < size[0] - 1 and 0 < rows[0] and rows[-1] < size[1] - 1


SIDES = st.integers(16, 4000)
PARTS = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted)


@settings(max_examples=300, deadline=None)
@given(st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES), PARTS, PARTS, st.booleans())
def test_a_frame_has_the_shape_and_holds_what_fits(
    size: tuple[int, int], target: tuple[int, int], across: list[float], down: list[float], grows: bool
) -> None:
    box = (across[0] * size[0], down[0] * size[1], across[1] * size[0], down[1] * size[1])

    left, top, right, bottom = frame(size, box, target, grows=grows)

    width, height = right - left, bottom - top
    assert width / height == pytest.approx(target[0] / target[1], rel=1e-6)
    if not grows:
        assert min(left, top) >= -1e-6 and right <= size[0] + 1e-6 and bottom <= size[1] + 1e-6
    if grows or box[2] - box[0] <= width:
        assert left <= box[0] + 1e-6 and box[2] <= right + 1e-6
    if grows or box[3] - box[1] <= height:
        assert top <= box[1] + 1e-6 and box[3] <= bottom + 1e-6


def test_a_busy_picture_is_cropped_and_never_goes_on() -> None:
    values = np.random.default_rng(3).integers(0, 256, (300, 500, 3), np.uint8)
    picture = Image.fromarray(values)

    made = framed(picture, (500, 100), larger)

    assert not framing.plain(picture)
    rows = [top for top in range(201) if (values[top : top + 100] == np.asarray(made)).all()]
    assert len(rows) == 1


def test_what_is_shown_by_a_mask_is_kept() -> None:
    picture = Image.fromarray(np.random.default_rng(3).integers(0, 256, (400, 800, 3), np.uint8))
    mask = np.zeros((400, 800), np.float32)
    mask[100:300, 600:760] = 1

    left, top, right, bottom = subject(picture, mask)

    assert left == pytest.approx(590, abs=15) and right == pytest.approx(770, abs=15)
    assert top == pytest.approx(90, abs=15) and bottom == pytest.approx(310, abs=15)


def test_what_is_transparent_goes_on_transparent() -> None:
    picture = Image.new("RGBA", (200, 200))
    ImageDraw.Draw(picture).ellipse((40, 40, 160, 160), fill="red")

    made = framed(picture, (728, 90), larger)

    assert made.mode == "RGBA" and made.getpixel((2, 45))[3] == 0  # type: ignore[index]


def test_the_same_picture_gives_the_same_bytes() -> None:
    picture = drawn((300, 200), "navy")

    assert framed(picture, (100, 400), larger).tobytes() == framed(picture, (100, 400), larger).tobytes()

"""The invisible mark survives what happens to pictures in chats, and is found nowhere else."""

from __future__ import annotations

import random

import numpy as np
import pytest
from PIL import Image, ImageDraw

from bot.provenance import code, mark
from tests.changes import Change, saved, scaled

KEY = b"a key of the tests"
NUMBER = 0x1234_5678_9ABC
LANCZOS = Image.Resampling.LANCZOS


def drawing(seed: int = 0, size: tuple[int, int] = (640, 512), ground: str = "white") -> Image.Image:
    """A flat drawing, as the model that ships paints them."""
    dice = random.Random(seed)
    picture = Image.new("RGB", size, ground)
    draw = ImageDraw.Draw(picture)
    for _ in range(6):
        x, y = dice.uniform(0.1, 0.6) * size[0], dice.uniform(0.1, 0.6) * size[1]
        side = dice.uniform(0.1, 0.35) * min(size)
        colour = tuple(dice.randrange(256) for _ in range(3))
        dice.choice((draw.ellipse, draw.rectangle))((x, y, x + side, y + side), fill=colour)
    return picture


def cut(p: Image.Image) -> Image.Image:
    return p.crop(
        (round(p.width * 0.05), round(p.height * 0.04), round(p.width * 0.95), round(p.height * 0.94))
    )


CHANGES: dict[str, Change] = {
    "nothing": lambda p: p,
    "JPEG 75": saved("JPEG", 75),
    "JPEG 50": saved("JPEG", 50),
    "WebP 80": saved("WEBP", 80),
    "half": scaled(0.5),
    "0.7 and JPEG": lambda p: saved("JPEG", 70)(scaled(0.7)(p)),
    "double": scaled(2),
    "squeezed": lambda p: p.resize((400, 400), LANCZOS),
    "cut": cut,
    "darker": lambda p: p.point(lambda level: int(level * 0.8)),
    "grey": lambda p: p.convert("L"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_mark_survives(change: Change, seed: int) -> None:
    found = mark.detect(change(mark.embed(drawing(seed), NUMBER, KEY)), KEY)

    assert found is not None and found.number == NUMBER


def test_a_crop_is_told() -> None:
    marked = mark.embed(drawing(), NUMBER, KEY)

    whole, part = mark.detect(marked, KEY), mark.detect(cut(marked), KEY)

    assert whole is not None and not whole.cropped
    assert part is not None and part.cropped


@pytest.mark.parametrize(
    "picture", [drawing(1), drawing(2, ground="navy"), Image.new("RGB", (512, 512), "white")]
)
def test_no_mark_is_found_where_none_is(picture: Image.Image) -> None:
    assert mark.detect(picture, KEY) is None
    assert mark.detect(mark.embed(picture, NUMBER, KEY), b"another key") is None


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (64, 64), (4000, 40)])
def test_pictures_of_any_size_can_be_marked_and_looked_at(size: tuple[int, int]) -> None:
    marked = mark.embed(drawing(size=size), NUMBER, KEY)

    assert marked.size == size
    found = mark.detect(marked, KEY)
    assert found is None or found.number == NUMBER


@pytest.mark.parametrize("number", [0, 1, 2**48 - 1])
def test_every_number_fits(number: int) -> None:
    found = mark.detect(mark.embed(drawing(), number, KEY), KEY)

    assert found is not None and found.number == number


def test_white_stays_within_one_level_and_noise_is_low() -> None:
    white = np.asarray(mark.embed(Image.new("RGB", (512, 512), "white"), NUMBER, KEY), int)
    picture = drawing()
    marked = mark.embed(picture, NUMBER, KEY)
    error = np.mean((np.asarray(marked, float) - np.asarray(picture, float)) ** 2)

    assert white.min() >= 254
    assert 10 * np.log10(255**2 / error) >= 42  # PSNR in dB


def test_noise_is_low_where_every_colour_is_full() -> None:
    """Each channel that stands at 0 or 255 is drawn in, which costs as much as the mark itself."""
    coarse = np.random.default_rng(1).random((64, 64, 3)) > 0.5
    picture = Image.fromarray(coarse.astype(np.uint8) * 255).resize((512, 512), Image.Resampling.NEAREST)

    marked = mark.embed(picture, NUMBER, KEY)

    error = np.mean((np.asarray(marked, float) - np.asarray(picture, float)) ** 2)
    assert 10 * np.log10(255**2 / error) >= 42


def test_transparency_is_kept() -> None:
    picture = drawing().convert("RGBA")
    alpha = Image.linear_gradient("L").resize(picture.size)
    picture.putalpha(alpha)

    marked = mark.embed(picture, NUMBER, KEY)

    assert marked.getchannel("A").tobytes() == alpha.tobytes()


def test_a_word_comes_back_though_many_bits_are_wrong() -> None:
    dice = np.random.default_rng(1)
    word = code.encode(NUMBER)
    noisy = word * np.where(dice.random(code.LENGTH) < 0.1, -1, 1).astype(np.float32)

    ((number, fit),) = code.decode(noisy[None])

    assert number == NUMBER
    assert fit == pytest.approx(np.mean(noisy * word))


def test_noise_is_no_word() -> None:
    noise = np.random.default_rng(2).standard_normal((300, code.LENGTH)).astype(np.float32)

    assert not [found for found in code.decode(noise) if found[0] is not None and found[1] >= mark.FIT]

"""The visible label stands in a calm corner, can be read on anything, and covers an earlier one."""

from __future__ import annotations

import random

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from bot.provenance import label
from bot.provenance.signing import Corner
from tests.unit.test_mark import drawing

CORNERS: tuple[Corner, ...] = ("bottom right", "bottom left", "top right", "top left")


def luminance(colour: tuple[int, ...]) -> float:
    """WCAG's relative luminance."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in colour)]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


@pytest.mark.parametrize("ground", ["white", "black", "grey", "red"])
@pytest.mark.parametrize("corner", CORNERS)
def test_the_label_can_be_read_on_every_ground(ground: str, corner: Corner) -> None:
    picture = drawing(ground=ground)
    place = label.box(picture.size, corner)

    labelled = label.draw(picture, corner)

    plate = labelled.crop(place)
    shades = {plate.getpixel((x, y)) for x in range(plate.width) for y in range(plate.height)}
    levels = [luminance(shade) for shade in shades if isinstance(shade, tuple)]
    assert (max(levels) + 0.05) / (min(levels) + 0.05) >= 7
    text = np.asarray(plate.convert("L")) > 128
    assert 0.05 < text.mean() < 0.5 and not text[0].any() and not text[:, 0].any(), "whole, inside its plate"
    outside = Image.new("L", picture.size, 255)
    outside.paste(0, place)
    kept = np.asarray(outside) > 0
    assert (np.asarray(labelled)[kept] == np.asarray(picture)[kept]).all()


def test_the_same_picture_gets_the_same_label() -> None:
    once, twice = (label.draw(drawing(), "top left").tobytes() for _ in range(2))

    assert once == twice


def test_the_label_keeps_off_lettering() -> None:
    picture = drawing(4, size=(512, 512))
    assert label.choose(picture) == "bottom right"

    ImageDraw.Draw(picture).text((300, 475), "SUMMER SALE", "black", ImageFont.load_default(32))
    assert label.choose(picture) == "bottom left"


def test_of_four_lively_corners_the_calmest_is_taken() -> None:
    noise = Image.effect_noise((256, 256), 200).convert("RGB")
    calmer = Image.effect_noise((256, 256), 60).convert("RGB").crop((0, 0, 64, 64))
    noise.paste(calmer, (0, 0))

    assert label.choose(noise) == "top left"


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("size", [(512, 512), (520, 392), (250, 333), (17, 61)])
def test_the_label_of_an_enlarged_picture_covers_the_earlier_one(
    corner: Corner, size: tuple[int, int]
) -> None:
    small, large = label.box(size, corner), label.box((4 * size[0], 4 * size[1]), corner)

    assert all(after <= 4 * before for after, before in zip(large[:2], small[:2], strict=True))
    assert all(after >= 4 * before for after, before in zip(large[2:], small[2:], strict=True))


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 3), (4000, 20)])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "LA"])
def test_every_picture_can_be_labelled(size: tuple[int, int], mode: str) -> None:
    picture = Image.new(mode, size)

    assert label.draw(picture, label.choose(picture)).size == size


def test_transparency_is_kept() -> None:
    picture = Image.new("RGBA", (200, 200), (random.Random(1).randrange(256), 0, 0, 0))

    labelled = label.draw(picture, "bottom right")

    alpha = np.asarray(labelled.getchannel("A"))
    left, top, right, bottom = label.box(picture.size, "bottom right")
    assert (alpha[top:bottom, left:right] == 255).all()
    alpha_outside = alpha.copy()
    alpha_outside[top:bottom, left:right] = 0
    assert not alpha_outside.any()

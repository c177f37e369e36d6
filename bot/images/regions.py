"""Masks over pictures: drawn from boxes, guessed by what stands out, checked, and shown over the picture.

All of it blocks: for threads.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bot.prompts.areas import GRID, Box, cell_box

Floats = NDArray[np.float32]

SHOWN_SIDE = 768  # pixels of a picture with a mask or cells over it
MARKED = 127  # a mask's value above which a pixel counts as marked
_LOOKED_AT = 64  # pixels a side in which something is guessed
_LEAST = 0.004  # of a picture's area that a guess has at least
_MOST = 0.85
_LEAST_APART = 12.0  # levels of colour by which something stands out
_TINT = (255, 0, 128)


def drawn(boxes: Sequence[Box], size: tuple[int, int], *, outside: bool = False) -> bytes:
    """Return a mask of these boxes, white on black; `outside`: of all but them."""
    mask = Image.new("L", size, 255 if outside else 0)
    for box in boxes:
        mask.paste(0 if outside else 255, pixels(box, size))
    return _png(mask)


def pixels(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return a box in pixels, one pixel wide at least."""
    left, top = min(round(box[0] * size[0]), size[0] - 1), min(round(box[1] * size[1]), size[1] - 1)
    return left, top, max(left + 1, round(box[2] * size[0])), max(top + 1, round(box[3] * size[1]))


def is_blank(mask: bytes) -> bool:
    """Tell whether a mask marks nothing."""
    with Image.open(io.BytesIO(mask)) as opened:
        return int(opened.convert("L").getextrema()[1]) <= MARKED  # type: ignore[arg-type]


def guessed(picture: bytes) -> Box | None:
    """Return the box of what stands out from a picture's borders; None where nothing does."""
    with Image.open(io.BytesIO(picture)) as opened:
        colours = opened.convert("RGB").resize((_LOOKED_AT, _LOOKED_AT), Image.Resampling.BOX)
    away = _distance(np.asarray(colours, np.float32))
    if away.max() < _LEAST_APART:
        return None
    seen = _majority(away > _threshold(away))
    part = float(seen.mean())
    if not _LEAST <= part <= _MOST:
        return None
    columns, rows = np.flatnonzero(seen.any(0)), np.flatnonzero(seen.any(1))
    edges = columns[0] - 1, rows[0] - 1, columns[-1] + 2, rows[-1] + 2
    left, top, right, bottom = (min(max(float(each) / _LOOKED_AT, 0.0), 1.0) for each in edges)
    return left, top, right, bottom


def _distance(colours: Floats) -> Floats:
    """Return how far each pixel's colour is from all that is seen along the borders."""
    border = np.concatenate([colours[:2].reshape(-1, 3), colours[-2:].reshape(-1, 3)])
    border = np.concatenate([border, colours[:, :2].reshape(-1, 3), colours[:, -2:].reshape(-1, 3)])
    flat = colours.reshape(-1, 3)
    # The fifth percentile, not the nearest: something may touch the border.
    apart = np.linalg.norm(flat[:, None] - border[None, ::4], axis=2)
    found: Floats = np.percentile(apart, 10, axis=1).reshape(colours.shape[:2]).astype(np.float32)
    return found


def _threshold(values: Floats) -> float:
    """Return the value that divides the values into two groups best (Otsu)."""
    counts, edges = np.histogram(values, 64)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    total = np.cumsum(counts * middles)
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (total / below - (total[-1] - total) / above) ** 2 * below * above
    return float(edges[1:][int(np.nanargmax(between[:-1]))])


def _majority(seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which cells have most of their neighbours: single ones are noise."""
    padded = np.pad(seen.astype(np.int32), 1)
    around = sum(padded[y : y + seen.shape[0], x : x + seen.shape[1]] for y in range(3) for x in range(3))
    kept: NDArray[np.bool_] = np.asarray(around) >= 5
    return kept


def shown(picture: bytes, mask: bytes) -> bytes:
    """Return a small picture in which what the mask leaves is dim, and what it marks has a tint."""
    with Image.open(io.BytesIO(picture)) as opened, Image.open(io.BytesIO(mask)) as marked:
        whole = opened.convert("RGB")
        whole.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
        over = marked.convert("L").resize(whole.size)
    tinted = Image.blend(whole, Image.new("RGB", whole.size, _TINT), 0.35)
    dim = Image.blend(whole, Image.new("RGB", whole.size, (0, 0, 0)), 0.45)
    return _png(Image.composite(tinted, dim, over))


def numbered(picture: bytes) -> bytes:
    """Return a small picture with numbered cells over it."""
    with Image.open(io.BytesIO(picture)) as opened:
        whole = opened.convert("RGB")
    whole.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    pen = ImageDraw.Draw(whole, "RGBA")
    size = max(10.0, min(whole.size) / GRID / 4)
    font = ImageFont.load_default(size)
    for number in range(1, GRID**2 + 1):
        left, top, right, bottom = pixels(cell_box(number), whole.size)
        pen.rectangle((left, top, right - 1, bottom - 1), outline=(255, 255, 255, 160))
        if min(right - left, bottom - top) > 4:
            pen.rectangle((left + 1, top + 1, right - 2, bottom - 2), outline=(0, 0, 0, 120))
        pen.rectangle((left + 2, top + 2, left + 2 + size * 1.5, top + 2 + size * 1.2), fill=(0, 0, 0, 150))
        pen.text((left + 2 + size * 0.75, top + 2 + size * 0.6), str(number), "white", font, anchor="mm")
    return _png(whole)


def _png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=4)
    return out.getvalue()

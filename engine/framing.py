"""A finished picture in another shape: cropped around what it shows, and never distorted.

Where the crop would cut what is shown, and its ground is plain, the ground goes on at the sides instead.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from engine import details
from engine.regions import continued, on_white

SIDE = 160  # pixels of the longer side at which a picture is looked at
SEEN = 0.3  # of what stands out most: what stands out as much belongs to what is shown
OUTSIDE = 0.004  # of what is shown may lie outside its box, at each side
AIR = 0.06  # of the longer side of what is shown, that is kept free around it
PLAIN = 14.0  # levels of standard deviation along an edge where the ground is plain
QUIET = 45.0  # the same where a mask tells that it is ground
STEPS = (2, 4)  # times a picture is made larger by super-resolution

Floats = NDArray[np.float32]
Size = tuple[int, int]
Frame = tuple[float, float, float, float]
"""Left, top, right and bottom in the picture's pixels; it may reach beyond the picture."""

Larger = Callable[[Image.Image, int], Image.Image]
"""Returns a picture that is so many times as large each way."""


def by_lanczos(part: Image.Image, factor: int) -> Image.Image:
    """Return the part larger, without a network."""
    return part.resize((part.width * factor, part.height * factor), Image.Resampling.LANCZOS)


def framed(picture: Image.Image, size: Size, larger: Larger, shown: Floats | None = None) -> Image.Image:
    """Return the picture in a size, at the same scale in both directions.

    `shown`: how much of each pixel belongs to what it shows, 0 … 1, where that is known.
    """
    box = subject(on_white(picture), shown)
    grows = plain(picture, PLAIN if shown is None else QUIET)
    left, top, right, bottom = frame(picture.size, box, size, grows=grows)
    cut = (
        max(0, int(left)),
        max(0, int(top)),
        min(picture.width, int(np.ceil(right))),
        min(picture.height, int(np.ceil(bottom))),
    )
    part, origin = picture.crop(cut), (cut[0], cut[1])
    scale = size[0] / (right - left)
    factor = 1 if scale <= 1 else next((each for each in STEPS if scale <= each), STEPS[-1])
    if factor > 1:
        part = larger(part, factor)
    moved = (left - origin[0], top - origin[1], right - origin[0], bottom - origin[1])
    inside = tuple(each * factor for each in moved)
    whole, inside = _widened(part, (inside[0], inside[1], inside[2], inside[3]))
    return whole.resize(size, Image.Resampling.LANCZOS, box=_within(inside, whole.size))


def frame(size: Size, subject: Frame, target: Size, *, grows: bool) -> Frame:
    """Return the part of a picture of `size` that has the shape of `target`.

    It is as large as the picture has room for, and holds the subject's box where it can; beyond the picture
    it reaches only if it `grows`, for a subject that would be cut else.
    """
    ratio = target[0] / target[1]
    width = min(size[0], size[1] * ratio)
    if grows:
        width = max(width, subject[2] - subject[0], (subject[3] - subject[1]) * ratio)
    height = width / ratio
    left = _placed(size[0], width, subject[0], subject[2])
    top = _placed(size[1], height, subject[1], subject[3])
    return left, top, left + width, top + height


def _placed(side: float, length: float, first: float, last: float) -> float:
    """Return where a span of a length begins that lies around another: inside of 0 … side, if it fits."""
    middle = (first + last) / 2 - length / 2
    if length >= side:
        return min(max((side - length) / 2, last - length), first)
    return min(max(middle, 0.0), side - length)


def subject(picture: Image.Image, shown: Floats | None = None) -> Frame:
    """Return the box of what a picture shows: by a mask, or by what stands out; else all of it."""
    weight = _small(shown) if shown is not None and shown.max() >= 0.5 else standing_out(picture)
    weight = np.where(weight >= SEEN * max(float(weight.max()), 1e-6), weight, 0)
    if not weight.any():
        return 0.0, 0.0, float(picture.width), float(picture.height)
    across, down = (_span(weight.sum(axis)) for axis in (0, 1))
    scale = picture.width / weight.shape[1], picture.height / weight.shape[0]
    box = across[0] * scale[0], down[0] * scale[1], across[1] * scale[0], down[1] * scale[1]
    air = AIR * max(box[2] - box[0], box[3] - box[1])
    return (
        max(0.0, box[0] - air),
        max(0.0, box[1] - air),
        min(float(picture.width), box[2] + air),
        min(float(picture.height), box[3] + air),
    )


def standing_out(picture: Image.Image) -> Floats:
    """Return how much each pixel of a small copy stands out: by colour, by detail, or as a face."""
    small = picture.convert("RGB")
    small.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    values = np.asarray(small.filter(ImageFilter.BoxBlur(1)), np.float32)
    height, width = values.shape[:2]
    rim = max(1, min(height, width) // 24)
    edges = [values[:rim], values[-rim:], values[:, :rim], values[:, -rim:]]
    colours = np.concatenate([_colours(each) for each in edges])
    apart = np.sqrt(((values[:, :, None] - colours) ** 2).sum(axis=3)).min(axis=2) / 255
    grey = np.asarray(small.convert("L"), np.float32)
    detail = np.abs(np.diff(grey, axis=0, prepend=grey[:1])) + np.abs(
        np.diff(grey, axis=1, prepend=grey[:, :1])
    )
    levels = Image.fromarray(np.clip(detail, 0, 255).astype(np.uint8))
    busy = np.asarray(levels.filter(ImageFilter.BoxBlur(SIDE // 24)), np.float32) / 96
    found = apart + 0.5 * busy + 0.7 * details.faces(small)
    y, x = np.mgrid[0:height, 0:width]
    middle = 1 - 0.35 * np.hypot(2 * x / max(1, width - 1) - 1, 2 * y / max(1, height - 1) - 1)
    result: Floats = (found * middle).astype(np.float32)
    return np.where(result > 0.04, result, 0).astype(np.float32)


def plain(picture: Image.Image, most: float = PLAIN) -> bool:
    """Return whether the ground at each of a picture's edges is plain, so that it can go on beyond them."""
    small = on_white(picture).convert("RGB")
    small.thumbnail((2 * SIDE, 2 * SIDE), Image.Resampling.BOX)
    values = np.asarray(small, np.float32)
    edges = (values[:2], values[-2:], values[:, :2], values[:, -2:])
    return all(float(each.std(axis=(0, 1)).max()) < most for each in edges)


def _small(shown: Floats) -> Floats:
    picture = Image.fromarray(shown.astype(np.float32))
    picture.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(picture, np.float32)


def _colours(strip: Floats) -> Floats:
    """Return a few colours of an edge, of parts of it."""
    line = (
        strip.reshape(-1, 3) if strip.shape[0] > strip.shape[1] else strip.transpose(1, 0, 2).reshape(-1, 3)
    )
    return np.stack([np.median(part, axis=0) for part in np.array_split(line, min(6, len(line)))])


def _span(mass: Floats) -> tuple[float, float]:
    total = np.cumsum(mass) / mass.sum()
    return float(np.searchsorted(total, OUTSIDE)), float(np.searchsorted(total, 1 - OUTSIDE) + 1)


def _widened(part: Image.Image, box: Frame) -> tuple[Image.Image, Frame]:
    """Return a picture with its ground gone on as far as a box reaches beyond it, and the box in that."""
    before = max(0, int(np.ceil(-box[0]))), max(0, int(np.ceil(-box[1])))
    after = max(0, int(np.ceil(box[2] - part.width))), max(0, int(np.ceil(box[3] - part.height)))
    if not any((*before, *after)):
        return part, box
    whole = continued(part, (*before, *after))
    return whole, (box[0] + before[0], box[1] + before[1], box[2] + before[0], box[3] + before[1])


def _within(box: Frame, size: Size) -> Frame:
    """Return a box without what rounding has put outside of a picture."""
    return max(0.0, box[0]), max(0.0, box[1]), min(float(size[0]), box[2]), min(float(size[1]), box[3])

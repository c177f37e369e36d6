"""A visible label: "AI" on an opaque plate in a corner, where an administrator wants it.

The plate lies flush in its corner and grows with the picture, so the label of an enlarged or edited picture
covers the one that its source had. The corner is the first calm one, which keeps off lettering; a picture
made from a labelled one keeps its corner.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bot.provenance.signing import Corner

TEXT, PLATE, WHITE = "AI", (16, 16, 16), (255, 255, 255)  # a contrast of 19 : 1 on any picture
HEIGHT, WIDTH = 1 / 16, 1 / 11  # of the plate, as parts of the picture's shorter side
CALM = 6.0  # levels that neighbouring pixels differ by, on average: lettering has more

Box = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels."""

_PLACES: dict[Corner, Callable[[int, int, int, int], Box]] = {
    "bottom right": lambda w, h, width, height: (width - w, height - h, width, height),
    "bottom left": lambda w, h, width, height: (0, height - h, w, height),
    "top right": lambda w, h, width, height: (width - w, 0, width, h),
    "top left": lambda w, h, width, height: (0, 0, w, h),
}


def box(size: tuple[int, int], corner: Corner) -> Box:
    """Return where the plate lies in a picture of this size."""
    shorter = min(size)
    return _PLACES[corner](max(1, int(shorter * WIDTH)), max(1, int(shorter * HEIGHT)), *size)


def choose(picture: Image.Image) -> Corner:
    """Return the first corner that is calm, else the calmest."""
    grey = picture.convert("L")
    unrest = {each: _unrest(grey.crop(box(picture.size, each))) for each in get_args(Corner)}
    return next((each for each in unrest if unrest[each] <= CALM), min(unrest, key=lambda each: unrest[each]))


def draw(picture: Image.Image, corner: Corner) -> Image.Image:
    """Return the picture with the label in a corner; transparency elsewhere is kept."""
    if picture.mode not in ("RGB", "RGBA"):
        picture = picture.convert("RGBA" if "transparency" in picture.info else "RGB")
    left, top, right, bottom = box(picture.size, corner)
    plate = Image.new("RGB", (right - left, bottom - top), PLATE)
    font = ImageFont.load_default(max(1.0, (bottom - top) * 0.78))
    middle = ((right - left) / 2, (bottom - top) / 2)
    weight = (bottom - top) / 40
    ImageDraw.Draw(plate).text(middle, TEXT, WHITE, font, anchor="mm", stroke_width=weight, stroke_fill=WHITE)
    labelled = picture.copy()
    labelled.paste(plate, (left, top))
    return labelled


def _unrest(grey: Image.Image) -> float:
    """Return by how many levels neighbouring pixels differ on average."""
    levels = np.asarray(grey, np.float32)
    steps = [np.abs(np.diff(levels, axis=axis)).mean() for axis in (0, 1) if levels.shape[axis] > 1]
    return float(max(steps, default=0.0))

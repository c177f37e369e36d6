"""Where a picture has lettering or faces: parts that a painting model had better leave as they are.

Simple measures, not a recogniser: dense strong edges in both directions, and skin with dark features in it.
docs/upscaling.md says how often they are right.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Floats = NDArray[np.float32]

SIDE = 512  # pixels of the longer side at which a picture is looked at
EDGE = 48.0  # levels between neighbours that make a strong edge
LETTERING = 13  # pixels of the square in which edges are counted
DENSE = 0.22  # of its pixels that are strong edges
FACE = 61  # pixels of the square in which skin is counted
SKIN = 0.45  # of its pixels that have the colour of skin
FEATURES = 0.015, 0.16  # of its pixels that are strong edges, at least and at most


def kept(picture: Image.Image) -> Floats:
    """Return how much each pixel had better stay: 0 … 1, of shape (height, width)."""
    scale = min(1.0, SIDE / max(picture.size))
    small = picture.resize(
        (max(1, round(picture.width * scale)), max(1, round(picture.height * scale))), Image.Resampling.BOX
    )
    found = lettering(small) | faces(small)
    grown = Image.fromarray(found.astype(np.uint8) * 255).filter(ImageFilter.MaxFilter(LETTERING))
    soft = grown.filter(ImageFilter.BoxBlur(4)).resize(picture.size, Image.Resampling.BILINEAR)
    return np.asarray(soft, np.float32) / np.float32(255)


def lettering(picture: Image.Image) -> NDArray[np.bool_]:
    """Return where strong edges are as dense as in lettering, in both directions."""
    across, down = _edges(picture)
    both = _mean(across, LETTERING), _mean(down, LETTERING)
    dense = _mean(np.maximum(across, down), LETTERING) > DENSE
    return dense & (np.minimum(*both) > DENSE / 4)


def faces(picture: Image.Image) -> NDArray[np.bool_]:
    """Return where skin has the edges of features in it."""
    _luma, blue, red = (np.asarray(band, np.float32) for band in picture.convert("YCbCr").split())
    skin = ((blue > 85) & (blue < 130) & (red > 135) & (red < 172)).astype(np.float32)
    edges = _mean(np.maximum(*_edges(picture)), FACE)
    return (_mean(skin, FACE) > SKIN) & (edges > FEATURES[0]) & (edges < FEATURES[1])


def _edges(picture: Image.Image) -> tuple[Floats, Floats]:
    """Return which pixels differ strongly from the one before, across and down."""
    grey = np.asarray(picture.convert("L"), np.float32)
    across, down = np.zeros_like(grey), np.zeros_like(grey)
    across[:, 1:] = np.abs(np.diff(grey, axis=1)) > EDGE
    down[1:] = np.abs(np.diff(grey, axis=0)) > EDGE
    return across, down


def _mean(values: Floats, side: int) -> Floats:
    """Return the mean over a square around each pixel."""
    blurred = Image.fromarray((values * 255).astype(np.uint8)).filter(ImageFilter.BoxBlur(side // 2))
    return np.asarray(blurred, np.float32) / np.float32(255)

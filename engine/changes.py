"""What an edit changed of a picture: found by comparing, so that all else can be kept of the source.

A model paints the whole picture anew, so what nobody asked to change drifts a little with each edit. Where
the difference is no more than that drift, the pixels of the source are put back.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

MOST_CHANGED = 0.6  # of the picture: an edit that changes more is one of the whole, and keeps nothing
LEAST = 12.0  # of 255: smaller differences are a drift, however even the rest is
SPREADS = 6.0  # of the drift, above which a difference is a change

_SMOOTH = 2.0  # pixels of a picture of 512: single pixels and shifted edges differ in any drift
_GROWN = 12  # pixels of a picture of 512 around a change that belong to it
_FEATHER = 5.0


def kept(source: Image.Image, edited: Image.Image) -> Image.Image:
    """Return the edited picture with the parts of its source that it left as they were."""
    mask = changed(source, edited)
    return edited if mask is None else Image.composite(edited, source, mask)


def changed(source: Image.Image, edited: Image.Image) -> Image.Image | None:
    """Return how much of the edited picture belongs to a change, as a feathered mask; None for all of it."""
    scale = min(source.size) / 512
    difference = _difference(source, edited, _SMOOTH * scale)
    typical = float(np.median(difference))
    spread = float(np.median(np.abs(difference - typical)))
    if typical > LEAST:
        return None  # the model drifts everywhere: nothing tells the change from it
    above = difference > max(LEAST, typical + SPREADS * spread)
    mask = _grown(Image.fromarray(above), scale)
    if np.asarray(mask).mean() > MOST_CHANGED * 255:
        return None
    return mask.filter(ImageFilter.GaussianBlur(_FEATHER * scale))


def _difference(source: Image.Image, edited: Image.Image, radius: float) -> np.ndarray:
    """Return how far the smoothed pictures are apart at each pixel: the most of their three channels."""
    one, other = (
        np.asarray(each.convert("RGB").filter(ImageFilter.GaussianBlur(radius)), np.float32)
        for each in (source, edited)
    )
    apart: np.ndarray = np.abs(one - other).max(axis=2)
    return apart


def _grown(mask: Image.Image, scale: float) -> Image.Image:
    """Return a mask without specks, and with a margin around what it marks."""
    speck, margin = (2 * round(each * scale) + 1 for each in (2, _GROWN))
    bare = mask.convert("L").filter(ImageFilter.MinFilter(max(3, speck)))
    return bare.filter(ImageFilter.MaxFilter(speck + margin - 1))

"""Painting a part of a picture: what the model is given of it, and how its work is put back.

The model paints a window around the part; what comes back is laid over the picture through a feathered mask,
so that no other pixel changes.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from engine.errors import InvalidRequest
from engine.text import _
from engine.types import Inpaint, ModelInfo, Outpaint

FEATHER = 8  # pixels in which the painted part and the picture are mixed

_MARGIN = 64  # pixels around the part that the model sees at least

Size = tuple[int, int]
Box = tuple[int, int, int, int]
"""Left, top, right, bottom; the last two are outside of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A part of a picture that is painted anew."""

    canvas: Image.Image  # RGB, in the size that is delivered
    alpha: Image.Image  # "L" of that size: how much of what is painted is seen; 0 keeps the pixel
    window: Box  # what the model is given of the canvas
    size: Size  # in which it paints the window

    @property
    def image(self) -> Image.Image:
        """Return what the model is given, in the size in which it paints."""
        return self.canvas.crop(self.window).resize(self.size, Image.Resampling.LANCZOS)

    def painted_at(self, size: Size) -> np.ndarray:
        """Return which cells of a grid over the window are painted, as booleans of shape (height, width)."""
        grown = self.alpha.crop(self.window)
        # A cell is painted if any of its pixels is: what remains of the picture is none of the model's.
        reduced = np.asarray(grown.resize(size, Image.Resampling.BOX), np.uint8)
        return reduced > 0

    def composed(self, painted: Image.Image) -> Image.Image:
        """Return the picture with the painted window laid over it."""
        left, top, right, bottom = self.window
        back = painted.resize((right - left, bottom - top), Image.Resampling.LANCZOS)
        whole = self.canvas.copy()
        whole.paste(back, (left, top), self.alpha.crop(self.window))
        return whole


def region(task: Inpaint | Outpaint, sources: Sequence[bytes], size: Size, model: ModelInfo) -> Region:
    """Return the part of a picture of `size` that a task paints. Raises InvalidRequest."""
    match task:
        case Inpaint():
            canvas, alpha = _masked(sources, size)
        case Outpaint():
            canvas, alpha = _extended(task, opened(sources[0]) if sources else None, size)
    bounds = alpha.getbbox()
    if bounds is None:
        raise InvalidRequest("an empty mask", advice=_("The mask marks nothing. Mark what is to change."))
    window = _window(bounds, size, model)
    return Region(canvas=canvas, alpha=alpha, window=window, size=_painting_size(window, model))


def opened(png: bytes, mode: str = "RGB") -> Image.Image:
    """Return a stored picture; what is transparent in it lies on white. Raises InvalidRequest."""
    return on_white(opened_as_is(png)).convert(mode)


def opened_as_is(png: bytes) -> Image.Image:
    """Return a stored picture in RGBA where anything in it is transparent, else in RGB.

    Raises InvalidRequest.
    """
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as picture:
            if not picture.has_transparency_data:
                return picture.convert("RGB")
            whole = picture.convert("RGBA")
    except OSError as error:
        raise InvalidRequest(f"the source picture cannot be read: {error}") from error
    solid = whole.getchannel("A").getextrema() == (255, 255)
    return whole.convert("RGB") if solid else whole


def on_white(picture: Image.Image) -> Image.Image:
    """Return a picture without transparency."""
    if picture.mode != "RGBA":
        return picture
    ground = Image.new("RGB", picture.size, "white")
    ground.paste(picture, mask=picture.getchannel("A"))
    return ground


def _masked(sources: Sequence[bytes], size: Size) -> tuple[Image.Image, Image.Image]:
    if len(sources) != 2:
        raise InvalidRequest("no mask", advice=_("The source image or its mask is gone. Choose another."))
    canvas, mask = opened(sources[0]), opened(sources[1], "L")
    if canvas.size != size:
        canvas = canvas.resize(size, Image.Resampling.LANCZOS)
    if mask.size != size:
        mask = mask.resize(size, Image.Resampling.BILINEAR)
    return canvas, _feathered(mask)


def _feathered(mask: Image.Image) -> Image.Image:
    """Return how much of the painted is seen: a mask with hard edges is mixed over FEATHER pixels outside."""
    values = np.asarray(mask)
    if ((values > 8) & (values < 247)).mean() > 0.002:
        return mask  # somebody has feathered it
    hard = mask.point(lambda value: 255 if value > 127 else 0)
    return hard.filter(ImageFilter.MaxFilter(FEATHER + 1)).filter(ImageFilter.BoxBlur(FEATHER // 2))


def _extended(task: Outpaint, source: Image.Image | None, size: Size) -> tuple[Image.Image, Image.Image]:
    """Return a canvas with the source in its box, mirrored and blurred around it, and what is painted."""
    if source is None:
        raise InvalidRequest("no source picture", advice=_("The source image is gone. Choose another."))
    inner = task.width, task.height
    if source.size != inner:
        source = source.resize(inner, Image.Resampling.LANCZOS)
    left, top = task.left, task.top
    right, bottom = size[0] - left - inner[0], size[1] - top - inner[1]
    if min(left, top, right, bottom) < 0:
        raise InvalidRequest("the source does not lie in the new picture")
    pad = ((top, bottom), (left, right), (0, 0))
    mirrored = Image.fromarray(np.pad(np.asarray(source), pad, mode="symmetric"))
    canvas = mirrored.filter(ImageFilter.GaussianBlur(max(2.0, min(size) / 48)))
    box = (left, top, left + inner[0], top + inner[1])
    kept = Image.new("L", size, 0)
    kept.paste(255, box)
    # Near the source the mirrored picture is sharp, so that it goes on without an edge.
    near = kept.filter(ImageFilter.BoxBlur(FEATHER))
    canvas = Image.composite(mirrored, canvas, near.point(lambda value: min(255, 2 * value)))
    canvas.paste(source, box)
    # Everything outside is painted; it is mixed with what is mirrored there, and the source is kept whole.
    outside = ImageChops.invert(kept.filter(ImageFilter.MaxFilter(FEATHER + 1)))
    alpha = outside.filter(ImageFilter.BoxBlur(FEATHER // 2))
    return canvas, ImageChops.multiply(alpha, ImageChops.invert(kept))


def _window(bounds: Box, size: Size, model: ModelInfo) -> Box:
    """Return what the model is given: the part, what surrounds it, and no less than it usually paints."""
    across = _span(bounds[0], bounds[2], size[0], model.width)
    down = _span(bounds[1], bounds[3], size[1], model.height)
    return across[0], down[0], across[1], down[1]


def _span(start: int, end: int, whole: int, least: int) -> tuple[int, int]:
    length = min(whole, max(least, (end - start) + 2 * max(_MARGIN, (end - start) // 4)))
    first = min(max(0, (start + end - length) // 2), whole - length)
    return first, first + length


def _painting_size(window: Box, model: ModelInfo) -> Size:
    return painting_size((window[2] - window[0], window[3] - window[1]), model)


def painting_size(size: Size, model: ModelInfo) -> Size:
    """Return the size in which a model paints a part of `size` pixels."""
    width, height = size
    shrink = min(1.0, model.max_side / max(width, height))
    return _side(width * shrink, model), _side(height * shrink, model)


def _side(length: float, model: ModelInfo) -> int:
    least, most = -(-model.min_side // model.multiple), model.max_side // model.multiple
    return min(max(round(length / model.multiple), least), most) * model.multiple

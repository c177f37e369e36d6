"""Painting a part of a picture: what the model is given of it, and how its work is put back.

The model paints a window around the part; what comes back is laid over the picture through a feathered mask,
so that no other pixel changes.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

from engine.errors import InvalidRequest
from engine.text import _
from engine.types import Inpaint, ModelInfo, Outpaint

FEATHER = 8  # pixels in which the painted part and the picture are mixed

_EDGE = (4, 20)  # pixels from a picture's edge whose colours go on around it: models often spoil the first
_LOOKED_AT = 512  # pixels of the longer side at which colours that go on are mixed
_MOST_APART = 80.0  # levels by which the same place may differ in tone, when it is painted again
_MARGIN = 64  # pixels around the part that the model sees at least

Floats = NDArray[np.floating[Any]]
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

    def mask(self, size: Size) -> Image.Image:
        """Return the same as a picture, white where it is painted."""
        return Image.fromarray(self.painted_at(size).astype(np.uint8) * 255)

    def composed(self, painted: Image.Image) -> Image.Image:
        """Return the picture with the painted window laid over it."""
        left, top, right, bottom = self.window
        back = painted.resize((right - left, bottom - top), Image.Resampling.LANCZOS)
        alpha = self.alpha.crop(self.window)
        whole = self.canvas.copy()
        whole.paste(_toned(back, self.canvas.crop(self.window), alpha), (left, top), alpha)
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
    most = model.width * model.height if isinstance(task, Outpaint) else model.max_side**2
    return Region(canvas=canvas, alpha=alpha, window=window, size=_painting_size(window, model, most))


def opened(png: bytes, mode: str = "RGB") -> Image.Image:
    """Return a stored picture; what is transparent in it lies on white. Raises InvalidRequest."""
    return on_white(opened_as_is(png)).convert(mode)


def as_png(picture: Image.Image, effort: int = 1) -> bytes:
    """Return a picture as PNG; `effort` is how hard it is compressed, 0 to 9."""
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=effort)
    return out.getvalue()


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
    box = (left, top, left + inner[0], top + inner[1])
    kept = Image.new("L", size, 0)
    kept.paste(255, box)
    canvas = _mirrored(source, (left, top, right, bottom))
    # The colours at the edges go on, and near them so does what is mirrored: nothing is repeated further out.
    edge = kept
    if min(inner) > 2 * _EDGE[1]:
        edge = _grown(size, box, -_EDGE[0])
        edge.paste(0, _around(box, -_EDGE[1]))
    colours = _filled(np.asarray(canvas, np.float32), np.asarray(edge, np.float32) / 255)
    near = _grown(size, box, 2 * FEATHER).filter(ImageFilter.BoxBlur(2 * FEATHER))
    canvas = Image.composite(canvas, _image(colours), near)
    canvas.paste(source, box)
    # Everything outside is painted; it is mixed with what is mirrored there, and the source is kept whole.
    outside = ImageChops.invert(_grown(size, box, FEATHER // 2))
    alpha = outside.filter(ImageFilter.BoxBlur(FEATHER // 2))
    return canvas, ImageChops.multiply(alpha, ImageChops.invert(kept))


def continued(picture: Image.Image, margins: Box) -> Image.Image:
    """Return a picture with the colours of its edges gone on at its sides; of one in RGBA, nothing."""
    left, top, right, bottom = margins
    size = picture.width + left + right, picture.height + top + bottom
    if picture.mode == "RGBA":
        whole = Image.new("RGBA", size)
        whole.paste(picture, (left, top))
        return whole
    box = left, top, left + picture.width, top + picture.height
    small = min(1.0, _LOOKED_AT / max(size))
    known = Image.new("L", size, 0)
    known.paste(255, box)
    if min(picture.size) > 2 * _EDGE[1]:
        known = _grown(size, box, -_EDGE[0])
        known.paste(0, _around(box, -_EDGE[1]))
    pad = ((top, bottom), (left, right), (0, 0))
    canvas = Image.fromarray(np.pad(np.asarray(picture), pad, mode="edge"))
    reduced = max(1, round(size[0] * small)), max(1, round(size[1] * small))
    share = np.asarray(known.resize(reduced, Image.Resampling.BOX), np.float32) / 255
    values = np.asarray(canvas.resize(reduced, Image.Resampling.BOX), np.float32)
    colours = _image(_filled(values, share)).resize(size, Image.Resampling.BICUBIC)
    near = _grown(size, box, 2 * FEATHER).filter(ImageFilter.BoxBlur(2 * FEATHER))
    canvas = Image.composite(canvas, colours, near)
    canvas.paste(picture, box)
    return canvas


def _grown(size: Size, box: Box, by: int) -> Image.Image:
    """Return a box that is so many pixels larger each way, white on black."""
    grown = Image.new("L", size, 0)
    grown.paste(255, _around(box, by))
    return grown


def _around(box: Box, by: int) -> Box:
    return max(0, box[0] - by), max(0, box[1] - by), box[2] + by, box[3] + by


def ground(prompt: str) -> str:
    """Return a prompt's words for what things stand on or before: "a fox in snow" → "snow"."""
    words = prompt.split()
    at = max((place for place, word in enumerate(words) if word.casefold() in _BEFORE_GROUND), default=-1)
    return " ".join(words[at + 1 :]) if 0 < at < len(words) - 1 else "plain background"


_BEFORE_GROUND = frozenset("on in at under before auf im in vor unter am sur dans devant sous".split())


def _mirrored(source: Image.Image, margins: Box) -> Image.Image:
    """Return a picture with its mirror image around it."""
    left, top, right, bottom = margins
    pad = ((top, bottom), (left, right), (0, 0))
    return Image.fromarray(np.pad(np.asarray(source), pad, mode="symmetric"))


def _toned(painted: Image.Image, canvas: Image.Image, alpha: Image.Image) -> Image.Image:
    """Return what was painted in the tone of the canvas: what both hold differs in colour by some levels.

    The difference is carried on smoothly into what only the painted has, so that no edge is seen.
    """
    values = np.asarray(painted, np.float32)
    apart = np.asarray(canvas, np.float32) - values
    kept = np.asarray(alpha) == 0
    alike = kept & (np.abs(apart).max(axis=2) <= _MOST_APART)
    if 2 * alike.sum() <= kept.sum():  # the model has painted all of it anew
        return painted
    return _image(values + _filled(apart, alike.astype(np.float32)))


def _filled(values: Floats, known: Floats) -> Floats:
    """Return values of shape (height, width, 3), smooth everywhere, from those that are known (1, else 0).

    Means over ever larger cells stand in for what smaller ones do not know (pull and push).
    """
    height, width = known.shape
    levels = [_halved(_halved(np.dstack([values * known[..., None], known])))]
    while max(levels[-1].shape[:2]) > 1:
        levels.append(_halved(levels[-1]))
    smooth = levels[-1][..., :3] / np.maximum(levels[-1][..., 3:], 1e-6)
    for each in reversed(levels[:-1]):
        part = np.clip(each[..., 3:] * 2, 0, 1)
        mean = each[..., :3] / np.maximum(each[..., 3:], 1e-6)
        smooth = part * mean + (1 - part) * _scaled(smooth, (each.shape[1], each.shape[0]))
    return _scaled(smooth, (width, height))


def _halved(values: Floats) -> Floats:
    size = -(-values.shape[1] // 2), -(-values.shape[0] // 2)
    return _scaled(values, size, Image.Resampling.BOX)


def _scaled(values: Floats, size: Size, how: Image.Resampling = Image.Resampling.BILINEAR) -> Floats:
    parts = [Image.fromarray(values[..., each]).resize(size, how) for each in range(values.shape[2])]
    return np.dstack([np.asarray(each, np.float32) for each in parts])


def _image(values: Floats) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def _window(bounds: Box, size: Size, model: ModelInfo) -> Box:
    """Return what the model is given: the part, what surrounds it, and no less than it usually paints."""
    # What draws in the middle alone is given little more than the part.
    parts = 4 if model.one_thing else 1
    across = _span(bounds[0], bounds[2], size[0], model.width // parts, _MARGIN // parts)
    down = _span(bounds[1], bounds[3], size[1], model.height // parts, _MARGIN // parts)
    return across[0], down[0], across[1], down[1]


def _span(start: int, end: int, whole: int, least: int, margin: int) -> tuple[int, int]:
    length = min(whole, max(least, (end - start) + 2 * max(margin, (end - start) * margin // 256)))
    first = min(max(0, (start + end - length) // 2), whole - length)
    return first, first + length


def painting_size(size: Size, model: ModelInfo) -> Size:
    """Return the size in which a model paints a part of `size` pixels."""
    width, height = size
    shrink = min(1.0, model.max_side / max(width, height))
    return _side(width * shrink, model), _side(height * shrink, model)


def _painting_size(window: Box, model: ModelInfo, most: int) -> Size:
    """Return the size in which a window is painted, of about `most` pixels at most.

    What is painted around a picture belongs to one scene with it, so it is painted in the size that the
    model knows: above that, models repeat things.
    """
    width, height = window[2] - window[0], window[3] - window[1]
    scale = min(1.0, model.max_side / max(width, height), (most / (width * height)) ** 0.5)
    if model.one_thing:  # it knows but one size
        scale = (model.width * model.height / (width * height)) ** 0.5
    return _side(width * scale, model), _side(height * scale, model)


def _side(length: float, model: ModelInfo) -> int:
    least, most = -(-model.min_side // model.multiple), model.max_side // model.multiple
    return min(max(round(length / model.multiple), least), most) * model.multiple

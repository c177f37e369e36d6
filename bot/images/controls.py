"""Control pictures made from pictures: edges by Canny, lines of a drawing. All of it blocks: for threads."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Floats = NDArray[np.float32]
Marks = NDArray[np.bool_]

SIDE = 1024  # pixels of the longer side of what is made
SHOWN_SIDE = 512  # of what cards show
_LEAST_EDGE = 40.0  # levels a pixel by which brightness changes at an edge
_STRONG = 0.2  # of the strongest edge: what begins one
_WEAK = 0.4  # of that: what goes on with one
_GROUND = 0.6  # of a drawing is its ground
_CLEAR = 0.9  # of a drawing is ground or line, and nothing between
_DARK, _BRIGHT = 64, 192
_LEAST_LINES = 0.0005  # of a picture, or there is nothing to go by


def edges(picture: bytes, *, soft: bool = False) -> bytes | None:
    """Return a picture's edges, white on black, thin or `soft`; None where it has none."""
    grey = _grey(picture)
    return _png(_soft(grey) if soft else _thin(grey))


def lines(picture: bytes) -> bytes | None:
    """Return a drawing's lines, white on black; of any other picture its edges, thick; None without any."""
    grey = _grey(picture)
    values = np.asarray(grey)
    dark, bright = float((values <= _DARK).mean()), float((values >= _BRIGHT).mean())
    if dark + bright >= _CLEAR and max(dark, bright) >= _GROUND:
        return _png((values < 128) if bright > dark else (values >= 128))
    thin = _thin(grey)
    thick = Image.fromarray(thin.astype(np.uint8) * 255).filter(ImageFilter.MaxFilter(5))
    return _png(np.asarray(thick) > 127)


def as_given(picture: bytes) -> bytes | None:
    """Return a control picture as it was given, RGB; None where it is of one colour."""
    image = _opened(picture)
    if all(low == high for low, high in image.getextrema()):  # type: ignore[misc]
        return None
    return _encoded(image)


def shown(control: bytes) -> bytes:
    """Return a control picture for a card, small, as WebP."""
    with Image.open(io.BytesIO(control)) as opened:
        small = opened.convert("RGB")
    small.thumbnail((SHOWN_SIDE, SHOWN_SIDE), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    small.save(out, "WEBP", quality=80)
    return out.getvalue()


def _opened(picture: bytes) -> Image.Image:
    """Return a picture on white, with no side longer than `SIDE`."""
    with Image.open(io.BytesIO(picture)) as opened:
        shown = opened.convert("RGBA")
    white = Image.new("RGBA", shown.size, "white")
    whole = Image.alpha_composite(white, shown).convert("RGB")
    whole.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return whole


def _grey(picture: bytes) -> Image.Image:
    return _opened(picture).convert("L")


def _gradient(grey: Image.Image) -> tuple[Floats, Floats]:
    """Return how brightness changes across and down, by Sobel, in levels a pixel times four."""
    values = np.pad(np.asarray(grey.filter(ImageFilter.GaussianBlur(1.2)), np.float32), 1, mode="edge")
    down = values[2:] - values[:-2]
    across = values[:, 2:] - values[:, :-2]
    return (
        across[:-2] + 2 * across[1:-1] + across[2:],
        down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:],
    )


def _soft(grey: Image.Image) -> Floats:
    across, down = _gradient(grey)
    strength = np.hypot(across, down)
    most = max(_LEAST_EDGE, float(strength.max()))
    return (strength / most).astype(np.float32)


def _thin(grey: Image.Image) -> Marks:
    """Return the edges, a pixel wide (Canny)."""
    across, down = _gradient(grey)
    strength = np.hypot(across, down)
    strong = max(_LEAST_EDGE, _STRONG * float(strength.max()))
    peaks = np.where(_is_peak(strength, across, down), strength, 0.0)
    return _connected(peaks >= strong, peaks >= _WEAK * strong)


def _is_peak(strength: Floats, across: Floats, down: Floats) -> Marks:
    """Return where no neighbour in the direction of the change is stronger."""
    padded = np.pad(strength, 1)
    height, width = strength.shape

    def beside(y: int, x: int) -> Floats:
        return padded[1 + y : 1 + y + height, 1 + x : 1 + x + width]

    angle = (np.rad2deg(np.arctan2(down, across)) + 22.5) % 180
    peak = np.zeros(strength.shape, bool)
    for sector, (y, x) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        here = (angle >= 45 * sector) & (angle < 45 * (sector + 1))
        # On a plateau of two pixels the first counts.
        peak |= here & (strength > beside(-y, -x)) & (strength >= beside(y, x))
    return peak


def _connected(strong: Marks, weak: Marks) -> Marks:
    """Return the strong pixels and those weak ones that go on with them."""
    wide = strong.shape[1] + 2
    open_, found = np.pad(weak, 1).ravel(), np.pad(strong & weak, 1).ravel()
    around = np.array([-wide - 1, -wide, -wide + 1, -1, 1, wide - 1, wide, wide + 1])
    last = np.flatnonzero(found)
    while last.size:
        near = np.unique(last[:, None] + around)
        last = near[open_[near] & ~found[near]]
        found[last] = True
    return found.reshape(-1, wide)[1:-1, 1:-1]


def _png(values: Marks | Floats) -> bytes | None:
    if float(values.mean()) < _LEAST_LINES:
        return None
    return _encoded(Image.fromarray((values.astype(np.float32) * 255).astype(np.uint8)).convert("RGB"))


def _encoded(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=4)
    return out.getvalue()

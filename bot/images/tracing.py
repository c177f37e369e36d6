"""Pictures as SVG: flat ones alone, which is found out by drawing the paths again.

All of it blocks: for threads.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from bot.images import trace_process

LONGEST = 1024  # pixels of a side that is traced; a larger picture is made smaller for it
MOST_BYTES = 4_000_000  # of the paths
ALIKE = 0.95  # the least structural similarity of a picture and its paths
_PATIENCE = 30.0  # seconds, on a busy machine
_OPTIONS = {"mode": "spline", "color_precision": 8, "layer_difference": 0, "path_precision": 1}
_SMOOTHED = 3  # pixels: the invisible mark's grain is no shape
_TRIES = ((32, 4), (64, 3), (128, 2))
"""How many colours are traced, and shapes of how many pixels a side are left out; the next finds more."""

_PATH = re.compile(
    r'<path d="([^"<>]*)" fill="(#[0-9A-Fa-f]{6})" transform="translate\((-?[\d.]+),(-?[\d.]+)\)"/>'
)
_TOKEN = re.compile(r"[MCLZ]|-?[\d.]+(?:e-?\d+)?")
_STEPS = 6  # straight lines in place of a curve, where paths are drawn for a comparison

Point = tuple[float, float]


class NotFlat(ValueError):
    """A picture that paths do not show: a photograph, or a painting."""


def trace(picture: Image.Image, xmp: bytes = b"") -> bytes:
    """Return a picture as SVG of paths alone, which has its size. Raises NotFlat."""
    small = picture.convert("RGB")
    small.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    drawn = _paths(small)
    about = xmp.decode().partition("?>")[2].rpartition("<?xpacket")[0] if xmp else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{picture.width}" height="{picture.height}" '
        f'viewBox="0 0 {small.width} {small.height}">\n<metadata>{about}</metadata>\n{drawn}</svg>\n'
    ).encode()


def _paths(picture: Image.Image) -> str:
    """Return the paths that show a picture, as few as will do. Raises NotFlat."""
    smooth = picture.filter(ImageFilter.MedianFilter(_SMOOTHED))
    for colours, speckle in _TRIES:
        few = smooth.quantize(colours, Image.Quantize.MEDIANCUT, kmeans=2, dither=Image.Dither.NONE)
        paths = _PATH.findall(_traced(few.convert("RGB"), speckle))
        drawn = "".join(
            f'<path d="{d.strip()}" fill="{fill}" transform="translate({x},{y})"/>\n'
            for d, fill, x, y in paths
        )
        if len(drawn) > MOST_BYTES:
            break
        if likeness(picture, _drawn(paths, picture.size)) >= ALIKE:
            return drawn
    raise NotFlat


def _traced(picture: Image.Image, speckle: int) -> str:
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=1)
    options = {**_OPTIONS, "filter_speckle": speckle}
    command = [sys.executable, "-I", trace_process.__file__, json.dumps(options)]
    try:
        done = subprocess.run(command, input=out.getvalue(), capture_output=True, timeout=_PATIENCE, env={})
    except subprocess.TimeoutExpired:
        raise NotFlat from None
    if done.returncode != 0:
        raise NotFlat(done.stderr.decode(errors="replace")[-500:])
    return done.stdout.decode()


def likeness(one: Image.Image, other: Image.Image) -> float:
    """Return the structural similarity of two pictures of the same size: 1 is the same."""
    a, b = (np.asarray(each.convert("L"), np.float64) for each in (one, other))
    mean_a, mean_b = _means(a), _means(b)
    spread = _means(a * a) - mean_a**2 + _means(b * b) - mean_b**2
    together = _means(a * b) - mean_a * mean_b
    low, high = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    alike = (2 * mean_a * mean_b + low) * (2 * together + high)
    return float((alike / ((mean_a**2 + mean_b**2 + low) * (spread + high))).mean())


def _means(values: NDArray[np.float64], side: int = 7) -> NDArray[np.float64]:
    """Return the mean of every square of so many pixels a side."""
    sums = np.pad(values, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    whole: NDArray[np.float64] = sums[side:, side:] - sums[:-side, side:]
    whole -= sums[side:, :-side]
    whole += sums[:-side, :-side]
    return whole / float(side**2)


def _drawn(paths: list[tuple[str, str, str, str]], size: tuple[int, int]) -> Image.Image:
    """Draw paths at twice the size, and return that made smaller."""
    sheet = Image.new("RGB", (size[0] * 2, size[1] * 2), "white")
    pen = ImageDraw.Draw(sheet)
    for path, fill, x, y in paths:
        shift = float(x), float(y)
        outlines = [
            [((px + shift[0]) * 2, (py + shift[1]) * 2) for px, py in each]
            for each in _outlines(path)
            if len(each) > 1
        ]
        if len(outlines) == 1:
            pen.polygon(outlines[0], fill)
        elif outlines:
            _fill(sheet, outlines, fill)
    return sheet.resize(size, Image.Resampling.BOX)


def _fill(sheet: Image.Image, outlines: list[list[Point]], fill: str) -> None:
    """Fill what lies in an odd number of outlines."""
    inside = Image.new("1", sheet.size)
    for each in outlines:
        one = Image.new("1", sheet.size)
        ImageDraw.Draw(one).polygon(each, 1)
        inside = ImageChops.logical_xor(inside, one)
    sheet.paste(fill, mask=inside)


def _outlines(path: str) -> Iterator[list[Point]]:
    """Yield the outlines of a path as corners; curves become straight lines."""
    command, numbers, corners = "", [], []  # type: ignore[var-annotated]
    for token in _TOKEN.findall(path):
        if token == "Z":
            yield corners
            corners = []
        elif token in "MCL":
            command = token
        else:
            numbers.append(float(token))
            if len(numbers) == (6 if command == "C" else 2):
                corners += _curve(corners[-1], numbers) if command == "C" else [(numbers[0], numbers[1])]
                numbers = []


def _curve(start: Point, numbers: list[float]) -> list[Point]:
    """Return points of a cubic curve, without its start."""
    xs, ys = (start[0], *numbers[::2]), (start[1], *numbers[1::2])
    found = []
    for step in range(1, _STEPS + 1):
        t = step / _STEPS
        weights = (1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3
        found.append(
            (
                sum(w * x for w, x in zip(weights, xs, strict=True)),
                sum(w * y for w, y in zip(weights, ys, strict=True)),
            )
        )
    return found

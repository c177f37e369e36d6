"""The pictures that an edit or a blend is given, as a family takes them."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageOps

from engine.families import Family
from engine.types import Blend, Edit

LEAST_SIDE = 64  # pixels of a reference
LONGEST = 8  # times its shorter side

Size = tuple[int, int]


def start(task: Edit | Blend, pictures: Sequence[Image.Image], size: Size) -> Image.Image:
    """Return what a model without references starts from: the first picture, or all of them mixed."""
    fitted = [ImageOps.fit(each, size, Image.Resampling.LANCZOS) for each in pictures]
    if isinstance(task, Edit):
        return fitted[0]
    weights = list(task.weights) if any(task.weights) else [1.0] * len(fitted)
    mixed, total = fitted[0], weights[0]
    for picture, weight in zip(fitted[1:], weights[1:], strict=True):
        total += weight
        mixed = Image.blend(mixed, picture, weight / total if total else 0.0)
    return mixed


def references(
    task: Edit | Blend, pictures: Sequence[Image.Image], family: Family, size: Size
) -> list[Image.Image]:
    """Return what a family with references is given, each picture as a whole.

    One that is to be changed has the size that is painted. What is more than the family takes at once is laid
    beside the last one.
    """
    given = [usable(each) for each in pictures]
    if isinstance(task, Edit) and task.keep:
        given[0] = ImageOps.fit(given[0], size, Image.Resampling.LANCZOS)
    most = family.references
    return given if len(given) <= most else [*given[: most - 1], side_by_side(given[most - 1 :])]


def usable(picture: Image.Image) -> Image.Image:
    """Return a picture no smaller and no longer than every family takes; what is too long is cropped."""
    width, height = picture.size
    least = min(width, height)
    if max(width, height) > LONGEST * least:
        size = (min(width, LONGEST * least), min(height, LONGEST * least))
        picture = ImageOps.fit(picture, size)
    if least < LEAST_SIDE:
        picture = ImageOps.scale(picture, LEAST_SIDE / least, Image.Resampling.LANCZOS)
    return picture


def side_by_side(pictures: Sequence[Image.Image]) -> Image.Image:
    """Return the pictures in a row, as high as the lowest of them."""
    height = min(each.height for each in pictures)
    row = [each.resize((max(1, round(each.width * height / each.height)), height)) for each in pictures]
    joined = Image.new("RGB", (sum(each.width for each in row), height))
    left = 0
    for each in row:
        joined.paste(each, (left, 0))
        left += each.width
    return joined

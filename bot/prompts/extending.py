"""How a picture is extended: zoomed out, panned, or brought to another aspect ratio."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from bot.i18n import _
from bot.options import Unusable, clip
from bot.prompts.readers import read_aspect
from engine.types import BlobRef, ModelInfo, Outpaint

MOST_ZOOM = 3.0
PAN = 0.5  # of the picture's side

Size = tuple[int, int]
Direction = Literal["left", "right", "up", "down"]

_DIRECTIONS: dict[str, Direction] = {
    **dict.fromkeys(("left", "links", "gauche"), "left"),
    **dict.fromkeys(("right", "rechts", "droite"), "right"),
    **dict.fromkeys(("up", "top", "oben", "haut"), "up"),
    **dict.fromkeys(("down", "bottom", "unten", "bas"), "down"),
}


FIT = "fit"
"""As far as the sizes of the pack reach beyond the picture."""


def read_extend(value: str) -> str:
    """Read how far a picture is extended: "2" or "2x", "left", "square", "16:9" or "fit". Raises Unusable."""
    word = value.casefold().strip()
    if word == FIT:
        return FIT
    if word in _DIRECTIONS:
        return _DIRECTIONS[word]
    if (factor := _factor(word)) is not None:
        if not 1 < factor <= MOST_ZOOM:
            raise Unusable(
                _(
                    "A zoom can be up to {most}x; you asked for {typed}.",
                    most=f"{MOST_ZOOM:g}",
                    typed=clip(value),
                ),
                f"{min(max(factor, 1.5), MOST_ZOOM):g}x",
            )
        return f"{factor:g}x"
    try:
        return read_aspect(word)
    except Unusable as error:
        raise Unusable(
            _(
                "Extend can be a zoom such as 1.5x, left, right, up, down, square, or a ratio such as "
                "16:9; “{typed}” is none of them.",
                typed=clip(value),
            ),
            "1.5x",
        ) from error


def _factor(word: str) -> float | None:
    digits = word.removesuffix("x").removesuffix("×").strip().replace(",", ".")
    return float(digits) if digits.replace(".", "", 1).isdecimal() and len(digits) <= 6 else None


def outpainted(
    how: str,
    source: BlobRef,
    size: Size,
    model: ModelInfo,
    max_pixels: float,
    shapes: Sequence[float] = (),
) -> tuple[Outpaint, Size]:
    """Return the task that extends a picture of `size`, and the new size; `shapes`: ratios that FIT is for.

    Where that is more than the model paints or `max_pixels`, the picture is made smaller first. The task's
    picture is as large as the new one where it has that aspect ratio already.
    """
    width, height = size
    left, right, up, down = _fitting(shapes, width, height) if how == FIT else _added(how, width, height)
    whole = width + left + right, height + up + down
    shrink = min(1.0, model.max_side / max(whole), math.sqrt(max_pixels / (whole[0] * whole[1])))
    inner = max(1, int(width * shrink)), max(1, int(height * shrink))
    new = max(inner[0], int(whole[0] * shrink)), max(inner[1], int(whole[1] * shrink))
    corner = (
        _share(new[0] - inner[0], left, right),
        _share(new[1] - inner[1], up, down),
    )
    task = Outpaint(
        source=source,
        left=corner[0],
        top=corner[1],
        width=inner[0],
        height=inner[1],
        strength=model.extending,
    )
    return task, new


def _fitting(shapes: Sequence[float], width: int, height: int) -> tuple[float, float, float, float]:
    """Return the pixels around a picture that hold it whole in each of these shapes."""
    wider = max(0.0, *(height * each - width for each in shapes)) / 2
    higher = max(0.0, *(width / each - height for each in shapes)) / 2
    return wider, wider, higher, higher


def _added(how: str, width: int, height: int) -> tuple[float, float, float, float]:
    """Return the pixels that are added at the left, the right, above and below."""
    if how in ("left", "right"):
        return (width * PAN, 0, 0, 0) if how == "left" else (0, width * PAN, 0, 0)
    if how in ("up", "down"):
        return (0, 0, height * PAN, 0) if how == "up" else (0, 0, 0, height * PAN)
    if how.endswith("x"):
        more = (float(how[:-1]) - 1) / 2
        return width * more, width * more, height * more, height * more
    across, _colon, down = how.partition(":")
    ratio = float(across) / float(down)
    wider = max(0.0, height * ratio - width) / 2
    higher = max(0.0, width / ratio - height) / 2
    return wider, wider, higher, higher


def _share(room: int, before: float, after: float) -> int:
    return round(room * before / (before + after)) if before + after else 0


def told(task: Outpaint, size: Size) -> str:
    """Return how a picture was extended as it is typed: what `outpainted` makes of it is near the task."""
    right, below = size[0] - task.left - task.width, size[1] - task.top - task.height
    added = {"left": task.left, "right": right, "up": task.top, "down": below}
    sides = [name for name, pixels in added.items() if pixels > 1]
    if len(sides) == 1:
        return sides[0]
    across, down = size[0] / task.width, size[1] / task.height
    if abs(across - down) < 0.02:
        return f"{across:.3g}x"
    return f"{size[0] / size[1]:.2f}:1" if size[0] > size[1] else f"1:{size[1] / size[0]:.2f}"


def shrunk(task: Outpaint, size: Size, most: float) -> tuple[Outpaint, Size]:
    """Return the task and its size with at most so many pixels."""
    factor = min(1.0, math.sqrt(most / (size[0] * size[1])))
    if factor == 1:
        return task, size
    smaller = Outpaint(
        source=task.source,
        left=int(task.left * factor),
        top=int(task.top * factor),
        width=max(1, int(task.width * factor)),
        height=max(1, int(task.height * factor)),
        strength=task.strength,
    )
    return smaller, (int(size[0] * factor), int(size[1] * factor))

"""In which size a server is asked for a picture, and what that costs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from engine.prices import of_picture
from engine.remote.dialects import Dialect
from engine.types import GenerationRequest, Inpaint, ModelInfo, Outpaint

Size = tuple[int, int]


def closest(size: Size, sizes: Sequence[Size]) -> Size:
    """Return that of the sizes whose aspect ratio is closest, of several the one with the closest area."""

    def apart(other: Size) -> tuple[float, float]:
        ratio = math.log(other[0] * size[1] / (other[1] * size[0]))
        return round(abs(ratio), 3), abs(math.log(other[0] * other[1] / (size[0] * size[1])))

    return min(sizes, key=apart) if sizes else size


def asked(size: Size, to: Dialect) -> Size:
    """Return the size to ask for where a picture of `size` pixels is wanted."""
    if to.sizes:
        return closest(size, to.sizes)
    width, height = size
    scale = max(1.0, math.sqrt(to.least_pixels / (width * height)) if to.least_pixels else 1.0)
    wide, high = (math.ceil(side * scale / to.multiple) * to.multiple for side in (width, height))
    return min(wide, to.most_side), min(high, to.most_side)


def price(model: ModelInfo, request: GenerationRequest) -> int:
    """Return what a request costs in parts of a unit of the model's currency; 0 where nothing is paid for.

    Of a part of a picture nobody knows the size before it is painted, so it counts as the dearest.
    """
    if not model.prices or not request.paints:
        return 0
    if isinstance(request.task, Inpaint | Outpaint):
        dearest = max(each.parts for each in model.prices if each.quality in ("", model.quality))
        return request.count * dearest
    size = closest((request.width, request.height), model.sizes)
    return request.count * of_picture(model.prices, size, model.quality)

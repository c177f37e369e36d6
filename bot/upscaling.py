"""To which size a picture is upscaled: by a factor, or to a size in pixels or in print."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from bot.errors import Refusal
from bot.formats import sized
from bot.i18n import _
from bot.options import clip

Size = tuple[int, int]  # width and height in pixels

MOST_PIXELS = 18_000_000
"""Of a picture that is upscaled: A3 at 300 dpi. Making it takes about 1 GB of memory."""

USUAL, USUAL_CREATIVE = 4.0, 2.0  # times as long a side, where nothing is said
MOST_CREATIVE = 4.0
LEAST = 1.1  # times; less is no upscale

_DPI = 300
_INCH = {"in": 1.0, "cm": 1 / 2.54, "mm": 1 / 25.4}
_UNITS = {
    "": "px", "px": "px", "pixel": "px", "pixels": "px",
    "cm": "cm", "mm": "mm",
    "in": "in", "inch": "in", "inches": "in", "zoll": "in", "pouces": "in",
}  # fmt: skip
_PAPER = {"a2": (420, 594), "a3": (297, 420), "a4": (210, 297), "a5": (148, 210), "a6": (105, 148)}  # mm
_PAPER |= {"letter": (216, 279)}

_NUMBER = r"\d{1,5}(?:[.,]\d{1,2})?"
_TIMES = re.compile(rf"(?:[x×] ?(?P<after>{_NUMBER})|(?P<before>{_NUMBER}) ?[x×])")
_SIZE = re.compile(
    rf"(?P<paper>[a-z]\w{{1,5}})|(?P<across>{_NUMBER}) ?[x×*] ?(?P<down>{_NUMBER}) ?(?P<unit>[a-z]*)"
)
_RESOLUTION = re.compile(r" ?(?:,|@|at|bei|à)? ?(?P<dpi>\d{2,4}) ?(?:dpi|ppi|ppp)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a picture is to become: so many times as large, or as large as fits into a box."""

    times: float = 0.0  # 0 where it is a box
    box: Size = (0, 0)  # pixels
    turned: bool = False  # the box is laid as the picture is: paper has no upper edge


def read_target(text: str) -> Target:
    """Read "2x", "3000x2000", "A4" or "20x30 cm at 300 dpi". Raises Refusal."""
    plain = " ".join(text.casefold().split())
    if found := _TIMES.fullmatch(plain):
        return Target(times=_number(found["after"] or found["before"]))
    dpi, rest = _DPI, plain
    for match in _RESOLUTION.finditer(plain):
        if match.end() == len(plain):
            dpi, rest = int(match["dpi"]), plain[: match.start()]
    found = _SIZE.fullmatch(rest)
    if found and found["paper"] in _PAPER:
        return Target(box=_pixels(_PAPER[found["paper"]], "mm", dpi), turned=True)
    unit = _UNITS.get(found["unit"] or "") if found and found["across"] else None
    if found is None or unit is None:
        raise Refusal(
            _(
                "Size can be 2x, 3000x2000, A4, or 20x30 cm at 300 dpi; “{typed}” is none of these.",
                typed=clip(text),
            )
        )
    sides = _number(found["across"]), _number(found["down"])
    return Target(box=_pixels(sides, unit, dpi), turned=unit != "px")


def _number(text: str) -> float:
    return float(text.replace(",", "."))


def _pixels(sides: tuple[float, float], unit: str, dpi: int) -> Size:
    per = 1.0 if unit == "px" else _INCH[unit] * dpi
    return max(1, round(sides[0] * per)), max(1, round(sides[1] * per))


def size_of(size: Size, target: str = "", *, creative: bool = False) -> Size:
    """Return the size to which a picture is upscaled; it keeps its shape. Raises Refusal.

    Where nothing is said, it is four times as large, or as large as there is room for.
    """
    usual = USUAL_CREATIVE if creative else USUAL
    room = math.sqrt(MOST_PIXELS / (size[0] * size[1]))
    if room < LEAST:
        raise Refusal(
            _("That image has {size} already. Easel upscales to {most} million pixels.", **_told(size)),
            code="enlarged",
        )
    times = _times(size, read_target(target)) if target.strip() else min(usual, room)
    if times < LEAST:
        raise Refusal(
            _("That image has {size} already, which is no less. Ask for a larger size.", **_told(size)),
            code="enlarged",
        )
    if creative and times > MOST_CREATIVE:
        raise Refusal(
            _(
                "Creative upscaling goes up to {times}×; that is {asked}×. Ask for less, or upscale exactly.",
                times=f"{MOST_CREATIVE:g}",
                asked=f"{times:.1f}",
            ),
            code="enlarged",
        )
    if times > room:
        raise Refusal(
            _(
                "That is more than {most} million pixels, which Easel upscales to. Try {nearest}.",
                nearest=sized(*_scaled(size, room)),
                **_told(size),
            ),
            code="enlarged",
        )
    return _scaled(size, times)


def has_room(size: Size) -> bool:
    """Tell whether a picture of that size can be upscaled."""
    return size[0] * size[1] * LEAST**2 <= MOST_PIXELS


def _times(size: Size, target: Target) -> float:
    if target.times:
        return target.times
    across, down = target.box
    if target.turned and (across > down) is not (size[0] > size[1]):
        across, down = down, across
    return min(across / size[0], down / size[1])


def _scaled(size: Size, times: float) -> Size:
    return max(1, math.floor(size[0] * times + 1e-6)), max(1, math.floor(size[1] * times + 1e-6))


def _told(size: Size) -> dict[str, str]:
    return {"size": sized(*size), "most": str(MOST_PIXELS // 1_000_000)}

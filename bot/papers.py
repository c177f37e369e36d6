"""The paper that a picture is printed on, and its bleed: read, kept in requests, and shown."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from bot.errors import Refusal
from bot.i18n import _
from bot.images.file_formats import PRINT_FORMATS, PrintFormat
from bot.options import clip
from bot.upscaling import MOST_PIXELS

DPI = 300
MOST_BLEED = 20.0  # mm
PAPER = {  # mm, upright
    "a0": (841.0, 1189.0), "a1": (594.0, 841.0), "a2": (420.0, 594.0), "a3": (297.0, 420.0),
    "a4": (210.0, 297.0), "a5": (148.0, 210.0), "a6": (105.0, 148.0), "letter": (215.9, 279.4),
}  # fmt: skip

_MM = {"": 1.0, "mm": 1.0, "cm": 10.0, "in": 25.4, "m": 1000.0}
_BLEED = re.compile(r"(\d{1,4}(?:[.,]\d{1,2})?) ?(mm|cm|in|m|)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """What is printed on, upright, in mm."""

    name: str
    bleed: float = 0.0

    def trimmed(self, *, wide: bool) -> tuple[float, float]:
        """Return width and height after it is cut."""
        short, long = PAPER[self.name]
        return (long, short) if wide else (short, long)

    def sheet(self, *, wide: bool) -> tuple[float, float]:
        """Return width and height with the bleed."""
        width, height = self.trimmed(wide=wide)
        return width + 2 * self.bleed, height + 2 * self.bleed

    def pixels(self, *, wide: bool) -> tuple[int, int]:
        """Return the size of the picture at 300 dpi."""
        width, height = (round(each / 25.4 * DPI) for each in self.sheet(wide=wide))
        return width, height

    @property
    def label(self) -> str:
        name = self.name.upper() if self.name[-1].isdigit() else self.name.capitalize()
        return f"{name} + {self.bleed:g} mm" if self.bleed else name


def read_paper(typed: str, bleed: str = "") -> Paper:
    """Read a paper and a bleed as they were typed.

    Raises Refusal; where a paper is too large, it names the largest that is not.
    """
    name = "".join(typed.casefold().split()).removeprefix("din")
    if name not in PAPER:
        known = ", ".join(each.upper() if each[-1].isdigit() else each.capitalize() for each in PAPER)
        raise Refusal(
            _("Print sizes are {known}; “{typed}” is none of these.", known=known, typed=clip(typed)),
            code="print",
        )
    paper = Paper(name=name, bleed=_bleed(bleed) if bleed.strip() else 0.0)
    if math.prod(paper.pixels(wide=False)) > MOST_PIXELS:
        fitting = [Paper(name=each, bleed=paper.bleed) for each in PAPER]
        fitting = [each for each in fitting if math.prod(each.pixels(wide=False)) <= MOST_PIXELS]
        largest = max(fitting, key=lambda each: math.prod(each.pixels(wide=False)))
        raise Refusal(
            _(
                "{paper} at 300 dpi is more than the {most} million pixels that Easel makes. "
                "The largest that fits is {largest}.",
                paper=paper.label,
                most=MOST_PIXELS // 1_000_000,
                largest=largest.label,
            ),
            code="print",
        )
    return paper


def kept(text: str) -> tuple[Paper, PrintFormat]:
    """Return what `to_keep` wrote into a request."""
    name, bleed, format = text.split(":")
    assert format in PRINT_FORMATS
    return Paper(name=name, bleed=float(bleed)), format


def to_keep(paper: Paper, format: PrintFormat) -> str:
    """Return a paper and the file for it as a request keeps them."""
    return f"{paper.name}:{paper.bleed:g}:{format}"


def _bleed(typed: str) -> float:
    found = _BLEED.fullmatch(" ".join(typed.casefold().split()))
    bleed = float(found[1].replace(",", ".")) * _MM[found[2]] if found else -1.0
    if not 0 <= bleed <= MOST_BLEED:
        raise Refusal(
            _(
                "Bleed can be 0 to {most} mm, as in 3mm; you asked for “{typed}”.",
                most=f"{MOST_BLEED:g}",
                typed=clip(typed),
            ),
            code="print",
        )
    return bleed

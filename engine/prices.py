"""What pictures cost in money, where a model is paid for by the picture. Exact: whole parts of a unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal, InvalidOperation

PARTS = 10_000
"""Parts of a unit of the currency that prices are counted in: a hundredth of a cent each."""
MOST = 10**6 * PARTS  # of one picture


@dataclass(frozen=True, slots=True)
class Price:
    """What one picture costs, of a size and a quality; where these are empty, of any."""

    parts: int  # of which a unit of the currency has `PARTS`
    size: str = ""  # "1024x1024"
    quality: str = ""

    def fits(self, size: str, quality: str) -> bool:
        return self.size in ("", size) and self.quality in ("", quality)


def of_picture(prices: Sequence[Price], size: tuple[int, int], quality: str) -> int:
    """Return the parts of a unit that one picture costs: by the closest line, or the dearest if none fits.

    0 where there are no prices.
    """
    named = f"{size[0]}x{size[1]}"
    fitting = [each for each in prices if each.fits(named, quality)]
    if not fitting:
        return max((each.parts for each in prices), default=0)
    return max(fitting, key=lambda each: (bool(each.size), bool(each.quality))).parts


def parts_of(text: str | int | float) -> int:
    """Return an amount such as "0.042" in parts of a unit, rounded up. Raises ValueError."""
    try:
        amount = Decimal(str(text).strip()) * PARTS
        parts = int(amount.to_integral_value(ROUND_UP))
    except (InvalidOperation, OverflowError, ValueError) as error:
        raise ValueError(f"{text!r} is no amount of money") from error
    if not 0 <= parts <= MOST:
        raise ValueError(f"{text!r} is no amount of money from 0 to {MOST // PARTS}")
    return parts

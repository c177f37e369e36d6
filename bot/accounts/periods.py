"""The arithmetic of allowances: device-seconds in each period. Nothing here does I/O.

The ledger counts whole device-milliseconds, so that hold = charge + release holds exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

from bot.models import Allowance, Period

LARGEST = 1e9  # device-seconds in one gift or one allowance: 31 years

_LENGTHS: dict[Period, timedelta] = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "month": timedelta(days=30),
}


@dataclass(frozen=True, slots=True)
class Window:
    """A calendar period that holds some moment: [starts, ends), in UTC."""

    per: Period
    starts: datetime
    ends: datetime

    @property
    def bucket(self) -> str:
        """The bucket's name in the ledger; zones whose periods begin together share it."""
        return f"{self.per} {self.starts:%Y-%m-%dT%H:%MZ}"


def window(per: Period, zone: str, now: datetime) -> Window:
    """Return the zone's calendar period that contains `now`. A day may last 23 or 25 h; an hour lasts 1 h."""
    local = now.astimezone(ZoneInfo(zone))
    if per == "hour":
        # By the present offset, so that the hour that autumn repeats is counted as two.
        fixed = now.astimezone(timezone(local.utcoffset() or timedelta()))
        starts = fixed.replace(minute=0, second=0, microsecond=0).astimezone(UTC)
        return Window(per, starts, starts + _LENGTHS[per])
    first, after = _dates(per, local)
    return Window(per, _midnight(first, local), _midnight(after, local))


def _dates(per: Period, local: datetime) -> tuple[datetime, datetime]:
    """Return the first day of the period that contains `local`, and the first day of the next period."""
    day = datetime.combine(local.date(), time())
    match per:
        case "week":
            day -= timedelta(days=day.weekday())
        case "month":
            day = day.replace(day=1)
            return day, (day + timedelta(days=31)).replace(day=1)
    return day, day + _LENGTHS[per]


def _midnight(day: datetime, local: datetime) -> datetime:
    """Return when a day begins in the zone of `local`; if its midnight is skipped, the time of the change."""
    return day.replace(tzinfo=local.tzinfo).astimezone(UTC)


def length(per: Period) -> timedelta:
    """Return the length of a rolling period."""
    return _LENGTHS[per]


def held_ms(estimate: float) -> int:
    """Convert an estimate in device-seconds to ms, rounded up. Raises ValueError unless finite and ≥ 0."""
    if not math.isfinite(estimate) or estimate < 0:
        raise ValueError(f"an estimate of {estimate} device-seconds")
    return math.ceil(round(estimate * 1000, 3))


def cap_ms(allowance: Allowance) -> int:
    """Convert an allowance to device-ms, rounded down. Raises ValueError unless 0 ≤ seconds ≤ LARGEST."""
    if not 0 <= allowance.seconds <= LARGEST:
        raise ValueError(f"an allowance of {allowance.seconds} device-seconds")
    return math.floor(round(allowance.seconds * 1000, 3))


def gift_ms(seconds: float) -> int:
    """Convert a gift to whole device-milliseconds. Raises ValueError unless 0.001 ≤ seconds ≤ LARGEST."""
    if not 0.001 <= seconds <= LARGEST:
        raise ValueError(f"a gift of {seconds} device-seconds")
    return round(seconds * 1000)


def charged_ms(measured: float, held: int) -> int:
    """Convert measured device-seconds to the ms to charge: at least 0, and at most the `held` ms."""
    return round(min(held, max(0.0, measured * 1000)))


def fits(estimate: float, left: float) -> bool:
    """Return whether what is held for an estimate fits into the device-seconds that are left."""
    return math.isinf(left) or held_ms(estimate) <= round(left * 1000)

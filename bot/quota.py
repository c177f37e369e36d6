"""The arithmetic of allowances: device-seconds per account and UTC day. Nothing here does I/O.

The ledger counts whole device-milliseconds, so that hold = charge + release holds exactly.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta

from bot.models import Balance


def period(now: datetime) -> date:
    """The day whose allowance is used at `now`."""
    return now.astimezone(UTC).date()


def resets(now: datetime) -> datetime:
    """When the next day's allowance begins."""
    return datetime.combine(period(now) + timedelta(days=1), time(), UTC)


def held_ms(estimate: float) -> int:
    """What to hold for an estimate in device-seconds, rounded up. Raises ValueError unless finite and ≥ 0."""
    if not math.isfinite(estimate) or estimate < 0:
        raise ValueError(f"an estimate of {estimate} device-seconds")
    return math.ceil(round(estimate * 1000, 3))


def charged_ms(measured: float, held: int) -> int:
    """What to charge for measured device-seconds: never less than nothing nor more than was held."""
    return min(held, max(0, round(measured * 1000)))


def fitting(count: int, estimate: float, balance: Balance) -> int:
    """How many of `count` pictures, estimated together at `estimate`, the balance still allows."""
    return count if estimate <= 0 else min(count, math.floor(count * balance.left / estimate + 1e-9))

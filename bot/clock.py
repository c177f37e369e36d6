"""A clock that periods can be counted by, whatever happens to the machine's own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog

log = structlog.stdlib.get_logger(__name__)

SLEW = 0.001  # seconds per second by which it nears the machine's clock: a minute in 17 hours
FAR = timedelta(days=2)  # an error that cannot be nearly right: one of the two clocks was set
STEADY = 3600.0  # seconds for which a clock that far away must run steadily to be believed
NOTABLE = timedelta(minutes=1)  # an error of the machine's clock that is worth a line in the log


def ticks() -> float:
    """Return the seconds since the machine was started, sleep included where the system can tell."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


def wall() -> datetime:
    """Return the machine's time in UTC, which anybody may set."""
    return datetime.now(UTC)


class TrustedClock:
    """The time when this was made, plus what a monotonic clock has counted since; never goes back.

    It nears the machine's clock by a thousandth only. So an hour's jump, by mistake or on purpose, neither
    ends an allowance's period early nor gives one twice. A machine's clock that stays days away for an hour
    is believed, also where that leads back: else a start at a wrong time would count for good.
    """

    def __init__(
        self, wall: Callable[[], datetime] = wall, ticks: Callable[[], float] = ticks, slew: float = SLEW
    ) -> None:
        self._wall = wall
        self._ticks = ticks
        self._slew = slew
        self._now = wall()
        self._counted = ticks()
        self._warned = False
        self._far: tuple[timedelta, float] | None = None  # an error, and since when it is the same
        self._mutex = threading.Lock()

    def __call__(self) -> datetime:
        """Return the trusted time in UTC, moved slowly toward the machine's clock."""
        with self._mutex:
            counted = self._ticks()
            passed = max(0.0, counted - self._counted)
            self._counted = counted
            self._now += timedelta(seconds=passed)
            error = self._wall() - self._now
            most = timedelta(seconds=passed * self._slew)
            self._now += max(-most, min(error, most))
            self._watch(error)
            if self._is_believed(error, counted):
                log.warning("following the machine's clock again", seconds=round(error.total_seconds()))
                self._now, self._far = self._wall(), None
            return self._now

    def not_before(self, moment: datetime | None) -> None:
        """Set the clock forward to `moment` if that is later, so that no new row is older than a written one.

        One that is days ahead was written by a clock that was wrong, and does not count.
        """
        with self._mutex:
            if moment and moment - self._now > FAR:
                log.warning("a row was written days ahead, so the clock was wrong then", moment=moment)
            else:
                self._now = max(self._now, moment or self._now)

    def _is_believed(self, error: timedelta, counted: float) -> bool:
        """Tell whether the machine's clock has been days away, and steadily so, for an hour."""
        if abs(error) < FAR:
            self._far = None
        elif self._far is None or abs(error - self._far[0]) > NOTABLE:
            self._far = error, counted
        return self._far is not None and counted - self._far[1] >= STEADY

    def _watch(self, error: timedelta) -> None:
        if abs(error) < NOTABLE:
            self._warned = False
        elif not self._warned:
            self._warned = True
            seconds = round(error.total_seconds())
            hint = "the machine's clock was set; if it is right, restart Easel or wait for an hour"
            log.warning(hint, seconds=seconds)

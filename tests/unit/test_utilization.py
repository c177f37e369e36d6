from __future__ import annotations

import pytest

from engine.workers.messages import Pulse
from engine.workers.utilization import Utilization


class Watch:
    """A clock that stands still."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_what_is_long_past_counts_no_more() -> None:
    watch = Watch()
    usage = Utilization(watch)
    usage.add(Pulse(models=(), passes=2, rows=16, seconds=3.0))
    watch.now += 100
    usage.add(Pulse(models=(), passes=1, rows=1, seconds=0.5))
    usage.add(Pulse(models=(), seconds=0.25))

    assert usage.seconds(60) == pytest.approx(0.75)
    assert usage.seconds() == pytest.approx(3.75)
    assert usage.rows() == pytest.approx(17 / 3)

    watch.now += 250
    assert usage.seconds() == pytest.approx(0.75)
    assert usage.rows() == 1

    watch.now += 1000
    assert (usage.seconds(), usage.rows()) == (0.0, 0.0)


def test_a_busy_worker_fills_no_memory() -> None:
    watch = Watch()
    usage = Utilization(watch)
    for _ in range(20_000):
        watch.now += 0.1
        usage.add(Pulse(models=(), passes=1, rows=1, seconds=0.1))

    assert len(usage._seconds) <= 302
    assert usage.seconds(60) == pytest.approx(60, abs=1.1)

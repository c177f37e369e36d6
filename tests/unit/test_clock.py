from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from bot.clock import SLEW, TrustedClock, ticks, wall

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Machine:
    """A machine whose two clocks are turned by hand."""

    def __init__(self) -> None:
        self.wall = NOON
        self.ticks = 1000.0
        self.clock = TrustedClock(lambda: self.wall, lambda: self.ticks)

    def pass_(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.ticks += seconds


@pytest.fixture
def machine() -> Iterator[Machine]:
    with capture_logs():
        yield Machine()


def test_it_tells_the_time_that_passes(machine: Machine) -> None:
    assert machine.clock() == NOON
    machine.pass_(90.5)
    assert machine.clock() == NOON + timedelta(seconds=90.5)


@pytest.mark.parametrize("jump", [HOUR, -HOUR, timedelta(days=-3650)])
def test_a_jump_of_the_machine_s_clock_does_not_move_it(machine: Machine, jump: timedelta) -> None:
    machine.wall += jump
    assert machine.clock() == NOON
    machine.pass_(600)
    off = machine.clock() - (NOON + timedelta(minutes=10))
    assert abs(off) == timedelta(seconds=600 * SLEW)
    assert (off > timedelta()) is (jump > timedelta())


def test_it_comes_to_agree_with_a_clock_that_was_put_right(machine: Machine) -> None:
    machine.wall += timedelta(seconds=2)
    for _ in range(40):
        machine.pass_(60)
        machine.clock()
    assert machine.clock() == machine.wall


def test_it_never_goes_back(machine: Machine) -> None:
    machine.pass_(5)
    before = machine.clock()
    machine.ticks -= 100
    machine.wall -= HOUR
    assert machine.clock() == before


def test_it_goes_on_from_what_was_written_last(machine: Machine) -> None:
    machine.clock.not_before(None)
    machine.clock.not_before(NOON - HOUR)
    assert machine.clock() == NOON
    machine.clock.not_before(NOON + HOUR)
    assert machine.clock() == NOON + HOUR
    machine.pass_(10)
    assert abs(machine.clock() - (NOON + HOUR + timedelta(seconds=10))) <= timedelta(seconds=10 * SLEW)


def test_a_clock_that_was_set_is_logged_once() -> None:
    machine = Machine()
    with capture_logs() as logs:
        machine.wall += HOUR
        machine.clock()
        machine.clock()
    assert [(line["log_level"], line["seconds"]) for line in logs] == [("warning", 3600)]


@given(st.lists(st.tuples(st.floats(0, 7200), st.floats(-3600, 3600)), max_size=30))
def test_whatever_the_machine_s_clock_does_a_day_lasts_a_day(steps: list[tuple[float, float]]) -> None:
    machine = Machine()
    before, passed = machine.clock(), 0.0
    with capture_logs():
        for seconds, jump in steps:
            machine.pass_(seconds)
            machine.wall += timedelta(seconds=jump)
            passed += seconds
            now = machine.clock()
            assert now >= before
            before = now
    error = (before - NOON).total_seconds() - passed
    assert abs(error) <= passed * SLEW + 1e-3


def test_the_real_clocks_agree() -> None:
    clock = TrustedClock()
    assert abs(clock() - wall()) < timedelta(seconds=5)
    first = ticks()
    assert 0 <= ticks() - first < 60


# ---- a clock that is days away


@pytest.mark.parametrize("jump", [timedelta(days=-3650), timedelta(days=3650), timedelta(days=-3)])
def test_a_clock_that_stays_days_away_for_an_hour_is_believed(machine: Machine, jump: timedelta) -> None:
    machine.clock()
    machine.wall += jump
    for _ in range(59):
        machine.pass_(60)
        assert abs(machine.clock() - machine.wall) > timedelta(days=2), "not yet"
    for _ in range(3):
        machine.pass_(60)
        machine.clock()
    assert machine.clock() == machine.wall


def test_one_that_jumps_about_is_never_believed(machine: Machine) -> None:
    for number in range(200):
        machine.wall += timedelta(days=100 if number % 2 else -100)
        machine.pass_(60)
        now = machine.clock()
    assert abs(now - NOON - timedelta(minutes=200)) < timedelta(minutes=1)


def test_what_was_written_years_ahead_does_not_count(machine: Machine) -> None:
    machine.clock.not_before(NOON + timedelta(days=3650))
    assert machine.clock() == NOON
    machine.clock.not_before(NOON + timedelta(days=1))
    assert machine.clock() == NOON + timedelta(days=1)

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.accounts import periods
from bot.models import Allowance, Period

amounts = st.floats(0, 1e6, allow_subnormal=False)


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


@pytest.mark.parametrize(
    ("per", "zone", "now", "starts", "ends"),
    [
        ("hour", "UTC", "2026-06-01T12:34:56", "2026-06-01T12:00", "2026-06-01T13:00"),
        ("hour", "Asia/Kolkata", "2026-06-01T12:34:56", "2026-06-01T12:00", "2026-06-01T13:00"),
        ("day", "Asia/Tokyo", "2026-03-01T08:59", "2026-03-01T00:00", "2026-03-02T00:00"),
        ("day", "UTC", "2028-02-28T23:59:59", "2028-02-28T00:00", "2028-02-29T00:00"),
        ("day", "UTC", "2028-02-29T12:00", "2028-02-29T00:00", "2028-03-01T00:00"),
        ("day", "UTC", "2026-02-28T12:00", "2026-02-28T00:00", "2026-03-01T00:00"),
        ("week", "Europe/Berlin", "2026-11-22T23:59", "2026-11-16T00:00", "2026-11-23T00:00"),
        ("week", "Europe/Berlin", "2026-11-23T00:00", "2026-11-23T00:00", "2026-11-30T00:00"),
        ("week", "UTC", "2027-01-01T00:00", "2026-12-28T00:00", "2027-01-04T00:00"),
        ("month", "UTC", "2026-01-31T23:59", "2026-01-01T00:00", "2026-02-01T00:00"),
        ("month", "UTC", "2028-02-29T23:59", "2028-02-01T00:00", "2028-03-01T00:00"),
        ("month", "America/New_York", "2026-12-31T23:59", "2026-12-01T00:00", "2027-01-01T00:00"),
    ],
)
def test_a_period_is_one_of_the_zone_s_calendar(
    per: Period, zone: str, now: str, starts: str, ends: str
) -> None:
    found = periods.window(per, zone, at(now, zone))
    assert (found.starts, found.ends) == (at(starts, zone), at(ends, zone))


@pytest.mark.parametrize(
    ("zone", "noon", "hours"),
    [
        ("Europe/Berlin", "2026-03-29T12:00", 23),
        ("Europe/Berlin", "2026-10-25T12:00", 25),
        ("Europe/Berlin", "2026-06-01T12:00", 24),
        ("Africa/Cairo", "2026-04-24T12:00", 23),  # its midnight is skipped
        ("America/Havana", "2026-11-01T12:00", 25),  # its first hour comes twice
    ],
)
def test_a_day_is_as_long_as_it_is(zone: str, noon: str, hours: int) -> None:
    day = periods.window("day", zone, at(noon, zone))
    assert day.ends - day.starts == timedelta(hours=hours)
    assert periods.window("day", zone, day.starts) == day
    assert periods.window("day", zone, day.ends - timedelta(microseconds=1)) == day
    assert periods.window("day", zone, day.ends).starts == day.ends


def test_the_hour_that_autumn_repeats_is_two() -> None:
    first = at("2026-10-25T02:30", "Europe/Berlin")
    again = first.replace(fold=1)
    one, two = (periods.window("hour", "Europe/Berlin", each) for each in (first, again))
    assert one.ends == two.starts
    assert one.bucket != two.bucket


@given(
    st.sampled_from(sorted(available_timezones())),
    st.sampled_from(["hour", "day", "week", "month"]),
    st.datetimes(datetime(2026, 1, 1), datetime(2037, 12, 31)),
)
def test_every_moment_is_in_one_period_and_the_next_begins_where_it_ends(
    zone: str, per: Period, moment: datetime
) -> None:
    now = moment.replace(tzinfo=UTC)
    found = periods.window(per, zone, now)
    assert found.starts <= now < found.ends
    assert periods.window(per, zone, found.starts) == found
    after = periods.window(per, zone, found.ends)
    assert after.starts == found.ends
    assert after.bucket > found.bucket
    assert found.ends - found.starts <= timedelta(days=31, hours=2)


@given(amounts)
def test_a_hold_covers_its_estimate_rounded_up_to_a_millisecond(estimate: float) -> None:
    assert -0.001 < periods.held_ms(estimate) - estimate * 1000 < 1.001


def test_a_hold_is_not_rounded_up_by_an_error_of_floating_point() -> None:
    assert periods.held_ms(0.1 + 0.2) == 300
    assert periods.held_ms(4.35) == 4350


@pytest.mark.parametrize("estimate", [-0.1, float("nan"), float("inf")])
def test_a_hold_is_finite_and_not_negative(estimate: float) -> None:
    with pytest.raises(ValueError, match="estimate"):
        periods.held_ms(estimate)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -float("inf"), -1.0, 0.0, 0.0004, 1.1e9])
def test_a_gift_is_an_amount(seconds: float) -> None:
    with pytest.raises(ValueError, match="gift"):
        periods.gift_ms(seconds)


def test_gifts_and_allowances_are_whole_milliseconds() -> None:
    assert periods.gift_ms(0.001) == 1
    assert periods.gift_ms(1e9) == 10**12
    assert periods.cap_ms(Allowance(seconds=0.3, per="day")) == 300
    assert periods.cap_ms(Allowance(seconds=0.0, per="day")) == 0


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0, 1.1e9])
def test_an_allowance_is_an_amount(seconds: float) -> None:
    with pytest.raises(ValueError, match="allowance"):
        periods.cap_ms(Allowance(seconds=seconds, per="day"))


@pytest.mark.parametrize(("measured", "charge"), [(float("nan"), 0), (float("inf"), 500), (-1.0, 0)])
def test_a_measurement_that_is_none_charges_what_can_be_charged(measured: float, charge: int) -> None:
    assert periods.charged_ms(measured, 500) == charge


@given(st.floats(-10, 1e6), amounts)
def test_a_charge_is_never_negative_nor_more_than_the_hold(measured: float, estimate: float) -> None:
    held = periods.held_ms(estimate)
    assert 0 <= periods.charged_ms(measured, held) <= held


@given(amounts, amounts)
def test_what_fits_is_what_can_be_held(estimate: float, left: float) -> None:
    left = round(left, 3)
    assert periods.fits(estimate, left) is (periods.held_ms(estimate) <= periods.gift_ms(left + 1) - 1000)
    assert periods.fits(estimate, float("inf"))


@pytest.mark.parametrize(("estimate", "left", "fits"), [(2.0, 2.0, True), (2.0001, 2.0, False), (0, 0, True)])
def test_a_thousandth_of_a_second_decides(estimate: float, left: float, fits: bool) -> None:
    assert periods.fits(estimate, left) is fits

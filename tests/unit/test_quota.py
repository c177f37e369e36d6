from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import quota
from bot.models import Balance

amounts = st.floats(0, 1e6, allow_subnormal=False)


def test_a_day_is_a_day_of_utc() -> None:
    tokyo = timezone(timedelta(hours=9))
    assert quota.period(datetime(2026, 3, 1, 8, 59, tzinfo=tokyo)) == date(2026, 2, 28)
    assert quota.period(datetime(2026, 3, 1, 9, 0, tzinfo=tokyo)) == date(2026, 3, 1)


def test_it_resets_at_the_next_midnight_of_utc() -> None:
    assert quota.resets(datetime(2028, 2, 28, 23, 59, 59, tzinfo=UTC)) == datetime(2028, 2, 29, tzinfo=UTC)
    assert quota.resets(datetime(2026, 12, 31, 0, 0, tzinfo=UTC)) == datetime(2027, 1, 1, tzinfo=UTC)


@given(amounts)
def test_a_hold_covers_its_estimate_rounded_up_to_a_millisecond(estimate: float) -> None:
    assert -0.001 < quota.held_ms(estimate) - estimate * 1000 < 1.001


def test_a_hold_is_not_rounded_up_by_an_error_of_floating_point() -> None:
    assert quota.held_ms(0.1 + 0.2) == 300
    assert quota.held_ms(4.35) == 4350


@pytest.mark.parametrize("estimate", [-0.1, float("nan"), float("inf")])
def test_a_hold_is_finite_and_not_negative(estimate: float) -> None:
    with pytest.raises(ValueError, match="estimate"):
        quota.held_ms(estimate)


@given(st.floats(-10, 1e6), amounts)
def test_a_charge_is_never_negative_nor_more_than_the_hold(measured: float, estimate: float) -> None:
    held = quota.held_ms(estimate)
    assert 0 <= quota.charged_ms(measured, held) <= held


@given(st.integers(1, 16), st.floats(0.01, 1e4), amounts)
def test_what_fits_is_as_much_as_fits(count: int, estimate: float, left: float) -> None:
    balance = Balance(cap=2e6, used=2e6 - left, resets=datetime.now(UTC))
    fits, each = quota.fitting(count, estimate, balance), estimate / count
    assert 0 <= fits <= count
    assert fits * each <= balance.left + 1e-6 * estimate
    assert fits == count or (fits + 1) * each > balance.left - 1e-6 * estimate


def test_everything_fits_that_costs_nothing() -> None:
    assert quota.fitting(4, 0.0, Balance(cap=0.0, used=0.0, resets=datetime.now(UTC))) == 4

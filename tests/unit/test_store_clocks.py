"""A start at a wrong time: it deletes little, and what it wrote does not count for years."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bot import doctor
from bot.accounts.privacy import Privacy
from bot.models import Allowance, State, Strike
from bot.store import LinkRefused, OverQuota, Store
from bot.surfaces import Settings
from tests.databases import fresh_sqlite
from tests.examples import a_job, a_member, a_tier
from tests.unit.conftest import Hand

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
ADA, BEN = a_member("ada").id, a_member("ben").id


def privacy(store: Store, days: int = 30) -> Privacy:
    return Privacy(store, blobs=None, remove=None, retention_days=days)  # type: ignore[arg-type]


async def a_history(store: Store, clock: Hand, days: int = 40) -> None:
    """A job that ended on each of the last days."""
    for ago in reversed(range(days)):
        clock.now = NOW - ago * DAY
        job, _ = await store.admit(a_job(created=clock.now), tier=a_tier())
        await store.end(job.id, State.RENDERED, device_seconds=1.0)
        await privacy(store).expire()
    clock.now = NOW


async def kept(store: Store) -> int:
    return len(await store.jobs("web:local", limit=1000))


async def test_a_start_60_days_ahead_deletes_one_day_s_worth(store: Store, clock: Hand) -> None:
    await a_history(store, clock)
    before = await kept(store)
    assert before == 31 or before == 30
    clock.now = NOW + 60 * DAY
    with capture_logs() as logs:
        await privacy(store).expire()
    assert before - await kept(store) == 1
    assert any("the clock jumped" in line["event"] and "doctor --retention" in line["event"] for line in logs)
    for _ in range(50):  # starts again and again do not add up
        clock.now += timedelta(seconds=30)
        await privacy(store).expire()
    assert before - await kept(store) <= 2


async def test_one_that_has_no_earlier_run_goes_by_the_books(store: Store, clock: Hand) -> None:
    for ago in range(40):
        job, _ = await store.admit(a_job(created=NOW), tier=a_tier())
        clock.now = NOW - ago * HOUR
        await store.end(job.id, State.RENDERED, device_seconds=1.0)
    clock.now = NOW + 60 * DAY
    await privacy(store).expire()
    assert await kept(store) == 40


async def test_a_clock_that_is_right_again_deletes_as_before(store: Store, clock: Hand) -> None:
    await a_history(store, clock)
    clock.now = NOW + 60 * DAY
    await privacy(store).expire()
    before = await kept(store)
    clock.now = NOW
    await privacy(store).expire()
    assert await kept(store) == before
    for hour in range(49):
        clock.now = NOW + hour * HOUR
        await privacy(store).expire()
    assert before - await kept(store) in (1, 2)


async def test_after_a_week_away_it_catches_up_by_itself(store: Store, clock: Hand) -> None:
    await a_history(store, clock)
    clock.now = NOW + 7 * DAY
    for _ in range(8 * 24):
        await privacy(store).expire()
        clock.now += HOUR
    believed, now = await store.believed()
    assert believed == now


async def test_an_operator_s_yes_counts_at_once(store: Store, clock: Hand) -> None:
    await a_history(store, clock)
    clock.now = NOW + 60 * DAY
    await privacy(store).expire()
    await store.believed(confirmed=True)
    await privacy(store).expire()
    assert await kept(store) == 0


async def test_another_retention_counts_at_once(store: Store, clock: Hand) -> None:
    await a_history(store, clock)
    await privacy(store, days=3).expire()
    assert await kept(store) <= 4


@pytest.mark.parametrize("rolling", [True, False])
async def test_ten_years_ahead_and_back_leaves_the_quota_as_it_was(
    store: Store, clock: Hand, rolling: bool
) -> None:
    tier = a_tier(allowances=(Allowance(seconds=10, per="day", rolling=rolling),), cooldown=1.0)
    clock.now = NOW + 3650 * DAY
    await store.admit(a_job(estimate=10.0), tier=tier)
    clock.now = NOW
    await store.heal()
    await store.admit(a_job(estimate=10.0), tier=tier)
    (balance,) = await store.balances(ADA, tier)
    assert balance.used == 10.0 and balance.resets and balance.resets <= NOW + DAY
    clock.now = NOW + timedelta(minutes=1)
    with pytest.raises(OverQuota):
        await store.admit(a_job(estimate=1.0), tier=tier)


async def test_what_else_was_written_ahead_ends_in_time(store: Store, clock: Hand) -> None:
    clock.now = NOW + 3650 * DAY
    code = await store.link_code(ADA)
    job, _ = await store.admit(a_job(created=clock.now), tier=a_tier())
    await store.end(job.id, State.CANCELLED)
    for number in range(3):
        await store.strike(Strike(key=str(number), member=ADA, tenant="web:local", category="hate"))
    (before,) = await store.persons("web:local")
    assert before.is_blocked(NOW + 3000 * DAY)
    clock.now = NOW
    await store.heal()
    with pytest.raises(LinkRefused):
        await store.link(code, BEN)
    (after,) = await store.persons("web:local")
    assert not after.is_blocked(NOW + 2 * DAY)
    found = await store.job(job.id)
    assert found and found.created == found.finished == NOW
    clock.now = NOW + 31 * DAY
    assert await store.strikes(ADA, "web:local") == []


async def test_what_was_written_in_time_is_left_alone(store: Store, clock: Hand) -> None:
    job, _ = await store.admit(a_job(created=NOW), tier=a_tier())
    ended, _ = await store.end(job.id, State.CANCELLED)
    code = await store.link_code(ADA)
    await store.heal()
    assert await store.job(job.id) == ended
    await store.link(code, BEN)


async def test_the_doctor_tells_of_both(tmp_path: Path) -> None:
    url = fresh_sqlite(tmp_path / "easel.db")
    hand = Hand(NOW)
    store = await Store.open(url, clock=hand)
    await store.admit(a_job(), tier=a_tier())
    await store.believed()
    await store.close()

    def clock(at: datetime, retention: int = 30) -> Any:
        return doctor._clock(url, retention, lambda: at)

    assert clock(NOW + HOUR).ok is True
    assert (jumped := clock(NOW + 60 * DAY)).ok is False and "doctor --retention" in jumped.remedy
    assert clock(NOW + 60 * DAY, retention=0).ok is True
    assert (behind := clock(NOW - 3650 * DAY)).ok is False and "Set the machine's clock" in behind.remedy
    assert doctor._clock(f"sqlite:///{tmp_path}/none.db", 30).ok is None

    await doctor.confirm_clock(Settings(data_dir=tmp_path))
    believed = doctor.look_at(url).believed
    assert believed and abs(believed - datetime.now(UTC)) < HOUR

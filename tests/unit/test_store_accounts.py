"""Allowances, budgets, gifts, links: what is counted, on both databases."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import Session

from bot.accounts.access_rules import AccessRules
from bot.accounts.privacy import Privacy
from bot.accounts.tiers import Tiers
from bot.clock import TrustedClock
from bot.errors import Refusal
from bot.models import Allowance, Balance, Budget, Job, Period, Person, State, Tier
from bot.store import LinkRefused, OverQuota, Store, TooManyWaiting, TooSoon, ledger, rows
from bot.store.tables import JobRow
from engine.types import GenerationRequest
from tests.databases import fresh_sqlite
from tests.examples import a_job, a_line, a_member, a_tier
from tests.unit.conftest import Hand

NOW = datetime(2026, 10, 24, 20, 30, tzinfo=UTC)  # a Saturday, hours before clocks go back in Europe
ADA, BEN, EVE = (a_member(name).id for name in ("ada", "ben", "eve"))
FREE = Tier(name="unlimited")


@pytest.fixture
async def store(store: Store) -> AsyncIterator[Store]:
    """A store whose balances follow from its ledger at the end of the test."""
    yield store
    before = await store._read(allowances)
    await store.rebuild()
    assert await store._read(allowances) == before


def allowances(session: Session) -> list[Any]:
    rows = session.connection().execute(ledger._allowances.select())
    return sorted((row.account, row.bucket, row.used_ms, row.cap_ms, row.ends) for row in rows)


def tier(*allowances: Allowance, **fields: Any) -> Tier:
    return a_tier(allowances=allowances, **fields)


def per(period: Period, seconds: float, zone: str = "UTC", *, rolling: bool = False) -> Allowance:
    return Allowance(seconds=seconds, per=period, zone=zone, rolling=rolling)


async def ask(store: Store, tier: Tier, cost: float = 8.0, user: str = "ada", **more: Any) -> Job:
    shared = {name: more.pop(name, ()) for name in ("budgets", "periods")}
    job, new = await store.admit(a_job(user=user, estimate=cost, **more), tier=tier, **shared)
    assert new
    return job


async def used(store: Store, tier: Tier, account: str = ADA, *budgets: Budget) -> list[float]:
    return [balance.used for balance in await store.balances(account, tier, budgets)]


# ---- several allowances


async def test_a_job_is_held_on_every_allowance(store: Store) -> None:
    several = tier(per("hour", 20), per("day", 30), per("week", 100), per("month", 1000, rolling=True))
    job = await ask(store, several)
    assert await used(store, several) == [8.0] * 4
    await store.end(job.id, State.RENDERED, device_seconds=3.0)
    assert await used(store, several) == [3.0] * 4


async def test_the_allowance_that_resets_last_is_named(store: Store, clock: Hand) -> None:
    several = tier(per("hour", 8), per("day", 12), per("week", 100))
    await ask(store, several)
    with pytest.raises(OverQuota) as caught:
        await ask(store, several)
    balance = caught.value.balance
    assert (balance.name, balance.per, balance.left, balance.cap) == ("", "day", 4.0, 12.0)
    assert balance.resets == datetime(2026, 10, 25, tzinfo=UTC)
    assert caught.value.cost == 8.0
    assert await used(store, several) == [8.0] * 3, "what the others could hold is given back"


async def test_each_zone_has_its_own_midnight_and_a_day_of_25_hours(store: Store, clock: Hand) -> None:
    berlin = tier(per("day", 10, "Europe/Berlin"))
    clock.now = datetime(2026, 10, 24, 22, 30, tzinfo=UTC)  # half past midnight on the long Sunday
    await ask(store, berlin)
    for hours in (12, 24):
        clock.now = datetime(2026, 10, 24, 22, 30, tzinfo=UTC) + timedelta(hours=hours)
        with pytest.raises(OverQuota) as caught:
            await ask(store, berlin)
        assert caught.value.balance.resets == datetime(2026, 10, 25, 23, tzinfo=UTC)
    clock.pass_(minutes=30)
    await ask(store, berlin)


async def test_a_day_of_23_hours_ends_no_later(store: Store, clock: Hand) -> None:
    berlin = tier(per("day", 10, "Europe/Berlin"))
    clock.now = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)
    await ask(store, berlin)
    clock.pass_(hours=22, minutes=59)
    with pytest.raises(OverQuota):
        await ask(store, berlin)
    clock.pass_(minutes=1)
    await ask(store, berlin)


async def test_a_rolling_period_begins_with_the_first_request(store: Store, clock: Hand) -> None:
    rolling = tier(per("day", 10, rolling=True))
    (fresh,) = await store.balances(ADA, rolling)
    assert (fresh.used, fresh.resets) == (0.0, NOW + timedelta(days=1))
    await ask(store, rolling)
    clock.pass_(hours=23, minutes=59)
    with pytest.raises(OverQuota) as caught:
        await ask(store, rolling)
    assert caught.value.balance.resets == NOW + timedelta(days=1)
    clock.pass_(hours=5)
    await ask(store, rolling)
    assert (await store.balances(ADA, rolling))[0].resets == clock.now + timedelta(days=1)


async def test_a_leap_day_is_a_day(store: Store, clock: Hand) -> None:
    monthly = tier(per("day", 10), per("month", 20))
    for moment in ("2028-02-28T23:59", "2028-02-29T00:00"):
        clock.now = datetime.fromisoformat(moment).replace(tzinfo=UTC)
        await ask(store, monthly)
    clock.pass_(hours=23, minutes=59)
    with pytest.raises(OverQuota) as caught:
        await ask(store, monthly)
    assert caught.value.balance.resets == datetime(2028, 3, 1, tzinfo=UTC)
    clock.pass_(minutes=1)
    await ask(store, monthly)


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(hours=-1)])
@pytest.mark.parametrize("rolling", [True, False])
async def test_a_jump_of_the_machine_s_clock_gives_nothing_and_takes_nothing(
    tmp_path: Path, jump: timedelta, rolling: bool
) -> None:
    wall, ticks = datetime(2026, 6, 1, 23, 30, tzinfo=UTC), 0.0
    hourly = tier(per("hour", 10, rolling=rolling))
    store = await Store.open(
        fresh_sqlite(tmp_path / "easel.db"), clock=TrustedClock(lambda: wall, lambda: ticks)
    )
    await ask(store, hourly)
    wall += jump
    with pytest.raises(OverQuota):
        await ask(store, hourly)
    ends = 3600 if rolling else 1800
    wall, ticks = wall + timedelta(seconds=ends - 10), ticks + ends - 10
    with pytest.raises(OverQuota):
        await ask(store, hourly)
    wall, ticks = wall + timedelta(seconds=20), ticks + 20
    await ask(store, hourly)
    wall -= jump
    with pytest.raises(OverQuota):
        await ask(store, hourly)
    assert await store.check() == "ok"
    await store.close()


async def test_a_jump_of_the_clock_ends_no_block_and_deletes_nothing_early(tmp_path: Path) -> None:
    wall, ticks = datetime(2026, 6, 1, 12, tzinfo=UTC), 0.0
    url = fresh_sqlite(tmp_path / "easel.db")
    store = await Store.open(url, clock=TrustedClock(lambda: wall, lambda: ticks))
    old = Privacy(store, blobs=None, remove=None, retention_days=30)  # type: ignore[arg-type]

    def block(before: Person) -> Person:
        return replace(before, blocked=True, until=store.now() + timedelta(hours=1))

    async def rules() -> AccessRules:
        return AccessRules(await store.standing(a_member()), Tiers((a_tier(),)), a_member())

    job = await ask(store, FREE)
    await store.end(job.id, State.RENDERED, device_seconds=1.0)
    await store.change_person("web:local", ADA, block, lambda before, after: a_line())
    wall += timedelta(days=60)
    with pytest.raises(Refusal):
        (await rules()).check_person()
    await old.expire()
    assert (await store.jobs("web:local"))[0].id == job.id
    ticks += 3601.0
    (await rules()).check_person()
    for _ in range(31):
        ticks += 86_400.0
        await old.expire()
    assert await store.jobs("web:local") == []
    await store.close()


async def test_a_restart_with_the_clock_set_back_gives_nothing(tmp_path: Path) -> None:
    url, daily = fresh_sqlite(tmp_path / "easel.db"), a_tier(10)
    wall = datetime(2026, 6, 2, 0, 30, tzinfo=UTC)

    async def started() -> Store:
        clock = TrustedClock(lambda: wall, lambda: 0.0)
        store = await Store.open(url, clock=clock)
        clock.not_before(await store.newest_line())
        return store

    store = await started()
    await ask(store, daily)
    await store.close()
    wall -= timedelta(hours=1)  # yesterday, of which nothing was used
    store = await started()
    with pytest.raises(OverQuota):
        await ask(store, daily)
    await store.close()


async def test_what_ends_later_is_settled_where_it_was_held(store: Store, clock: Hand) -> None:
    hourly = tier(per("hour", 10))
    job = await ask(store, hourly)
    clock.pass_(hours=1)
    await ask(store, hourly)
    await store.end(job.id, State.FAILED)
    assert await used(store, hourly) == [8.0]
    clock.now = NOW
    assert await used(store, hourly) == [0.0]


async def test_without_allowances_there_is_no_limit_and_every_line(store: Store) -> None:
    job = await ask(store, FREE, cost=1e6)
    ended, _ = await store.end(job.id, State.RENDERED, device_seconds=4e5)
    assert ended.device_seconds == 4e5
    assert await store.balances(ADA, FREE) == []
    assert [line.kind async for line in store.lines()] == ["hold", "charge", "release"]


async def test_of_two_allowances_for_the_same_period_the_smaller_counts_once(store: Store) -> None:
    twice = tier(per("day", 30), per("day", 10))
    await ask(store, twice)
    with pytest.raises(OverQuota):
        await ask(store, twice)
    assert await used(store, twice) == [8.0, 8.0]


async def test_a_tier_that_changes_keeps_what_was_used(store: Store) -> None:
    await ask(store, a_tier(10))
    with pytest.raises(OverQuota):
        await ask(store, a_tier(10))
    await ask(store, a_tier(20))
    with pytest.raises(OverQuota) as caught:
        await ask(store, a_tier(9))
    assert (caught.value.balance.used, caught.value.balance.left) == (16.0, 0.0)


# ---- budgets

CAMPAIGN = Budget(account="budget:spring", name="Spring campaign", allowance=per("month", 20))


async def test_a_budget_is_shared_and_nobody_exceeds_it(store: Store) -> None:
    await ask(store, a_tier(), user="ada", budgets=[CAMPAIGN])
    job = await ask(store, a_tier(), user="ben", budgets=[CAMPAIGN])
    with pytest.raises(OverQuota) as caught:
        await ask(store, a_tier(), user="eve", budgets=[CAMPAIGN])
    balance = caught.value.balance
    assert (balance.name, balance.per, balance.left) == ("Spring campaign", "month", 4.0)
    assert balance.resets == datetime(2026, 11, 1, tzinfo=UTC)
    assert await used(store, a_tier(), EVE, CAMPAIGN) == [0.0, 16.0]
    await store.end(job.id, State.CANCELLED)
    await ask(store, a_tier(), user="eve", budgets=[CAMPAIGN])


async def test_gifts_do_not_pass_a_budget(store: Store) -> None:
    small = replace(CAMPAIGN, allowance=per("month", 5))
    await store.gift(ADA, 100, a_line("op"), "1")
    with pytest.raises(OverQuota) as caught:
        await ask(store, a_tier(), budgets=[small])
    assert caught.value.balance.name == "Spring campaign"
    with pytest.raises(OverQuota):
        await ask(store, a_tier(1), budgets=[small])
    assert [balance.used for balance in await store.balances(ADA, a_tier())] == [0.0, 0.0]


# ---- gifts and resets


async def test_a_gift_pays_the_whole_job_when_the_allowance_is_too_small(store: Store) -> None:
    await store.gift(ADA, 10, a_line("web:op"), "thanks")
    await ask(store, a_tier(10), budgets=[CAMPAIGN])
    job = await ask(store, a_tier(10), budgets=[CAMPAIGN])
    expected = Balance(cap=10, used=8, resets=None, name="gift", per=None)
    assert (await store.balances(ADA, a_tier(10)))[1] == expected
    with pytest.raises(OverQuota) as caught:
        await ask(store, a_tier(10), budgets=[replace(CAMPAIGN, allowance=per("month", 100))])
    assert (caught.value.balance.name, caught.value.balance.left) == ("", 2.0)
    await store.end(job.id, State.RENDERED, device_seconds=1.0)
    assert await used(store, a_tier(10), ADA, CAMPAIGN) == [8.0, 9.0, 1.0]


async def test_a_gift_is_given_once_for_each_key(store: Store) -> None:
    assert await store.gift(ADA, 10, a_line("op"), "a")
    assert not await store.gift(ADA, 10, a_line("op"), "a")
    assert await store.gift(ADA, 5, a_line("op"), "b")
    assert (await store.balances(ADA, FREE))[0].cap == 15.0
    lines = [line async for line in store.lines(account=ADA)]
    assert [(line.kind, line.seconds, line.by) for line in lines] == [("gift", 10, "op"), ("gift", 5, "op")]


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -5.0, 0.0, 2e9])
async def test_a_gift_that_is_no_amount_is_refused(store: Store, seconds: float) -> None:
    with pytest.raises(ValueError, match="gift"):
        await store.gift(ADA, seconds, a_line("op"), "a")
    assert await store.balances(ADA, FREE) == []


async def test_a_reset_forgets_what_was_charged_and_keeps_what_is_held(store: Store) -> None:
    both = tier(per("day", 100), per("week", 100, rolling=True))
    done, held = await ask(store, both), await ask(store, both)
    await store.end(done.id, State.RENDERED, device_seconds=6.0)
    await store.gift(ADA, 10, a_line("op"), "a")
    assert await store.reset(ADA, a_line("op"), "a")
    assert not await store.reset(ADA, a_line("op"), "a")
    assert await used(store, both) == [8.0, 8.0, 0.0]
    await store.end(held.id, State.RENDERED, device_seconds=5.0)
    assert await used(store, both) == [5.0, 5.0, 0.0]
    assert await store.reset("web:nobody", a_line("op"), "b")


# ---- one request after the other


async def test_a_cooldown_counts_from_the_last_accepted_request(store: Store, clock: Hand) -> None:
    slow = a_tier(20, cooldown=30.0)
    await ask(store, slow, event="1")
    clock.pass_(seconds=29)
    with pytest.raises(TooSoon) as caught:
        await ask(store, slow)
    assert (caught.value.seconds, caught.value.until) == (1.0, NOW + timedelta(seconds=30))
    assert (await store.admit(a_job(event="1"), tier=slow))[1] is False
    await ask(store, slow, user="ben")
    clock.pass_(seconds=1)
    await ask(store, slow)
    clock.pass_(seconds=29)
    with pytest.raises(TooSoon):
        await ask(store, slow)
    clock.pass_(seconds=1)
    with pytest.raises(OverQuota):
        await ask(store, slow)
    await ask(store, a_tier(100, cooldown=30.0))  # a refusal begins no cooldown


async def test_a_press_on_a_result_waits_for_no_cooldown(store: Store, clock: Hand) -> None:
    slow = a_tier(1000, cooldown=30.0, waiting=4)
    first = await ask(store, slow)

    presses = [await ask(store, slow, parent=first.id) for _ in range(3)]

    assert len({each.id for each in presses}) == 3
    with pytest.raises(TooManyWaiting):
        await ask(store, slow, parent=first.id)


async def test_relaxed_jobs_are_free_and_still_wait_their_turn(store: Store) -> None:
    small = a_tier(1, waiting=1)
    job = await ask(store, small, relaxed=True, budgets=[CAMPAIGN])
    assert job.relaxed and await store.job(job.id) == job
    with pytest.raises(TooManyWaiting):
        await ask(store, small, relaxed=True)
    ended, _ = await store.end(job.id, State.RENDERED, device_seconds=5.0)
    assert ended.device_seconds == 0.0
    assert await used(store, small, ADA, CAMPAIGN) == [0.0, 0.0]
    assert [(line.kind, line.seconds) async for line in store.lines()] == [
        ("hold", 0.0),
        ("charge", 0.0),
        ("release", 0.0),
    ]


# ---- linking


async def linked(store: Store, maker: str = ADA, typist: str = BEN) -> str:
    return await store.link(await store.link_code(maker), typist)


async def test_two_members_share_account_history_and_limits(store: Store) -> None:
    both = tier(per("day", 20), waiting=3)
    await ask(store, both, user="ada")
    theirs = await ask(store, both, user="ben", tenant="slack:T1", private=True)
    assert await linked(store) == ADA
    assert await store.account_of(BEN) == await store.account_of(ADA) == ADA
    assert await store.members_of(ADA) == [ADA, BEN]
    assert await used(store, both) == [16.0]
    with pytest.raises(OverQuota):
        await ask(store, both, user="ben")
    job = await ask(store, both, user="ben", cost=4.0)
    assert job.account == ADA
    with pytest.raises(TooManyWaiting):
        await ask(store, both, user="ada", cost=0.0)
    mine = await store.jobs("web:local", user=ADA, viewer=ADA)
    assert len(mine) == 3 and theirs.id in {each.id for each in mine}
    assert len(await store.jobs("discord:1", user=ADA, viewer=ADA)) == 3, "one history in all places"
    assert theirs.id not in {each.id for each in await store.jobs("web:local", viewer=EVE)}
    assert theirs.id not in {each.id for each in await store.jobs("web:local", viewer=ADA)}
    await store.end(theirs.id, State.RENDERED, device_seconds=1.0)
    assert await used(store, both) == [13.0]


async def test_what_was_held_used_and_given_is_merged(store: Store, clock: Hand) -> None:
    both = tier(per("day", 20), per("week", 100, rolling=True))
    await ask(store, both, user="ada")
    clock.pass_(hours=1)
    done, held = await ask(store, both, user="ben"), await ask(store, both, user="ben")
    await store.end(done.id, State.RENDERED, device_seconds=7.0)
    await store.gift(BEN, 50, a_line("op"), "b")
    paid = await ask(store, both, user="ben", cost=9.0)
    await linked(store)
    day, week, gift = await store.balances(ADA, both)
    assert (day.used, day.left) == (23.0, 0.0), "more than one person may use, so nothing is left"
    assert (week.used, week.resets) == (23.0, NOW + timedelta(days=7, hours=1))
    assert (gift.cap, gift.used) == (50.0, 9.0)
    await store.end(held.id, State.FAILED)
    await store.end(paid.id, State.RENDERED, device_seconds=2.0)
    assert await used(store, both) == [15.0, 15.0, 2.0]
    await store.reset(ADA, a_line("op"), "r")
    assert await used(store, both) == [8.0, 8.0, 2.0]
    assert await used(store, both, BEN) == [0.0, 0.0], "nothing counts under the old name"


BY_DAY = tier(per("day", 20))
BY_MONTH = tier(per("month", 30), per("week", 30, rolling=True))
PERIODS = Tiers((BY_DAY, BY_MONTH)).periods


async def test_who_has_tiers_of_different_periods_has_one_allowance(store: Store) -> None:
    """Two names of one person, in one tier by the day and one by the month and the week."""
    await linked(store)
    await ask(store, BY_DAY, periods=PERIODS)
    job = await ask(store, BY_MONTH, user="ben", periods=PERIODS)
    assert await used(store, BY_DAY) == [16.0]
    assert await used(store, BY_MONTH) == [16.0, 16.0]
    with pytest.raises(OverQuota) as caught:
        await ask(store, BY_DAY, periods=PERIODS)
    assert (caught.value.balance.left, caught.value.balance.cap) == (4.0, 20.0)
    await store.end(job.id, State.RENDERED, device_seconds=1.0)
    assert await used(store, BY_DAY) == [9.0]
    assert await used(store, BY_MONTH) == [9.0, 9.0]


async def test_what_was_used_before_two_names_are_linked_counts_in_the_tiers_of_both(store: Store) -> None:
    await ask(store, BY_DAY, user="ada", periods=PERIODS)
    await ask(store, BY_MONTH, user="ben", periods=PERIODS)
    await linked(store)
    assert await used(store, BY_DAY) == [16.0]
    assert await used(store, BY_MONTH) == [16.0, 16.0]


async def test_what_one_tier_allows_without_a_limit_counts_in_the_others(store: Store) -> None:
    await ask(store, FREE, cost=25.0, periods=PERIODS)
    for limited in (BY_DAY, tier(per("month", 20))):
        with pytest.raises(OverQuota):
            await ask(store, limited, cost=1.0, periods=PERIODS)
    await ask(store, FREE, cost=25.0, periods=PERIODS)


async def test_gifts_and_relaxed_jobs_are_counted_in_no_period(store: Store) -> None:
    await store.gift(ADA, 30, a_line("op"), "a")
    await ask(store, BY_DAY, cost=25.0, periods=PERIODS)
    await ask(store, BY_DAY, relaxed=True, periods=PERIODS)
    assert await used(store, BY_DAY) == [0.0, 25.0]
    assert await used(store, BY_MONTH) == [0.0, 0.0, 25.0]


async def test_a_rolling_window_moves_with_its_end(store: Store, clock: Hand) -> None:
    rolling = tier(per("day", 20, rolling=True))
    await ask(store, rolling, user="ben")
    clock.pass_(hours=3)
    await linked(store)
    (balance,) = await store.balances(ADA, rolling)
    assert (balance.used, balance.resets) == (8.0, NOW + timedelta(days=1))
    clock.pass_(hours=21)
    assert await used(store, rolling) == [0.0]


async def test_of_two_rolling_windows_the_later_end_holds(store: Store, clock: Hand) -> None:
    rolling = tier(per("day", 20, rolling=True))
    await ask(store, rolling, user="ben")
    clock.pass_(hours=3)
    await ask(store, rolling, user="ada")
    await linked(store)
    (balance,) = await store.balances(ADA, rolling)
    assert (balance.used, balance.resets) == (16.0, NOW + timedelta(days=1, hours=3))


async def test_jobs_that_wait_are_the_joint_account_s_from_then_on(store: Store) -> None:
    done, waiting = await ask(store, a_tier(), user="ben"), await ask(store, a_tier(), user="ben")
    await store.end(done.id, State.RENDERED, device_seconds=1.0)
    await linked(store)
    found = [await store.job(each.id) for each in (done, waiting)]
    assert [each and each.account for each in found] == [BEN, ADA]


async def test_what_was_held_in_an_earlier_period_is_settled_there(store: Store, clock: Hand) -> None:
    hourly = tier(per("hour", 20))
    job = await ask(store, hourly, user="ben")
    clock.pass_(hours=1)
    await linked(store)
    ended, _ = await store.end(job.id, State.RENDERED, device_seconds=2.0)
    assert (ended.device_seconds, ended.account) == (2.0, ADA)
    assert await used(store, hourly) == [0.0]


async def test_a_request_that_meets_a_link_is_paid_by_the_joint_account(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await linked(store)
    insert = rows.insert_job

    def just_before(session: Session, job: Job) -> str | None:
        """The row as it would be if the link came right after it."""
        insert(session, job)
        session.connection().execute(update(JobRow).where(JobRow.id == job.id).values(account=BEN))
        return BEN

    monkeypatch.setattr(rows, "insert_job", just_before)
    job = await ask(store, a_tier(), user="ben")
    assert job.account == ADA and await store.job(job.id) == job
    assert await used(store, a_tier(), ADA) == [8.0]
    assert await used(store, a_tier(), BEN) == [0.0]


async def test_requests_and_ends_may_meet_a_link(store: Store) -> None:
    async def busy(user: str) -> None:
        for _ in range(6):
            job = await ask(store, a_tier(), user=user, cost=2.0)
            await store.end(job.id, State.RENDERED, device_seconds=1.0)

    busy_ones = (busy("ada"), busy("ben"), busy("ben"), linked(store), busy("ada"))
    await asyncio.gather(*busy_ones)
    assert await used(store, a_tier(), ADA) == [24.0]
    assert await used(store, a_tier(), BEN) == [0.0]


async def test_one_code_typed_by_two_at_once_is_used_once(store: Store) -> None:
    code = await store.link_code(ADA)
    results = await asyncio.gather(store.link(code, BEN), store.link(code, EVE), return_exceptions=True)
    assert sorted(type(each).__name__ for each in results) == ["LinkRefused", "str"]
    assert len(await store.members_of(ADA)) == 2


async def test_two_who_link_each_other_at_once_share_one_account(store: Store) -> None:
    one, two = await store.link_code(ADA), await store.link_code(BEN)
    results = await asyncio.gather(store.link(one, BEN), store.link(two, ADA), return_exceptions=True)
    assert sorted(type(each).__name__ for each in results) == ["LinkRefused", "str"]
    assert await store.account_of(ADA) == await store.account_of(BEN)


async def test_a_third_member_may_join_and_whole_accounts_may(store: Store) -> None:
    await linked(store, ADA, BEN)
    await linked(store, EVE, BEN)
    assert await store.members_of(EVE) == [ADA, BEN, EVE]
    job = await ask(store, a_tier(), user="ada")
    assert job.account == EVE


@pytest.mark.parametrize(
    "typed",
    [
        "01ABC-10XYV",
        "  01ABC-10XYV ",
        "01abc-10xyv",
        "01ABC10XYV",
        "O1ABC-1OXYV",
        "olabc-IoXYU",
        "0LABC 10XYV",
    ],
)
async def test_a_code_is_read_however_it_is_typed(
    store: Store, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    chosen = iter("01ABC10XYV")  # with each sign that is mistaken for another
    with monkeypatch.context() as patch:
        patch.setattr(secrets, "choice", lambda alphabet: next(chosen))
        assert await store.link_code(ADA) == "01ABC-10XYV"
    assert await store.link(typed, BEN) == ADA


async def test_a_code_is_ten_random_signs_in_two_halves(store: Store) -> None:
    codes = {await store.link_code(ADA) for _ in range(5)}
    assert len(codes) == 5
    assert all(re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}", code) for code in codes)


async def refused(store: Store, code: str, member: str) -> str:
    with pytest.raises(LinkRefused) as caught:
        await store.link(code, member)
    assert str(caught.value)
    return caught.value.why


async def test_a_code_that_cannot_be_used_says_why(store: Store, clock: Hand) -> None:
    for typed in ("", "ABCDE-FGHJK", "x" * 5000, "\u200b\u202e", "🦊"):
        assert await refused(store, typed, BEN) == "unknown"
    code = await store.link_code(ADA)
    assert await refused(store, code, ADA) == "own"
    first = await store.link_code(ADA)
    assert await refused(store, code, BEN) == "unknown", "a newer code ends the older one"
    assert await store.link(first, BEN) == ADA
    assert await refused(store, first, EVE) == "used"
    assert await refused(store, await store.link_code(ADA), BEN) == "linked"
    assert await refused(store, await store.link_code(BEN), ADA) == "linked"
    late = await store.link_code(EVE)
    clock.pass_(minutes=10)
    assert await refused(store, late, ADA) == "expired"


async def test_a_code_is_not_kept_in_clear(store: Store) -> None:
    code = await store.link_code(ADA)

    def look(session: Session) -> str:
        return str(session.connection().exec_driver_sql("SELECT * FROM link_codes").all())

    assert code.replace("-", "") not in (await store._read(look)).replace("-", "")


async def test_who_leaves_takes_what_was_used_along(store: Store) -> None:
    both = tier(per("day", 20), per("week", 90, rolling=True))
    await linked(store)
    done = await ask(store, both, user="ben")
    await store.end(done.id, State.RENDERED, device_seconds=5.0)
    held = await ask(store, both, user="ben")
    await store.gift(ADA, 10, a_line("op"), "g")
    own = await store.unlink(BEN)
    assert own == await store.account_of(BEN) != BEN
    assert await store.account_of(ADA) == ADA
    assert await used(store, both, own) == [13.0, 13.0]
    await store.end(held.id, State.CANCELLED)
    assert await used(store, both, ADA) == [5.0, 5.0, 0.0]
    assert await used(store, both, own) == [13.0, 13.0]
    assert (await ask(store, both, user="ben", cost=7.0)).account == own
    for alone in (ADA, BEN, EVE):
        with pytest.raises(LinkRefused) as caught:
            await store.unlink(alone)
        assert caught.value.why == "alone"


# ---- reports


async def test_lines_are_exported_by_account_tenant_and_time(store: Store, clock: Hand) -> None:
    first = await ask(store, a_tier(), tenant="discord:1")
    clock.pass_(hours=1)
    await ask(store, a_tier(), user="ben")
    await store.gift(ADA, 1, a_line("op"), "x")
    assert await store.newest_line() == clock.now

    async def jobs(**filters: Any) -> list[str | None]:
        return [line.job async for line in store.lines(**filters)]

    assert len(await jobs()) == 3
    assert await jobs(tenant="discord:1") == [first.id]
    assert await jobs(account=ADA) == [first.id, None]
    assert len(await jobs(since=clock.now)) == 2


async def test_more_lines_than_a_page_are_exported_once_each(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.store.accounts._PAGE", 3)
    for number in range(7):
        await store.gift(ADA, 1, a_line("op"), str(number))
    assert len({line.key async for line in store.lines()}) == 7


async def test_the_estimates_error_is_reported_by_model(store: Store) -> None:
    assert await store.accuracy() == {}
    for measured in (8.0, 10.0, 4.0):
        job = await ask(store, FREE, cost=8.0)
        await store.end(job.id, State.RENDERED, device_seconds=measured)
    other = await ask(store, FREE, request=GenerationRequest(prompt="x", seed=1, model="big"))
    await store.end(other.id, State.RENDERED, device_seconds=16.0)
    await ask(store, FREE)
    found = await store.accuracy()
    assert {model: (each.jobs, each.median) for model, each in found.items()} == {
        "easel-tiny": (3, pytest.approx(0.2)),
        "big": (1, 0.5),
    }
    assert found["easel-tiny"].p90 == pytest.approx(0.84)
    assert (await store.accuracy(last=1)).keys() == {"big"}


# ---- charges that nothing looked at before


async def test_gifts_go_to_whoever_made_the_code_and_to_nobody_else(store: Store) -> None:
    small = tier(per("day", 5))
    for member, seconds in ((ADA, 10), (BEN, 20), (EVE, 40)):
        await store.gift(member, seconds, a_line("op"), member)
    assert await store.link(await store.link_code(BEN), ADA) == BEN

    async def given(account: str) -> float:
        return sum(each.cap for each in await store.balances(account, small) if each.name == "gift")

    assert (await given(BEN), await given(ADA), await given(EVE)) == (30.0, 0.0, 40.0)
    await ask(store, small, 25.0, user="ada")  # paid by what both were given
    gifts = [each for each in await store.balances(BEN, small) if each.name == "gift"]
    assert [(each.cap, each.used) for each in gifts] == [(30.0, 25.0)]
    assert await store.gift(ADA, 1, a_line("op"), "later")
    assert (await given(BEN), await given(ADA)) == (31.0, 0.0)


async def test_leaving_and_coming_back_forgets_no_debt(store: Store) -> None:
    both = tier(per("day", 100), per("week", 100, rolling=True))
    await store.link(await store.link_code(ADA), BEN)
    done = await ask(store, both, 8.0, user="ben")
    await store.end(done.id, State.RENDERED, device_seconds=6.0)
    own = await store.unlink(BEN)
    assert await used(store, both, own) == await used(store, both, ADA) == [6.0, 6.0]
    more = await ask(store, both, 8.0, user="ben")
    await store.end(more.id, State.RENDERED, device_seconds=3.0)
    assert await used(store, both, own) == [9.0, 9.0]
    assert await store.link(await store.link_code(ADA), BEN) == ADA
    assert await used(store, both, ADA) == [15.0, 15.0], "what each owes is owed together"


async def test_a_job_is_charged_what_it_took_and_at_most_what_was_held(store: Store) -> None:
    day = tier(per("day", 100))
    for measured, charged in ((2.5, 2.5), (8.0, 8.0), (20.0, 8.0), (0.0, 0.0)):
        before = (await used(store, day))[0]
        job = await ask(store, day, 8.0)
        ended, first = await store.end(job.id, State.RENDERED, device_seconds=measured)
        assert first and ended.device_seconds == charged
        assert (await used(store, day))[0] == pytest.approx(before + charged)
        kinds = [(line.kind, line.seconds) async for line in store.lines() if line.job == job.id]
        assert kinds == [("hold", 8.0), ("charge", charged), ("release", 8.0 - charged)]


async def test_a_first_request_that_is_more_than_the_allowance_is_refused(store: Store) -> None:
    with pytest.raises(OverQuota) as caught:
        await ask(store, tier(per("day", 5)), 8.0)
    assert (caught.value.balance.cap, caught.value.balance.left) == (5.0, 5.0)


async def test_a_reset_leaves_gifts_as_they_are(store: Store) -> None:
    small = tier(per("day", 5))
    await store.gift(ADA, 20, a_line("op"), "g")
    job = await ask(store, small, 8.0)
    await store.end(job.id, State.RENDERED, device_seconds=8.0)
    await store.reset(ADA, a_line("op"), "r")
    gift = (await store.balances(ADA, small))[-1]
    assert (gift.name, gift.cap, gift.used) == ("gift", 20.0, 8.0)

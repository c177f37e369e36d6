"""Budgets in money: held with the job, exact to the hundredth of a cent, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlmodel import Session

from bot.accounts.access_rules import AccessRules, spending
from bot.accounts.tiers import Tiers
from bot.admin import csv_export
from bot.errors import Refusal
from bot.jobs.admission import OfferContext, admit
from bot.messages import answers
from bot.models import INSTANCE, Job, Policy, Spending, Spent, Standing, State, StoredPicture
from bot.store import OverBudget, Store, ledger
from engine.prices import Price
from engine.types import GenerationRequest, ModelInfo
from tests.examples import a_job, a_member, a_tier
from tests.unit.conftest import Hand

PLACE = "money:web:local"
FREE = a_tier(waiting=1000)
GPT = ModelInfo(
    name="gpt",
    title="GPT",
    licence="",
    width=1024,
    height=1024,
    steps=1,
    guidance=5.0,
    prices=(Price(500),),
    currency="EUR",
)


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


def costs(parts: int, cap: int | None, currency: str = "EUR") -> tuple[Spending, ...]:
    return (Spending(account=PLACE, name="this place", currency=currency, parts=parts, cap=cap),)


async def ask(store: Store, parts: int, cap: int | None, **more: Any) -> Job:
    jobs, new = await store.admit_all([a_job(**more)], tier=FREE, spending=[costs(parts, cap)])
    assert new
    return jobs[0]


async def spent(store: Store, currency: str = "EUR") -> int:
    (found,) = await store.spent(PLACE, [(currency, None)])
    return found.parts


async def paint(store: Store, job: Job, *indices: int) -> None:
    for index in indices:
        picture = StoredPicture(index=index, blob=f"{job.id}-{index}", seed=index, width=8, height=8)
        assert await store.add_picture(job.id, picture)


async def test_requests_at_once_never_go_over_a_budget(store: Store) -> None:
    asked = [ask(store, 333, 3_000, user=f"user-{number}") for number in range(40)]
    found = await asyncio.gather(*asked, return_exceptions=True)

    assert sum(isinstance(each, Job) for each in found) == 9  # of 333 each into 3,000
    assert sum(isinstance(each, OverBudget) for each in found) == 31
    assert await spent(store) == 9 * 333


async def test_what_was_delivered_is_charged_and_the_rest_is_given_back(store: Store) -> None:
    job = await ask(store, 2_000, 10_000)
    assert await spent(store) == 2_000
    await paint(store, job, 0, 1, 2, 3, -1)
    await store.end(job.id, State.RENDERED, device_seconds=5.0)
    ended = await store.job(job.id)

    assert await spent(store) == 2_000
    assert ended and ended.device_seconds == 5.0  # money is no time of a device


@pytest.mark.parametrize(("came", "charged"), [((), 0), ((0,), 500), ((0, 2, 3), 1_500)])
async def test_of_a_job_that_failed_the_images_that_came_are_charged(
    store: Store, came: tuple[int, ...], charged: int
) -> None:
    job = await ask(store, 2_000, 10_000)
    await paint(store, job, *came)
    await store.end(job.id, State.FAILED)
    await store.end(job.id, State.FAILED)  # once

    assert await spent(store) == charged


async def test_relaxed_jobs_cost_money_too_also_those_that_are_relaxed_later(store: Store) -> None:
    job = await ask(store, 100, 10_000, relaxed=True)
    await paint(store, job, 0, 1, 2, 3)
    await store.end(job.id, State.RENDERED, device_seconds=1.0)
    later = await ask(store, 100, 10_000)
    await store._write(lambda session: ledger.release_all(session, later.id, store.now()))

    assert await spent(store) == 200


async def test_a_month_is_a_month_and_currencies_are_counted_apart(store: Store, clock: Hand) -> None:
    await ask(store, 100, 100)
    with pytest.raises(OverBudget) as refused:
        await ask(store, 1, 100)
    assert refused.value.spent.parts == 100
    jobs = await store.admit_all([a_job()], tier=FREE, spending=[costs(50, 60, "USD")])
    assert jobs and await spent(store, "USD") == 50
    clock.now = refused.value.spent.resets
    await ask(store, 100, 100)
    assert await spent(store) == 100


async def test_a_series_is_held_as_a_whole_or_not_at_all(store: Store) -> None:
    jobs = [a_job(), a_job()]
    with pytest.raises(OverBudget):
        await store.admit_all(jobs, tier=FREE, spending=[costs(60, 100), costs(60, 100)])
    assert await spent(store) == 0 and await store.job(jobs[0].id) is None


async def test_without_a_budget_what_is_spent_is_counted(store: Store) -> None:
    await ask(store, 7, None)
    assert await spent(store) == 7


async def test_the_ledger_s_table_tells_money_apart_from_seconds(store: Store) -> None:
    await ask(store, 12_345, None)
    lines = [line async for line in store.lines(account=PLACE)]
    text = "".join([piece async for piece in csv_export.ledger(store.lines(account=PLACE))])

    assert [(each.kind, each.seconds, each.money) for each in lines] == [("hold", 0.0, 1.2345)]
    assert "1.2345" in text and "money EUR month" in text


# ---- what people are told


def rules(**place: Any) -> AccessRules:
    standing = Standing(at=datetime.now(UTC), account=a_member().id, place=Policy(**place))
    return AccessRules(standing, Tiers((FREE,)), a_member())


async def test_who_would_go_over_the_budget_is_told_how_much_is_left(store: Store) -> None:
    context = OfferContext(model=GPT, estimate=lambda request: 8.0)
    request = GenerationRequest(prompt="a fox", model="gpt", seed=1, count=4)
    here = rules(money={"EUR": 3_000})
    await admit(store, replace(a_job(), request=request), here, context)
    with pytest.raises(Refusal) as refused:
        await admit(store, replace(a_job(), request=request), here, context)

    assert refused.value.code == "quota"
    assert refused.value.notice.startswith(
        "This costs 0.20 EUR, and of the 0.30 EUR of this place for this month 0.10 EUR are left. "
    )


def test_an_operator_s_budget_holds_everywhere_beside_the_place_s() -> None:
    found = spending(Policy(money={"EUR": 9}), Policy(money={"EUR": 5, "USD": 1}), "web:local", "EUR", 3)
    assert [(each.account, each.cap) for each in found] == [(f"money:{INSTANCE}", 9), (PLACE, 5)]


def test_amounts_are_told_exactly() -> None:
    now = datetime(2026, 11, 28, tzinfo=UTC)
    line = answers.spent_line(
        Spent(currency="EUR", parts=124_000, cap=500_000, resets=datetime(2026, 12, 1, tzinfo=UTC)), now
    )
    assert "12.40 of 50.00 EUR used this month" in line
    assert answers.money(110, "USD") == "0.0110 USD" and answers.money(12_000_000, "EUR") == "1,200.00 EUR"


def test_a_model_without_prices_costs_no_money() -> None:
    request = GenerationRequest(prompt="", seed=1)
    assert rules().spending("web:local", replace(GPT, prices=()), request) == ()

"""Many at once, in several processes on one Postgres: exactly what is allowed is admitted."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import bindparam, func, select, update
from sqlmodel import Session

from bot.errors import StoreError
from bot.models import Allowance, Budget
from bot.store import OverQuota, Store, ledger
from bot.store.tables import JobRow
from tests.databases import Cluster
from tests.examples import a_job, a_tier
from tests.faults.crowd import Plan, arguments

ROOT = Path(__file__).parents[2]
PATIENCE = 600.0

SMALL = Plan(people=40, requests=8, processes=3, each=5, houses=2, house_people=10, house=37)
LARGE = Plan(people=2000, requests=30, processes=4, each=10, houses=2, house_people=100, house=773)


async def crowd(url: str, plan: Plan) -> Counter[str]:
    """Start the processes, let them loose together, and add up what they were told."""
    pipe = asyncio.subprocess.PIPE
    processes = [
        await asyncio.create_subprocess_exec(*arguments(url, number, plan), cwd=ROOT, stdin=pipe, stdout=pipe)
        for number in range(plan.processes)
    ]
    for process in processes:
        assert process.stdout
        assert await asyncio.wait_for(process.stdout.readline(), PATIENCE) == b"ready\n"
    said = await asyncio.wait_for(
        asyncio.gather(*(each.communicate(b"go\n") for each in processes)), PATIENCE
    )
    assert {process.returncode for process in processes} == {0}
    return sum((Counter(json.loads(out)) for out, _ in said), Counter())


@pytest.mark.parametrize("plan", [SMALL, pytest.param(LARGE, marks=pytest.mark.soak)], ids=["small", "large"])
async def test_exactly_the_allowed_are_admitted(postgres: Cluster, plan: Plan) -> None:
    url = postgres.fresh()
    store = await Store.open(url)
    began = time.perf_counter()
    answers = await crowd(url, plan)
    seconds = time.perf_counter() - began
    assert answers["admitted"] == plan.expected
    assert answers["admitted"] + answers["refused"] == plan.people * plan.requests
    await check(store, plan)
    await store.close()
    rate = plan.people * plan.requests / seconds
    assert rate > 5, f"{rate:.0f} requests/s"
    print(f"{answers}: {rate:.0f} requests/s")  # noqa: T201 for who runs the large one


async def check(store: Store, plan: Plan) -> None:
    """Nobody has more than is theirs, every job its lines, and the books add up."""
    counted = select(JobRow.account, func.count()).group_by(JobRow.account)
    jobs = dict(await store._read(lambda session: session.connection().execute(counted).all()))
    for person in range(plan.people):
        mine = jobs.get(f"web:p{person}", 0)
        (own, *house) = await store.balances(f"web:p{person}", plan.tier, plan.budgets(person))
        assert own.used == mine <= plan.each
        assert mine == plan.each or (house and house[0].left == 0.0)
    assert await store.check() == "ok"


# ---- the proof that the statement matters

HOUSE = Budget(account="budget:house", name="House", allowance=Allowance(seconds=3, per="day", rolling=True))


async def contend(url: str) -> None:
    """Twelve people want what is left for three."""
    store = await Store.open(url)
    try:
        asked = (
            store.admit(a_job(user=f"p{n}", estimate=1.0), tier=a_tier(), budgets=[HOUSE]) for n in range(12)
        )
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(isinstance(each, tuple) for each in results) == 3
        assert sum(isinstance(each, OverQuota) for each in results) == 9
        assert await store.check() == "ok"
    finally:
        await store.close()


def checks_then_acts(monkeypatch: pytest.MonkeyPatch, used: Any) -> None:
    """Replace the conditional update by a look and, a moment later, an update that sets `used`."""
    allowances = ledger._allowances
    this = (allowances.c.account == bindparam("of"), allowances.c.bucket == bindparam("at"))
    blind = update(allowances).where(*this).values(used_ms=used, cap_ms=bindparam("limit"))

    def take(session: Session, bucket: ledger.Bucket, amount: int) -> ledger.Bucket | None:
        assert bucket.cap_ms is not None
        ledger._create(session, bucket)
        seen = ledger._row(session, bucket).used_ms
        if seen + amount > bucket.cap_ms:
            return None
        time.sleep(0.02)
        values = {"of": bucket.account, "at": bucket.name, "amount": amount, "limit": bucket.cap_ms}
        session.connection().execute(blind, values | {"seen": seen})
        return bucket

    monkeypatch.setattr(ledger, "take", take)


async def test_those_who_contend_get_what_there_is(postgres: Cluster) -> None:
    await contend(postgres.fresh())


async def test_an_update_after_a_look_loses_what_others_took(
    postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks_then_acts(monkeypatch, bindparam("seen") + bindparam("amount"))
    with pytest.raises(AssertionError):
        await contend(postgres.fresh())


async def test_an_addition_after_a_look_is_stopped_by_the_database_alone(
    postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks_then_acts(monkeypatch, ledger._allowances.c.used_ms + bindparam("amount"))
    with pytest.raises(AssertionError):
        await contend(postgres.fresh())
    store = await Store.open(url := postgres.fresh())
    full = [store.admit(a_job(user=f"p{n}", estimate=1.0), tier=a_tier(), budgets=[HOUSE]) for n in range(12)]
    results = await asyncio.gather(*full, return_exceptions=True)
    assert any(isinstance(each, StoreError) and "within_cap" in str(each) for each in results), url
    await store.close()

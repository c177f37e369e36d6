from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.admission import account_of, admit
from bot.errors import Offer, Refusal
from bot.models import State
from bot.settings import Settings
from bot.store import Store
from engine.types import GenerationRequest
from tests.examples import TINY, a_job, a_member


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(f"sqlite:///{tmp_path}/easel.db")
    yield store
    await store.close()


async def test_what_fits_is_admitted_once_and_paid_by_its_person(store: Store) -> None:
    job, settings = a_job(user="ada"), Settings()
    assert await admit(store, job, settings=settings, models=[TINY]) == (job, True)
    assert await admit(store, job, settings=settings, models=[TINY]) == (job, False)
    account = account_of(a_member("ada"))
    assert (await store.balance(account, cap=settings.daily_seconds)).used == 8.0


async def test_too_much_is_refused_with_numbers_and_what_would_fit(store: Store) -> None:
    settings = Settings(daily_seconds=13.0)
    await admit(store, a_job(), settings=settings, models=[TINY])
    with pytest.raises(Refusal) as caught:
        await admit(store, a_job(), settings=settings, models=[TINY])
    refusal = caught.value
    assert refusal.code == "quota"
    assert "costs about 8 s; you have 5 s left of today's 13 s, so 3 s are missing" in refusal.notice
    assert "resets at 00:00 UTC, in about " in refusal.notice
    assert refusal.offers == (Offer("Make it 2", "a red fox in snow --count 2 --seed 7"),)
    smaller = a_job(estimate=4.0)
    await admit(store, smaller, settings=settings, models=[TINY])


async def test_when_nothing_fits_nothing_is_offered(store: Store) -> None:
    settings = Settings(daily_seconds=1.0)
    with pytest.raises(Refusal) as caught:
        await admit(store, a_job(), settings=settings, models=[TINY])
    assert caught.value.offers == ()
    assert caught.value.notice.endswith("Try a smaller size or fewer steps.")
    one = a_job(request=GenerationRequest(prompt="x", seed=1, count=1), estimate=1.5)
    with pytest.raises(Refusal) as caught:
        await admit(store, one, settings=settings, models=[TINY])
    assert caught.value.offers == ()


async def test_a_source_that_is_not_stored_is_not_offered_again(store: Store) -> None:
    job = a_job()
    job = replace(job, request=replace(job.request, source="s.png", strength=0.5))
    with pytest.raises(Refusal) as caught:
        await admit(store, job, settings=Settings(daily_seconds=5.0), models=[TINY])
    assert caught.value.offers == ()


async def test_too_many_waiting_jobs_are_refused_until_one_ends(store: Store) -> None:
    settings = Settings(max_waiting=1)
    first, _ = await admit(store, a_job(), settings=settings, models=[TINY])
    with pytest.raises(Refusal, match="a job waiting or running, the most for one person") as caught:
        await admit(store, a_job(), settings=settings, models=[TINY])
    assert caught.value.code == "waiting"
    await store.end(first.id, State.FAILED)
    assert (await admit(store, a_job(), settings=settings, models=[TINY]))[1]

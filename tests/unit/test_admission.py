from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bot import actions
from bot.accounts.access_rules import AccessRules
from bot.accounts.remaining import affordable, tightest
from bot.accounts.tiers import Tiers
from bot.errors import Offer, Refusal
from bot.jobs.admission import OfferContext, admit, check
from bot.models import Allowance, Balance, Job, Policy, Standing, State, Tier
from bot.prompts import Draft
from bot.store import Store
from engine.types import GenerationRequest
from tests.examples import TINY, a_job, a_member, a_tier

FOX = Draft(prompt="a red fox in snow")
SECONDS_PER_PIXEL = 8 / (4 * 512 * 512)


def estimate(request: GenerationRequest) -> float:
    return request.count * request.width * request.height * SECONDS_PER_PIXEL


def ask(draft: Draft | None = FOX, **more: Any) -> OfferContext:
    return OfferContext(model=TINY, estimate=estimate, draft=draft, **more)


def rules(tier: Tier, **place: Any) -> AccessRules:
    standing = Standing(at=datetime.now(UTC), account=a_member().id, place=Policy(**place))
    return AccessRules(standing, Tiers((tier,)), a_member())


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(f"sqlite:///{tmp_path}/easel.db")
    yield store
    await store.close()


async def refused(
    store: Store, job: Job, tier: Tier, asked: OfferContext | None = None, **place: Any
) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await admit(store, job, rules(tier, **place), asked or ask())
    return caught.value


async def test_what_fits_is_admitted_once_and_paid_by_its_person(store: Store) -> None:
    job, everyone = a_job(user="ada"), rules(a_tier(100))
    first, new = await admit(store, job, everyone, ask())
    assert new and first == replace(job, account=first.account)
    assert await admit(store, job, everyone, ask()) == (first, False)
    (balance,) = await store.balances(first.account, everyone.tier)
    assert balance.used == 8.0


async def test_a_request_counts_in_the_periods_of_all_tiers(store: Store) -> None:
    """Whoever is moved to another tier takes along what they used."""
    weekly = Tier(name="weekly", title="Weekly", allowances=(Allowance(seconds=100, per="week"),))
    standing = Standing(at=datetime.now(UTC), account=a_member().id)
    first, _ = await admit(
        store, a_job(), AccessRules(standing, Tiers((a_tier(100), weekly)), a_member()), ask()
    )
    (balance,) = await store.balances(first.account, weekly)
    assert (balance.per, balance.used) == ("week", 8.0)


async def test_too_much_is_refused_with_numbers_and_what_would_fit(store: Store) -> None:
    tier = a_tier(13.0)
    await admit(store, a_job(), rules(tier), ask())
    refusal = await refused(store, a_job(), tier)
    assert refusal.code == "quota"
    assert refusal.notice.startswith(
        "This needs about 8 GPU seconds, and of your 13 GPU seconds a day only 5 are left. "
        "The quota resets at "
    )
    assert refusal.offers == (
        Offer("Make 2 images", "a red fox in snow --count 2"),
        Offer("Make it 360 × 360", "a red fox in snow --size 360x360"),
        Offer("Relaxed: free, later", "a red fox in snow --relax"),
    )
    await admit(store, a_job(estimate=4.0), rules(tier), ask())


async def test_a_relaxed_job_is_admitted_where_nothing_is_left(store: Store) -> None:
    tier = a_tier(0.0)
    assert (await refused(store, a_job(), tier)).offers[-1].text == "a red fox in snow --relax"
    assert (await admit(store, a_job(relaxed=True), rules(tier), ask()))[1]


async def test_a_tier_without_relaxed_jobs_is_not_offered_any(store: Store) -> None:
    refusal = await refused(store, a_job(), a_tier(0.5, priorities=("fast",)))
    assert refusal.offers == ()
    assert refusal.notice.endswith("Try a smaller size or fewer steps.")


async def test_what_no_text_can_ask_for_is_offered_as_a_press(store: Store) -> None:
    button = actions.Action(name="vary_subtle", job="1a2b3c4d5e6f", index=1, relax=True).id
    refusal = await refused(store, a_job(), a_tier(0.5), ask(None, relaxing=button))
    assert refusal.offers == (Offer("Relaxed: free, later", button="v1:vary_subtle:1a2b3c4d5e6f:1:relax"),)
    hurried = a_tier(0.5, priorities=("fast",))
    assert (await refused(store, a_job(), hurried, ask(None, relaxing=button))).offers == ()
    uploaded = replace(FOX, source=b"png")
    assert (await refused(store, a_job(), a_tier(5), ask(uploaded))).offers == ()


async def test_a_budget_says_whose_it_is(store: Store) -> None:
    campaign = {"studio": Allowance(seconds=10, per="week")}
    await admit(store, a_job(user="ben"), rules(a_tier(), channel_budgets=campaign), ask())
    refusal = await refused(store, a_job(), a_tier(), channel_budgets=campaign)
    assert refusal.notice.startswith(
        "This needs about 8 GPU seconds, and of the 10 GPU seconds a week of this channel only 2 are left. "
        "The quota resets"
    )


async def test_too_many_waiting_jobs_are_refused_until_one_ends(store: Store) -> None:
    everyone = rules(a_tier(waiting=1))
    first, _ = await admit(store, a_job(), everyone, ask())
    with pytest.raises(Refusal, match="1 job waiting or running, the most for one person") as caught:
        await admit(store, a_job(), everyone, ask())
    assert caught.value.code == "waiting"
    await store.end(first.id, State.FAILED)
    assert (await admit(store, a_job(), everyone, ask()))[1]


async def test_a_cooldown_says_how_long(store: Store) -> None:
    tier = a_tier(cooldown=3600.0)
    await admit(store, a_job(), rules(tier), ask())
    refusal = await refused(store, a_job(), tier)
    assert refusal.code == "cooldown"
    assert refusal.notice == "Your tier, Everyone, may ask once in 1 h 0 min. Ask again in 1 h 0 min."


async def test_it_is_said_to_ask_for_less_only_where_all_of_it_would_not_do(store: Store) -> None:
    """Where the whole allowance would do, waiting helps, and nothing else is said."""
    tier = a_tier(10.0, priorities=("fast",))
    await admit(store, a_job(), rules(tier), ask())
    refusal = await refused(store, a_job(), tier, ask(None))
    assert not refusal.offers and "Try a smaller size" not in refusal.notice


def test_a_request_is_refused_before_it_is_made_by_the_balances_of_the_moment() -> None:
    request, now = a_job().request, datetime.now(UTC)
    allowance = Balance(cap=10, used=1, resets=None, per="day")
    check(request, rules(a_tier()), ask(balances=(replace(allowance, used=2),)), now)
    check(request, rules(a_tier()), ask(), now)
    with pytest.raises(Refusal, match="of your 10 GPU seconds a day only 7 are left") as caught:
        check(request, rules(a_tier()), ask(balances=(replace(allowance, used=3),)), now)
    assert caught.value.offers[0].label == "Make 3 images"


def test_allowances_or_gifts_pay_a_request_whole_and_budgets_limit_both() -> None:
    own = Balance(cap=10, used=4, resets=None, per="day")
    gift = Balance(cap=9, used=1, resets=None, name="gift")
    budget = Balance(cap=100, used=98, resets=None, name="this channel", per="week")
    assert affordable([]) == float("inf")
    assert affordable([own]) == 6
    assert affordable([own, replace(own, used=9)]) == 1
    assert affordable([own, gift]) == 8
    assert affordable([own, replace(gift, used=4)]) == 6
    assert affordable([own, gift, budget]) == 2


def test_what_limits_is_the_one_with_least_left_and_gifts_add_to_the_person_s_own() -> None:
    day, week = (
        Balance(cap=10, used=4, resets=None, per="day"),
        Balance(cap=70, used=69, resets=None, per="week"),
    )
    gift = Balance(cap=5, used=1, resets=None, name="gift")
    budget = Balance(cap=100, used=98, resets=None, name="this channel", per="week")
    assert tightest([]) is None and tightest([gift]) is None
    assert tightest([day, week]) == week
    assert tightest([day, gift]) == replace(day, cap=14)
    assert tightest([day, week, gift, budget]) == budget

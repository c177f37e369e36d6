"""Offered texts: kept for one person, once, for a while, and not without end."""

from __future__ import annotations

from datetime import timedelta

from bot.store import Store
from bot.store.offers import MOST
from tests.unit.conftest import Hand

ADA, BEN = "test:ada", "test:ben"


async def test_a_text_is_kept_once_for_each_person(store: Store) -> None:
    key = await store.keep_offer(ADA, "a fox")
    assert await store.keep_offer(ADA, "a fox") == key != await store.keep_offer(BEN, "a fox")
    assert await store.offer(key, ADA) == "a fox"
    assert await store.offer(key, BEN) is None
    assert [text for text, _ in await store.offers_of([ADA])] == ["a fox"]


async def test_the_oldest_of_too_many_go(store: Store, clock: Hand) -> None:
    keys = []
    for number in range(MOST + 2):
        clock.now += timedelta(seconds=1)
        keys.append(await store.keep_offer(ADA, f"{number} foxes"))
    kept = [await store.offer(key, ADA) for key in keys]
    assert kept == [None, None, *(f"{number} foxes" for number in range(2, MOST + 2))]


async def test_what_is_offered_again_stays_longer(store: Store, clock: Hand) -> None:
    key = await store.keep_offer(ADA, "a fox")
    clock.now += timedelta(days=2)
    await store.keep_offer(ADA, "a fox")
    await store.drop_offers(clock.now - timedelta(days=1))
    assert await store.offer(key, ADA) == "a fox"
    await store.drop_offers(clock.now + timedelta(seconds=1))
    assert await store.offer(key, ADA) is None

"""However much is wrong with a prompt at once, nobody is refused twice for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.errors import Refusal
from engine.workers.fake import FakeEngine
from tests.examples import a_tier
from tests.scenario.conftest import SMALL, House, Opens

FAULTS = (
    "--sed 7",
    "--zebra 5",
    "--quux",
    "--steps 500",
    "--steps 0",
    "--count 99",
    "--count 12",
    "--n x",
    "--ar 9:1",
    "--ar widde",
    "--size 63x500",
    "--size big",
    "--style watercolr",
    "--style quux",
    "--strength 0.5",
    "--model memry",
    "--guidance 99",
    "--cfg nan",
    "--seed x",
    "--seed 1 --seed 2",
    "--seed",
    "--no",
    "--scheduler nothing",
    "--repeat 99",
    "--source ../x",
    "https://example.org/a.png",
)
FOREIGN = ("--v 6.1", "--s 250", "--tile", "--niji 6", "—q 2", "fox::2 snow::1")


@pytest.fixture
async def house(opened: Opens) -> AsyncIterator[House]:
    models = (replace(SMALL, name="memory", schedulers=("euler",)), replace(SMALL, name="second"))
    tier = a_tier(1e9, max_count=4, max_steps=20, waiting=100)
    async with opened(make_engine=lambda blobs: FakeEngine(blobs.read, models=models), tiers=[tier]) as house:
        yield house


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    faults=st.lists(st.sampled_from(FAULTS), max_size=6),
    habits=st.lists(st.sampled_from(FOREIGN), max_size=2),
)
async def test_what_a_refusal_offers_is_taken(
    house: House, faults: Sequence[str], habits: Sequence[str]
) -> None:
    in_front = [each for each in faults if each.startswith("http")][:1]
    flags = [each for each in faults if not each.startswith("http")]
    text = " ".join([*in_front, "a red fox", *habits, *flags])
    origin = house.origin()
    try:
        await house.easel.planner.accepts({"prompt": text}, origin)
    except Refusal as refusal:
        assert refusal.offers, (text, refusal.notice)
        for offer in refusal.offers:
            await house.easel.planner.accepts({"prompt": offer.text}, origin)
        for fault in in_front:
            assert "fetches no images" in refusal.notice, fault
    else:
        assert not faults, text

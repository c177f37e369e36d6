"""Many people at once, over the loopback Discord, while the engine is saturated; `make bench` has figures.

Other tests run beside these: half of the rate that a quiet machine bears is asked of it.
"""

from __future__ import annotations

import os

import pytest

from tests.bench.discord import Load, press

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="Discord plays on a core of its own"),
]


async def test_nobody_waits_three_seconds_for_a_first_answer() -> None:
    outcome = await press(Load(rate=50, seconds=3))

    assert (outcome.silent, outcome.busy) == (0, 0)
    assert outcome.shown == 150
    assert outcome.quantile(0.5) < 1.0 and max(outcome.waits) < 3.0


async def test_a_burst_of_five_hundred_is_taken() -> None:
    outcome = await press(Load(rate=500, seconds=1))

    assert outcome.silent == 0 and outcome.shown == 500
    assert max(outcome.waits) < 3.5


async def test_past_its_capacity_everybody_gets_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.adapters.discord.handlers.MOST_TAKEN", 10)

    outcome = await press(Load(rate=500, seconds=1))

    assert outcome.silent == 0 and outcome.shown == 500
    assert outcome.busy > 0

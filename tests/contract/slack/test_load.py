"""Many events at a time, while the engine is busy: acknowledged at once, none forgotten."""

from __future__ import annotations

from tests.bench.slack import Load, press


async def test_a_crowd_is_acknowledged_at_once() -> None:
    outcome = await press(Load(rate=100, seconds=5))

    assert outcome.silent == 0 and outcome.late == 0
    assert outcome.quantile(0.99) < 3.0  # what Slack waits; 0.3 s is the goal that `make bench` measures

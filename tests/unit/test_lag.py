from __future__ import annotations

import asyncio
import time

from structlog.testing import capture_logs

from bot import lag, telemetry


def hold_up(seconds: float) -> None:
    time.sleep(seconds)


async def shown(least: float) -> float:
    async with asyncio.timeout(30):
        while (now := telemetry.LAG._value.get()) < least:  # noqa: ASYNC110 only the gauge knows
            await asyncio.sleep(0.01)
    return now


async def test_what_blocks_the_loop_is_logged_with_its_stack_and_measured() -> None:
    with capture_logs() as logs:
        async with lag.watched(limit=0.4):
            asyncio.get_running_loop().call_soon(hold_up, 1.5)
            assert 1.5 - lag.EVERY <= await shown(1.0) < 30
    blocked = [each for each in logs if each["event"] == "the event loop is blocked"]
    assert len(blocked) >= 1 and blocked[0]["log_level"] == "warning"
    assert "hold_up" in blocked[0]["stack"] and "test_lag.py" in blocked[0]["stack"]
    assert blocked[0]["lag"] >= 0.4
    assert any(each["event"] == "the event loop runs again" for each in logs)
    assert telemetry.LAG._value.get() == 0.0


async def test_a_loop_that_turns_is_not_logged() -> None:
    with capture_logs() as logs:
        async with lag.watched(limit=30):
            await asyncio.sleep(3 * lag.EVERY)
    assert logs == []


async def test_a_call_that_holds_the_interpreter_is_seen_too() -> None:
    """As `re` does: the stack names who called it."""
    import re

    def slow_match() -> None:
        re.match(r"(?:a|a)*b", "a" * 23)

    with capture_logs() as logs:
        async with lag.watched(limit=0.05):
            slow_match()
            await shown(0.1)
    assert any("slow_match" in each.get("stack", "") for each in logs)

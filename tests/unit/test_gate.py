"""Who is let in, and what becomes of work whose asker has gone."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from bot.errors import Refusal, StoreError, StoreGone
from bot.gate import Gate
from engine.errors import OutOfMemory


def gate(*, reason: str = "", is_open: bool = True) -> Gate:
    guard: Any = SimpleNamespace(reason=reason)
    made = Gate(guard)
    if is_open:
        made.open()
    return made


async def seven() -> int:
    return 7


async def fail(error: Exception) -> None:
    raise error


async def test_what_is_let_in_gives_its_answer() -> None:
    assert await gate().through(seven()) == 7


@pytest.mark.parametrize("kind", [{"is_open": False}, {"reason": "another process leads"}])
async def test_nothing_is_let_in_before_the_start_or_where_the_process_must_end(kind: dict[str, Any]) -> None:
    with pytest.raises(Refusal, match="stopping or starting") as refused:
        await gate(**kind).through(seven())  # which warns if it is left alone: warnings are errors here
    assert refused.value.code == "busy"


async def test_a_closed_gate_lets_nothing_more_in() -> None:
    door = gate()
    door.close()
    with pytest.raises(Refusal):
        await door.through(seven())


@pytest.mark.parametrize(
    ("error", "code", "notice"),
    [
        (StoreError("the disk is full"), "store", "cannot save anything at the moment"),
        (StoreGone("replaced"), "store", "was deleted or replaced"),
        (OutOfMemory(), "engine", OutOfMemory().advice),
    ],
)
async def test_what_fails_is_told_without_its_cause(error: Exception, code: str, notice: str) -> None:
    with pytest.raises(Refusal, match=notice) as refused:
        await gate().through(fail(error))
    assert refused.value.code == code and str(error) not in refused.value.notice.replace(notice, "")


async def test_work_goes_on_when_nobody_waits_for_it_and_closing_waits() -> None:
    door, go, done = gate(), asyncio.Event(), []

    async def admit() -> None:
        await go.wait()
        done.append("admitted")

    asker = asyncio.create_task(door.through(admit()))
    await asyncio.sleep(0)
    asker.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asker
    door.close()
    asyncio.get_running_loop().call_soon(go.set)
    await door.settle(30)
    assert done == ["admitted"]


async def test_closing_waits_no_longer_than_it_may() -> None:
    door = gate()
    asker = asyncio.create_task(door.through(asyncio.Event().wait()))
    await asyncio.sleep(0)
    await door.settle(0.01)
    assert not asker.done()
    asker.cancel()
    for task in list(door._under_way):
        task.cancel()

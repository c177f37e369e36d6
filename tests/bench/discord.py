"""Interactions at a rate, over a loopback Discord, while the engine is saturated.

A process of its own plays Discord: it sends interactions on a clock, whatever comes back, and notes how long
each waited for its first answer. The studio under load is the real one, with discord.py and SQLite; its
engine paints in memory, slower than it is asked to.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bot import telemetry
from bot.surfaces import Settings
from tests.contract.discord.house import rooms
from tests.contract.discord.line import pointed_at
from tests.contract.discord.wire import Wire, member, served

SETTLE = 30.0  # seconds that answers may still take after the last interaction
STEP = 0.05  # seconds a step of the engine takes: a job of four pictures takes sixteen
MESSAGE = 4  # the kind of a callback that answers at once


@dataclass(frozen=True, slots=True)
class Load:
    """What people do: `rate` interactions a second for `seconds`, by `people` of them."""

    rate: float
    seconds: float
    people: int = 1000

    @property
    def total(self) -> int:
        return round(self.rate * self.seconds)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What Discord saw."""

    waits: tuple[float, ...]  # seconds from each interaction to its first answer
    silent: int  # interactions that got no answer
    busy: int  # that were told to try again
    shown: int  # whose answer came, beyond the deferral

    def quantile(self, part: float) -> float:
        return sorted(self.waits)[min(len(self.waits) - 1, int(part * len(self.waits)))]


def figures(seconds: float = 60.0) -> dict[str, Any]:
    """The steady load, the burst and a flood, for `make bench`."""
    with open(os.devnull, "w") as nowhere:
        telemetry.set_up(Settings(), nowhere)
        return _figures(seconds)


def _figures(seconds: float) -> dict[str, Any]:
    steady = asyncio.run(press(Load(rate=100, seconds=seconds)))
    burst = asyncio.run(press(Load(rate=500, seconds=1)))
    flood = asyncio.run(press(Load(rate=2000, seconds=1)))
    return {
        **_named(f"Discord, 100 interactions/s for {seconds:.0f} s", steady),
        **_named("Discord, a burst of 500", burst),
        **_named("Discord, a flood of 2,000 in 1 s", flood),
        "load average beside it": os.getloadavg()[0],
    }


def _named(name: str, outcome: Outcome) -> dict[str, Any]:
    return {
        f"{name}: first answer, median (s)": statistics.median(outcome.waits),
        f"{name}: first answer, p99 (s)": outcome.quantile(0.99),
        f"{name}: first answer, slowest (s)": max(outcome.waits),
        f"{name}: told to try again": outcome.busy,
        f"{name}: without an answer": outcome.silent,
    }


async def press(load: Load) -> Outcome:
    """Put a studio under a load."""
    context = get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=_play, args=(theirs, load), daemon=True)
    process.start()
    try:
        url = await asyncio.to_thread(mine.recv)
        with tempfile.TemporaryDirectory() as folder:
            async with connected(url, Path(folder)):
                found: Outcome = await asyncio.to_thread(mine.recv)
        return found
    finally:
        process.kill()
        process.join()


@asynccontextmanager
async def connected(url: str, folder: Path) -> AsyncIterator[None]:
    """The studio, logged in to the Discord at `url`."""
    with pointed_at(url):
        async with rooms(folder, step_seconds=STEP, edit_interval=2.0, picture_check=True) as house:
            running = asyncio.create_task(house.adapter.run())
            try:
                yield
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running


# --- the process that plays Discord -------------------------------------------------------------------------


def _play(pipe: Connection, load: Load) -> None:
    asyncio.run(_played(pipe, load))


async def _played(pipe: Connection, load: Load) -> None:
    async with served(checks=False) as wire:
        pipe.send(wire.url)
        await wire.connected()
        tokens = await _sent(wire, load)
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE):
                while not all(_answered(wire, token) for token in tokens):  # noqa: ASYNC110 cheaper than all news
                    await asyncio.sleep(0.1)
        pipe.send(_outcome(wire, tokens))
        await asyncio.sleep(SETTLE)  # the studio closes first


async def _sent(wire: Wire, load: Load) -> list[str]:
    """Send on a clock that does not wait for answers."""
    began = time.monotonic()
    tokens = []
    for number in range(load.total):
        await asyncio.sleep(max(0.0, began + number / load.rate - time.monotonic()))
        tokens.append(await _act(wire, number, load))
    return tokens


async def _act(wire: Wire, number: int, load: Load) -> str:
    """Eight of ten ask for pictures, the others ask questions."""
    person = number % load.people
    about = {"member": member(10_000 + person, f"person{person}")}
    match number % 10:
        case 3:
            return await wire.command("queue", about)
        case 7:
            return await wire.command("history", about)
    return await wire.command("imagine", about, prompt=f"a red fox in snow, number {number}")


def _answered(wire: Wire, token: str) -> bool:
    found = wire.response(token)
    return found is not None and bool(found.text)


def _outcome(wire: Wire, tokens: list[str]) -> Outcome:
    first = [wire.callbacks[token] for token in tokens if token in wire.callbacks]
    return Outcome(
        waits=tuple(seconds for _, seconds in first),
        silent=len(tokens) - len(first),
        busy=sum(kind == MESSAGE for kind, _ in first),
        shown=sum(_answered(wire, token) for token in tokens),
    )

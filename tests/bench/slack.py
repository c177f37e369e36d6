"""Events at a rate, over a loopback Slack in Socket Mode, while the engine is saturated.

A process of its own plays Slack: it sends events on a clock, whatever comes back, and notes how long each
waited for its acknowledgement. The studio under load is the real one, with slack_bolt and SQLite; its engine
paints in memory, slower than it is asked to.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bot import telemetry
from bot.adapters.slack.manifest import manifest
from bot.app import spare_the_collector
from bot.surfaces import Settings
from tests.contract.slack.house import rooms
from tests.contract.slack.people import Person
from tests.contract.slack.state import BOT, Channel, Sent, User
from tests.contract.slack.wire import Wire, served

SETTLE = 30.0  # seconds that acknowledgements may still take after the last event
STEP = 0.05  # seconds a step of the engine takes: a job of four pictures takes sixteen


@dataclass(frozen=True, slots=True)
class Load:
    """What people do: `rate` events a second for `seconds`, by `people` in `channels`."""

    rate: float
    seconds: float
    people: int = 1000
    channels: int = 200

    @property
    def total(self) -> int:
        return round(self.rate * self.seconds)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What Slack saw."""

    waits: tuple[float, ...]  # seconds from each event to its acknowledgement
    silent: int  # events that were never acknowledged
    late: int  # those that took more than three seconds
    shown: int  # messages of the app's at the end

    def quantile(self, part: float) -> float:
        return sorted(self.waits)[min(len(self.waits) - 1, int(part * len(self.waits)))]


def figures(seconds: float = 60.0) -> dict[str, Any]:
    """The steady load and a burst, for `make bench`."""
    with open(os.devnull, "w") as nowhere:
        telemetry.set_up(Settings(), nowhere)
        spare_the_collector()
        steady = asyncio.run(press(Load(rate=100, seconds=seconds)))
        burst = asyncio.run(press(Load(rate=500, seconds=1)))
    return {
        **_named(f"Slack, 100 events/s for {seconds:.0f} s", steady),
        **_named("Slack, a burst of 500", burst),
        "load average beside the Slack load": os.getloadavg()[0],
    }


def _named(name: str, outcome: Outcome) -> dict[str, Any]:
    return {
        f"{name}: acknowledged, median (s)": statistics.median(outcome.waits),
        f"{name}: acknowledged, p99 (s)": outcome.quantile(0.99),
        f"{name}: acknowledged, slowest (s)": max(outcome.waits),
        f"{name}: after more than 3 s": outcome.late,
        f"{name}: never": outcome.silent,
        f"{name}: messages shown": outcome.shown,
    }


async def press(load: Load) -> Outcome:
    """Put a studio under a load."""
    context = get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=_play, args=(theirs, load), daemon=True)
    process.start()
    theirs.close()  # so that its end is noticed here
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
    """The studio, connected to the Slack at `url`."""
    base = f"{url}/api/"
    async with rooms(folder, None, base_url=base, step_seconds=STEP, edit_interval=None):
        yield


# --- the process that plays Slack ---------------------------------------------------------------------------


def _play(pipe: Connection, load: Load) -> None:
    asyncio.run(_played(pipe, load))


async def _played(pipe: Connection, load: Load) -> None:
    async with served(manifest(), checks=False) as wire:
        pipe.send(wire.url)
        people = _crowd(wire, load)
        await wire.until(lambda: wire.connections)
        sent = await _sent(wire, people, load)
        deadline = time.monotonic() + SETTLE
        while any(e.acked is None for e in sent) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        pipe.send(_outcome(wire, sent))
        await asyncio.sleep(SETTLE)  # the studio closes first


def _crowd(wire: Wire, load: Load) -> list[tuple[Person, str]]:
    """People, each in a channel of theirs."""
    ids = [f"U{number}CROWD" for number in range(load.people)]
    places = [f"C{number}CROWD" for number in range(load.channels)]
    wire.users |= {id: User(id, f"person{number}") for number, id in enumerate(ids)}
    wire.channels |= {id: Channel(id, id.lower(), members={BOT}) for id in places}
    return [(Person(wire, id), places[number % load.channels]) for number, id in enumerate(ids)]


async def _sent(wire: Wire, people: list[tuple[Person, str]], load: Load) -> list[Sent]:
    """Send on a clock that does not wait for answers."""
    began = time.monotonic()
    for number in range(load.total):
        await asyncio.sleep(max(0.0, began + number / load.rate - time.monotonic()))
        await _act(number, *people[number % load.people])
    await wire.until(lambda: len(wire.sent) >= load.total)
    return wire.sent


async def _act(number: int, person: Person, channel: str) -> None:
    """Seven of ten ask for pictures by command, one by a mention; the others ask questions."""
    match number % 10:
        case 3:
            await person.slash("/easel queue", channel)
        case 5:
            await person.opens_home()
        case 7:
            await person.say(f"<@{BOT}> a red fox in snow, number {number}", channel)
        case _:
            await person.slash(f"/imagine a red fox in snow, number {number}", channel)


def _outcome(wire: Wire, sent: list[Sent]) -> Outcome:
    waits = tuple(each.seconds for each in sent if each.acked is not None)
    return Outcome(
        waits=waits,
        silent=len(sent) - len(waits),
        late=sum(wait > 3.0 for wait in waits),
        shown=sum(message.user == BOT for message in wire.messages.values()),
    )

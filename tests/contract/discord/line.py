"""A studio that is logged in to the loopback Discord by the real discord.py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import discord
import yarl

from bot.models import State
from tests.contract.discord import wire as server
from tests.contract.discord.house import Rooms, rooms
from tests.contract.discord.wire import ADA, Message, Wire

DONE = "seed"  # what only the card of the result says


class Line:
    """The server, and the studio that is logged in to it."""

    def __init__(self, wire: Wire, house: Rooms) -> None:
        self.wire, self.house = wire, house
        house.tenants = (f"discord:{server.GUILD}", f"discord:dm:{ADA}")
        house.viewer = f"discord:{ADA}"

    async def painted(self, prompt: str = "a red fox in snow", **options: Any) -> Message:
        token = await self.wire.slash("imagine", prompt=prompt, **options)
        return await self.wire.answered(token, DONE)

    async def started(self, prompt: str = "a fox", **options: Any) -> str:
        """/imagine, not painted yet; its token."""
        token = await self.wire.slash("imagine", prompt=prompt, **options)
        await self.wire.answered(token, prompt)
        return token

    async def ended(self, *states: State) -> Any:
        job = max(await self.house.jobs(), key=lambda job: job.created)
        return await self.house.until(job.id, *(states or (State.RENDERED,)))


Connects = Callable[..., Any]


@contextmanager
def pointed_at(url: str) -> Iterator[None]:
    """discord.py believes that Discord is at `url`."""
    places: tuple[tuple[Any, str, Any], ...] = (
        (discord.http.Route, "BASE", f"{url}/api/v10"),
        (discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(url.replace("http", "ws"))),
        (discord.asset.Asset, "BASE", url),
    )
    before = [getattr(holder, name) for holder, name, _ in places]
    for holder, name, value in places:
        setattr(holder, name, value)
    try:
        yield
    finally:
        for (holder, name, _), value in zip(places, before, strict=True):
            setattr(holder, name, value)


@asynccontextmanager
async def on_loopback() -> AsyncIterator[Wire]:
    async with server.served() as wire:
        with pointed_at(wire.url):
            yield wire


@asynccontextmanager
async def connect(folder: Path, **changes: Any) -> AsyncIterator[Line]:
    """A studio on a folder, logged in to a server of its own; every request is as documented."""
    async with on_loopback() as wire, rooms(folder, **changes) as house:
        running = asyncio.create_task(house.adapter.run())
        try:
            yield Line(wire, house)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
    assert wire.problems == [], wire.problems


def requests(line: Line, method: str, part: str) -> list[server.Request]:
    return [each for each in line.wire.requests if each.method == method and part in each.path]

"""The real adapter on the real studio, in a Discord that runs inside the test."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import discord
import pytest
import simcord
from PIL import Image

from bot.adapters.discord.client import EaselClient
from bot.models import Job, State
from tests.contract.discord.house import Rooms, rooms
from tests.contract.discord.line import Connects, Line, connect


class Server:
    """A server with a channel and two people in it."""

    def __init__(self, env: simcord.Env, house: Rooms, client: EaselClient) -> None:
        self.env, self.house, self.client = env, house, client
        self.guild = env.create_guild()
        self.channel = self.guild.create_text_channel("pictures")
        self.ada = self.guild.add_member(env.create_user("ada"))
        self.ben = self.guild.add_member(env.create_user("ben"))
        house.tenants = (f"discord:{self.guild.id}", f"discord:dm:{self.ada.id}")
        house.viewer = f"discord:{self.ada.id}"

    async def newest(self) -> Job:
        jobs = await self.house.jobs()
        return max(jobs, key=lambda job: job.created)

    async def ended(self, *states: State) -> Job:
        """The newest job, once its end was shown."""
        return await self.house.until((await self.newest()).id, *(states or (State.RENDERED,)))

    async def painted(self, prompt: str = "a red fox in snow", **options: Any) -> tuple[Job, discord.Message]:
        """/imagine by Ada: the job, and its message at its end."""
        result = await self.ada.slash(self.channel, "imagine", prompt=prompt, **options)
        assert result.acknowledged
        job = await self.ended()
        return job, self.message(job)

    def message(self, job: Job) -> discord.Message:
        """The message that shows a job."""
        assert job.message
        wanted = job.message["message"]
        return next(m for m in self.channel.history(viewer=self.ada) if m.id == wanted)

    async def choose(self, person: Any, message: Any, label: str) -> Any:
        """Press what is behind the ⋯ of a message."""
        more = await person.click(message, label="⋯")
        return await person.click(more.response, label=label)

    async def restart(self) -> None:
        await self.env.restart_bot(self.house.adapter.client())


Opens = Callable[..., Any]


@pytest.fixture
def opened(tmp_path: Path) -> Opens:
    """`async with opened(...) as server`."""

    @asynccontextmanager
    async def open_server(*, fixture: bool = False, **changes: Any) -> AsyncIterator[Server]:
        async with rooms(tmp_path, **changes) as house:
            client = house.adapter.client()
            env = simcord.Env(client, shard_count=1)
            await env.start()
            try:
                # A fixture runs in another context than its test; the test's is set by simcord's plugin.
                with nullcontext() if fixture else env.time_context():
                    yield Server(env, house, client)
            finally:
                await env.shutdown()

    return open_server


@pytest.fixture
async def server(opened: Opens) -> AsyncIterator[Server]:
    async with opened(fixture=True) as server:
        yield server


@pytest.fixture(autouse=True)
def env(request: pytest.FixtureRequest) -> simcord.Env | None:
    """Where simcord's plugin finds the clock that a test runs by."""
    return request.getfixturevalue("server").env if "server" in request.fixturenames else None


@pytest.fixture(autouse=True)
def installed_by_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let simcord say, as Discord does, that it is the server which has installed the bot."""
    make = simcord.interactions.base_payload

    def told(*args: Any, **given: Any) -> Any:
        record, payload = make(*args, **given)
        payload["authorizing_integration_owners"] = {"0": str(given["guild_id"] or 0)}
        return record, payload

    monkeypatch.setattr(simcord.interactions, "base_payload", told)


@pytest.fixture
def connected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Connects:
    """`async with connected(...) as line`."""
    monkeypatch.setattr("bot.lifecycle.LAST_WORDS", 0.2)  # what still paints when a test ends is nobody's
    # On a busy machine, a first look into the books may take longer than people are kept waiting.
    monkeypatch.setattr("bot.adapters.discord.handlers.EYES_PATIENCE", 10.0)
    return partial(connect, tmp_path)


@pytest.fixture
async def line(connected: Connects) -> AsyncIterator[Line]:
    async with connected() as line:
        yield line


def said(message: Any) -> str:
    """All the text of a message of ours."""
    return "\n".join(_texts(raw(message)))


def raw(message: Any) -> Any:
    """A message's components as JSON."""
    if isinstance(message, discord.Message):
        return [each.to_dict() for each in message.components]
    return message.components


def _texts(components: Any) -> list[str]:
    found = []
    for each in components:
        found += [each["content"]] if each["type"] == 10 else []
        found += _texts(each.get("components", ()))
    return found


def labels(message: Any) -> list[str]:
    """The labels of a message's buttons."""
    return [each["label"] for each in _buttons(raw(message))]


def _buttons(components: Any) -> list[Any]:
    found = []
    for each in components:
        found += [each] if each["type"] == 2 else []
        found += _buttons(each.get("components", ()))
    return found


def png(width: int = 32, height: int = 32) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(out, "PNG")
    return out.getvalue()

"""What people do on any chat surface, here on the example."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot import app
from bot.actions import MENU
from bot.images.blobs import DirectoryBlobs
from bot.store import Store
from bot.surfaces import Settings
from engine.workers.fake import FakeEngine
from tests.contract import chats
from tests.contract.chats import *  # noqa: F403 the scenarios
from tests.contract.chats import Chat, Message
from tests.contract.socket.surface import SocketAdapter
from tests.examples import CONTROLS, unhurried
from tests.web import SMALL

ENTRIES = {each.menu: each.name for each in MENU} | {"Use as reference": "source", "Verify": "verify"}


class Person(chats.Person):
    """Somebody who is connected."""

    def __init__(self, port: int, name: str) -> None:
        self._port, self._name = port, name
        self._seen: dict[str, dict[str, Any]] = {}
        self._forms: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def __aenter__(self) -> Person:
        reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 24)
        self._reading = asyncio.create_task(self._read(reader))
        await self._tell(who=self._name)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        await self._reading

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            told = json.loads(line)
            if "form" in told:
                self._forms.put_nowait(told)
            else:
                self._seen[told["message"]] = told

    async def _tell(self, **said: Any) -> None:
        self._writer.write(json.dumps(said).encode() + b"\n")
        await self._writer.drain()

    async def imagine(self, text: str) -> None:
        await self._tell(do="say", words=f"/imagine {text}")

    async def ask(self, command: str) -> None:
        await self._tell(do="say", words=f"/{command}")

    async def say(self, words: str, picture: bytes = b"", about: Message | None = None) -> None:
        said = {"words": words, "about": about.raw["message"] if about else ""}
        await self._tell(do="say", picture=base64.b64encode(picture).decode(), **said)

    async def press(self, message: Message, label: str) -> None:
        told = message.raw
        await self._tell(do="press", message=told["message"], button=(told["buttons"] | told["menu"])[label])

    async def choose(self, entry: str, message: Message | None = None, picture: bytes = b"") -> None:
        about = {"message": message.raw["message"] if message else "", "entry": ENTRIES[entry]}
        await self._tell(do="menu", picture=base64.b64encode(picture).decode(), **about)

    async def fill(self, prompt: str) -> None:
        await self._tell(do="send", form=await self._forms.get(), values={"prompt": prompt})

    def messages(self) -> list[Message]:
        return [
            Message(each["text"], (*each["buttons"], *each["menu"]), len(each["pictures"]), each)
            for each in self._seen.values()
        ]


@pytest.fixture
async def chat(tmp_path: Path) -> AsyncIterator[Chat]:
    settings = Settings(data_dir=tmp_path, model=("memory",), picture_check=False, max_source_mb=1)
    store, blobs = await Store.open(settings.database_url), DirectoryBlobs(tmp_path / "pictures")
    engine = FakeEngine(blobs.read, models=(replace(SMALL, **CONTROLS),))
    easel = app.build(settings=settings, store=store, engine=engine, blobs=blobs, tiers=unhurried())
    adapter = SocketAdapter(easel, settings)
    easel.adapters[adapter.name] = adapter
    await easel.lifecycle.start()
    running = asyncio.create_task(adapter.run())
    while not adapter.port:  # noqa: ASYNC110 the port is not announced
        await asyncio.sleep(0.01)
    async with Person(adapter.port, "ada") as ada, Person(adapter.port, "ben") as ben:
        yield Chat(ada, ben, store)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await easel.lifecycle.close()
    await store.close()

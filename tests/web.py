"""A whole web studio on loopback: the real adapter, studio and database, with the engine in memory."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import ClientResponse, ClientSession, CookieJar, FormData
from yarl import URL

from bot import app
from bot.accounts.logins import member_named
from bot.accounts.tiers import Tiers
from bot.adapters.api.adapter import ApiAdapter
from bot.adapters.web.adapter import WebAdapter
from bot.adapters.web.auth import NAME_COOKIE
from bot.easel import Easel
from bot.images.blobs import DirectoryBlobs
from bot.models import Job, State
from bot.settings import Secret
from bot.store import Store
from bot.surfaces import Settings
from engine.types import Engine, ModelInfo
from engine.workers.fake import MEMORY, FakeEngine, Fault
from tests.databases import ended
from tests.examples import unhurried

SMALL = replace(MEMORY, width=64, height=64, steps=4)
PATIENCE = 30.0  # seconds; only a broken studio needs them
EVENT = "event-0000"
ADMIN_PASSWORD = "boss"


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event."""

    name: str
    id: str
    data: dict[str, Any]


class Person:
    """Someone with a browser's cookies, without the browser."""

    def __init__(self, url: str, name: str = "") -> None:
        self.url = url
        self._sent = 0
        self.session = ClientSession(url, cookie_jar=CookieJar(unsafe=True))
        if name:
            self.session.cookie_jar.update_cookies({NAME_COOKIE: quote(name)})

    async def get(self, path: str, **more: Any) -> ClientResponse:
        return await _whole(await self.session.get(path, allow_redirects=False, **more))

    async def page(self, path: str = "/") -> str:
        response = await self.get(path)
        assert response.status == 200, await response.text()
        return await response.text()

    async def post(self, path: str, **more: Any) -> ClientResponse:
        return await _whole(await self.session.post(path, allow_redirects=False, **more))

    async def enter(self, password: str, name: str = "Ada") -> int:
        """Log in as the administrator; the status of the answer."""
        return (await self.post("/admin/login", data={"name": name, "password": password})).status

    async def open_link(self, link: str) -> ClientResponse:
        """Follow a link and press its button; the answer to the press."""
        path = URL(link).path
        await self.get(path)
        return await self.post(path)

    async def do(self, command: str, there: str = "/admin", **options: str) -> str:
        """A form of the administrator's page; the page that answers it."""
        self._sent += 1
        values = {"command": command, "event": f"form-{id(self)}-{self._sent}", "next": there, **options}
        response = await self.post("/admin/do", data=values)
        assert response.status == 303, await response.text()
        return await self.page(response.headers["Location"])

    async def send(self, text: str, *, event: str = "", source: bytes = b"", **fields: str) -> ClientResponse:
        self._sent += 1
        form = FormData({"text": text, "event": event or f"event-{id(self)}-{self._sent}", **fields})
        form._is_multipart = True
        if source:
            form.add_field("source", io.BytesIO(source), filename="picture.png")
        return await self.post("/api/send", data=form)

    async def press(self, button: str) -> ClientResponse:
        self._sent += 1
        event = f"press-{id(self)}-{self._sent}"
        return await self.post("/api/press", data=json.dumps({"button": button, "event": event}))

    async def compose(self, text: str, option: str = "", value: str = "", file: str = "") -> ClientResponse:
        values = {"text": text, "option": option, "value": value, "file": file}
        return await self.post("/api/compose", data=json.dumps(values))

    @asynccontextmanager
    async def events(self, since: str, **headers: str) -> AsyncIterator[AsyncIterator[Event]]:
        async with self.session.get("/api/events", params={"since": since}, headers=headers) as response:
            assert response.status == 200, await response.text()
            yield _events(response)


async def _whole(response: ClientResponse) -> ClientResponse:
    """Read to its end: a response that is left unread leaves its connection open."""
    await response.read()
    return response


async def _events(response: ClientResponse) -> AsyncIterator[Event]:
    fields: dict[str, str] = {}
    async for raw in response.content:
        line = raw.decode().rstrip("\n")
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "event" in fields:
            yield Event(fields["event"], fields.get("id", ""), json.loads(fields["data"]))
            fields = {}


@dataclass(repr=False)  # asyncio writes down what a fixture returns, four times a test
class WebHouse:
    """A running web studio."""

    url: str
    easel: Easel
    store: Store
    adapter: WebAdapter
    server: asyncio.Task[None]
    people: list[Person]

    def person(self, name: str = "") -> Person:
        person = Person(self.url, name)
        self.people.append(person)
        return person

    async def admin(self, name: str = "Ada") -> Person:
        """Somebody who has logged in as the administrator."""
        person = self.person()
        assert await person.enter(ADMIN_PASSWORD, name) == 303
        return person

    async def painted(self, person: Person, text: str, **more: Any) -> Job:
        """A prompt that was sent, accepted and painted."""
        before = {job.id for job in await self.jobs()}
        response = await person.send(text, **more)
        assert response.status == 200, await response.text()
        (new,) = [job.id for job in await self.jobs() if job.id not in before]
        return await self.until(new, State.RENDERED)

    async def until(self, id: str, *states: State) -> Job:
        return await ended(self.store, id, *states, patience=PATIENCE)

    async def jobs(self) -> list[Job]:
        """Everybody's, private ones too."""
        everyone = {person.session.cookie_jar for person in self.people}
        names = {cookie.value for jar in everyone for cookie in jar if cookie.key == NAME_COOKIE}
        found: dict[str, Job] = {}
        for name in names | {"Guest"}:
            found |= {job.id: job for job in await self.easel.visibility.jobs(member_named(name, admin=True))}
        return list(found.values())


@asynccontextmanager
async def web_house(
    folder: Path,
    *,
    step_seconds: float = 0.0,
    fault: Fault | None = None,
    model: ModelInfo = SMALL,
    tiers: Tiers | None = None,
    password: str = "",
    admin_password: str = ADMIN_PASSWORD,
    engine_of: Callable[[Callable[[str], bytes]], Engine] | None = None,
    **changes: Any,
) -> AsyncIterator[WebHouse]:
    settings = Settings(
        data_dir=folder,
        model=("memory",),
        picture_check=False,
        web_port=0,
        web_password=Secret(password),
        web_admin_password=Secret(admin_password),
        **changes,
    )
    store = await Store.open(settings.database_url)
    blobs = DirectoryBlobs(folder / "pictures")
    engine: Engine = FakeEngine(blobs.read, models=(model,), step_seconds=step_seconds, fault=fault)
    engine = engine_of(blobs.read) if engine_of else engine
    easel = app.build(settings=settings, store=store, engine=engine, blobs=blobs, tiers=tiers or unhurried())
    api = ApiAdapter(easel, settings)
    adapter = WebAdapter(easel, settings, api)
    easel.adapters.update({adapter.name: adapter, api.name: api})
    await easel.lifecycle.start()
    adapter.bind()
    server = asyncio.create_task(adapter.run())
    house = WebHouse(adapter.url, easel, store, adapter, server, [])
    try:
        yield house
    finally:
        for person in house.people:
            await person.session.close()
        server.cancel()
        with suppress(asyncio.CancelledError):
            await server
        adapter.close()  # where it was never served
        await easel.lifecycle.close()
        await store.close()

"""A program that asks the API on loopback; every answer and event is checked against OpenAI's own schemas."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from aiohttp import ClientResponse, ClientSession
from jsonschema import Draft202012Validator

from bot.accounts.logins import member_named
from bot.models import Member, Origin
from tests import specs
from tests.web import WebHouse, web_house

ADA = member_named("Ada", admin=False)
BEN = member_named("Ben", admin=False)
Json = dict[str, Any]


@cache
def schema(name: str) -> Draft202012Validator | None:
    """What checks a value against a schema of OpenAI's; None where the description is absent."""
    if not specs.OPENAI.exists():
        return None
    document = json.loads(specs.OPENAI.read_text())
    return Draft202012Validator({**document, "$ref": f"#/components/schemas/{name}"})


def check(name: str, value: Any) -> None:
    """Fail where a value is not what OpenAI's schema says."""
    if validator := schema(name):
        validator.validate(value)


@dataclass(frozen=True)
class Said:
    """An answer, with its body read."""

    status: int
    headers: Mapping[str, str]
    body: Any
    raw: bytes

    @property
    def error(self) -> Json:
        """The error, which has OpenAI's form."""
        assert self.status >= 400, self.body
        assert set(self.body) == {"error"} and set(self.body["error"]) == {"message", "type", "param", "code"}
        assert isinstance(self.body["error"]["message"], str) and self.body["error"]["message"]
        return dict(self.body["error"])


@dataclass(frozen=True)
class Event:
    name: str
    data: Json


@dataclass
class Stream:
    """What came of a stream so far."""

    events: list[Event] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)


@dataclass
class Program:
    """A program with a key, or without one."""

    url: str
    session: ClientSession
    key: str = ""

    def headers(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        return ({"Authorization": f"Bearer {self.key}"} if self.key else {}) | dict(more or {})

    async def get(self, path: str) -> Said:
        async with self.session.get(f"{self.url}{path}", headers=self.headers()) as response:
            return await said(response)

    async def post(
        self, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> Said:
        sent = {} if body is None else {"json": body}
        async with self.session.post(
            f"{self.url}{path}", headers=self.headers(headers), **sent, **more
        ) as response:
            found = await said(response)
        if found.status == 200 and found.body is not None:
            check("ImagesResponse", found.body)
        return found

    async def generate(self, **body: Any) -> Said:
        return await self.post("/v1/images/generations", {"prompt": "a red fox", **body})

    async def stream(self, path: str = "/v1/images/generations", **body: Any) -> Stream:
        found = Stream()
        sent = {"prompt": "a red fox", "stream": True, **body}
        async with self.session.post(f"{self.url}{path}", headers=self.headers(), json=sent) as response:
            assert response.status == 200, await response.text()
            assert response.content_type == "text/event-stream"
            async for event in frames(response, found):
                check_event(event)
        return found


async def frames(response: ClientResponse, found: Stream) -> AsyncIterator[Event]:
    """Read a stream to its end; yield its events."""
    name = ""
    async for raw in response.content:
        line = raw.decode().rstrip("\n")
        if line.startswith(":"):
            found.comments.append(line[1:].strip())
        elif line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            event = Event(name, json.loads(line.removeprefix("data: ")))
            found.events.append(event)
            yield event


def check_event(event: Event) -> None:
    if event.name == "error":
        return
    assert event.data["type"] == event.name
    generated = event.name.startswith("image_generation.")
    check("ImageGenStreamEvent" if generated else "ImageEditStreamEvent", event.data)


async def said(response: ClientResponse) -> Said:
    raw = await response.read()
    body = json.loads(raw) if response.content_type == "application/json" else None
    return Said(response.status, response.headers, body, raw)


@dataclass
class ApiHouse:
    web: WebHouse
    session: ClientSession
    folder: Path

    def origin(self, member: Member = ADA) -> Origin:
        return Origin(surface="web", member=member, channel="studio", event="")

    async def key(self, member: Member = ADA, **options: Any) -> str:
        """A key that the member has asked for in chat."""
        card: Any = await self.web.easel.router.handle("api create", options, self.origin(member))
        return str(card.body[0])

    async def program(self, member: Member = ADA, **options: Any) -> Program:
        return Program(self.web.url, self.session, await self.key(member, **options))

    def stranger(self, key: str = "") -> Program:
        return Program(self.web.url, self.session, key)


@asynccontextmanager
async def api_house(folder: Path, **more: Any) -> AsyncIterator[ApiHouse]:
    more.setdefault("api_requests", 100_000)
    async with web_house(folder, **more) as web, ClientSession() as session:
        yield ApiHouse(web, session, folder)

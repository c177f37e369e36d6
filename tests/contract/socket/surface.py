"""A chat over a local socket, as an example of a surface: docs/adapters.md tells how it is made.

Each line is one JSON object. A person begins with {"who": "ada"}, then says {"do": "say", "words": …,
"picture": base64, "about": message}, {"do": "press", "message": …, "button": id}, {"do": "menu", "message":
…, "entry": action or "source", "picture": …} or {"do": "send", "form": as it came, "values": {name: text}}.
They are told {"message": id, "text": …}, new or in place of the one with that id, and {"form": id, …}.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog

from bot.adapters.base import MessageRef
from bot.adapters.interactions import BROKEN, Alone, Ask, Filled, Interactions, Seen
from bot.adapters.typed import typed
from bot.easel import Easel
from bot.errors import Refusal, StoreError
from bot.messages.types import Card
from bot.models import Job, Member, Origin, new_id
from bot.settings import CoreSettings

log = structlog.stdlib.get_logger(__name__)

MOST_BYTES = 1 << 20  # of a picture in a message
MOST_LINE = 1 << 24  # characters

Json = dict[str, Any]
Picture = str  # in base64


@dataclass(frozen=True, slots=True)
class Line:
    """What somebody said in one line."""

    who: str
    id: str
    said: Mapping[str, Any]

    def text(self, name: str) -> str:
        return str(self.said.get(name) or "")

    @property
    def origin(self) -> Origin:
        member = Member(tenant="socket:house", id=f"socket:{self.who}", name=self.who)
        return Origin(surface="socket", member=member, channel="lobby", event=self.id)


class SocketAdapter(Interactions[Line, Picture]):
    """One room. Implements ChatAdapter."""

    name = "socket"
    title = "the socket"
    edit_interval = 0.05  # seconds
    unreachable = (binascii.Error,)

    def __init__(self, easel: Easel, settings: CoreSettings) -> None:
        super().__init__(easel, settings.max_source_bytes)
        self._people: dict[asyncio.StreamWriter, str] = {}
        self._messages: dict[str, tuple[str, Json]] = {}  # id → for whom, or "" for all; what stands there
        self.port = 0  # once it is open

    async def run(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=MOST_LINE)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            await server.serve_forever()

    async def post(self, job: Job, card: Card) -> MessageRef:
        """The message's id is the job's, so posting twice is the same as once."""
        return await self.edit(job, {"message": job.id}, card)

    async def edit(self, job: Job, ref: MessageRef, card: Card) -> MessageRef:
        await self._show(job.origin.member.name if job.origin.private else "", ref["message"], card)
        return ref

    async def adult(self, job: Job) -> bool:
        return False

    async def answer(
        self, event: Line, ask: Ask, alone: Alone | None = None, *, replace: bool = False
    ) -> None:
        card = await self.asked(ask, event.origin)
        if isinstance(card, Card):
            pressed = event.text("message") if replace and card.kind != "refused" else ""
            await self._show(event.who, pressed or event.id, card)

    async def open(self, event: Line, ask: Ask, picture: Picture | None = None) -> None:
        try:
            form, command = await self.question(ask, event.origin)
        except Refusal as refusal:
            await self._show(event.who, event.id, self.refused(refusal, event.origin))
            return
        fields = {each.name: form.values.get(each.name, "") for each in command.options}
        about = {"command": form.command, "parent": form.parent, "picture": picture or ""}
        await self._tell(event.who, {"form": event.id, "title": form.title, "fields": fields, **about})

    def presser(self, event: Line) -> Hashable:
        return event.who, event.text("message")

    async def download(self, event: Line, picture: Picture) -> bytes:
        content = base64.b64decode(picture, validate=True)
        self.check_size(len(content))
        return content

    async def _do(self, line: Line) -> None:
        picture = line.text("picture") or None
        match line.text("do"):
            case "say" if line.text("words").startswith("/"):
                await self._typed(line, picture)
            case "say":
                await self.words(line, line.text("words"), [picture] if picture else [], line.text("about"))
            case "press":
                await self.press(line, line.text("button"))
            case "menu":
                seen: Seen[Picture] = Seen(job=line.text("message"), pictures=(picture,) if picture else ())
                own = {"source": self.use_as_source, "verify": self.verify}
                chosen = line.text("entry")
                await (own[chosen](line, seen) if chosen in own else self.on_job(line, seen, chosen))
            case "send":
                await self.submit(line, lambda: _filled(line.said["form"], line.said["values"]))

    async def _typed(self, line: Line, picture: Picture | None) -> None:
        try:
            name, options = typed(line.text("words"))
        except Refusal as refusal:
            await self._show(line.who, line.id, self.refused(refusal, line.origin))
        else:
            await self.command(line, name, options, {"source": picture} if picture else {})

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                who = self._people[writer] = str(json.loads(await reader.readline())["who"])
                for person, message in [each for each in self._messages.values() if each[0] in ("", who)]:
                    await self._tell(person, message, writer)
                while read := await reader.readline():
                    tasks.create_task(self._taken(Line(who, new_id(), json.loads(read))))
        except* (OSError, ValueError, LookupError) as group:
            log.info("a connection has ended", cause=repr(group.exceptions[0]))
        finally:
            self._people.pop(writer, None)
            writer.close()

    async def _taken(self, line: Line) -> None:
        try:
            await self._do(line)
        except Exception:
            log.exception("a line was not answered", event_id=line.id)
            await self._show(line.who, line.id, self.refused(Refusal(BROKEN), line.origin))

    async def _show(self, person: str, id: str, card: Card) -> None:
        """Let a card stand as a message, new or in place of the one with its id."""
        message = {"message": id, **drawn(card), "pictures": await self._pictures(card)}
        self._messages[id] = (person, message)
        await self._tell(person, message)

    async def _pictures(self, card: Card) -> list[str]:
        """Return the card's pictures; none where they cannot be read at the moment."""
        shown = [each.blob for each in card.pictures if each.blob]
        try:
            files = [await self._easel.images.fitted(blob, MOST_BYTES) for blob in shown]
        except (KeyError, ValueError, StoreError):
            return []
        return [base64.b64encode(content).decode() for content, _ in files]

    async def _tell(self, person: str, what: Json, writer: asyncio.StreamWriter | None = None) -> None:
        there = [writer] if writer else [each for each, who in self._people.items() if person in ("", who)]
        for each in there:
            with suppress(OSError):  # gone; they are told what stands there when they come back
                each.write(json.dumps(what).encode() + b"\n")
                await each.drain()


def drawn(card: Card) -> Json:
    """Return a card's words, and its buttons by what stands on them."""
    lines = (card.title, " · ".join(card.facts), card.bar.label if card.bar else "", card.link, *card.body)
    buttons = {each.label: each.id for row in card.rows for each in row}
    menu = {each.label: each.id for each in card.more}
    return {"text": "\n".join(line for line in lines if line), "buttons": buttons, "menu": menu}


def _filled(form: Json, values: Mapping[str, str]) -> Filled[Picture]:
    said = {name: text for name, text in {**form["fields"], **values}.items() if text}
    about = {name: form[name] for name in ("command", "parent")}
    return Filled(options=said, picture=form["picture"] or None, **about)

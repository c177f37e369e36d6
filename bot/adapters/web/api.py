"""What the page's script asks for: send, press, compose, and the stream of events."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from bot import commands, telemetry
from bot.accounts.logins import BRUSH
from bot.adapters.base import Receipt
from bot.adapters.typed import typed
from bot.adapters.web import completion, composer
from bot.adapters.web.broadcast import Change, News, Page
from bot.adapters.web.context import WebContext
from bot.adapters.web.pages import SEEN, THUMBNAIL
from bot.adapters.web.parsing import number, texts
from bot.adapters.web.uploads import Uploads
from bot.adapters.web.views import SeenPicture, picture_url
from bot.errors import Refusal, StoreError
from bot.i18n import _
from bot.i18n.speech import say
from bot.images.pictures import open_source
from bot.messages.types import Card, Form
from bot.models import Member, Origin
from bot.options import bounded
from bot.prompts import PARAMS

HEARTBEAT = 15.0  # seconds
LOOK_AGAIN = 5.0  # seconds after which an open page must still be logged in
LINE_INTERVAL = 0.5  # seconds between two pictures of the line for one page
NOT_PRIVATE = _(
    "Everyone at this machine sees everything: this is hidden from other names, not from other people."
)


class Api:
    """Everything that changes something, and what has changed."""

    def __init__(self, site: WebContext) -> None:
        self._site = site
        self._easel = site.easel
        self._uploads = Uploads(site.settings.data_dir, site.settings.max_source_bytes)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/api/send", self.send),
            web.post("/api/press", self.press),
            web.post("/api/compose", self.compose),
            web.post("/api/complete", self.complete),
            web.post("/api/source", self.source),
            web.get("/api/events", self.events),
        ]

    async def send(self, request: web.Request) -> web.Response:
        """Run what the composer sends as a multipart form: text, event, and perhaps parent and source."""
        with telemetry.ACKNOWLEDGED.labels("web").time():
            return await self._send(request)

    async def _send(self, request: web.Request) -> web.Response:
        async with self._uploads.form(request) as (fields, picture):
            command, options = typed(fields.get("text", ""))
            if picture:
                options[commands.command(command).picture or "source"] = picture
            origin = self._origin(request, fields.get("event", ""))
            parent = fields.get("parent", "")
            answer = await self._easel.router.handle(command, options, origin, parent=parent)
        return await self._answer(answer, origin, request)

    async def press(self, request: web.Request) -> web.Response:
        with telemetry.ACKNOWLEDGED.labels("web").time():
            values = await texts(request)
            origin = self._origin(request, values.get("event", ""))
            answer = await self._easel.router.press(values.get("button", ""), origin)
            return await self._answer(answer, origin, request)

    async def compose(self, request: web.Request) -> web.Response:
        """Return what the composer's text means, after changing one option of it if asked to."""
        values = await texts(request)
        changes = {values["option"]: values.get("value", "")} if values.get("option") else {}
        try:
            reading = composer.read(values.get("text", ""), changes, has_file=bool(values.get("file")))
            if any(PARAMS[each].ranged for each in changes if each in PARAMS):
                await self._check(reading.text, request)
        except Refusal:
            if changes:
                raise
            return web.json_response({})  # half a sentence: nothing to mirror yet
        source = await self._source_url(reading.said.get("source", ""), self._site.member(request))
        return web.json_response({"text": reading.text, "said": reading.said, "source": source})

    async def complete(self, request: web.Request) -> web.Response:
        """Return what may follow the text up to the caret."""
        text, language = (await texts(request)).get("text", ""), self._site.language(request)
        found = await completion.complete(bounded(text), self._easel.vocabulary, self._site.member(request))
        choices = [[value, say(label, language)] for value, label in found.choices]
        return web.json_response({"length": found.length, "choices": choices})

    async def source(self, request: web.Request) -> web.Response:
        """Look at a picture when it is chosen, and keep nothing of it. Raises Refusal for what is none."""
        async with self._uploads.form(request) as (_fields, picture):
            await self._easel.vocabulary.check_source(self._site.member(request))
            await open_source(picture, max_bytes=self._site.settings.max_source_bytes)
        return web.json_response({})

    async def _check(self, text: str, request: web.Request) -> None:
        """Raise Refusal for what this person may not ask for; accept a text that has no words yet."""
        member = self._site.member(request)
        try:
            await self._easel.planner.check({"prompt": text}, self._site.origin(request, member, "compose"))
        except Refusal as refusal:
            if refusal.code != "empty":
                raise

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Stream server-sent events to one page until it is closed or the studio stops."""
        hub, me, login = self._site.hub, self._site.member(request), self._site.access.login(request)
        if hub.is_full(me):
            raise web.HTTPTooManyRequests(text=_("You have too many pages open. Close one of them."))
        since = request.headers.get("Last-Event-ID") or request.query.get("since", "")
        response = web.StreamResponse(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        response.content_type = "text/event-stream"
        page = hub.open(me, since, login.id if login else "")
        try:
            await response.prepare(request)
            await self._follow(page, request, response)
        except (ConnectionResetError, StoreError):
            pass  # the page was closed, or asks again whether it is logged in
        finally:
            hub.leave(page)
        return response

    async def _follow(self, page: Page, request: web.Request, response: web.StreamResponse) -> None:
        await response.write(b"retry: 1000\n\n")
        looked = time.monotonic()
        while not page.closed:
            news = await page.news(HEARTBEAT)
            if page.closed:
                return
            if time.monotonic() - looked > LOOK_AGAIN:
                if not await self._site.access.still(request):
                    return
                looked = time.monotonic()
            line = self._site.line(page.member) if news.line else {}
            await response.write(
                await asyncio.to_thread(self._frames, news, line, self._site.language(request))
            )
            if news.line:
                await asyncio.sleep(LINE_INTERVAL)

    def _frames(self, news: News, line: Mapping[str, Any], language: str) -> bytes:
        """Render the news as events; in a thread, since a page that comes back may have missed 256 cards."""
        frames = [_frame("reload", {}, self._site.hub.mark())] if news.reload else []
        frames += [self._card_frame(change) for change in news.changes]
        if line:
            html = self._site.views.render("lanes.html", language=language, **line)
            frames.append(_frame("line", {"html": html}))
        return b"".join(frames) or b":\n\n"

    def _card_frame(self, change: Change) -> bytes:
        html = self._site.views.message(change.job, change.card)
        return _frame("card", {"job": change.job.id, "html": html}, self._site.hub.mark(change.number))

    async def _answer(self, answer: object, origin: Origin, request: web.Request) -> web.Response:
        match answer:
            case Receipt(job=job) if job.origin.private and self._site.access.takes_names(request):
                told = self._easel.speech.said(Card(kind="text", body=(NOT_PRIVATE,), private=True), origin)
                return web.json_response({"card": self._site.views.whisper(told)})
            case Card(kind="cancelled" | "deleted"):
                return web.json_response({})  # the job's own message says so
            case Card(kind="done" | "upscaled"):
                return web.json_response({"open": f"/jobs/{answer.job}"})
            case Card() if answer.link.startswith(BRUSH):
                return web.json_response({"go": answer.link})
            case Card():
                links = self._site.downloads.keep(answer.files, origin.member)
                shown = await self._shown(answer, origin.member)
                return web.json_response({"card": self._site.views.whisper(answer, links, shown)})
            case Form():
                text = composer.form_text(answer)
                return web.json_response(
                    {"form": {"title": answer.title, "text": text, "parent": answer.parent}}
                )
        return web.json_response({"accepted": True})

    async def _shown(self, card: Card, member: Member) -> list[SeenPicture]:
        """Return the pictures of a card that are no job's, for the person whom it answers."""
        own = () if card.job else card.pictures
        files = [(f"{each.alt}.png", await self._easel.images.get(each.blob)) for each in own if each.blob]
        links = self._site.downloads.keep(files, member)
        return [SeenPicture(f"{link.url}?{SEEN}", picture) for link, picture in zip(links, own, strict=False)]

    def _origin(self, request: web.Request, event: str) -> Origin:
        return self._site.asked(request, event)

    async def _source_url(self, source: str, me: Member) -> str:
        """Return the address of the picture that `--source job:2` names; empty where it cannot be seen."""
        id, _, which = source.partition(":")
        if not id:
            return ""
        try:
            job = await self._easel.visibility.job(id, me)
        except Refusal:
            return ""
        asked = number(which)
        index = 0 if asked is None else asked - 1
        stored = [picture.blob for picture in job.pictures if picture.index == index]
        given = job.request.source if which == "source" else job.request.guide_named(which)
        blob = given or next(iter(stored), None)
        return picture_url(id, blob, THUMBNAIL) if blob else ""


def _frame(event: str, data: Mapping[str, str], id: str = "") -> bytes:
    head = f"id: {id}\n" if id else ""
    return f"{head}event: {event}\ndata: {json.dumps(data)}\n\n".encode()

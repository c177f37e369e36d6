"""The three places, and one picture."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import web

from bot import telemetry
from bot.adapters.web import lineage_view
from bot.adapters.web.composer import TO_TRY, Offered, chips
from bot.adapters.web.context import CHANNEL, WebContext, wants_part
from bot.adapters.web.parsing import moment, number
from bot.errors import Refusal
from bot.i18n import _
from bot.i18n.speech import translated
from bot.messages import job_cards
from bot.messages.types import ANYTHING, Button, Card, CardPicture, May
from bot.models import Job, State
from bot.options import MAX_TEXT
from bot.prompts import styles

MESSAGES = 20
TILES = 40
SEEN = "seen"  # in the address of a file that is looked at
THUMBNAIL = 640  # pixels
THUMBNAILS = 256  # kept in memory
IMMUTABLE = "private, max-age=31536000, immutable"


class Pages:
    """Everything that is fetched."""

    def __init__(self, site: WebContext) -> None:
        self._site = site
        self._easel = site.easel
        self._thumbnails: OrderedDict[str, bytes] = OrderedDict()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", self.channel),
            web.get("/line", self.line),
            web.get("/gallery", self.gallery),
            web.get("/quota", self.quota),
            web.get("/files/{token}", self.file),
            web.get("/jobs/{job}", self.job),
            web.get("/jobs/{job}/preview", self.preview),
            web.get("/jobs/{job}/compare", self.compare),
            web.get("/pictures/{job}/{blob:.+}", self.picture),
            web.get("/static/{digest}/{name:.+}", self.asset),
            web.get("/livez", self.alive),
            web.get("/readyz", self.ready),
            web.get("/healthz", self.ready),
            web.get("/metrics", self.metrics),
        ]

    async def channel(self, request: web.Request) -> web.Response:
        mark = self._site.hub.mark()
        me = self._site.member(request)
        before = moment(request.query.get("before", ""))
        jobs = await self._easel.visibility.jobs(me, channel=CHANNEL, before=before, limit=MESSAGES)
        older = jobs[-1].created.isoformat() if len(jobs) == MESSAGES else ""
        may = May(tasks=await self._easel.access.tasks(me))
        cards = await self._cards(jobs[::-1], may)
        if wants_part(request):
            return await self._site.html("messages.html", request, cards=cards, older=older)
        quota, names = await self._site.quota(me), self._site.access.takes_names(request)
        imagine = next(each for each in await self._easel.vocabulary.known(me) if each.name == "imagine")
        return await self._site.page(
            request,
            "channel.html",
            page="channel",
            mark=mark,
            cards=cards,
            older=older,
            prompts=TO_TRY,
            chips=chips(
                Offered(
                    tier=quota["tier"],
                    imagine=imagine,
                    styles=await self._easel.vocabulary.styles(me),
                    models=await self._easel.vocabulary.models(me),
                    defaults=await self._easel.access.preferences(me),
                    alone=_("only this name") if names else _("only you"),
                )
            ),
            from_picture=imagine.option("source") is not None,
            draws="scribble" in await self._easel.access.controls(me),
            strength=imagine.option("strength"),
            text=request.query.get("text", "")[:MAX_TEXT],
            max_text=MAX_TEXT,
            max_source_bytes=self._site.settings.max_source_bytes,
            **quota,
            **self._site.line(me),
        )

    async def line(self, request: web.Request) -> web.Response:
        me = self._site.member(request)
        values = self._site.line(me) | await self._site.quota(me)
        return await self._site.page(request, "line.html", page="line", **values)

    async def quota(self, request: web.Request) -> web.Response:
        """Return what is used and left, for the script; without it, redirect to the same on /line."""
        if not wants_part(request):
            raise web.HTTPSeeOther("/line#own")
        return await self._site.html(
            "quota.html", request, **await self._site.quota(self._site.member(request))
        )

    async def file(self, request: web.Request) -> web.Response:
        """Return a file of an answer to the person who asked."""
        found = self._site.downloads.get(request.match_info["token"], self._site.member(request))
        if found is None:
            raise web.HTTPNotFound
        name, body = found
        if SEEN in request.query:
            return web.Response(body=body, content_type="image/png", headers={"Cache-Control": "no-store"})
        disposition = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
        headers = {"Content-Disposition": disposition, "Cache-Control": "no-store"}
        return web.Response(body=body, content_type="application/octet-stream", headers=headers)

    async def gallery(self, request: web.Request) -> web.Response:
        me = self._site.member(request)
        names = ("search", "style", "by", "favourites")
        filters = {name: request.query.get(name, "")[:200] for name in names}
        jobs = await self._easel.visibility.jobs(
            me,
            search=filters["search"],
            style=filters["style"],
            user=filters["by"],
            favourite=bool(filters["favourites"]),
            states=(State.RENDERED,),
            before=moment(request.query.get("before", "")),
            limit=TILES,
        )
        more = urlencode({**filters, "before": jobs[-1].created.isoformat()}) if len(jobs) == TILES else ""
        cards = await self._cards(jobs)
        older = f"/gallery?{more}" if more else ""
        if wants_part(request):
            return await self._site.html("wall.html", request, cards=cards, older=older)
        recent = await self._easel.visibility.jobs(me, states=(State.RENDERED,), limit=200)
        authors = {job.origin.member.id: job.origin.member.name for job in recent}
        return await self._site.page(
            request,
            "gallery.html",
            page="gallery",
            cards=cards,
            older=older,
            filters=filters,
            filtered=any(filters.values()),
            styles=[(style.name, style.label) for style in styles.load().styles.values()],
            authors=sorted(authors.items(), key=lambda author: author[1].casefold()),
        )

    async def job(self, request: web.Request) -> web.Response:
        """Show one picture, large: a dialog's content for the script, else a page of its own."""
        me = self._site.member(request)
        job = await self._easel.visibility.job(request.match_info["job"], me)
        may = May(tasks=await self._easel.access.tasks(me))
        shown = self._easel.cards.card(job, may)
        pictures = _singles(shown)
        asked = number(request.query.get("picture", "")) or 1
        index = min(asked, max(1, len(pictures)))
        values: dict[str, Any] = {
            "job": job,
            "card": shown,
            "picture": pictures[index - 1] if pictures else None,
            "index": index,
            "count": len(pictures),
            "rows": _rows(job, shown, index - 1, may),
            "more": job_cards.of_whole(shown.more),
            "from_picture": "image_to_image" in may.tasks,
            "family": lineage_view.family(await self._easel.lineage.tree(job, me), job, index - 1),
            "file_name": f"{job_cards.file_name(job, index - 1)}.png",
            "as_file": job.request.file_format not in ("", "png"),
        }
        if wants_part(request):
            return await self._site.html("picture.html", request, **values)
        return await self._site.page(request, "job.html", page="picture", **values)

    async def compare(self, request: web.Request) -> web.Response:
        """Show two pictures of one tree over each other, with a slider between them."""
        me = self._site.member(request)
        job = await self._easel.visibility.job(request.match_info["job"], me)
        shown = lineage_view.pictures(await self._easel.lineage.tree(job, me))
        if len(shown) < 2:
            raise Refusal(_("There is nothing to compare that image with."), code="no_picture")
        first, second = lineage_view.chosen(shown, job, request.query)
        values: dict[str, Any] = {"job": job, "shown": shown, "first": first, "second": second}
        if wants_part(request):
            return await self._site.html("compare.html", request, **values)
        return await self._site.page(request, "compare_page.html", page="picture", **values)

    async def preview(self, request: web.Request) -> web.Response:
        job = await self._easel.visibility.job(request.match_info["job"], self._site.member(request))
        preview = next((p.preview for p in self._easel.cards.card(job).pictures if p.preview), None)
        if preview is None:
            raise web.HTTPNoContent  # it was finished while the page asked
        return web.Response(body=preview, content_type="image/webp", headers={"Cache-Control": "no-store"})

    async def picture(self, request: web.Request) -> web.Response:
        """Return a stored picture of a job that the person may see, or its thumbnail."""
        job = await self._easel.visibility.job(request.match_info["job"], self._site.member(request))
        blob = request.match_info["blob"]
        known = {picture.blob for picture in job.pictures}
        if blob not in known | set(job.request.sources):
            raise web.HTTPNotFound
        try:
            small = "width" in request.query
            if "file" in request.query:
                return await self._as_file(job, blob)
            body = await (self._thumbnail(blob) if small else self._easel.images.get(blob))
        except KeyError:
            raise web.HTTPNotFound from None
        return picture_answer(body)

    async def _as_file(self, job: Job, blob: str) -> web.Response:
        """Return a picture as its job's files are. Raises KeyError where the job has none of that name."""
        found = {each.blob: each for each in job.singles}
        name, body = await self._easel.files.delivered(job, found[blob])
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}"}
        return web.Response(body=body, content_type="application/octet-stream", headers=headers)

    async def asset(self, request: web.Request) -> web.Response:
        asset = self._site.assets.get(request.match_info["name"])
        if asset is None or asset.url != request.path:
            raise web.HTTPNotFound
        headers = {"Cache-Control": "public, max-age=31536000, immutable"}
        response = web.Response(body=asset.body, content_type=asset.type, charset="utf-8", headers=headers)
        response.enable_compression()
        return response

    async def alive(self, request: web.Request) -> web.Response:
        """Answer "ok" while the event loop runs; check nothing else."""
        return web.Response(text="ok\n")

    async def ready(self, request: web.Request) -> web.Response:
        """Answer "ok", or 503 and the reasons, a line each."""
        reasons = await self._easel.readiness.reasons()
        lines = "".join(f"{reason}\n" for reason in reasons or ("ok",))
        return web.Response(text=lines, status=503 if reasons else 200)

    async def metrics(self, request: web.Request) -> web.Response:
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=telemetry.render(), headers=headers)

    async def _cards(self, jobs: Sequence[Job], may: May = ANYTHING) -> list[tuple[Job, Card]]:
        """Return each job with its card; let other tasks run in between, since a card takes up to 3 ms."""
        found = []
        for job in jobs:
            found.append((job, self._easel.cards.card(job, may)))
            await asyncio.sleep(0)
        return found

    async def _thumbnail(self, blob: str) -> bytes:
        if blob not in self._thumbnails:
            self._thumbnails[blob] = await self._easel.images.thumbnail(blob, THUMBNAIL)
        self._thumbnails.move_to_end(blob)
        thumbnail = self._thumbnails[blob]
        while len(self._thumbnails) > THUMBNAILS:
            self._thumbnails.popitem(last=False)
        return thumbnail


def _singles(card: Card) -> tuple[CardPicture, ...]:
    """Return the stored pictures without the grid in front of them."""
    stored = tuple(picture for picture in card.pictures if picture.blob)
    return stored[1:] or stored


def _rows(job: Job, shown: Card, index: int, may: May) -> tuple[tuple[Button, ...], ...]:
    """Return the buttons of one picture of a grid, then those of the whole job."""
    if shown.kind != "done":
        return shown.rows
    whole = tuple(each for row in shown.rows for each in job_cards.of_whole(row))
    return (*translated(job_cards.picked(job, index, may), shown.language).rows, whole)


def picture_answer(body: bytes) -> web.Response:
    headers = {"Cache-Control": IMMUTABLE, "Vary": "Cookie"}
    return web.Response(body=body, content_type=_picture_type(body), headers=headers)


def _picture_type(body: bytes) -> str:
    return "image/webp" if body[8:12] == b"WEBP" else "image/jpeg" if body[:2] == b"\xff\xd8" else "image/png"

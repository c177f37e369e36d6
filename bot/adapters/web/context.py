"""What every handler needs, in one hand, and what they all do with a request."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from bot.adapters.web.assets import Asset
from bot.adapters.web.auth import VISITOR, WebAuth
from bot.adapters.web.broadcast import Broadcast
from bot.adapters.web.downloads import Downloads
from bot.adapters.web.parsing import language
from bot.adapters.web.queue_view import describe, shown_jobs
from bot.adapters.web.settings import WebSettings
from bot.adapters.web.views import Views
from bot.easel import Easel
from bot.errors import Refusal
from bot.i18n import _
from bot.models import Member, Origin

CHANNEL = "studio"
PART_HEADER = "X-Easel-Part"
"""Sent by the page's script when it wants a piece of a page instead of the whole."""
THEME_COOKIE = "easel_theme"
PEOPLE = 6
EVENT = re.compile(r"[\w-]{8,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebContext:
    easel: Easel
    settings: WebSettings
    hub: Broadcast
    access: WebAuth
    assets: Mapping[str, Asset]
    views: Views
    downloads: Downloads

    def member(self, request: web.Request) -> Member:
        return self.access.member(request)

    async def page(self, request: web.Request, template: str, *, page: str, **values: Any) -> web.Response:
        """Return a whole page. `mark` in the values is where the news stood before anything else was read."""
        me = self.member(request)
        values.setdefault("mark", self.hub.mark())
        names = await self._people(me) if self.access.takes_names(request) else []
        return await self.html(
            template,
            request,
            page=page,
            me=me,
            people=names,
            here=request.path,
            is_open=self.access.open,
            login=self.access.login(request),
            is_guest=self.access.is_guest(request),
            **values,
        )

    async def html(
        self, template: str, request: web.Request, *, status: int = 200, **values: Any
    ) -> web.Response:
        """Render a page or a part of one, in a thread: forty prompts and their pictures may take long."""
        values.setdefault("language", self.language(request))
        theme = request.cookies.get(THEME_COOKIE, "")
        values["theme"] = theme if theme in ("light", "dark") else ""
        body = await asyncio.to_thread(self.views.encoded, template, **values)
        headers = {"Cache-Control": "no-store", "Vary": "Cookie"}
        return web.Response(
            body=body, content_type="text/html", charset="utf-8", status=status, headers=headers
        )

    async def login_page(
        self, request: web.Request, template: str, status: int = 200, problem: str = "", typed: str = ""
    ) -> web.Response:
        name = typed or self.member(request).name
        shown = "" if name == VISITOR else name
        takes = self.access.takes_password
        return await self.html(
            template, request, status=status, problem=problem, name=shown, takes_password=takes
        )

    def line(self, reader: Member) -> dict[str, Any]:
        """Return what `lanes.html` shows to `reader`; from memory, since open pages ask for it often."""
        lanes = self.easel.queries.lanes()
        ids = tuple(shown_jobs(lanes))
        ending = {id: job for id in ids if (job := self.hub.job(id))}  # cancelled, but not yet let go
        jobs = {
            id: job
            for id, job in (ending | self.easel.queries.living(ids)).items()
            if job.origin.member.tenant == reader.tenant
        }
        why, views = describe(lanes, jobs, reader)
        return {"why": why, "lanes": views, "more_lanes": len(lanes) - len(views)}

    def origin(self, request: web.Request, member: Member, event: str) -> Origin:
        """Return who asks, and in which language to answer. `event` is unique to the member's page."""
        return Origin(
            surface="web",
            member=member,
            channel=CHANNEL,
            event=f"{member.id}:{event}",
            language=language(request),
        )

    def asked(self, request: web.Request, event: str) -> Origin:
        """Return who asks from a page, whose script names the event. Raises Refusal."""
        if not EVENT.fullmatch(event):
            raise Refusal(_("The page is out of date. Load it again."))
        return self.origin(request, self.member(request), event)

    def language(self, request: web.Request) -> str:
        """Return the language of the page: that of the place, else the browser's."""
        return self.easel.speech.of(self.origin(request, self.member(request), ""))

    async def quota(self, me: Member) -> dict[str, Any]:
        """Return what `quota.html` shows: the tier and each allowance, budget and gift."""
        origin = Origin(surface="web", member=me, channel=CHANNEL, event="quota")
        tier, balances = await self.easel.access.allowance(origin)
        left = await self.easel.accounts.images_left(origin)
        return {"tier": tier, "balances": balances, "left": left, "now": datetime.now(UTC)}

    async def _people(self, me: Member) -> list[str]:
        """Return the names to switch between: the member's own, and those of the last pictures."""
        jobs = await self.easel.visibility.jobs(me, limit=50)
        names = {job.origin.member.id: job.origin.member.name for job in jobs}
        return list({me.id: me.name, **names}.values())[:PEOPLE]


def wants_part(request: web.Request) -> bool:
    return PART_HEADER in request.headers

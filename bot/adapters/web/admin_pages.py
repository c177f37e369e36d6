"""The administrator's page: it shows the studio's overview; its forms are commands of the group "admin"."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from aiohttp import web

from bot.adapters.web.charts import SPANS, charts
from bot.adapters.web.context import EVENT, WebContext, wants_part
from bot.adapters.web.login_pages import TOO_OFTEN
from bot.adapters.web.pages import picture_answer
from bot.adapters.web.parsing import form, number
from bot.admin import csv_export
from bot.admin.dashboard import Dashboard
from bot.errors import Refusal
from bot.i18n import _
from bot.messages.types import Card
from bot.models import INSTANCE, Origin
from bot.prompts import styles

NOTICES = 256  # kept until they are shown
LONGEST = 3650  # days of the ledger in one file
SECTIONS = (
    ("queue", "/admin", _("Queue")),
    ("people", "/admin/people", _("People")),
    ("usage", "/admin/usage", _("Usage")),
    ("places", "/admin/places", _("Places")),
    ("reviews", "/admin/reviews", _("Reports")),
    ("audit", "/admin/audit", _("Audit")),
    ("health", "/admin/health", _("Health")),
)
NO_FIELDS = ("command", "place", "next", "event")
"""What a form holds beside the options of its command."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What came of an action."""

    kind: Literal["done", "problem"]
    title: str
    lines: tuple[str, ...]


class Notices:
    """Answers that wait for the page that shows them, each once, under names that nobody can guess."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, Notice] = OrderedDict()

    def keep(self, notice: Notice) -> str:
        token = secrets.token_urlsafe(12)
        self._waiting[token] = notice
        while len(self._waiting) > NOTICES:
            self._waiting.popitem(last=False)
        return token

    def take(self, token: str) -> Notice | None:
        return self._waiting.pop(token, None)


class AdminPages:
    """Every route under /admin. The guard lets administrators in, and nobody else."""

    def __init__(self, site: WebContext) -> None:
        self._site = site
        self._easel = site.easel
        self._notices = Notices()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/admin", self.queue),
            web.get("/admin/people", self.people),
            web.get("/admin/people/{id:.+}", self.person),
            web.get("/admin/usage", self.usage),
            web.get("/admin/places", self.places),
            web.get("/admin/reviews", self.reviews),
            web.get("/admin/pictures/{job}/{blob:.+}", self.picture),
            web.get("/admin/audit", self.audit),
            web.get("/admin/health", self.health),
            web.get("/admin/ledger.csv", self.ledger),
            web.post("/admin/do", self.do),
            web.get("/admin/login", self.login),
            web.post("/admin/login", self.log_in),
            web.post("/admin/logout", self.log_out),
        ]

    # ---- sections

    async def queue(self, request: web.Request) -> web.Response:
        overview = self._overview(request)
        jobs, more = await overview.queue()
        policies = await overview.policies()
        values: dict[str, Any] = {
            "jobs": jobs,
            "more": more,
            "engine": overview.status,
            "house": policies[INSTANCE],
            "stopped": {
                place: each
                for place, each in sorted(policies.items())
                if place != INSTANCE and (each.paused or each.drained)
            },
        }
        if wants_part(request):
            return await self._site.html("admin_queue_jobs.html", request, **values)
        return await self._page(request, "queue", **values)

    async def people(self, request: web.Request) -> web.Response:
        search, page = request.query.get("search", "")[:200], _page_of(request)
        people, more = await self._overview(request).people(search, page)
        return await self._page(
            request, "people", found=people, search=search, number=page, more=more, now=datetime.now(UTC)
        )

    async def person(self, request: web.Request) -> web.Response:
        overview = self._overview(request)
        someone, jobs, strikes = await overview.person(request.match_info["id"][:200])
        return await self._page(
            request,
            "people",
            template="admin_person.html",
            someone=someone,
            jobs=jobs,
            strikes=strikes,
            tiers=overview.tiers,
            now=datetime.now(UTC),
        )

    async def usage(self, request: web.Request) -> web.Response:
        asked = request.query.get("span", "day")
        span = asked if asked in SPANS else "day"
        _title, length, bucket = SPANS[span]
        spell = await self._overview(request).usage(length, bucket)
        return await self._page(request, "usage", span=span, spans=SPANS, charts=charts(spell))

    async def places(self, request: web.Request) -> web.Response:
        overview = self._overview(request)
        tenants = await overview.places()
        asked = request.query.get("place", INSTANCE)
        place = await overview.place(asked if asked in tenants else INSTANCE)
        return await self._page(
            request,
            "places",
            tenants=tenants,
            place=place,
            tiers=overview.tiers,
            models=overview.models,
            styles=list(styles.load().styles.values()),
            now=datetime.now(UTC),
        )

    async def reviews(self, request: web.Request) -> web.Response:
        return await self._page(request, "reviews", reviews=await self._overview(request).reviews())

    async def picture(self, request: web.Request) -> web.Response:
        """Return a picture of a reported job; administrators may see no other job's pictures here."""
        found = await self._overview(request).reviews()
        wanted = (request.match_info["job"], request.match_info["blob"])
        if not any((job.id, each.blob) == wanted for _review, job in found for each in job.pictures):
            raise web.HTTPNotFound
        try:
            return picture_answer(await self._easel.images.get(wanted[1]))
        except KeyError:
            raise web.HTTPNotFound from None

    async def audit(self, request: web.Request) -> web.Response:
        search, page = request.query.get("search", "")[:100], _page_of(request)
        lines, more = await self._overview(request).audit(search, page)
        return await self._page(request, "audit", lines=lines, search=search, number=page, more=more)

    async def health(self, request: web.Request) -> web.Response:
        health = await self._overview(request).health(check="check" in request.query)
        return await self._page(request, "health", health=health)

    async def ledger(self, request: web.Request) -> web.StreamResponse:
        """Stream the ledger as CSV while it is read."""
        days = min(max(1, number(request.query.get("days", "")) or 30), LONGEST)
        lines = self._overview(request).ledger(days)
        name = f"easel-ledger-{datetime.now(UTC):%Y-%m-%d}.csv"
        disposition = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        response = web.StreamResponse(headers=disposition)
        response.content_type, response.charset = "text/csv", "utf-8"
        await response.prepare(request)
        async for piece in csv_export.ledger(lines):
            await response.write(piece.encode("utf-8", "replace"))
        await response.write_eof()
        return response

    # ---- actions

    async def do(self, request: web.Request) -> web.StreamResponse:
        """Run a form's command, and show the result on the page that the form came from."""
        values = {name: value for name, value in (await form(request)).items() if isinstance(value, str)}
        there = values.get("next", "")
        # An address of ours and nothing else: "//elsewhere" and line breaks begin otherwise.
        there = there if there.startswith("/admin") and there.isprintable() else "/admin"
        token = self._notices.keep(await self._done(request, values))
        raise web.HTTPSeeOther(f"{there}{'&' if '?' in there else '?'}said={token}")

    async def _done(self, request: web.Request, values: Mapping[str, str]) -> Notice:
        options = {name: value for name, value in values.items() if name not in NO_FIELDS}
        command = values.get("command", "")
        try:
            origin = self._origin(request, values.get("place", "") or INSTANCE, values.get("event", ""))
            if not command.startswith("admin "):
                raise Refusal(_("That is not an administrator's command."))
            answer = await self._easel.router.handle(command, options, origin)
        except Refusal as refusal:
            return Notice("problem", "", (refusal.notice,))
        assert isinstance(answer, Card)
        return Notice("done", answer.title, (*answer.facts, *filter(None, [answer.link]), *answer.body))

    # ---- the door

    async def login(self, request: web.Request) -> web.Response:
        if self._site.access.is_admin(request):
            raise web.HTTPSeeOther("/admin")
        return await self._login_page(request)

    async def log_in(self, request: web.Request) -> web.StreamResponse:
        access, values = self._site.access, await form(request)
        name = str(values.get("name", ""))
        if access.stops(request, access.admin_guesses):
            return await self._login_page(request, 429, TOO_OFTEN, name)
        if not access.opens_admin(str(values.get("password", ""))):
            answer = await self._login_page(
                request, 403, _("That is not the administrator's password."), name
            )
            access.failed(request, answer, access.admin_guesses)
            return answer
        response = web.HTTPSeeOther("/admin")
        try:
            await access.sign_in_admin(request, response, name)
        except ValueError as error:
            return await self._login_page(request, 422, error.args[0])
        raise response

    async def log_out(self, request: web.Request) -> web.StreamResponse:
        response = web.HTTPSeeOther("/")
        await self._site.access.sign_out_admin(request, response)
        raise response

    async def _login_page(
        self, request: web.Request, status: int = 200, problem: str = "", typed: str = ""
    ) -> web.Response:
        return await self._site.login_page(request, "admin_login.html", status, problem, typed)

    # ---- what they share

    def _origin(self, request: web.Request, place: str, event: str) -> Origin:
        if not EVENT.fullmatch(event):
            raise Refusal(_("The page is out of date. Load it again."))
        member = self._site.access.operator(request, place)
        return self._site.origin(request, member, event)

    def _overview(self, request: web.Request) -> Dashboard:
        return self._easel.dashboard.opened_to(self._origin(request, INSTANCE, "overview"))

    async def _page(
        self, request: web.Request, section: str, *, template: str = "", **values: Any
    ) -> web.Response:
        query = {name: value for name, value in request.query.items() if name != "said"}
        return await self._site.page(
            request,
            template or f"admin_{section}.html",
            page="admin",
            section=section,
            sections=SECTIONS,
            notice=self._notices.take(request.query.get("said", "")),
            address=str(request.rel_url.with_query(query)),
            event=secrets.token_hex(12),
            INSTANCE=INSTANCE,
            **values,
        )


def _page_of(request: web.Request) -> int:
    return min(number(request.query.get("page", "")) or 0, 10_000)

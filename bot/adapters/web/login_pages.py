"""Coming in and going: the login, links from chat and invitations, names, and where one is logged in."""

from __future__ import annotations

import re

from aiohttp import web

from bot.accounts.logins import BRUSH, LINK
from bot.adapters.web.context import WebContext
from bot.adapters.web.parsing import form
from bot.errors import Refusal
from bot.i18n import _

TOO_OFTEN = _("That was tried too often. Wait a minute, then try again.")
GONE = _("This link was used, or has expired. Ask for a new one.")


_AFTER = re.compile(rf"{BRUSH}\w{{1,32}}/\d{{1,2}}", re.ASCII)
"""Where a link may lead, besides the studio's first page."""


class LoginPages:
    """What can be had by those who are not in yet, and how to leave."""

    def __init__(self, site: WebContext) -> None:
        self._site = site
        self._access = site.access
        self._logins = site.easel.logins

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/login", self.login),
            web.post("/login", self.log_in),
            web.get(LINK + "{secret}", self.link),
            web.post(LINK + "{secret}", self.take_link),
            web.post("/logout", self.log_out),
            web.post("/name", self.name),
            web.get("/settings", self.settings),
            web.post("/settings/end", self.end),
        ]

    async def login(self, request: web.Request) -> web.Response:
        if self._access.is_member(request):
            raise web.HTTPSeeOther("/")
        return await self._page(request)

    async def log_in(self, request: web.Request) -> web.StreamResponse:
        """Log in a new guest by the shared password."""
        access, values = self._access, await form(request)
        if access.stops(request, access.guesses):
            return await self._page(request, 429, TOO_OFTEN)
        if not access.opens(str(values.get("password", ""))):
            answer = await self._page(request, 403, _("That is not the password."))
            access.failed(request, answer, access.guesses)
            return answer
        response = web.HTTPSeeOther("/")
        if access.login(request) is None:  # else they are somebody already
            await access.sign_in(request, response)
        raise response

    async def link(self, request: web.Request) -> web.Response:
        """Show who a link logs in, and a button that does it; fetching the page does not use the link up."""
        member = await self._logins.member_of(request.match_info["secret"])
        if member is None:
            return await self._page(request, 410, GONE)
        return await self._site.html("link.html", request, member=member)

    async def take_link(self, request: web.Request) -> web.StreamResponse:
        there = request.query.get("next", "/")
        response = web.HTTPSeeOther(there if _AFTER.fullmatch(there) else "/")
        if await self._access.take_link(request, response, request.match_info["secret"]) is None:
            return await self._page(request, 410, GONE)
        raise response

    async def log_out(self, request: web.Request) -> web.StreamResponse:
        response = web.HTTPSeeOther("/login")
        if login := self._access.login(request):
            self._site.hub.end(login.id)
        await self._access.sign_out(request, response)
        raise response

    async def name(self, request: web.Request) -> web.StreamResponse:
        """Change the browser's name, where nobody logs in. Raises Refusal, HTTPForbidden."""
        if not self._access.takes_names(request):
            raise web.HTTPForbidden(text=_("You are logged in, so your name stays."))
        values = await form(request)
        here = str(values.get("next", "/"))
        response = web.HTTPSeeOther(here if here in ("/line", "/gallery") else "/")
        try:
            self._access.call(request, response, str(values.get("name", "")))
        except ValueError as error:
            raise Refusal(error.args[0]) from error
        raise response

    async def settings(self, request: web.Request) -> web.Response:
        """Show where the person is logged in."""
        me = self._site.member(request)
        sessions = [] if self._access.takes_names(request) else await self._logins.sessions(me)
        return await self._site.page(request, "settings.html", page="settings", sessions=sessions)

    async def end(self, request: web.Request) -> web.StreamResponse:
        """End one of the person's sessions, or all of them."""
        me, id = self._site.member(request), str((await form(request)).get("id", ""))
        if self._access.takes_names(request):
            raise web.HTTPForbidden(text=_("You are not logged in, so there is nothing to end."))
        for each in await self._logins.sessions(me):
            if id in ("", each.id):
                await self._logins.end(each.id, me)
                self._site.hub.end(each.id)
        raise web.HTTPSeeOther("/settings")

    async def _page(self, request: web.Request, status: int = 200, problem: str = "") -> web.Response:
        return await self._site.login_page(request, "login.html", status, problem)

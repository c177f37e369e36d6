"""The page where anybody may ask whether a picture was made here. Nobody logs in, and nothing is kept."""

from __future__ import annotations

from aiohttp import web

from bot.adapters.web.context import WebContext
from bot.adapters.web.uploads import Uploads
from bot.attempts import Attempts
from bot.errors import Refusal
from bot.i18n import _
from bot.provenance.verdict import Verdict

OFTEN = 10  # pictures that one address may ask about in a minute
TOO_OFTEN = _("That was asked too often from your address. Wait a minute, then try again.")


class Verifier:
    """Takes one picture at a time and tells what is known of it."""

    def __init__(self, site: WebContext) -> None:
        self._site = site
        self._uploads = Uploads(site.settings.data_dir, site.settings.max_source_bytes)
        self._asked = Attempts(OFTEN)

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/verify", self.form), web.post("/verify", self.verify)]

    async def form(self, request: web.Request) -> web.Response:
        return await self._page(request)

    async def verify(self, request: web.Request) -> web.Response:
        address = self._site.access.address(request)
        if self._asked.exhausted(address):
            return await self._page(request, 429, problem=TOO_OFTEN)
        self._asked.note(address)
        try:
            async with self._uploads.form(request) as (*_typed, picture):
                if not picture:
                    raise Refusal(_("Choose an image first."))
                verdict = await self._site.easel.images.verify(picture)
        except Refusal as refusal:
            said = self._site.easel.speech.said(
                refusal, self._site.origin(request, self._site.member(request), "")
            )
            return await self._page(request, 422, problem=said.notice)
        return await self._page(request, verdict=verdict)

    async def _page(
        self, request: web.Request, status: int = 200, *, verdict: Verdict | None = None, problem: str = ""
    ) -> web.Response:
        return await self._site.html("verify.html", request, status=status, verdict=verdict, problem=problem)

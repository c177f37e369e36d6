"""The brush: over a picture for a mask, and what is to be there instead; or on white, for a scribble."""

from __future__ import annotations

from aiohttp import web

from bot import actions
from bot.accounts.logins import BRUSH
from bot.adapters.web.context import WebContext
from bot.adapters.web.parsing import number
from bot.adapters.web.uploads import Uploads
from bot.errors import Refusal
from bot.i18n import _
from bot.prompts.draft import MAX_PROMPT

SHAPES = {"square": (768, 768), "portrait": (640, 896), "landscape": (896, 640)}
"""The papers that are drawn on, in pixels."""


class BrushPage:
    """The pages that have a brush, and what they send."""

    def __init__(self, site: WebContext) -> None:
        self._site = site
        self._easel = site.easel
        self._uploads = Uploads(site.settings.data_dir, site.settings.max_source_bytes)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(BRUSH + r"{job}/{number:\d{1,2}}", self.page),
            web.post("/api/region", self.send),
            web.get("/draw", self.paper),
            web.post("/api/draw", self.draw),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """Show one picture of a job to paint over. Raises Refusal."""
        me = self._site.member(request)
        job = await self._easel.visibility.job(request.match_info["job"], me)
        index = int(request.match_info["number"]) - 1
        picture = actions.picture(job, index)
        if "inpaint" not in await self._easel.access.tasks(me):
            raise Refusal(_("No model here changes regions."))
        return await self._site.page(
            request, "brush.html", page="brush", job=job, index=index, picture=picture, max_prompt=MAX_PROMPT
        )

    async def send(self, request: web.Request) -> web.Response:
        """Change what was painted over: a form of prompt, event, `parent` ("job:number") and the mask."""
        async with self._uploads.form(request) as (fields, mask):
            job, _colon, which = fields.get("parent", "").partition(":")
            options = {
                "job": job,
                "picture": number(which) or 1,
                "mask": mask,
                "prompt": fields.get("text", ""),
            }
            origin = self._site.asked(request, fields.get("event", ""))
            await self._easel.router.handle("region", options, origin)
        return web.json_response({"accepted": True})

    async def paper(self, request: web.Request) -> web.Response:
        """Show white paper to draw on: what is drawn guides an image. Raises Refusal."""
        me = self._site.member(request)
        if "scribble" not in await self._easel.access.controls(me):
            raise Refusal(_("No model here is guided by a scribble."))
        chosen = request.query.get("shape", "")
        shape = chosen if chosen in SHAPES else "square"
        return await self._site.page(
            request, "draw.html", page="brush", shape=shape, size=SHAPES[shape], max_prompt=MAX_PROMPT
        )

    async def draw(self, request: web.Request) -> web.Response:
        """Paint by what was drawn: a form of prompt, event and the drawing, dark on white."""
        async with self._uploads.form(request) as (fields, drawing):
            options = {"prompt": fields.get("text", ""), "source": drawing, "control": "scribble"}
            origin = self._site.asked(request, fields.get("event", ""))
            await self._easel.router.handle("imagine", options, origin)
        return web.json_response({"accepted": True})

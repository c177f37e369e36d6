"""A server on loopback with OpenAI's images API, which behaves as each kind of server is documented to."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web
from PIL import Image

Kind = Literal["openai", "vllm", "sglang", "sdcpp", "localai"]
Turn = Callable[[web.Request], Awaitable[web.StreamResponse | None]]
"""What the server does with one request in place of answering it; None: it answers as always."""

KEY = "sk-server-0123456789abcdef"


@dataclass
class Asked:
    """A request that came."""

    path: str
    headers: dict[str, str]
    fields: dict[str, Any]
    files: dict[str, list[bytes]]


@dataclass
class ImageServer:
    kind: Kind = "openai"
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)  # for the next requests, in order
    always: Turn | None = None  # for all others
    gate: asyncio.Event | None = None  # answers wait for it
    inside: int = 0
    most: int = 0  # requests inside at once
    gone: int = 0  # requests whose client closed the line
    key: str = KEY  # empty: none is asked for
    colour: str = "red"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            return await self._handled(request)
        except asyncio.CancelledError:
            self.gone += 1
            raise
        finally:
            self.inside -= 1

    async def _handled(self, request: web.Request) -> web.StreamResponse:
        asked = await read(request)
        self.asked.append(asked)
        if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
            return refused(401, "invalid_api_key", f"Incorrect API key provided: {self.key[:8]}***")
        turn = self.turns.pop(0) if self.turns else self.always
        if turn and (answer := await turn(request)) is not None:
            return answer
        if self.gate:
            await self.gate.wait()
        if wrong := self._wrong(asked):
            return wrong
        return await self._answered(request, asked)

    def _wrong(self, asked: Asked) -> web.Response | None:
        """Refuse what this kind of server does not take, as it is documented to."""
        if self.kind == "openai":
            known = "prompt model n quality output_format stream partial_images size moderation background"
            if more := set(asked.fields) - set(known.split()):
                return refused(400, "unknown_parameter", f"Unknown parameter: '{more.pop()}'.")
        if self.kind == "vllm" and asked.fields.get("stream"):
            return web.json_response({"detail": "stream is not supported by this pipeline"}, status=400)
        if self.kind == "sdcpp" and not asked.fields.get("prompt"):
            return web.json_response({"error": "prompt required"}, status=400)
        return None

    async def _answered(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        size = str(asked.fields.get("size", "512x512"))
        if asked.fields.get("stream"):
            return await self._streamed(request, size)
        if self.kind == "localai" and asked.fields.get("response_format") != "b64_json":
            url = f"{request.scheme}://{request.host}/generated-images/one.png"
            return web.json_response({"created": 1, "id": "a", "data": [{"url": url}]})
        b64 = base64.b64encode(picture(size, self.colour)).decode()
        more: dict[str, Any] = {"output_format": "png"} if self.kind == "sdcpp" else {}
        if self.kind in ("vllm", "sglang"):
            return web.json_response(
                {"created": 1, "data": [{"b64_json": b64, "url": None, "revised_prompt": None}]}
            )
        return web.json_response({"created": 1, "data": [{"b64_json": b64}], **more})

    async def _streamed(self, request: web.Request, size: str) -> web.StreamResponse:
        kind = "image_edit" if request.path.endswith("edits") else "image_generation"
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for index in range(2):
            small = base64.b64encode(picture("64x64", "blue")).decode()
            await response.write(event(f"{kind}.partial_image", b64_json=small, partial_image_index=index))
            await asyncio.sleep(0.01)
        whole = base64.b64encode(picture(size, self.colour)).decode()
        await response.write(event(f"{kind}.completed", b64_json=whole, usage={"total_tokens": 9}))
        await response.write_eof()
        return response

    async def models(self, request: web.Request) -> web.Response:
        if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
            return refused(401, "invalid_api_key", "Incorrect API key provided.")
        return web.json_response({"object": "list", "data": [{"id": "gpt-image-2", "object": "model"}]})

    async def image(self, request: web.Request) -> web.Response:
        assert "Authorization" not in request.headers  # the key is for the API alone
        return web.Response(body=picture("512x512", self.colour), content_type="image/png")


async def read(request: web.Request) -> Asked:
    files: dict[str, list[bytes]] = {}
    values: dict[str, Any] = {}
    if request.content_type == "application/json":
        values = await request.json()
    else:
        form = await request.post()
        for name, value in form.items():
            if isinstance(value, web.FileField):
                files.setdefault(name, []).append(value.file.read())
            else:
                values[name] = value
    return Asked(request.path, dict(request.headers), values, files)


def picture(size: str, colour: str = "red", format: str = "PNG") -> bytes:
    width, height = map(int, size.split("x"))
    out = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(out, format)
    return out.getvalue()


def event(kind: str, **values: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **values})}\n\n".encode()


def refused(status: int, code: str, message: str, **headers: str) -> web.Response:
    body = {"error": {"code": code, "message": message, "type": "invalid_request_error", "param": None}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.json_response(body, status=status, headers=named)


def says(status: int, code: str = "", message: str = "", **headers: str) -> Turn:
    async def turn(request: web.Request) -> web.Response:
        return refused(status, code, message, **headers)

    return turn


def sends(body: bytes, content_type: str = "application/json") -> Turn:
    async def turn(request: web.Request) -> web.Response:
        return web.Response(body=body, content_type=content_type)

    return turn


async def hangs(request: web.Request) -> None:
    """Take a request, and never answer it."""
    await asyncio.Event().wait()


@asynccontextmanager
async def image_server(kind: Kind = "openai", **more: Any) -> AsyncIterator[ImageServer]:
    server = ImageServer(kind, **more)
    app = web.Application(client_max_size=2**28)
    app.router.add_post("/v1/images/generations", server.handle)
    app.router.add_post("/v1/images/edits", server.handle)
    app.router.add_get("/v1/models", server.models)
    app.router.add_get("/generated-images/{name}", server.image)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/v1"  # type: ignore[union-attr]
    try:
        yield server
    finally:
        await runner.cleanup()

"""The door of HTTP mode: only what Slack has signed gets in, and what does not is told nothing.

Whatever is malformed is answered 401: missing, doubled or odd headers, old timestamps, bodies that are too
long, no text, or not what their signature says. Nothing of them is logged.

https://docs.slack.dev/authentication/verifying-requests-from-slack
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import web
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.async_app import AsyncApp
from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_bolt.request.async_request import AsyncBoltRequest

from bot.errors import StoreError
from bot.settings import Secret

log = structlog.stdlib.get_logger(__name__)

EVENTS, INSTALL, REDIRECT = "/slack/events", "/slack/install", "/slack/oauth_redirect"

WINDOW = 300  # seconds that a request may be old, or early
MAX_BODY = 1 << 20  # bytes; Slack's largest, a filled form, has some 250 kB
SHORT = 32_768  # bytes that take no time to read; a filled form takes 20 ms
BODY_SECONDS = 10.0

_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)
_SIGNATURE = re.compile(r"v0=[0-9a-f]{64}", re.ASCII)


class RequestRefused(Exception):
    """Not from Slack, or not now."""


class RequestGuard:
    """Checks requests by the signing secret."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret.reveal().encode()

    def check(self, timestamps: list[str], signatures: list[str], body: bytes, now: float) -> None:
        """Raise Refused unless Slack signed `body` within 300 s of `now`. The lists: every such header."""
        timestamp, signature = _only(timestamps, _TIMESTAMP), _only(signatures, _SIGNATURE)
        if abs(now - int(timestamp)) > WINDOW:
            raise RequestRefused
        signed = hmac.new(self._secret, f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(f"v0={signed}", signature):
            raise RequestRefused


def _only(values: list[str], form: re.Pattern[str]) -> str:
    if len(values) != 1 or not form.fullmatch(values[0]):
        raise RequestRefused
    return values[0]


class SlackServer:
    """The address that Slack sends to, and where people install the app from."""

    def __init__(self, app: AsyncApp, guard: RequestGuard | None, flow: AsyncOAuthFlow | None) -> None:
        self._app = app
        self._guard = guard
        self._flow = flow

    def application(self) -> web.Application:
        made = web.Application(client_max_size=MAX_BODY)
        if self._guard:
            made.router.add_post(EVENTS, self._events, expect_handler=_expect)
        if self._flow:
            made.router.add_get(INSTALL, self._install)
            made.router.add_get(REDIRECT, self._installed)
        return made

    async def _events(self, request: web.Request) -> web.Response:
        assert self._guard
        try:
            body = await self._body(request)
            self._guard.check(
                request.headers.getall("X-Slack-Request-Timestamp", []),
                request.headers.getall("X-Slack-Signature", []),
                body,
                time.time(),
            )
            asked = await read(body, request)
        except RequestRefused:
            return web.Response(status=HTTPStatus.UNAUTHORIZED)
        answer = await self._app.async_dispatch(asked)
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:  # Slack asks again
            return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE)
        return await to_aiohttp_response(answer)

    async def _body(self, request: web.Request) -> bytes:
        """Return the request's body. Raises Refused for one that is too long, too slow, or compressed."""
        if request.headers.get("Content-Encoding") or (request.content_length or 0) > MAX_BODY:
            raise RequestRefused
        try:
            async with asyncio.timeout(BODY_SECONDS):
                return await request.read()
        except (web.HTTPException, TimeoutError, ValueError, OSError) as error:
            raise RequestRefused from error

    async def _install(self, request: web.Request) -> web.Response:
        assert self._flow
        return await to_aiohttp_response(await self._flow.handle_installation(await to_bolt_request(request)))

    async def _installed(self, request: web.Request) -> web.Response:
        assert self._flow
        try:
            answer = await self._flow.handle_callback(await to_bolt_request(request))
        except StoreError as error:
            log.error("an installation was not saved", cause=str(error))
            text = "Easel cannot save anything at the moment. Install it again in a minute."
            return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE, text=text)
        return await to_aiohttp_response(answer)


async def read(body: bytes, request: web.Request) -> AsyncBoltRequest:
    """Parse a request as `_read` does, in a thread if it is long."""
    return await asyncio.to_thread(_read, body, request) if len(body) > SHORT else _read(body, request)


def _read(body: bytes, request: web.Request) -> AsyncBoltRequest:
    """Parse a signed request as Bolt does. Raises Refused when it is none of Slack's forms."""
    try:
        read = AsyncBoltRequest(body=body.decode(), headers=dict(request.headers))
    except Exception as error:  # whatever its parsers make of odd text
        raise RequestRefused from error
    if not isinstance(read.body, dict) or not _is_whole(read.body):
        raise RequestRefused
    return read


def _is_whole(body: Mapping[str, Any]) -> bool:
    """Tell whether a body has the parts that Bolt reads without checking that they exist."""
    match body.get("type"):
        case "event_callback":
            return isinstance(body.get("event"), dict) and isinstance(body["event"].get("type"), str)
        case "block_actions":
            pressed = body.get("actions")
            return isinstance(pressed, list) and bool(pressed) and isinstance(pressed[0], dict)
        case "view_submission" | "view_closed":
            return isinstance(body.get("view"), dict)
    return bool(body)


async def _expect(request: web.Request) -> web.Response | None:
    """Send 100 Continue; answer any other Expect header with 401, where aiohttp itself would fail."""
    if request.headers.get("Expect", "").lower() != "100-continue":
        return web.Response(status=HTTPStatus.UNAUTHORIZED)
    assert request.transport
    request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return None

"""Slack on loopback: the Web API, Socket Mode and signed requests for the real slack_bolt and slack_sdk.

It keeps workspaces, people, channels, messages, files and views. Every call is checked against Slack's
method descriptions where they are at hand, against the scopes that the app's own manifest asks for, and
against the limits of Block Kit; what Slack would refuse is refused and noted in `problems`. Rate limits,
errors and dropped connections come on demand. Minutes pass when the test says so (`pass_time`).

https://docs.slack.dev/apis/events-api/using-socket-mode,
https://docs.slack.dev/authentication/verifying-requests-from-slack
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

from aiohttp import ClientSession, WSMsgType, web

from tests.contract.slack.api import Api
from tests.contract.slack.methods import Json
from tests.contract.slack.state import APP, SIGNING_SECRET, Sent

ACK_SECONDS = 3.0
MOST_SOCKETS = 10
MOST_TRIES = 4  # of an event: the first and three more


class Wire(Api):
    """The server, and its way to the app."""

    def __init__(self, manifest: Json, *, checks: bool = True) -> None:
        super().__init__(manifest, checks=checks)
        self._by_id: dict[str, Sent] = {}
        self.hellos = 0
        self.mute = 0  # how many events arrive but are not seen to be acknowledged
        self.request_url = ""  # where the app takes signed requests; empty: Socket Mode
        self.signing_secret = SIGNING_SECRET
        self._sockets: list[web.WebSocketResponse] = []
        self._turn = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()

    # ---- sending to the app

    async def deliver(self, kind: str, payload: Json, *, retry: tuple[int, str] | None = None) -> Sent:
        """Send something to the app, over a socket or signed; returns without waiting for it."""
        sent = Sent(self.new("envelope-"), kind, payload, time.monotonic())
        self.sent.append(sent)
        self._by_id[sent.id] = sent
        self._go(self._try(sent, retry))
        return sent

    async def again(self, sent: Sent, reason: str = "http_timeout") -> None:
        """Send it once more, as Slack does when it has seen no acknowledgement."""
        await self._try(sent, (sent.tries, reason))

    async def taken(self, sent: Sent) -> Sent:
        """The same, once it was acknowledged."""
        await self.until(lambda: sent.acked is not None)
        return sent

    def _go(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _try(self, sent: Sent, retry: tuple[int, str] | None = None) -> None:
        sent.tries += 1
        if self.request_url:
            await self._by_request(sent, retry)
        else:
            await self._by_socket(sent, retry)

    async def _by_socket(self, sent: Sent, retry: tuple[int, str] | None) -> None:
        await self.until(lambda: self._open())
        envelope: Json = {
            "envelope_id": sent.id,
            "type": sent.kind,
            "payload": sent.payload,
            "accepts_response_payload": sent.kind != "events_api",
        }
        if sent.kind == "events_api":
            number, reason = retry or (0, "")
            envelope |= {"retry_attempt": number, "retry_reason": reason}
        sockets = self._open()
        await sockets[next(self._turn) % len(sockets)].send_json(envelope)
        if sent.kind == "events_api":
            self._go(self._watch(sent))

    async def _watch(self, sent: Sent) -> None:
        """Send an event again that was not acknowledged in time."""
        await asyncio.sleep(ACK_SECONDS)
        if sent.acked is None and sent.tries < MOST_TRIES:
            await self._try(sent, (sent.tries, "timeout"))

    async def _by_request(self, sent: Sent, retry: tuple[int, str] | None) -> None:
        if sent.kind == "events_api":
            body, kind = json.dumps(sent.payload), "application/json"
        elif sent.kind == "slash_commands":
            body, kind = urlencode(sent.payload), "application/x-www-form-urlencoded"
        else:
            body, kind = urlencode({"payload": json.dumps(sent.payload)}), "application/x-www-form-urlencoded"
        headers = {"Content-Type": kind} | self.signature(body)
        if retry:
            headers |= {"X-Slack-Retry-Num": str(retry[0]), "X-Slack-Retry-Reason": retry[1]}
        async with (
            ClientSession() as session,
            session.post(self.request_url, data=body, headers=headers) as response,
        ):
            text = await response.text()
            sent.status = response.status
        if sent.status == 200:
            sent.acked = time.monotonic()
            sent.answer = json.loads(text) if text.startswith("{") else {"text": text} if text else None
        await self.told()

    def signature(self, body: str, *, at: float | None = None) -> dict[str, str]:
        """The headers that prove a request is Slack's."""
        stamp = str(int(time.time() if at is None else at))
        digest = hmac.new(self.signing_secret.encode(), f"v0:{stamp}:{body}".encode(), hashlib.sha256)
        return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={digest.hexdigest()}"}

    # ---- Socket Mode

    def _open(self) -> list[web.WebSocketResponse]:
        return [socket for socket in self._sockets if not socket.closed]

    @property
    def connections(self) -> int:
        return len(self._open())

    async def link(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        ticket = request.query.get("ticket", "")
        if ticket not in self._tickets:
            self.problems.append("a Socket Mode ticket was used twice or made up")
            await socket.close()
            return socket
        self._tickets.discard(ticket)
        if self.connections >= MOST_SOCKETS:
            self.problems.append(f"more than {MOST_SOCKETS} connections")
        self._sockets.append(socket)
        await socket.send_json(
            {
                "type": "hello",
                "num_connections": self.connections,
                "debug_info": {"host": "applink-1", "build_number": 1, "approximate_connection_time": 18060},
                "connection_info": {"app_id": APP},
            }
        )
        self.hellos += 1
        await self.told()
        async for frame in socket:
            if frame.type is WSMsgType.TEXT:
                await self._acknowledged(json.loads(frame.data))
        await self.told()
        return socket

    async def _acknowledged(self, frame: Json) -> None:
        sent = self._by_id.get(frame.get("envelope_id", ""))
        if sent is None:
            self.problems.append(f"acknowledged what was not sent: {frame!r:.200}")
            return
        if self.mute and sent.kind == "events_api":
            self.mute -= 1
            return
        if frame.get("payload") and sent.kind == "events_api":
            self.problems.append("an event takes no response payload")
        sent.acked = sent.acked or time.monotonic()
        sent.answer = frame.get("payload") or sent.answer
        await self.told()

    async def disconnect(self, reason: str = "refresh_requested", *, close: bool = False) -> None:
        """Tell every connection to go, as Slack does every few hours."""
        for socket in self._open():
            with_host = {"type": "disconnect", "reason": reason, "debug_info": {"host": "applink-1"}}
            await socket.send_json(with_host)
            if close:
                await socket.close()

    async def drop(self) -> None:
        """Break every connection without a word."""
        for socket in self._open():
            assert socket._req is not None and socket._req.transport is not None
            socket._req.transport.abort()

    # ---- serving

    def app(self) -> web.Application:
        app = web.Application(client_max_size=100 * 2**20)
        app.add_routes(
            [
                web.route("*", "/api/{method}", self.api),
                web.get("/link", self.link),
                web.post("/actions/{team}/{hook}/{secret}", self.respond),
                web.post("/upload/v1/{file}", self.upload),
                web.get("/files-pri/{team}/{file}/{name}", self.download),
            ]
        )
        return app

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for socket in self._open():
            await socket.close()


@asynccontextmanager
async def served(manifest: Json, *, checks: bool = True) -> AsyncIterator[Wire]:
    """A server on a free port of this machine."""
    wire = Wire(manifest, checks=checks)
    runner = web.AppRunner(wire.app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    wire.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield wire
    finally:
        await wire.close()
        await runner.cleanup()

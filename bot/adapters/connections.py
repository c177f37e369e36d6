"""How many connections a server of ours takes, for how long they may be slow, and what is logged of them.

aiohttp waits for ever for a request that does not come, takes as many connections as there are, and logs
every fault of a client with a traceback.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import time
from collections.abc import Callable
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.typedefs import Handler

from bot.i18n import _

log = structlog.stdlib.get_logger(__name__)

HEADER_SECONDS = 20.0  # for the headers of a request, and between two requests
BODY_SECONDS = 20.0  # for a request's body, beside what its length takes
BODY_PACE = 40_000  # bytes a second that a body must have
WRITE_SECONDS = 60  # in which a client must take something of what it asked for
LINGER_SECONDS = 2.0  # for the rest of a body that was refused
MOST = 1024  # connections, where there are as many descriptors
MOST_EACH = 256  # connections of one address
SAID_EVERY = 60.0  # seconds between two lines about the same trouble


class Said:
    """Lets a line through once a minute."""

    def __init__(self) -> None:
        self._at = -SAID_EVERY

    def again(self) -> bool:
        now = time.monotonic()
        if now - self._at < SAID_EVERY:
            return False
        self._at = now
        return True


class Faults(logging.LoggerAdapter[logging.Logger]):
    """What aiohttp's server logs: the faults of clients as one line, its own with their traceback."""

    def exception(self, msg: object, *args: object, exc_info: Any = True, **more: Any) -> None:
        if isinstance(exc_info, HttpProcessingError | ConnectionError | web.RequestPayloadError):
            log.info("a request could not be read", cause=type(exc_info).__name__)
        else:
            self.logger.exception(msg, *args, exc_info=exc_info, **more)

    def debug(self, msg: object, *args: object, exc_info: Any = None, **more: Any) -> None:
        if isinstance(exc_info, BaseException):  # what is no HTTP at all
            self.exception(msg, *args, exc_info=exc_info, **more)


def runner(app: web.Application, *, stop_seconds: float) -> web.AppRunner:
    """Return a runner whose connections are not slow for ever."""
    app.middlewares.insert(0, _body_in_time)
    return web.AppRunner(
        app,
        access_log=None,
        logger=Faults(logging.getLogger("aiohttp.server"), {}),
        shutdown_timeout=stop_seconds,
        keepalive_timeout=HEADER_SECONDS,  # also runs while the headers of a request come
        lingering_time=LINGER_SECONDS,
    )


async def serve(
    ready: web.AppRunner, listening: socket.socket, trusts: Callable[[str], bool] = lambda address: False
) -> asyncio.Server:
    """Serve what was set up at a socket; from an address that is not trusted, only so much at a time."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, WRITE_SECONDS * 1000)
    loop = asyncio.get_running_loop()
    _hush_accept(loop)
    said = Said()
    assert ready.server
    server = ready.server
    return await loop.create_server(lambda: ConnectionGate(server, trusts, said), sock=listening, backlog=128)


class ConnectionGate(asyncio.Protocol):
    """Lets a new connection through to the server, unless there are too many already."""

    def __init__(self, server: web.Server, trusts: Callable[[str], bool], said: Said) -> None:
        self._server, self._trusts, self._said = server, trusts, said

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        peer = _host(transport.get_extra_info("peername"))
        if self._is_full(peer):
            if self._said.again():
                log.warning("too many connections: new ones are closed", address=peer)
            transport.abort()
            return
        handler = self._server()
        transport.set_protocol(handler)
        handler.connection_made(transport)

    def _is_full(self, peer: str) -> bool:
        present = self._server.connections
        if len(present) >= most():
            return True
        same = sum(_host(each.peername) == peer for each in present)
        return same >= MOST_EACH and not self._trusts(peer)


def most() -> int:
    """Return how many connections there may be: half of the descriptors are for everything else."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(MOST, descriptors // 2)


def _host(peer: Any) -> str:
    return str(peer[0]) if isinstance(peer, tuple) else ""


@web.middleware
async def _body_in_time(request: web.Request, handler: Handler) -> web.StreamResponse:
    """End a body that comes too slowly, with an answer that says so."""
    if not request.body_exists or request.content.is_eof():
        return await handler(request)
    seconds = BODY_SECONDS + (request.content_length or 0) / BODY_PACE
    late = web.HTTPRequestTimeout(text=_("That came too slowly. Try again."))
    timer = asyncio.get_running_loop().call_later(seconds, request.content.set_exception, late)
    request.content.on_eof(timer.cancel)
    try:
        return await handler(request)
    finally:
        timer.cancel()


def _hush_accept(loop: asyncio.AbstractEventLoop) -> None:
    """Log once a minute that there are no descriptors left, instead of 128 tracebacks a second."""
    before = loop.get_exception_handler()
    if isinstance(before, _Hushed):
        return
    loop.set_exception_handler(_Hushed(before))


class _Hushed:
    def __init__(self, before: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None) -> None:
        self._before, self._said = before, Said()

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if str(context.get("message", "")).startswith("socket.accept()"):
            if self._said.again():
                log.error("no more connections can be taken", cause=str(context.get("exception")))
        elif self._before:
            self._before(loop, context)
        else:
            loop.default_exception_handler(context)

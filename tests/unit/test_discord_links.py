from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from bot.adapters.discord import links
from bot.errors import Refusal
from bot.images import pictures

Served = str


@pytest.fixture
async def address() -> AsyncIterator[Served]:
    """A server on the loopback address that answers as a path says."""

    async def answer(request: web.Request) -> web.StreamResponse:
        match request.match_info["kind"]:
            case "image":
                return web.Response(body=b"x" * 3000)
            case "moved":
                raise web.HTTPFound("/image")
            case "endless":
                response = web.StreamResponse()
                await response.prepare(request)
                for _ in range(1000):
                    await response.write(b"x" * 65536)
                return response
            case status:
                return web.Response(status=int(status))

    app = web.Application()
    app.add_routes([web.get("/{kind}", answer)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def check_size(size: int) -> None:
    pictures.check_size(size, 100_000)


async def test_an_image_is_fetched(address: Served) -> None:
    assert await links.fetch(f"{address}/image", check_size) == b"x" * 3000


async def test_no_redirect_is_followed(address: Served) -> None:
    with pytest.raises(aiohttp.ClientError, match="answered 302"):
        await links.fetch(f"{address}/moved", check_size)


async def test_too_much_is_not_read_to_the_end(address: Served) -> None:
    with pytest.raises(Refusal, match="at most 0 MB"):
        await links.fetch(f"{address}/endless", check_size)


@pytest.mark.parametrize("status", [403, 404])
async def test_an_expired_address_is_said(address: Served, status: int) -> None:
    with pytest.raises(Refusal, match="That link has expired"):
        await links.fetch(f"{address}/{status}", check_size)


async def test_another_failure_is_one_of_the_network(address: Served) -> None:
    with pytest.raises(aiohttp.ClientError, match="answered 500"):
        await links.fetch(f"{address}/500", check_size)

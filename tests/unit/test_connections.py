"""What slow, many and broken clients may do to a server of ours: over real sockets."""

from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web

from bot.adapters import connections
from bot.adapters.connections import Faults, Said
from tests.web import PATIENCE, web_house

Opened = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def server(*, trusts: Callable[[str], bool] = lambda address: False) -> AsyncIterator[int]:
    """The port of a server that reads whatever it is sent."""

    async def read(request: web.Request) -> web.Response:
        return web.Response(text=f"{len(await request.read())}")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", read)
    ready = connections.runner(app, stop_seconds=0.1)
    await ready.setup()
    listening = socket.create_server(("127.0.0.1", 0))
    port: int = listening.getsockname()[1]
    served = await connections.serve(ready, listening, trusts)
    try:
        yield port
    finally:
        served.close()
        await ready.cleanup()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEADER_SECONDS", "BODY_SECONDS", "LINGER_SECONDS"):
        monkeypatch.setattr(connections, name, 0.3)


async def opened(port: int) -> Opened:
    return await asyncio.open_connection("127.0.0.1", port)


async def to_the_end(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(PATIENCE):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize("sent", [b"", b"GET / HTT", b"GET / HTTP/1.1\r\nHost: here\r\nX-A: b\r\n"])
async def test_a_request_that_never_comes_is_not_waited_for(sent: bytes) -> None:
    async with server() as port:
        reader, writer = await opened(port)
        writer.write(sent)

        assert await to_the_end(reader) == b""
        writer.close()


async def test_headers_that_come_drop_by_drop_are_late_too() -> None:
    async with server() as port:
        reader, writer = await opened(port)

        async def drip() -> None:
            for number in range(1000):
                writer.write(b"GET / HTTP/1.1\r\n" if number == 0 else b"X-A: b\r\n")
                await writer.drain()
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        assert await to_the_end(reader) == b""
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)
        writer.close()


async def test_a_connection_that_idles_after_a_request_is_closed() -> None:
    async with server() as port:
        reader, writer = await opened(port)
        writer.write(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")

        answer = await to_the_end(reader)
        assert answer.startswith(b"HTTP/1.1 200 OK") and b"close" not in answer.lower()
        writer.close()


@pytest.mark.parametrize("length", [b"Content-Length: 1000", b"Transfer-Encoding: chunked"])
async def test_a_body_that_comes_too_slowly_is_answered_so(length: bytes) -> None:
    async with server() as port:
        reader, writer = await opened(port)
        writer.write(b"POST / HTTP/1.1\r\nHost: here\r\n" + length + b"\r\n\r\n1\r\na")

        assert (await to_the_end(reader)).startswith(b"HTTP/1.1 408 ")
        writer.close()


async def test_a_body_in_time_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "BODY_SECONDS", 30.0)
    async with server() as port:
        reader, writer = await opened(port)
        writer.write(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 6\r\nConnection: close\r\n\r\nabc")
        await asyncio.sleep(0.05)
        writer.write(b"def")

        assert (await to_the_end(reader)).endswith(b"\r\n\r\n6")
        writer.close()


async def test_an_address_has_so_many_connections_and_a_proxy_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_EACH", 5)
    monkeypatch.setattr(connections, "HEADER_SECONDS", 60.0)
    for trusted, kept in ((False, 5), (True, 12)):
        async with server(trusts=lambda address, trusted=trusted: trusted) as port:  # type: ignore[misc]
            people = [await opened(port) for _ in range(12)]
            for _, writer in people:
                writer.write(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
            answers = [await first(reader) for reader, _ in people]
            assert answers.count(b"HTTP/1.1 200 OK\r\n") == kept
            await close(people.pop(0))
            async with asyncio.timeout(PATIENCE):  # a place that is free again
                while not await is_served(port):
                    pass
            for each in people:
                await close(each)


async def is_served(port: int) -> bool:
    reader, writer = await opened(port)
    writer.write(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
    answer = await first(reader)
    await close((reader, writer))
    return answer == b"HTTP/1.1 200 OK\r\n"


async def close(connection: Opened) -> None:
    connection[1].close()
    with suppress(ConnectionError):
        await connection[1].wait_closed()


async def first(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(PATIENCE):
        try:
            return await reader.readline()
        except ConnectionResetError:
            return b""


def test_of_the_descriptors_half_are_for_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections.resource, "getrlimit", lambda _: (64, 64))
    assert connections.most() == 32
    monkeypatch.setattr(connections.resource, "getrlimit", lambda _: (1_000_000, 1_000_000))
    assert connections.most() == connections.MOST


FEW_DESCRIPTORS = """
    import asyncio, resource, socket, sys
    from aiohttp import web
    from bot.adapters import connections

    async def main():
        connections.most = lambda: 10_000  # the door lets all in, so the system must refuse
        app = web.Application()
        ready = connections.runner(app, stop_seconds=0.1)
        await ready.setup()
        listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        await connections.serve(ready, listening)
        sys.stdout.write(f"{listening.getsockname()[1]}\\n")
        sys.stdout.flush()
        resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))
        await asyncio.to_thread(sys.stdin.readline)
        sys.stdout.write("still here\\n")

    asyncio.run(main())
"""


async def test_no_descriptors_left_is_one_line_in_the_log() -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        textwrap.dedent(FEW_DESCRIPTORS),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=Path(__file__).parents[2],
    )
    assert child.stdout and child.stdin
    port = int(await child.stdout.readline())
    people = [await opened(port) for _ in range(60)]
    async with asyncio.timeout(PATIENCE):
        line = await child.stdout.readline()
        assert b"no more connections can be taken" in line and b"Too many open files" in line
        await asyncio.sleep(2.5)  # asyncio tries again each second
        child.stdin.write(b"\n")
        child.stdin.close()
        rest = await child.stdout.read()
        await child.wait()
    for _, writer in people:
        writer.close()
    assert rest == b"still here\n"


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01 hello\r\n\r\n",
        b"GET / HTTP/9.9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_a_malformed_request_leaves_no_traceback(
    sent: bytes, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    async with server() as port:
        reader, writer = await opened(port)
        writer.write(sent)
        answer = await to_the_end(reader)
        writer.close()

    assert answer.startswith(b"HTTP/1.") and b" 400 " in answer.splitlines()[0]
    out, err = capfd.readouterr()
    assert "Traceback" not in caplog.text + out + err
    assert (out + err).count("could not be read") == 1


async def test_an_upload_that_is_broken_off_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    async with web_house(tmp_path) as house:
        capfd.readouterr()
        _, writer = await opened(int(house.url.rpartition(":")[2]))
        writer.write(
            b"POST /api/send HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
            b'--x\r\nContent-Disposition: form-data; name="source"; filename="a.png"\r\n\r\nabc'
        )
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.transport.abort()
        said = ""
        async with asyncio.timeout(PATIENCE):
            while "broke off" not in said:
                await asyncio.sleep(0.01)
                said += "".join(capfd.readouterr())
        await asyncio.sleep(0.05)
        said += "".join(capfd.readouterr())
    assert "Traceback" not in said + caplog.text
    assert said.count("a request broke off") == 1


def test_what_the_server_itself_does_wrong_keeps_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    logger = Faults(logging.getLogger("aiohttp.server"), {})
    try:
        raise ZeroDivisionError
    except ZeroDivisionError as error:
        logger.exception("Error handling request from %s", "here", exc_info=error)

    assert "ZeroDivisionError" in caplog.text and "from here" in caplog.text


def test_a_trouble_is_said_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(connections.time, "monotonic", lambda: now)
    said = Said()
    assert [said.again(), said.again()] == [True, False]
    now += 59.9
    assert not said.again()
    now += 0.2
    assert said.again()

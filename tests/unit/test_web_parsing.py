"""Whatever a browser sends is answered; what cannot be read is a 400 with one sentence."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from structlog.testing import capture_logs

from bot.adapters.web.auth import NAME_COOKIE, SESSION_COOKIE
from bot.adapters.web.parsing import language, moment, number
from tests.web import PATIENCE, WebHouse, web_house

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"
SENTENCE = b"The studio could not read that. Load the page again, then try once more."

TEXTS = (
    b"",
    b"\xff",
    b"\x80\xfe=\xff",
    b"%ff%00%ed%a0%80",
    b"9" * 5000,
    "٣²½".encode(),
    b"../../etc",
    b"'\"<>;--\\",
    b"0001-01-01T00:00:00%2B14:00",
    b"9999-12-31T23:59:59-14:00",
    b"2024-01-01",
)
TYPES = (
    FORM,
    f"{FORM}; charset=nonsense",
    f"{FORM}; charset=utf-16",
    f"{FORM}; charset=rot13",
    f"{FORM}; charset=raw_unicode_escape",
    "multipart/form-data",
    MULTIPART,
    "multipart/form-data; boundary=",
    "multipart/form-data; boundary=" + "x" * 100,
    "multipart/mixed; boundary=x",
    "application/json; charset=nonsense",
    "application/json; charset=utf-7",
    "application/json",
    "",
    ";;;=",
)
PART = b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n--x--\r\n'
BODIES = (
    *TEXTS,
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b'{"event": "event-0001", "button": "v1:info:\\ud800"}',
    b'{"event": "event-0001", "button": "v1:try:\\ud800"}',
    b'{"event": "event-0001", "button": "v1:pick:x:' + b"9" * 5000 + b'"}',
    b'{"text": "a fox --source x:' + b"9" * 5000 + b'"}',
    b'{"text": "\\ud800 --source \\udfff", "option": "seed", "value": "' + b"9" * 5000 + b'"}',
    b"password=%ff&name=%ff",
    b"password=\\ud800&name=\\ud800",
    b"name=+2AA-&password=+2AA-",
    b"--x",
    b"--x\r\n\r\n",
    b"--x--",
    b"--x\r\nno header\r\n\r\n\r\n--x--",
    b"--x\r\n" + b"a: b\r\n" * 500 + b"\r\nx\r\n--x--\r\n",
    PART % (b"text", b"\r\nContent-Transfer-Encoding: nonsense", b"x"),
    PART % (b"text", b"\r\nContent-Transfer-Encoding: base64", b"x"),
    PART % (b"text", b"\r\nContent-Encoding: gzip", b"x"),
    PART % (b"text", b"\r\nContent-Type: text/plain; charset=nonsense", b"x"),
    PART % (b"text", b"\r\nContent-Type: multipart/mixed", b"x"),
    PART % (b"text", b"\r\nContent-Length: 99999", b"x"),
    PART % (b"_charset_", b"", b"nonsense"),
    PART % (b"password", b'; filename="x"', b"x"),
    PART % (b"event", b"", b"\xff" * 8),
)
PLACES = ("/", "/line", "/gallery", "/login", "/healthz", "/jobs/x", "/api/nowhere", "/static/x/easel.js")
POSTS = (
    "/login",
    "/logout",
    "/name",
    "/api/send",
    "/api/press",
    "/api/compose",
    "/api/complete",
    "/api/source",
)
QUERIES = ("before", "search", "style", "by", "text", "picture", "width")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[WebHouse]:
    async with web_house(tmp_path) as house:
        yield house


async def raw(house: WebHouse, method: str, target: bytes, headers: list[bytes], body: bytes = b"") -> bytes:
    """The answer to a request that no client library would send."""
    host, _, port = house.url.removeprefix("http://").partition(":")
    head = [
        method.encode() + b" " + target + b" HTTP/1.1",
        b"Host: localhost",
        b"Connection: close",
        *headers,
    ]
    head.append(b"Content-Length: %d" % len(body))
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(b"\r\n".join(head) + b"\r\n\r\n" + body)
            return await reader.read()
        finally:
            writer.close()


async def post(house: WebHouse, path: str, type: str, body: bytes, *more: bytes) -> bytes:
    return await raw(house, "POST", path.encode(), [b"Content-Type: " + type.encode(), *more], body)


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@contextmanager
def no_traceback() -> Iterator[None]:
    with capture_logs() as logs:
        yield
    assert [line for line in logs if line["log_level"] == "error"] == []


# --- one by one -------------------------------------------------------------------------------------------


async def test_a_session_of_odd_bytes_is_no_session(tmp_path: Path) -> None:
    async with web_house(tmp_path, password="secret") as house:
        with no_traceback():
            answer = await raw(house, "GET", b"/", [b"Cookie: easel_session=1.\xff"])

    assert status(answer) == 303


@pytest.mark.parametrize(
    ("type", "body", "expected"),
    [
        (FORM, b"\xff", 400),
        (FORM, b"password=%ff&name=Ana", 403),
        (f"{FORM}; charset=nonsense", b"password=x", 400),
        ("multipart/form-data", b"password=x", 400),
        (MULTIPART, b"password=x", 400),
    ],
)
async def test_a_login_that_cannot_be_read_is_one_sentence(
    tmp_path: Path, type: str, body: bytes, expected: int
) -> None:
    async with web_house(tmp_path, password="secret") as house:
        with no_traceback():
            answer = await post(house, "/login", type, body)

    assert status(answer) == expected
    assert (SENTENCE in answer) is (expected == 400)


@pytest.mark.parametrize("path", ["/", "/gallery"])
@pytest.mark.parametrize(
    "before",
    ["0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00", "2024-01-01T00:00:00", "yesterday"],
)
async def test_a_moment_that_is_none_is_one_sentence(house: WebHouse, path: str, before: str) -> None:
    with no_traceback():
        answer = await raw(house, "GET", f"{path}?before={before}".encode(), [])

    assert status(answer) == 400 and SENTENCE in answer


@pytest.mark.parametrize(
    ("path", "type", "body"),
    [
        ("/api/send", FORM, b"text=a fox"),
        ("/api/send", "multipart/form-data", b"--x--"),
        ("/api/send", MULTIPART, b"--x\r\n\r\n"),
        ("/api/send", MULTIPART, b"--x\r\n" + b"a: b\r\n" * 500 + b"\r\nx\r\n--x--\r\n"),
        ("/api/press", "application/json; charset=nonsense", b"{}"),
        ("/api/press", "application/json", b"\xff"),
        ("/api/press", "application/json", b"[" * 100_000),
        ("/api/compose", "application/json", b'{"text": "\\ud800"}'),
        ("/api/complete", "application/json", b'{"text": "\\ud800"}'),
        ("/api/source", "application/json", b"{}"),
        ("/name", "multipart/form-data", b"name=Ana"),
    ],
)
async def test_a_body_that_cannot_be_read_is_one_sentence(
    house: WebHouse, path: str, type: str, body: bytes
) -> None:
    with no_traceback():
        answer = await post(house, path, type, body)

    assert status(answer) == 400 and SENTENCE in answer
    assert await house.jobs() == []


async def test_a_body_that_is_not_compressed_as_it_says_is_one_sentence(house: WebHouse) -> None:
    with no_traceback():
        answer = await post(house, "/api/press", "application/json", b"not gzip", b"Content-Encoding: gzip")

    assert status(answer) == 400


async def test_a_number_too_long_to_be_meant_is_no_number(house: WebHouse) -> None:
    job = await house.painted(house.person("Ana"), "a fox --count 2")
    with no_traceback():
        answer = await raw(house, "GET", f"/jobs/{job.id}?picture={'9' * 5000}".encode(), [])
        text = f'{{"text": "a fox --source {job.id}:{"9" * 5000}"}}'
        composed = await post(house, "/api/compose", "application/json", text.encode())

    assert status(answer) == status(composed) == 200
    assert b"Image 1 of 2" in answer
    assert [number(text) for text in ("7", "0", "-1", "9" * 5000, "²", "")] == [7, 0, None, None, None, None]


def test_a_moment_is_read_with_its_zone() -> None:
    assert moment("2024-02-03T04:05:06+02:00") == datetime(2024, 2, 3, 2, 5, 6, tzinfo=UTC)
    assert moment("") is None
    with pytest.raises(web.HTTPBadRequest):
        moment("2024-02-03T04:05:06")


# --- by the hundred ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", ["", "secret"])
async def test_nothing_that_is_sent_breaks_the_studio(tmp_path: Path, password: str) -> None:
    """Seeded, so that what it finds is found again."""
    dice = random.Random(7)
    broken: list[tuple[str, bytes, list[bytes], bytes]] = []
    async with web_house(tmp_path, password=password) as house:
        with no_traceback():
            for _ in range(200):
                request = _odd(dice)
                if status(await raw(house, *request)) >= 500:
                    broken.append(request)

    assert broken == []


def _odd(dice: random.Random) -> tuple[str, bytes, list[bytes], bytes]:
    name = dice.choice((SESSION_COOKIE, NAME_COOKIE, "easel_theme")).encode()
    headers = [b"Cookie: " + name + b"=" + dice.choice((b"", b"1.", b".")) + dice.choice(TEXTS)]
    if dice.random() < 0.4:
        headers.append(b"X-Easel-Part: " + dice.choice(TEXTS))
        target = dice.choice(PLACES).encode() + b"?" + dice.choice(QUERIES).encode() + b"="
        return "GET", target + dice.choice(TEXTS), headers, b""
    headers.append(b"Content-Type: " + dice.choice(TYPES).encode())
    return "POST", dice.choice(POSTS).encode(), headers, dice.choice(BODIES)


@pytest.mark.parametrize(
    ("header", "spoken"),
    [
        ("de-DE,de;q=0.9,en;q=0.8", "de"),
        ("en;q=0.5, de;q=0.7", "de"),
        ("it, en;q=0.5, de;q=0.2", "en"),
        ("it, *;q=0.5", ""),
        ("", ""),
        ("de;q=x, en;q=0.1", "de"),
        (";;;,,,q=1", ""),
    ],
)
def test_the_first_language_that_is_asked_for_and_spoken(header: str, spoken: str) -> None:
    assert language(make_mocked_request("GET", "/", headers={"Accept-Language": header})) == spoken

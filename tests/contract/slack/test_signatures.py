"""The guard in front of HTTP mode: whatever is malformed is answered 401, and nothing of it is logged."""

from __future__ import annotations

import asyncio
import io
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, TCPConnector

from bot.settings import Secret
from tests.contract.slack.conftest import Opens
from tests.contract.slack.house import House
from tests.contract.slack.wire import Wire

CANARY = "a-canary-that-nobody-may-see"
ODD_STAMPS = (
    "",
    "0",
    "-1",
    "nan",
    "inf",
    "1e9",
    "0x10",
    "٣٤٥",
    "²",
    "9" * 400,
    "1531420618",
    " 12 ",
    "12.5",
    "true",
    "\u2066now",
    "99999999999",
)
ODD_SIGNATURES = (
    "",
    "v0=",
    "v0",
    "v1=" + "a" * 64,
    "v0=" + "a" * 63,
    "v0=" + "A" * 64,
    "v0=" + "é" * 64,
    "v0=" + "０" * 64,
    "=" * 100,
    "v0=" + "0" * 5000,
    "null",
    "v0=\u2066" + "a" * 64,
)
KINDS = (
    "application/json",
    "application/x-www-form-urlencoded",
    "text/plain",
    "multipart/form-data",
    "é",
    "",
)

Headers = list[tuple[str, str]]


def odd_request(dice: random.Random, wire: Wire) -> tuple[Headers, bytes]:
    """Headers and a body that Slack has not signed."""
    body = odd_body(dice)
    stamp = dice.choice((*ODD_STAMPS, str(int(time.time()))))
    signature = dice.choice((*ODD_SIGNATURES, f"v0={dice.getrandbits(256):064x}"))
    match dice.randrange(6):
        case 0:  # right, but old or early
            good = wire.signature(
                body.decode(errors="replace"), at=time.time() + dice.choice((-301, 360, -1e6))
            )
            stamp, signature = good["X-Slack-Request-Timestamp"], good["X-Slack-Signature"]
            body = body.decode(errors="replace").encode()
        case 1:  # right, for another body
            good = wire.signature(CANARY)
            stamp, signature = good["X-Slack-Request-Timestamp"], good["X-Slack-Signature"]
            body = body or b"x"
        case 2:  # signed with another secret
            good = Wire({"oauth_config": {"scopes": {"bot": []}}}).signature(body.decode(errors="replace"))
            stamp, signature = good["X-Slack-Request-Timestamp"], good["X-Slack-Signature"][:-1] + "g"
    headers = [("Content-Type", dice.choice(KINDS))]
    headers += [("X-Slack-Request-Timestamp", stamp)] * dice.choice((0, 1, 1, 1, 1, 2))
    headers += [("X-Slack-Signature", signature)] * dice.choice((0, 1, 1, 1, 1, 2))
    headers += [("X-Slack-Retry-Num", dice.choice(("1", "nan", "é")))] * dice.randrange(2)
    return headers, body


def odd_body(dice: random.Random) -> bytes:
    match dice.randrange(7):
        case 0:
            return b""
        case 1:
            return dice.randbytes(dice.randrange(300))
        case 2:
            return f'{{"type": "event_callback", "text": "{CANARY}"'.encode()
        case 3:
            return f"payload=%7B{CANARY}".encode()
        case 4:
            return b"\x00" * 50 + CANARY.encode()
        case 5:
            return ("[" * 5000 + CANARY).encode()
    return f"command=%2Fimagine&text={CANARY}&token=x".encode()


@asynccontextmanager
async def guarded(opened: Opens) -> AsyncIterator[House]:
    async with opened(slack_app_token=Secret(), slack_http_port=0) as house:
        yield house


async def test_ten_thousand_odd_requests_are_answered_401(
    opened: Opens, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    dice = random.Random(4)
    async with (
        guarded(opened) as house,
        ClientSession(connector=TCPConnector(limit=8), skip_auto_headers=["Content-Type"]) as session,
    ):
        counted: dict[int, int] = {}

        async def send() -> None:
            headers, body = odd_request(dice, house.wire)
            async with session.post(house.wire.request_url, data=body, headers=headers) as answer:
                counted[answer.status] = counted.get(answer.status, 0) + 1
                assert CANARY not in await answer.text()

        for _ in range(1250):
            await asyncio.gather(*(send() for _ in range(8)))
        assert counted == {401: 10_000}
        assert await house.jobs() == []
        await house.painted()  # and it still works

    printed = "".join(capfd.readouterr()) + caplog.text
    assert CANARY not in printed and "Traceback" not in printed


RAW = {
    "bytes that are no text": b"X-Slack-Signature: v0=\xff\xfe\xfa\r\nX-Slack-Request-Timestamp: \xff\r\n",
    "an odd Expect": b"Expect: the-spanish-inquisition\r\n",
    "a length that lies": b"X-Slack-Signature: v0=" + b"a" * 64 + b"\r\n",
    "a packed body": b"Content-Encoding: gzip\r\n",
    "a packed body that is none": b"Content-Encoding: deflate, br, what\r\n",
    "a form without a boundary": b"Content-Type: multipart/form-data\r\n",
    "an unknown charset": b"Content-Type: application/json; charset=klingon\r\n",
    "a name twice": b"X-Slack-Request-Timestamp: 1\r\n" * 50,
}


@pytest.mark.parametrize("headers", RAW.values(), ids=RAW.keys())
async def test_what_no_library_would_send_is_answered_401(opened: Opens, headers: bytes) -> None:
    async with guarded(opened) as house:
        body = CANARY.encode()
        start = b"POST /slack/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        end = b"Content-Length: %d\r\n\r\n" % len(body)
        reader, writer = await asyncio.open_connection("127.0.0.1", house.adapter.port)
        try:
            writer.write(start + headers + end + body)
            await writer.drain()
            async with asyncio.timeout(20):
                answer = await reader.read()
        finally:
            writer.close()

    assert answer.split(b"\r\n")[0].split()[1] == b"401", answer[:300]
    assert CANARY.encode() not in answer


async def test_a_body_that_is_too_long_is_answered_401(opened: Opens) -> None:
    async with guarded(opened) as house, ClientSession() as session:
        body = "x" * (3 << 20)
        sent = session.post(
            house.wire.request_url, data=io.BytesIO(body.encode()), headers=house.wire.signature(body)
        )
        async with sent as answer:
            assert answer.status == 401


SIGNED = {
    "no words": "",
    "no JSON": "{",
    "a list": "[]",
    "a number": "7",
    "null": "null",
    "deep": "[" * 3000,
    "a form without a payload": "a=b",
    "a payload that is none": "payload=%7B",
    "a payload that is a list": "payload=[]",
    "an event of nothing": '{"type": "event_callback"}',
    "an event that is null": '{"type": "event_callback", "event": null, "team_id": null}',
    "an unknown event": '{"type": "event_callback", "team_id": "T1HOME", "event": {"type": "who"}}',
    "a press of nothing": 'payload={"type": "block_actions", "actions": [], "user": {"id": "U2ADA"}}',
    "a form of nothing": 'payload={"type": "view_submission", "view": {}, "user": {"id": "U2ADA"}}',
    "surrogates": '{"type": "event_callback", "event": {"type": "message", "text": "\\ud800"}}',
}


@pytest.mark.parametrize("body", SIGNED.values(), ids=SIGNED.keys())
@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
async def test_what_is_signed_and_odd_is_never_a_failure_of_ours(opened: Opens, body: str, kind: str) -> None:
    async with guarded(opened) as house, ClientSession() as session:
        headers = {"Content-Type": kind} | house.wire.signature(body)
        async with session.post(house.wire.request_url, data=body.encode(), headers=headers) as answer:
            assert answer.status < 500, await answer.text()
        await house.painted()

"""The text model against a server on loopback that answers as OpenAI's chat completions do, or does not."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.rewriting import text_model
from bot.rewriting.text_model import LateWords, NoWords, TextModel

PROMPT = "please paint a very beautiful red fox in the snow"
KEY = "sk-secret-0123"


def answered(content: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    return {"id": "1", "object": "chat.completion", "choices": [{"index": 0, "message": message}]}


class Server:
    """What it answers is set by each test."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[dict[str, Any]] = []
        self.headers: list[str] = []
        self.body: Any = answered("a red fox in the snow")
        self.status = 200
        self.free = asyncio.Event()  # until then it is thinking
        self.free.set()
        self.breaks_off = False

    async def complete(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(await request.json())
        self.headers.append(request.headers.get("Authorization", ""))
        await self.free.wait()
        if self.breaks_off:
            response = web.StreamResponse(headers={"Content-Length": "1000"})
            await response.prepare(request)
            await response.write(b'{"choices": [')
            assert request.transport
            request.transport.abort()
            return response
        if self.status in (301, 302, 307):
            raise web.HTTPTemporaryRedirect("/v1/elsewhere")
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        return web.Response(body=body, status=self.status, content_type="application/json")


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", made.complete)
    async with TestServer(app, host="127.0.0.1") as running:
        made.url = str(running.make_url("/v1"))
        yield made
        made.free.set()


@pytest.fixture
async def model(server: Server) -> AsyncIterator[TextModel]:
    made = TextModel(server.url, "tiny-chat", KEY, patience=20.0)
    yield made
    await made.close()


async def test_the_words_come_from_the_model_that_is_named_with_the_key(
    server: Server, model: TextModel
) -> None:
    assert await model.rewrite("shorten", PROMPT) == "a red fox in the snow"
    (asked,) = server.asked
    assert asked["model"] == "tiny-chat" and asked["stream"] is False
    assert [each["role"] for each in asked["messages"]] == ["system", "user"]
    assert asked["messages"][1]["content"] == PROMPT
    assert server.headers == [f"Bearer {KEY}"]


async def test_the_same_is_asked_once(server: Server, model: TextModel) -> None:
    for _turn in range(3):
        await model.rewrite("shorten", PROMPT)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('"a red fox"', "a red fox"),
        ("“a red fox”\n", "a red fox"),
        ("<think>shorter … the user wants a fox</think>\n a red\nfox", "a red fox"),
        ("a red fox --model x --count 16", "a red fox model x count 16"),
        ("a {red,blue} fox", "a red,blue fox"),
    ],
)
async def test_nothing_but_words_is_taken(server: Server, model: TextModel, content: str, words: str) -> None:
    server.body = answered(content)
    assert await model.rewrite("shorten", PROMPT) == words


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not JSON",
        b"null",
        b"[]",
        b"{}",
        b"[" * 60_000,
        b"\xff\xfe",
        {"choices": []},
        {"choices": [{}]},
        {"choices": [{"message": None}]},
        {"choices": "a fox"},
        answered(None),
        answered(7),
        answered(""),
        answered(' "" '),
        answered("<think>a fox</think>"),
        answered("/admin set"),
        answered("a fox " * 1000),
        answered(PROMPT + " and more"),  # asked to shorten
        b"x" * 200_000,
    ],
)
async def test_nonsense_is_no_words(server: Server, model: TextModel, body: object) -> None:
    server.body = body
    with pytest.raises(NoWords):
        await model.rewrite("shorten", PROMPT)


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 307])
async def test_a_server_that_refuses_is_left_alone_for_a_while(
    server: Server, model: TextModel, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.status = status
    for _turn in range(3):
        with pytest.raises(NoWords):
            await model.rewrite("shorten", PROMPT)
    assert len(server.asked) == 1

    later = time.monotonic() + text_model.PAUSE + 1
    monkeypatch.setattr(text_model.time, "monotonic", lambda: later)
    server.status = 200
    assert await model.rewrite("shorten", PROMPT) == "a red fox in the snow"


async def test_an_answer_that_breaks_off_is_no_words(server: Server, model: TextModel) -> None:
    server.breaks_off = True
    with pytest.raises(NoWords):
        await model.rewrite("shorten", PROMPT)


async def test_a_server_that_is_not_there_costs_less_than_a_second(unused_tcp_port: int) -> None:
    model = TextModel(f"http://127.0.0.1:{unused_tcp_port}/v1", "tiny-chat")
    begun = time.monotonic()
    for _turn in range(20):
        with pytest.raises(NoWords):
            await model.rewrite("expand", PROMPT)
    assert time.monotonic() - begun < 1
    await model.close()


async def test_a_server_that_never_accepts_costs_less_than_a_second() -> None:
    """Its queue of connections is full, so that a connection is not even refused."""
    import socket

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for each in fillers:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        model = TextModel(f"http://127.0.0.1:{port}/v1", "tiny-chat")
        begun = time.monotonic()
        for prompt in ("a fox", "a whale"):
            with pytest.raises(NoWords):
                await model.rewrite("expand", prompt)
        assert time.monotonic() - begun < 2 * text_model.PATIENCE + 0.3
        await model.close()
        for each in fillers:
            each.close()


async def test_a_slow_answer_is_there_for_whoever_asks_again(server: Server) -> None:
    model = TextModel(server.url, "tiny-chat", patience=0.05)
    server.free.clear()
    with pytest.raises(LateWords):
        await model.rewrite("shorten", PROMPT)
    server.free.set()
    async with asyncio.timeout(20):
        while True:
            try:
                assert await model.rewrite("shorten", PROMPT) == "a red fox in the snow"
                break
            except LateWords:
                await asyncio.sleep(0)
    assert len(server.asked) == 1
    await model.close()


async def test_many_slow_answers_are_not_waited_for_at_once(server: Server) -> None:
    model = TextModel(server.url, "tiny-chat", patience=0.01)
    server.free.clear()
    late = 0
    for number in range(text_model.AT_ONCE + 5):
        try:
            await model.rewrite("expand", f"{PROMPT} {number}")
        except LateWords:
            late += 1
        except NoWords:
            pass
    assert late == text_model.AT_ONCE
    await model.close()


async def test_an_answer_that_never_comes_is_given_up(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_model, "LATEST", 0.05)
    model = TextModel(server.url, "tiny-chat", patience=20.0)
    server.free.clear()
    with pytest.raises(NoWords, match=r"no answer within 0\.05 s"):
        await model.rewrite("shorten", PROMPT)
    await model.close()


async def test_the_key_and_people_s_words_are_in_no_log(
    server: Server, model: TextModel, capsys: pytest.CaptureFixture[str]
) -> None:
    server.status = 401
    with pytest.raises(NoWords) as caught:
        await model.rewrite("shorten", PROMPT)
    server.status, server.breaks_off = 200, True
    model._closed_until = 0.0
    with pytest.raises(NoWords):
        await model.rewrite("shorten", PROMPT)
    heard = "".join(capsys.readouterr())
    assert "the text model gave no words" in heard and "status 401" in heard
    for secret in (KEY, "Bearer", "fox"):
        assert secret not in heard and secret not in str(caught.value) and secret not in repr(caught.value)

"""Whatever is sent to the API, it is answered in OpenAI's form, and never with a fault of the server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.adapters.api.fields import EASEL, EXTENSIONS, OPENAI, WITHOUT_EFFECT
from tests.contract.api.house import ApiHouse, Program, Said, api_house, said

NAMES = sorted(
    {each.name for each in (*OPENAI, *WITHOUT_EFFECT, *EASEL)} | set(EXTENSIONS) | {"image", "mask"}
)
SENSIBLE = {
    "prompt": ["a fox", "a {red, blue} fox --ar 16:9", "--no", "two cats, wide", '"', "a fox --n 2"],
    "n": [1, 2, "1", 0],
    "size": ["64x64", "auto", "1e9x1", "0x0", "-1x5", "99999x9"],
    "model": ["memory", "gpt-image-1", "x"],
    "source": ["1a2b3c4d5e6f:2", "x:source"],
    "stream": [True, False, "true"],
    "steps": [1, 2],
    "priority": ["fast", "relax"],
    "webhook": ["http://127.0.0.1/", "http://a..b/", "http://[x", "https://\u2025:99999/"],
}
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=30)
    | st.text(alphabet=st.characters(), max_size=5)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def bodies(draw: Any) -> dict[str, Any]:
    """Some fields, each with a sensible value or any other; mostly with a prompt."""
    names = draw(st.lists(st.sampled_from(NAMES), max_size=5, unique=True))
    found = {"prompt": "a fox"} if draw(st.integers(0, 4)) else {}
    for name in names:
        found[name] = draw((st.sampled_from(SENSIBLE[name]) | values) if name in SENSIBLE else values)
    return found


raw = st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass"))
headers = st.fixed_dictionaries(
    {
        "Content-Type": st.sampled_from(
            ["application/json", "multipart/form-data; boundary=x", "text/plain", "x", "multipart/form-data"]
        )
    },
    optional={
        "Idempotency-Key": st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), max_size=300),
        "Accept-Language": st.sampled_from(["de", "fr;q=0.3, x", ";;q=9"]),
        "Content-Encoding": st.sampled_from(["gzip", "identity"]),
    },
)
requests = st.tuples(
    st.sampled_from(["/v1/images/generations", "/v1/images/edits"]),
    bodies().map(lambda body: (json.dumps(body).encode(), {"Content-Type": "application/json"}))
    | st.tuples(raw, headers),
)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[asyncio.Runner, Program]]:
    """A program, and the loop that its house runs in: hypothesis calls no coroutines."""
    with asyncio.Runner() as runner, ExitStack() as stack:
        opening = api_house(tmp_path_factory.mktemp("fuzz"))
        house: ApiHouse = runner.run(opening.__aenter__())
        stack.callback(lambda: runner.run(opening.__aexit__(None, None, None)))
        yield runner, runner.run(house.program(scope="relaxed"))


async def send(program: Program, path: str, body: bytes, more: dict[str, str]) -> Said:
    async with program.session.post(
        f"{program.url}{path}", data=body, headers=program.headers(more)
    ) as response:
        return await said(response)


def check(runner: asyncio.Runner, program: Program, request: Any) -> None:
    path, (body, more) = request
    answer = runner.run(send(program, path, body, more))
    assert answer.status < 500, answer.raw
    if answer.status != 200:
        assert answer.error["message"].strip()


@given(request=requests)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_request_is_a_fault_of_the_server(asked: tuple[asyncio.Runner, Program], request: Any) -> None:
    check(*asked, request)


@pytest.mark.soak
@given(request=requests)
@settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
def test_none_of_ten_thousand_requests_is_a_fault_of_the_server(
    asked: tuple[asyncio.Runner, Program], request: Any
) -> None:
    check(*asked, request)

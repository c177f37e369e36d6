"""Jobs that a program does not wait for, and the webhook that tells of their end."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.adapters.api import webhooks
from bot.adapters.api.webhooks import Webhooks
from bot.errors import TryLater, Unreachable
from bot.models import State
from tests.contract.api.house import ADA, BEN, ApiHouse, Program, Said, api_house
from tests.examples import a_job

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATIENCE = 20.0  # seconds; only a broken API needs them


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ApiHouse]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(webhooks, "AGAIN", 0.05)
        patch.setattr(webhooks, "PATIENCE", 0.3)
        folder = tmp_path_factory.mktemp("jobs")
        async with api_house(folder, api_webhook_networks=("127.0.0.0/8",), step_seconds=0.05) as opened:
            yield opened


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def ada(house: ApiHouse) -> Program:
    return await house.program()


@dataclass
class Receiver:
    """A program's own server; `answers` says what it answers, the last for ever."""

    url: str = ""
    answers: list[Callable[[], web.StreamResponse]] = field(default_factory=list)
    got: list[tuple[dict[str, str], str]] = field(default_factory=list)
    new: asyncio.Event = field(default_factory=asyncio.Event)
    slow: list[float] = field(default_factory=list)  # seconds before each answer

    async def hook(self, request: web.Request) -> web.StreamResponse:
        self.got.append((dict(request.headers), await request.text()))
        self.new.set()
        if self.slow:
            await asyncio.sleep(self.slow.pop(0))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(self.got) < count:
                self.new.clear()
                await self.new.wait()


@asynccontextmanager
async def receiver(*answers: Callable[[], web.StreamResponse]) -> AsyncIterator[Receiver]:
    found = Receiver(answers=list(answers) or [web.Response])
    app = web.Application()
    app.router.add_post("/{path:.*}", found.hook)
    async with TestServer(app) as server:
        found.url = str(server.make_url("/hook"))
        yield found


async def created(program: Program, **body: object) -> Said:
    said = await program.post("/v1/jobs", {"prompt": "a red fox", **body})
    assert said.status == 202, said.body
    return said


async def ended(program: Program, id: str) -> dict[str, object]:
    async with asyncio.timeout(PATIENCE):
        while True:
            said = await program.get(f"/v1/jobs/{id}")
            assert said.status == 200
            if said.body["status"] not in ("queued", "in_progress"):
                return dict(said.body)
            await asyncio.sleep(0.02)


async def test_a_job_is_accepted_at_once_and_looked_at_later(house: ApiHouse, ada: Program) -> None:
    accepted = (await created(ada, n=2, seed=3)).body
    assert accepted["object"] == "job" and accepted["status"] in ("queued", "in_progress")
    assert accepted["data"] == [] and "webhook_secret" not in accepted

    done = await ended(ada, accepted["id"])
    assert (done["status"], done["seeds"]) == ("completed", [3, 4])
    for each in done["data"]:  # type: ignore[attr-defined]
        shown = await house.stranger().get(each["url"].removeprefix(house.web.url))
        assert shown.status == 200 and shown.headers["Content-Type"] == "image/png"


async def test_a_job_is_cancelled_by_its_person_alone(house: ApiHouse, ada: Program) -> None:
    ben = await house.program(BEN)
    id = (await created(ada, private=False, steps=50)).body["id"]
    address = f"{ada.url}/v1/jobs/{id}"
    assert (await ben.get(f"/v1/jobs/{id}")).status == 404
    async with ben.session.delete(address, headers=ben.headers()) as response:
        assert response.status == 404
    async with ada.session.delete(address, headers=ada.headers()) as response:
        assert (await response.json())["status"] == "cancelled"
    assert (await ada.get("/v1/jobs/000000000000")).status == 404


async def test_a_webhook_is_told_of_the_end_and_signed(house: ApiHouse, ada: Program) -> None:
    async with receiver() as there:
        accepted = (await created(ada, webhook=there.url)).body
        await there.until(1)
        await house.web.until(accepted["id"], State.RENDERED)
    [(headers, body)] = there.got
    told = json.loads(body)
    assert (told["type"], told["data"]["id"]) == ("job.completed", accepted["id"])
    assert told["data"]["data"][0]["url"].startswith(house.web.url)
    assert headers["webhook-id"] == accepted["id"]
    secret = base64.b64decode(accepted["webhook_secret"].removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}".encode()
    expected = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


async def test_a_webhook_is_tried_again_until_it_answers_well(house: ApiHouse, ada: Program) -> None:
    """After a fault, a redirect that is not followed, and an answer that comes too slowly."""
    async with receiver() as elsewhere, receiver() as there:
        there.answers = [
            lambda: web.Response(status=500),
            lambda: web.Response(status=307, headers={"Location": elsewhere.url}),
            web.Response,
        ]
        there.slow = [0.0, 0.0, 0.6]
        accepted = (await created(ada, webhook=there.url)).body
        await there.until(4)
        job = await house.web.until(accepted["id"], State.RENDERED)
    assert elsewhere.got == [] and job.delivered
    assert len({headers["webhook-id"] for headers, _ in there.got}) == 1


PRIVATE = (
    "http://10.0.0.1/hook",
    "http://192.168.1.1:8080/",
    "http://169.254.169.254/latest/meta-data",
    "http://[::1]/hook",
    "http://[::ffff:10.0.0.1]/",
    "http://[64:ff9b::a00:1]/",
    "http://0.0.0.0/",
)


@pytest.mark.parametrize(
    "url",
    [
        *PRIVATE,
        "ftp://example.org/",
        "nonsense",
        "http://a:b@example.org/",
        "http://[x/",
        "http://a..b/",
        f"http://{'a' * 70}/",
    ],
)
async def test_an_address_that_may_not_be_told_is_refused(ada: Program, url: str) -> None:
    said = await ada.post("/v1/jobs", {"prompt": "a red fox", "webhook": url})

    assert (said.status, said.error["param"]) == (400, "webhook")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433"])
async def test_a_name_that_leads_here_later_is_not_told_either(host: str) -> None:
    """The connection itself looks at it: what a name stood for when it was asked for does not count."""
    async with receiver() as there:
        hooks = Webhooks(b"key")
        url = there.url.replace("127.0.0.1", host)
        job = replace(a_job(), finished=datetime.now(UTC))
        with pytest.raises(TryLater):
            await hooks.tell(url, "1", job, {"status": "completed"})
        with pytest.raises(Unreachable):
            old = replace(job, finished=datetime.now(UTC) - timedelta(days=2))
            await hooks.tell(url, "1", old, {"status": "completed"})
    assert there.got == []


async def test_a_webhook_that_is_owed_is_told_after_a_restart(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("restart")
    networks = {"api_webhook_networks": ("127.0.0.0/8",)}
    async with receiver(lambda: web.Response(status=503)) as there:
        async with api_house(folder, **networks) as first:
            accepted = (await created(await first.program(), webhook=there.url)).body
            await there.until(1)
            owed = await first.web.easel.visibility.job(accepted["id"], ADA)
            assert owed.state is State.RENDERED and owed.delivered is None
        there.answers = [web.Response]
        told = len(there.got)
        async with api_house(folder, **networks) as second:
            await there.until(told + 1)
            await second.web.until(accepted["id"], State.RENDERED)
    assert {headers["webhook-id"] for headers, _ in there.got} == {accepted["id"]}

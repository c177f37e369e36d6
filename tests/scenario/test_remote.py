"""A studio without a GPU: its images come from a server, and are paid for out of a budget."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from PIL import Image

from bot.models import Job, Member, Origin, State
from engine.remote.models import RemoteModels
from engine.types import Engine
from engine.workers.process import ProcessEngine
from tests.contract.api.house import ADA, BEN, ApiHouse
from tests.image_server import KEY, ImageServer, image_server, says
from tests.web import web_house

TABLE = {
    "title": "GPT Image 2",
    "currency": "EUR",
    "price": {"1024x1024": "0.05", "other": "0.08"},
    "partial_images": 2,
}


def engine_of(server: ImageServer) -> Callable[[Callable[[str], bytes]], Engine]:
    """Return what makes an engine that has nothing but a server."""

    def build(read: Callable[[str], bytes]) -> Engine:
        return ProcessEngine(
            models=(f"openai:{server.url}#gpt-image-2",),
            device="auto",
            read=read,
            remotes=RemoteModels({"gpt-image-2": TABLE}),
            key=lambda model, host: KEY,
        )

    return build


@asynccontextmanager
async def opened(folder: Path, server: ImageServer) -> AsyncIterator[ApiHouse]:
    from aiohttp import ClientSession

    async with (
        web_house(folder, engine_of=engine_of(server), api_requests=10_000) as web,
        ClientSession() as session,
    ):
        yield ApiHouse(web, session, folder)


@asynccontextmanager
async def asked_by(house: ApiHouse, member: Member = ADA) -> AsyncIterator[AsyncOpenAI]:
    key = await house.key(member)
    async with AsyncOpenAI(base_url=f"{house.web.url}/v1", api_key=key, max_retries=0) as client:
        yield client


async def tells(house: ApiHouse, command: str, **options: Any) -> list[str]:
    chief = Member(tenant=ADA.tenant, id="web:chief", name="Chief", admin=True)
    origin = Origin(surface="web", member=chief, channel="studio", event=f"{command}-{options}")
    card: Any = await house.web.easel.router.handle(command, options, origin)
    return [str(line) for line in card.body]


async def money(house: ApiHouse) -> list[str]:
    return await tells(house, "admin quota money")


async def jobs(house: ApiHouse, member: Member = ADA) -> list[Job]:
    return await house.web.store.jobs(ADA.tenant, user=member.id, viewer=member.id)


async def test_a_team_without_a_gpu_has_images_a_budget_and_a_history(tmp_path: Path) -> None:
    async with image_server("openai") as server, opened(tmp_path, server) as house, asked_by(house) as client:
        await tells(house, "admin quota money", amount=0.25)
        made: Any = await client.images.generate(prompt="a red fox", n=2, size="1024x1024")  # type: ignore[arg-type]

        picture = Image.open(io.BytesIO(base64.b64decode(made.data[0].b64_json)))
        assert picture.size == (1024, 1024) and made.easel["model"] == "gpt-image-2"
        assert len(server.asked) == 2
        assert any(
            "0.10 of 0.25 EUR used this month" in line for line in await tells(house, "admin quota money")
        )
        (job,) = await jobs(house)
        assert job.state is State.RENDERED and job.device_seconds > 0

        with pytest.raises(openai.RateLimitError) as over:
            await client.images.generate(prompt="a red fox", n=4, size="1024x1024")
        assert over.value.code == "insufficient_quota" and "0.15 EUR are left" in over.value.message
        assert len(server.asked) == 2  # nothing was sent for it


async def test_people_at_once_never_spend_more_than_the_budget(tmp_path: Path) -> None:
    async with image_server("openai") as server, opened(tmp_path, server) as house:
        await tells(house, "admin quota money", amount=0.35)
        async with asked_by(house) as ada, asked_by(house, BEN) as ben:
            asked = [
                client.images.generate(prompt=f"fox {number}", size="1024x1024")
                for number in range(6)
                for client in (ada, ben)
            ]
            found = await asyncio.gather(*asked, return_exceptions=True)

        assert sum(not isinstance(each, BaseException) for each in found) == 7
        assert sum(isinstance(each, openai.RateLimitError) for each in found) == 5
        assert len(server.asked) == 7
        assert any("0.35 of 0.35 EUR" in line for line in await money(house))


async def test_a_refusal_of_the_service_is_explained_and_costs_nothing(tmp_path: Path) -> None:
    async with image_server("openai") as server, opened(tmp_path, server) as house, asked_by(house) as client:
        server.always = says(400, "moderation_blocked", "rejected by the safety system")
        with pytest.raises(openai.APIStatusError) as refused:
            await client.images.generate(prompt="a red fox", size="1024x1024")

        assert "refuses this prompt or image by its own rules" in refused.value.message
        (job,) = await jobs(house)
        assert job.state is State.FAILED and job.device_seconds == 0
        assert any("0.00 EUR used this month" in line for line in await money(house))


async def test_previews_of_the_server_are_previews_here(tmp_path: Path) -> None:
    async with image_server("openai") as server, opened(tmp_path, server) as house, asked_by(house) as client:
        stream = await client.images.generate(
            prompt="a red fox", size="1024x1024", stream=True, partial_images=2
        )
        kinds = [event.type async for event in stream]
        assert kinds[-1] == "image_generation.completed"


async def test_after_a_restart_only_what_is_missing_is_asked_for_again(tmp_path: Path) -> None:
    async with image_server("openai") as server:
        server.gate = asyncio.Event()
        async with opened(tmp_path, server) as house:
            program = await house.program()
            said = await program.post("/v1/jobs", {"prompt": "a red fox", "n": 2, "size": "1024x1024"})
            assert said.status == 202
            async with asyncio.timeout(20):
                while server.inside < 1:  # noqa: ASYNC110 — what is waited for is told by nobody
                    await asyncio.sleep(0.01)
        before = len(server.asked)
        server.gate.set()
        async with opened(tmp_path, server) as house:
            async with asyncio.timeout(20):
                while (await jobs(house))[0].state is not State.RENDERED:  # noqa: ASYNC110 — as above
                    await asyncio.sleep(0.05)
            (job,) = await jobs(house)
            assert len(job.singles) == 2
            names = [each.headers["Idempotency-Key"] for each in server.asked[before:]]
            assert sorted(names) == [f"{job.id}-0", f"{job.id}-1"]
            assert any("0.10 EUR used this month" in line for line in await money(house))

"""What the official `openai` client asks of the API, and makes of its answers and errors."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from PIL import Image, ImageChops, ImageStat

from engine.types import EngineJob
from tests.contract.api.house import ADA, BEN, ApiHouse, api_house
from tests.contract.api.test_images import png

PROMPT = "a red fox"


@pytest.fixture
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ApiHouse]:
    async with api_house(tmp_path_factory.mktemp("openai")) as found:
        yield found


@asynccontextmanager
async def client_of(house: ApiHouse, key: str = "", retries: int = 0) -> AsyncIterator[AsyncOpenAI]:
    key = key or await house.key()
    async with AsyncOpenAI(base_url=f"{house.web.url}/v1", api_key=key, max_retries=retries) as client:
        yield client


@pytest.fixture
async def client(house: ApiHouse) -> AsyncIterator[AsyncOpenAI]:
    async with client_of(house) as found:
        yield found


def opened(b64: str | None) -> Image.Image:
    assert b64
    return Image.open(io.BytesIO(base64.b64decode(b64)))


# ---- models


async def test_models_are_listed_and_retrieved(client: AsyncOpenAI) -> None:
    listed = [each async for each in client.models.list()]
    assert [each.object for each in listed] == ["model"]
    assert (await client.models.retrieve(listed[0].id)).id == listed[0].id
    with pytest.raises(openai.NotFoundError) as wrong:
        await client.models.retrieve("no-such")
    assert wrong.value.code == "model_not_found"


# ---- generations


async def test_an_image_comes_as_base64(client: AsyncOpenAI) -> None:
    made = await client.images.generate(prompt=PROMPT)
    assert made.data and len(made.data) == 1 and made.data[0].revised_prompt
    assert opened(made.data[0].b64_json).format == "PNG"
    assert made.usage and made.usage.total_tokens == 0 and made.created > 0


async def test_an_image_comes_by_an_address(house: ApiHouse, client: AsyncOpenAI) -> None:
    made = await client.images.generate(prompt=PROMPT, response_format="url", model="dall-e-3")
    assert made.data and made.data[0].url
    async with house.session.get(made.data[0].url) as answer:
        assert answer.status == 200 and answer.content_type == "image/png"


@pytest.mark.parametrize("count", [1, 2, 4])
async def test_as_many_images_as_asked_for(client: AsyncOpenAI, count: int) -> None:
    made = await client.images.generate(prompt=PROMPT, n=count)
    assert made.data and len(made.data) == count


@pytest.mark.parametrize(("format", "name"), [("png", "PNG"), ("jpeg", "JPEG"), ("webp", "WEBP")])
async def test_the_format_is_the_one_that_was_asked_for(client: AsyncOpenAI, format: Any, name: str) -> None:
    made = await client.images.generate(prompt=PROMPT, output_format=format)
    assert made.data and opened(made.data[0].b64_json).format == name
    assert made.output_format == format


@pytest.mark.parametrize("size", ["auto", "64x64", "128x64"])
async def test_the_size_is_the_one_that_was_asked_for(client: AsyncOpenAI, size: Any) -> None:
    made = await client.images.generate(prompt=PROMPT, size=size)
    assert made.data
    found = opened(made.data[0].b64_json).size
    assert size == "auto" or found == tuple(map(int, size.split("x")))


@pytest.mark.parametrize("model", ["gpt-image-2", "dall-e-3", "chatgpt-image-latest"])
async def test_openai_s_names_stand_for_the_first_model(client: AsyncOpenAI, model: str) -> None:
    made: Any = await client.images.generate(prompt=PROMPT, model=model)
    assert made.easel["model"] == (await client.models.list()).data[0].id


async def test_easel_s_own_fields_go_into_the_extra_body(client: AsyncOpenAI) -> None:
    own = {"seed": 7, "steps": 3, "negative_prompt": "blur"}
    first: Any = await client.images.generate(prompt=PROMPT, extra_body=own)
    again: Any = await client.images.generate(prompt=PROMPT, extra_body=own)
    assert first.easel["seeds"] == [7]
    one, other = (opened(each.data[0].b64_json).convert("RGB") for each in (first, again))
    apart = ImageStat.Stat(ImageChops.difference(one, other)).mean
    assert max(apart) < 4  # all but the invisible marks, which differ


@pytest.mark.parametrize(
    ("field", "value"), [("quality", "high"), ("moderation", "low"), ("style", "vivid"), ("user", "u-1")]
)
async def test_options_of_openai_s_are_taken(client: AsyncOpenAI, field: str, value: Any) -> None:
    made = await client.images.generate(prompt=PROMPT, **{field: value})
    assert made.data


async def test_a_stream_ends_with_the_image(client: AsyncOpenAI) -> None:
    kinds = []
    async for event in await client.images.generate(prompt=PROMPT, stream=True, partial_images=2):
        kinds.append(event.type)
        assert opened(event.b64_json).size
    assert kinds[-1] == "image_generation.completed"
    assert set(kinds[:-1]) <= {"image_generation.partial_image"}


async def test_the_raw_answer_has_its_headers(client: AsyncOpenAI) -> None:
    raw = await client.images.with_raw_response.generate(prompt=PROMPT)
    assert raw.headers["Cache-Control"] == "no-store" and raw.parse().data


# ---- edits


async def test_an_edit_of_one_image(client: AsyncOpenAI) -> None:
    made = await client.images.edit(image=("a.png", png()), prompt="make it blue")
    assert made.data and opened(made.data[0].b64_json).size


async def test_an_edit_of_several_images(client: AsyncOpenAI) -> None:
    images = [("a.png", png()), ("b.png", png())]
    made = await client.images.edit(image=images, prompt="put both together", n=2)
    assert made.data and len(made.data) == 2


async def test_an_edit_by_a_stream(client: AsyncOpenAI) -> None:
    stream = await client.images.edit(image=("a.png", png()), prompt="make it blue", stream=True)
    kinds = [event.type async for event in stream]
    assert kinds[-1] == "image_edit.completed"


async def test_an_edit_of_what_is_no_image(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        await client.images.edit(image=("a.png", b"hello"), prompt="make it blue")


# ---- errors become the client's own


async def test_an_unknown_key(house: ApiHouse) -> None:
    async with client_of(house, key="sk-easel-" + "0" * 64) as client:
        with pytest.raises(openai.AuthenticationError) as wrong:
            await client.images.generate(prompt=PROMPT)
    assert wrong.value.code == "invalid_api_key"


async def test_a_key_that_may_only_look_at_models(house: ApiHouse) -> None:
    async with client_of(house, key=await house.key(scope="models")) as client:
        assert (await client.models.list()).data
        with pytest.raises(openai.PermissionDeniedError) as wrong:
            await client.images.generate(prompt=PROMPT)
    assert wrong.value.code == "scope"


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 0},
        {"n": 11},
        {"n": "many"},
        {"size": "1e9x1"},
        {"size": "0x0"},
        {"size": "-64x64"},
        {"size": "99999999999999999999x64"},
        {"output_format": "gif"},
        {"partial_images": 9, "stream": True},
        {"prompt": ""},
        {"prompt": "x" * 100_000},
        {"response_format": "file"},
        {"output_format": "jpeg", "background": "transparent"},
    ],
)
async def test_what_cannot_be_asked_for(client: AsyncOpenAI, fields: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError) as wrong:
        await client.images.generate(**{"prompt": PROMPT, **fields})
    assert wrong.value.body and wrong.value.message


async def test_a_model_that_is_not_there(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as wrong:
        await client.images.generate(prompt=PROMPT, model="no-such")
    assert wrong.value.code == "model_not_found"


async def test_words_that_are_refused(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as wrong:
        await client.images.generate(prompt="a naked child")
    assert wrong.value.code == "moderation_blocked"


async def test_too_many_requests(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with (
        api_house(tmp_path_factory.mktemp("rate"), api_requests=1) as house,
        client_of(house) as client,
    ):
        await client.models.list()
        with pytest.raises(openai.RateLimitError) as wrong:
            await client.models.list()
    assert wrong.value.code == "rate_limit_exceeded"
    assert int(wrong.value.response.headers["Retry-After"]) >= 1


async def test_an_engine_that_fails_is_not_asked_again(tmp_path_factory: pytest.TempPathFactory) -> None:
    from engine.errors import EngineError

    asked: list[str] = []

    def fault(job: EngineJob) -> Exception:
        asked.append(job.id)
        return EngineError("broken")

    async with (
        api_house(tmp_path_factory.mktemp("broken"), fault=fault) as house,
        client_of(house, retries=2) as client,
    ):
        with pytest.raises(openai.InternalServerError) as wrong:
            await client.images.generate(prompt=PROMPT)
    assert wrong.value.code == "generation_failed"
    assert wrong.value.response.headers["X-Should-Retry"] == "false"
    assert len(set(asked)) == 1


# ---- asking again


async def test_the_same_idempotency_key_is_the_same_job(client: AsyncOpenAI) -> None:
    named = {"Idempotency-Key": "order-7"}
    first: Any = await client.images.generate(prompt=PROMPT, extra_headers=named)
    again: Any = await client.images.generate(prompt=PROMPT, extra_headers=named)
    assert first.easel["job"] == again.easel["job"]
    with pytest.raises(openai.ConflictError) as wrong:
        await client.images.generate(prompt="another", extra_headers=named)
    assert wrong.value.code == "idempotency_key_reused"


async def test_a_client_that_gives_up_and_asks_again_gets_the_same_job(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The client's own retries carry one Idempotency-Key, so a slow job is painted once."""
    async with (
        api_house(tmp_path_factory.mktemp("slow"), step_seconds=0.1) as house,
        client_of(house, retries=5) as client,
    ):
        made: Any = await client.images.generate(
            prompt=PROMPT, timeout=0.7, extra_headers={"Idempotency-Key": "slow-1"}, extra_body={"steps": 12}
        )
        jobs = await house.web.store.jobs(ADA.tenant, viewer=ADA.id)
        assert [each.id for each in jobs] == [made.easel["job"]]


async def test_a_client_that_goes_away_may_have_the_job_end(house: ApiHouse, client: AsyncOpenAI) -> None:
    task = asyncio.create_task(
        client.images.generate(prompt=PROMPT, extra_body={"if_disconnected": "finish"})
    )
    await task
    jobs = await house.web.store.jobs(ADA.tenant, viewer=ADA.id)
    assert len(jobs) == 1


async def test_each_key_asks_as_its_own_person(house: ApiHouse, client: AsyncOpenAI) -> None:
    async with client_of(house, key=await house.key(BEN)) as other:
        await other.images.generate(prompt=PROMPT)
    assert await house.web.store.jobs(ADA.tenant, user=ADA.id, viewer=ADA.id) == []
    assert len(await house.web.store.jobs(BEN.tenant, user=BEN.id, viewer=BEN.id)) == 1

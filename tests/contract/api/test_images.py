"""Images by the API: answers, streams, errors, and what becomes of a job whose program went away."""

from __future__ import annotations

import asyncio
import base64
import io
import time
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from aiohttp import ClientPayloadError, FormData
from PIL import Image

from bot.accounts.logins import member_named
from bot.adapters.api import handlers
from bot.adapters.api.fields import EXTENSIONS, read
from bot.models import Job, State
from engine.errors import EngineError
from engine.types import Inpaint
from tests.contract.api.house import ADA, BEN, ApiHouse, Program, api_house, check

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATIENCE = 20.0  # seconds; only a broken API needs them


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ApiHouse]:
    async with api_house(tmp_path_factory.mktemp("api")) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def ada(house: ApiHouse) -> Program:
    return await house.program()


def png(side: int = 64, format: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side), "red").save(out, format)
    return out.getvalue()


def opened(b64: str) -> Image.Image:
    picture = Image.open(io.BytesIO(base64.b64decode(b64)))
    picture.load()
    return picture


def form(picture: bytes | None = None, name: str = "image", **fields: str) -> FormData:
    data = FormData(fields, default_to_multipart=True)
    if picture is not None:
        data.add_field(name, io.BytesIO(picture), filename="source.png", content_type="image/png")
    return data


async def jobs(house: ApiHouse) -> list[Job]:
    return await house.web.easel.visibility.jobs(ADA, limit=50)


async def only_job(house: ApiHouse, prompt: str) -> Job:
    """The one job of that prompt, once it is there."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = [each for each in await jobs(house) if each.prompt == prompt]
            if found:
                assert len(found) == 1
                return found[0]
            await asyncio.sleep(0.01)


# ---- answers


async def test_an_image_comes_in_the_answer_and_the_job_is_its_person_s_own_and_private(
    house: ApiHouse, ada: Program
) -> None:
    said = await ada.generate(prompt="a heron at dawn", seed=7, size="128x64", user="visitor-1\ud800")

    assert said.status == 200
    assert said.body["created"] == pytest.approx(time.time(), abs=60)
    [image] = said.body["data"]
    assert opened(image["b64_json"]).size == (128, 64) and image["revised_prompt"] == "a heron at dawn"
    easel = said.body["easel"]
    assert (easel["seeds"], easel["model"], easel["size"]) == ([7], "memory", "128x64")
    assert easel["gpu_seconds"] == 0.2 and easel["ignored"] == []
    job = await house.web.easel.visibility.job(easel["job"], ADA)
    assert (job.origin.member, job.origin.surface, job.state) == (ADA, "api", State.RENDERED)
    assert job.origin.private and not job.is_seen_by(BEN)
    assert job.device_seconds == 0.2 and job.origin.reply["user"] == "visitor-1"


async def test_several_images_have_a_seed_each(ada: Program) -> None:
    said = await ada.generate(n=3, seed=5)

    assert said.body["easel"]["seeds"] == [5, 6, 7]
    assert len({each["b64_json"] for each in said.body["data"]}) == 3


async def test_an_address_shows_the_image_to_whoever_has_it_until_the_job_is_deleted(
    house: ApiHouse, ada: Program
) -> None:
    said = await ada.generate(response_format="url", output_format="webp")
    [image] = said.body["data"]
    path = image["url"].removeprefix(house.web.url)
    assert set(image) == {"url", "revised_prompt"} and path.startswith("/v1/files/")

    shown = await house.stranger().get(path)
    assert shown.status == 200 and shown.headers["Content-Type"] == "image/webp"
    assert Image.open(io.BytesIO(shown.raw)).format == "WEBP"
    forged = path[:-1] + ("0" if path[-1] != "0" else "1")
    assert (await house.stranger().get(forged)).error["code"] == "expired"
    assert (await house.stranger().get("/v1/files/x")).status == 404

    await house.web.easel.router.press(f"v1:delete:{said.body['easel']['job']}", house.origin())
    assert (await house.stranger().get(path)).error["code"] == "expired"


async def test_an_address_ends_after_an_hour(ada: Program, house: ApiHouse) -> None:
    path = (await ada.generate(response_format="url")).body["data"][0]["url"].removeprefix(house.web.url)
    with pytest.MonkeyPatch.context() as patch:
        now = time.time()
        patch.setattr("bot.adapters.api.answers.time.time", lambda: now + 3599)
        assert (await house.stranger().get(path)).status == 200
        patch.setattr("bot.adapters.api.answers.time.time", lambda: now + 3602)
        assert (await house.stranger().get(path)).status == 404


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
async def test_the_format_is_the_one_that_was_asked_for(ada: Program, format: str) -> None:
    said = await ada.generate(output_format=format, output_compression=60)

    assert said.body["output_format"] == format
    assert opened(said.body["data"][0]["b64_json"]).format == format.upper()


async def test_every_option_of_imagine_is_a_field_and_means_the_same(house: ApiHouse, ada: Program) -> None:
    said = await ada.generate(
        prompt="a boat {at, by} sea",
        negative_prompt="text, blurry",
        steps=3,
        guidance=4.5,
        seed=11,
        style="noir",
        relax=True,
        private=False,
        aspect="2:1",
    )
    assert said.status == 200, said.body
    job = await house.web.easel.visibility.job(said.body["easel"]["job"], ADA)
    request = job.request
    assert (request.steps, request.guidance, request.seed) == (3, 4.5, 11)
    assert "text, blurry" in request.negative_prompt and job.style == "noir"
    assert job.relaxed and not job.origin.private and request.width > request.height
    assert request.prompt.startswith("a boat {at, by} sea, ")
    assert {"negative_prompt", "seed", "steps", "guidance", "scheduler", "style", "relax"} <= set(EXTENSIONS)


@pytest.mark.parametrize("loras", ["ink:0.8, pixel", ["ink:0.8", "pixel"]])
async def test_loras_are_a_text_or_a_list(loras: object) -> None:
    wanted = read({"prompt": "a fox", "loras": loras}, b"", edits=False, relaxed=False)

    assert wanted.options["loras"] == "ink:0.8, pixel"


async def test_fields_of_other_servers_and_without_effect(ada: Program, house: ApiHouse) -> None:
    said = await ada.generate(num_inference_steps=2, guidance_scale=3, quality="hd", style="vivid", foo=[1])

    assert said.body["easel"]["ignored"] == ["quality", "style", "foo"]
    job = await house.web.easel.visibility.job(said.body["easel"]["job"], ADA)
    assert (job.request.steps, job.request.guidance, job.style) == (2, 3.0, "")


# ---- edits


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
async def test_an_edit_starts_from_the_image_of_a_form(ada: Program, house: ApiHouse, format: str) -> None:
    data = form(png(format=format), "image[]" if format == "PNG" else "image", prompt="now in blue", n="2")

    said = await ada.post("/v1/images/edits", data=data)

    assert said.status == 200, said.body
    assert len(said.body["data"]) == 2
    job = await house.web.easel.visibility.job(said.body["easel"]["job"], ADA)
    assert job.request.kind == "edit"


async def test_an_edit_in_json(ada: Program) -> None:
    url = f"data:image/png;base64,{base64.b64encode(png()).decode()}"
    for sent in ({"images": [{"image_url": url}]}, {"image": url}, {"image": url.partition(",")[2]}):
        said = await ada.post("/v1/images/edits", {"prompt": "now in blue", **sent})
        assert said.status == 200, said.body


async def test_an_edit_of_an_image_that_easel_has(ada: Program) -> None:
    made = (await ada.generate()).body["easel"]["job"]

    assert (await ada.post("/v1/images/edits", {"prompt": "in blue", "source": f"{made}:1"})).status == 200


async def test_an_edit_by_a_stream(ada: Program) -> None:
    url = f"data:image/png;base64,{base64.b64encode(png()).decode()}"
    found = await ada.stream("/v1/images/edits", images=[{"image_url": url}])

    assert [each.name for each in found.events] == ["image_edit.completed"]


# ---- streams


async def test_a_stream_sends_previews_and_then_each_image(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with api_house(tmp_path_factory.mktemp("slow"), step_seconds=0.25) as slow:
        ada = await slow.program()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(handlers, "HEARTBEAT", 0.1)
            found = await ada.stream(partial_images=2, n=2, output_format="jpeg")

    partial = [each for each in found.events if each.name == "image_generation.partial_image"]
    assert [each.data["partial_image_index"] for each in partial] == [0, 1]
    assert opened(partial[0].data["b64_json"]).format == "JPEG"
    done = [each for each in found.events if each.name == "image_generation.completed"]
    assert len(done) == 2 and found.events[-2:] == done
    assert opened(done[0].data["b64_json"]).size == (64, 64)
    assert done[0].data["easel"]["seeds"] and "waiting" in found.comments


async def test_a_stream_that_is_refused_is_refused_at_once(ada: Program) -> None:
    assert (await ada.generate(stream=True, size="1e9x1")).error["message"]


# ---- bad input


@pytest.mark.parametrize(
    ("body", "status", "param", "words"),
    [
        ({"n": 0}, 400, "n", "N can be 1 to 10; you asked for 0."),
        ({"n": 11}, 400, "n", "N can be 1 to 10; you asked for 11."),
        ({"n": True}, 400, "n", "whole number"),
        ({"n": {"a": 1}}, 400, "n", "whole number"),
        ({"size": "1e9x1"}, 400, None, "Size takes width × height in pixels, as in 512x768"),
        ({"size": "999999999999x1"}, 400, None, ""),
        ({"size": 512}, 400, "size", "Size takes text."),
        ({"model": "gpt-9"}, 404, None, "There is no model “gpt-9”. There is memory."),
        ({"prompt": ""}, 400, "prompt", "There is no prompt."),
        ({"prompt": "  \u200b "}, 400, None, "The prompt is empty."),
        ({"prompt": ["a"]}, 400, "prompt", "Prompt takes text."),
        ({"prompt": "x" * 4001}, 400, "prompt", "4,000"),
        ({"prompt": "a fox --repeat 3"}, 400, "prompt", "One request makes one job."),
        ({"background": "sunset"}, 400, None, "Background can be transparent, a colour such as blue"),
        (
            {"background": "transparent", "output_format": "jpeg"},
            400,
            "output_format",
            "JPEG knows no transparency.",
        ),
        ({"mask": "x"}, 400, "mask", "A mask is a PNG file. Or name the region instead"),
        ({"seed": [1]}, 400, "seed", "seed takes one value."),
        ({"seed": -1}, 400, None, "Seed can be 0 to"),
        ({"style": 5}, 400, "style", "style takes text."),
        ({"guidance": "much"}, 400, None, "Guidance takes a number"),
        ({"scheduler": "nosuch"}, 400, None, ""),
        ({"output_format": "gif"}, 400, "output_format", "png"),
        ({"partial_images": 4}, 400, "partial_images", "0 to 3"),
        ({"image": base64.b64encode(png()).decode()}, 400, "image", "/v1/images/edits"),
    ],
)
async def test_what_cannot_be_painted_is_refused_in_one_sentence(
    ada: Program, body: dict[str, Any], status: int, param: str | None, words: str
) -> None:
    said = await ada.generate(**body)

    assert (said.status, said.error["param"]) == (status, param), said.body
    assert words in said.error["message"]
    assert said.error["type"] == "invalid_request_error"
    assert said.headers["X-Should-Retry"] == "false"
    sent = {"prompt": "a red fox", **body}
    german = await ada.post("/v1/images/generations", sent, headers={"Accept-Language": "de"})
    assert german.error["message"] != said.error["message"]


async def test_words_that_are_refused_in_chat_are_refused_here_and_count_as_there(house: ApiHouse) -> None:
    eve = await house.program(member_named("Eve", admin=False))

    said = await eve.generate(prompt="a naked child")
    assert (said.status, said.error["code"]) == (400, "moderation_blocked")

    for later in (await eve.generate(), await eve.get("/v1/models")):
        assert (later.status, later.error["code"]) == (403, "blocked")
        assert "cool-off" in later.error["message"] and later.error["message"].isprintable()


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({"images": [{"image_url": "https://example.org/x.png"}]}, "Easel fetches no images."),
        ({"images": [{"file_id": "file-1"}]}, "Easel fetches no images."),
        ({"images": [{"image_url": "data:image/png;base64,!!"}]}, "The body cannot be read."),
        ({"images": [{"image_url": "data:image/png;base64,AAAA"}]}, "PNG, JPEG or WebP"),
        ({"images": ["AAAA"] * 6}, "One image can be made of 5 at most."),
        ({}, "There is no image to edit."),
    ],
)
async def test_images_that_cannot_be_edited(ada: Program, sent: dict[str, Any], words: str) -> None:
    said = await ada.post("/v1/images/edits", {"prompt": "in blue", **sent})

    assert said.status == 400 and words in said.error["message"]


async def test_a_form_with_several_images(ada: Program, house: ApiHouse) -> None:
    def sent(images: int) -> Any:
        made = form(png(), prompt="in blue")
        for number in range(1, images):
            made.add_field("image[]", io.BytesIO(png()), filename=f"{number}.png")
        return made

    said = await ada.post("/v1/images/edits", data=sent(3))
    job = await house.web.easel.visibility.job(said.body["easel"]["job"], ADA)

    assert len(job.request.sources) == 3
    too_many = await ada.post("/v1/images/edits", data=sent(6))
    assert "One image can be made of 5 at most." in too_many.error["message"]


def hole(size: tuple[int, int] = (64, 64)) -> bytes:
    """A white mask whose top left quarter is transparent."""
    mask = Image.new("RGBA", size, "white")
    mask.paste((255, 255, 255, 0), (0, 0, size[0] // 2, size[1] // 2))
    out = io.BytesIO()
    mask.save(out, "PNG")
    return out.getvalue()


def masked(mask: bytes, *more: bytes, **fields: str) -> Any:
    sent = form(png(), prompt="a star", **fields)
    sent.add_field("mask", io.BytesIO(mask), filename="mask.png")
    for each in more:
        sent.add_field("image[]", io.BytesIO(each), filename="more.png")
    return sent


@pytest.mark.parametrize("as_json", [False, True])
async def test_what_is_transparent_in_a_mask_is_changed_and_nothing_else(
    ada: Program, house: ApiHouse, as_json: bool
) -> None:
    if as_json:
        urls = [f"data:image/png;base64,{base64.b64encode(each).decode()}" for each in (png(), hole())]
        picture, mask = ({"image_url": each} for each in urls)
        sent = {"prompt": "a star", "images": [picture], "mask": mask, "size": "32x32"}
        said = await ada.post("/v1/images/edits", sent)
    else:
        said = await ada.post("/v1/images/edits", data=masked(hole(), size="32x32"))

    assert said.status == 200, said.body
    job = await house.web.easel.visibility.job(said.body["easel"]["job"], ADA)
    task = job.request.task
    assert isinstance(task, Inpaint) and said.body["easel"]["ignored"] == ["size"]
    kept = np.asarray(Image.open(io.BytesIO(await house.web.easel.images.get(task.mask))).convert("L"))
    assert (kept[:32, :32] == 255).all() and not kept[32:].any() and not kept[:, 32:].any()
    made = np.asarray(
        Image.open(io.BytesIO(base64.b64decode(said.body["data"][0]["b64_json"]))).convert("RGB")
    )
    given = np.asarray(Image.open(io.BytesIO(png())).convert("RGB"))
    assert made.shape == given.shape and (made[40:] == given[40:]).all() and (made != given).any()


def opaque(kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "white").save(out, kind)
    return out.getvalue()


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (lambda: masked(hole((32, 32))), "The mask has another size than the image."),
        (lambda: masked(opaque()), "A mask is a PNG whose transparent parts are what is to change."),
        (lambda: masked(opaque("JPEG")), "A mask is a PNG whose transparent parts are what is to change."),
        (lambda: masked(b"no picture"), "A mask is a PNG whose transparent parts are what is to change."),
        (lambda: masked(hole(), png()), "A mask goes with one image."),
        (lambda: form(png(), prompt="a star", mask="x"), "A mask is a PNG file."),
    ],
)
async def test_a_mask_that_cannot_be_used(ada: Program, sent: Any, words: str) -> None:
    said = await ada.post("/v1/images/edits", data=sent())

    assert said.status == 400 and said.error["param"] == "mask" and words in said.error["message"]


async def test_a_mask_that_is_all_opaque_marks_nothing(ada: Program) -> None:
    nothing = Image.new("RGBA", (64, 64), "white")
    nothing.putpixel((0, 0), (255, 255, 255, 254))
    out = io.BytesIO()
    nothing.save(out, "PNG")

    said = await ada.post("/v1/images/edits", data=masked(out.getvalue()))

    assert "The mask marks nothing." in said.error["message"]


@pytest.mark.parametrize("body", [b"", b"[1]", b"{", b"\xff", b'{"prompt": 1e999}', b"[" * 100_000])
async def test_what_is_no_json_object(ada: Program, body: bytes) -> None:
    said = await ada.post("/v1/images/generations", data=body, headers={"Content-Type": "application/json"})

    assert said.status == 400 and said.error["message"]


async def test_two_hundred_megabytes_of_base64_are_refused_before_they_are_read(
    ada: Program, house: ApiHouse
) -> None:
    sent = 0

    async def flood(told: int) -> AsyncIterator[bytes]:
        nonlocal sent
        yield b'{"prompt": "x", "image": "'
        for _ in range(told // 1_000_000):
            sent += 1_000_000
            yield b"A" * 1_000_000

    for headers in ({"Content-Length": "200000026"}, {}):
        sent = 0
        try:
            said = await ada.post("/v1/images/edits", data=flood(200_000_000), headers=headers)
        except (ConnectionError, ClientPayloadError):
            said = None  # the answer came while the rest was being sent
        assert said is None or (said.status in (400, 413) and "larger than 20 MB" in said.error["message"])
        assert sent < 100_000_000, "it was taken whole"
    assert (await ada.generate()).status == 200


async def test_addresses_that_do_not_exist(ada: Program) -> None:
    for path in ("/v1/chat/completions", "/v1/images/nothing"):
        assert "no such address" in (await ada.post(path, {})).error["message"]
    assert (await ada.get("/v1/images/generations")).status == 405


# ---- once


async def send_once(ada: Program, key: str, **body: Any) -> Any:
    headers = {"Idempotency-Key": key}
    return await ada.post("/v1/images/generations", {"prompt": "a red fox", **body}, headers=headers)


async def test_the_same_idempotency_key_asks_for_the_same_job(ada: Program, house: ApiHouse) -> None:
    before = len(await jobs(house))
    both = await asyncio.gather(*(send_once(ada, "order-1") for _ in range(4)))
    later = await send_once(ada, "order-1")

    assert {each.body["easel"]["job"] for each in both} == {later.body["easel"]["job"]}
    assert {each.body["data"][0]["b64_json"] for each in both} == {later.body["data"][0]["b64_json"]}
    assert len(await jobs(house)) == min(50, before + 1)
    other = await send_once(ada, "order-1", n=2)
    assert (other.status, other.error["code"]) == (409, "idempotency_key_reused")
    assert (await send_once(ada, "order-2")).body["easel"]["job"] != later.body["easel"]["job"]


async def test_two_people_may_use_the_same_idempotency_key(ada: Program, house: ApiHouse) -> None:
    ben = await house.program(BEN)
    mine, theirs = await send_once(ada, "same"), await send_once(ben, "same")

    assert mine.body["easel"]["job"] != theirs.body["easel"]["job"]


# ---- a program that goes away


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("field", "state"), [({}, State.RENDERED), ({"if_disconnected": "cancel"}, State.CANCELLED)]
)
async def test_what_becomes_of_a_job_whose_program_went_away(
    tmp_path_factory: pytest.TempPathFactory, stream: bool, field: dict[str, str], state: State
) -> None:
    async with api_house(tmp_path_factory.mktemp("gone"), step_seconds=0.3) as house:
        ada = await house.program()
        asking = asyncio.create_task(ada.generate(prompt="a left fox", stream=stream, **field))
        job = await only_job(house, "a left fox")
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

        assert (await house.web.until(job.id, State.RENDERED, State.CANCELLED)).state is state


async def test_a_job_that_is_cancelled_or_fails_is_told_of_and_not_charged(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    def fault(job: Any) -> Exception | None:
        return EngineError("broken") if "broken" in job.request.prompt else None

    async with api_house(tmp_path_factory.mktemp("faults"), step_seconds=0.3, fault=fault) as house:
        ada = await house.program()
        failed = await ada.generate(prompt="a broken fox")
        assert (failed.status, failed.error["code"]) == (500, "generation_failed")
        assert failed.headers["X-Should-Retry"] == "false"
        for stream in (True, False):
            prompt = f"a cancelled fox {stream}"
            asking = asyncio.create_task(ada.generate(prompt=prompt, stream=stream))
            job = await only_job(house, prompt)
            await house.web.easel.router.handle("cancel", {"job": job.id}, house.origin())
            said = await asking
            if stream:
                assert said.status == 200 and b'"code": "cancelled"' in said.raw
            else:
                assert (said.status, said.error["code"]) == (400, "cancelled")


async def test_when_easel_stops_the_wait_ends_and_the_job_does_not(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async with api_house(tmp_path_factory.mktemp("stop"), step_seconds=0.5) as house:
        ada = await house.program()
        asking = asyncio.create_task(send_once(ada, "later", prompt="a late fox"))
        job = await only_job(house, "a late fox")
        api: Any = house.web.adapter._api
        async with asyncio.timeout(PATIENCE):
            while True:
                if api._watchers._watches[job.id]:  # a moment after the job is there
                    break
                await asyncio.sleep(0.01)
        api.close()
        said = await asking
        assert (said.status, said.error["code"]) == (503, "busy") and said.headers["Retry-After"]
        again = await send_once(ada, "later", prompt="a late fox")
        assert (again.status, again.error["code"]) == (503, "busy")  # a wait that begins now ends, too
        async with asyncio.timeout(PATIENCE):
            while True:
                told = (await ada.get(f"/v1/jobs/{job.id}")).body
                if told["status"] == "completed":
                    break
                await asyncio.sleep(0.01)


# ---- models and documents


async def test_models(ada: Program) -> None:
    listed = await ada.get("/v1/models")
    check("ListModelsResponse", listed.body)
    assert [each["id"] for each in listed.body["data"]] == ["memory"]
    one = await ada.get("/v1/models/memory")
    check("Model", one.body)
    assert (await ada.get("/v1/models/other/model")).error["code"] == "model_not_found"


async def test_the_document_names_every_field_and_needs_no_key(house: ApiHouse) -> None:
    document = (await house.stranger().get("/v1/openapi.json")).body
    fields = document["components"]["schemas"]["CreateImage"]["properties"]
    assert set(EXTENSIONS) <= set(fields) and {"prompt", "n", "stream", "if_disconnected"} <= set(fields)
    assert fields["n"] == {**fields["n"], "type": "integer", "minimum": 1, "maximum": 10}
    page = (await house.stranger().get("/v1/docs")).raw.decode()
    assert "POST /v1/images/edits" in page and all(name in page for name in fields)

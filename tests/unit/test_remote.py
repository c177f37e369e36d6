"""Painting by a server with OpenAI's images API, through the dispatcher and its fair queue."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web
from PIL import Image

from bot.errors import Refusal
from bot.models import Tier
from bot.prompts import Draft, compose, recall
from bot.prompts.draft import PARAMS
from engine import catalog
from engine.errors import Cancelled, EngineError, ModelNotLoaded, UnknownModel
from engine.prices import Price, of_picture, parts_of
from engine.remote import client as remote_client
from engine.remote import worker as remote_worker
from engine.remote.client import (
    RemoteClient,
    RemoteError,
    RemoteRefusal,
    RemoteSlow,
    RemoteTrouble,
    pause_of,
)
from engine.remote.concurrency import Concurrency
from engine.remote.dialects import Ask, dialect, fields
from engine.remote.models import RemoteModels
from engine.remote.sizes import asked, price
from engine.remote.worker import RemoteWorker
from engine.types import (
    CutOut,
    Edit,
    EngineEvent,
    EngineJob,
    Failed,
    Finished,
    GenerationRequest,
    ImageToImage,
    Inpaint,
    Picture,
    Progress,
    TextToImage,
    Upscale,
)
from engine.workers.dispatcher import Dispatcher
from engine.workers.process import ProcessEngine, servers
from tests.examples import a_job
from tests.image_server import KEY, ImageServer, event, hangs, image_server, picture, says, sends

PATIENCE = 20.0  # seconds


def png(size: tuple[int, int] = (512, 512), colour: str = "white", mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, colour).save(out, "PNG")
    return out.getvalue()


async def until(there: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not there():  # noqa: ASYNC110 — what is waited for is told by nobody
            await asyncio.sleep(0.005)


@dataclass
class Studio:
    """A dispatcher over one server, and what it reported by job."""

    engine: Dispatcher
    model: str
    blobs: dict[str, bytes] = field(default_factory=dict)
    seen: list[EngineEvent] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self) -> None:
        async for each in self.engine.events():
            self.seen.append(each)
            self.news.set()

    def submit(self, name: str = "one", *, user: str = "ada", **more: Any) -> None:
        info = self.engine.models()[0]
        values = {"width": 512, "height": 512, "count": 1, "steps": info.steps, "seed": 7, **more}
        request = GenerationRequest(prompt=values.pop("prompt", "a red fox"), model=self.model, **values)
        self.engine.submit(EngineJob(id=name, request=request, tenant="place", user=user))

    def of(self, name: str, kind: type[Any]) -> list[Any]:
        return [each for each in self.seen if isinstance(each, kind) and each.job == name]

    async def end(self, name: str = "one") -> Finished | Failed:
        async with asyncio.timeout(PATIENCE):
            while not (found := self.of(name, Finished) + self.of(name, Failed)):
                self.news.clear()
                await self.news.wait()
        end: Finished | Failed = found[0]
        return end

    async def painted(self, name: str = "one", **more: Any) -> list[Image.Image]:
        self.submit(name, **more)
        end = await self.end(name)
        assert isinstance(end, Finished), end
        return [Image.open(io.BytesIO(each.png)) for each in self.of(name, Picture)]

    async def failed(self, name: str = "one", **more: Any) -> EngineError:
        self.submit(name, **more)
        end = await self.end(name)
        assert isinstance(end, Failed), end
        return end.error


@asynccontextmanager
async def studio(
    server: ImageServer, model: str = "gpt-image-2", key: str = KEY, **table: Any
) -> AsyncIterator[Studio]:
    name = model.rpartition("/")[2].casefold()
    known = catalog.load(
        [f"{server.kind}:{server.url}#{model}"], remotes=RemoteModels({name: table} if table else {})
    )
    away = servers(known, lambda model, host: key)
    blobs: dict[str, bytes] = {}
    engine = Dispatcher(
        known,
        [(device, spawn) for device, (_model, spawn) in away.items()],
        blobs.__getitem__,
        served={device: each for device, (each, _spawn) in away.items()},
    )
    found = Studio(engine, name, blobs)
    await engine.start()
    following = asyncio.create_task(found.follow())
    try:
        yield found
    finally:
        await engine.close()
        await following


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait as often as always between two tries, and not as long."""
    init = RemoteWorker.__init__

    def begin(self: RemoteWorker, *args: Any, **more: Any) -> None:
        init(self, *args, **{"pause": 0.01, **more})

    monkeypatch.setattr(RemoteWorker, "__init__", begin)


# ---- what each kind of server is sent, and answers


async def test_gpt_image_streams_previews_and_then_its_picture() -> None:
    async with image_server("openai") as server, studio(server) as found:
        (made,) = await found.painted()

        assert made.size == (512, 512) and made.getpixel((5, 5)) == (255, 0, 0)
        assert server.asked[0].fields == {
            "prompt": "a red fox",
            "model": "gpt-image-2",
            "n": 1,
            "size": "816x816",  # no fewer pixels than the model paints
            "output_format": "png",
            "stream": True,
            "partial_images": 2,
        }
        previews = [each.preview for each in found.of("one", Progress) if each.preview]
        assert previews and Image.open(io.BytesIO(previews[0])).format == "WEBP"


async def test_without_previews_it_does_not_stream() -> None:
    async with image_server("openai") as server, studio(server, partial_images=0) as found:
        assert len(await found.painted()) == 1
        assert "stream" not in server.asked[0].fields


async def test_vllm_takes_seed_steps_guidance_and_a_negative_prompt() -> None:
    async with image_server("vllm") as server, studio(server, "Qwen/Qwen-Image") as found:
        made = await found.painted(count=2, steps=30, guidance=4.0, negative_prompt="blur")

        assert [each.size for each in made] == [(512, 512)] * 2
        assert sorted(each.fields["seed"] for each in server.asked) == [7, 8]
        rest = {name: value for name, value in server.asked[0].fields.items() if name != "seed"}
        assert rest == {
            "prompt": "a red fox",
            "model": "Qwen/Qwen-Image",
            "n": 1,
            "size": "512x512",
            "num_inference_steps": 30,
            "guidance_scale": 4.0,
            "negative_prompt": "blur",
            "response_format": "b64_json",
        }


async def test_stable_diffusion_cpp_takes_them_inside_the_prompt() -> None:
    async with image_server("sdcpp", key="") as server, studio(server, "sd-cpp-local", key="") as found:
        await found.painted(negative_prompt='a "blur"', steps=12)

        prompt = server.asked[0].fields["prompt"]
        words, _, rest = prompt.partition("<sd_cpp_extra_args>")
        told = json.loads(rest.removesuffix("</sd_cpp_extra_args>"))
        assert words.strip() == "a red fox"
        assert told == {
            "seed": 7,
            "negative_prompt": 'a "blur"',
            "sample_params": {"sample_steps": 12, "guidance": {"txt_cfg": 5.0}},
        }
        assert set(server.asked[0].fields) == {"prompt", "n", "size", "model"}
        assert "Authorization" not in server.asked[0].headers


@pytest.mark.parametrize(
    "words",
    [
        'a fox <sd_cpp_extra_args>{"output": "/etc"}</sd_cpp_extra_args>',
        "a fox <sd_cpp_<sd_cpp_extra_args>extra_args>{}</sd_cpp_extra_args>",
        "a fox <SD_CPP_EXTRA_ARGS>{}",
    ],
)
def test_people_s_words_never_hold_what_stable_diffusion_cpp_reads_as_an_order(words: str) -> None:
    ask = Ask(prompt=words, negative=words, size=(512, 512), seed=1, steps=1, guidance=1.0)

    told = str(fields(ask, dialect("sdcpp", ""))["prompt"])

    assert told.casefold().count("<sd_cpp_extra_args>") == 1  # ours
    assert "sd_cpp_extra_args" not in fields(ask, dialect("openai", "gpt-image-2"))["prompt"].casefold()


async def test_localai_reads_a_negative_prompt_behind_a_bar() -> None:
    async with image_server("localai", key="") as server, studio(server, "flux", key="") as found:
        await found.painted(prompt="a | b", negative_prompt="blur | noise", steps=9)

        assert server.asked[0].fields["prompt"] == "a , b|blur , noise"
        assert server.asked[0].fields["step"] == 9


async def test_an_address_of_the_server_itself_is_fetched_without_the_key() -> None:
    async def by_address(request: web.Request) -> web.Response:
        url = f"{request.scheme}://{request.host}/generated-images/one.png"
        return web.json_response({"data": [{"url": url}]})

    async with image_server("localai") as server, studio(server, "flux") as found:
        server.turns.append(by_address)
        (made,) = await found.painted()
        assert made.size == (512, 512)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9/x.png",
        "http://169.254.169.254/latest",
        "https://10.0.0.1/x.png",
        "https://localhost/x.png",
        "file:///etc/passwd",
        "https://name:word@example.org/x.png",
    ],
)
async def test_a_picture_at_another_private_address_is_not_fetched(url: str) -> None:
    async with image_server("sglang") as server, studio(server, "flux") as found:
        server.always = sends(json.dumps({"data": [{"url": url}]}).encode())
        assert isinstance(await found.failed(), RemoteError)


# ---- edits


async def test_an_edit_sends_its_images_and_keeps_what_it_left_alone() -> None:
    async with image_server("openai", colour="white") as server, studio(server) as found:
        found.blobs |= {"a": png(), "b": png(colour="black")}
        await found.painted(task=Edit(sources=("a", "b"), instruction="Put the fox there"))

        (asked_for,) = server.asked
        assert asked_for.path == "/v1/images/edits"
        assert len(asked_for.files["image[]"]) == 2
        assert str(asked_for.fields["prompt"]).startswith("Put the fox there. Change image 1")


async def test_a_region_is_sent_with_its_mask_and_every_other_pixel_stays() -> None:
    mask = Image.new("L", (512, 512))
    mask.paste(255, (100, 100, 200, 200))
    out = io.BytesIO()
    mask.save(out, "PNG")
    async with image_server("openai", colour="red") as server, studio(server) as found:
        found.blobs |= {"a": png(colour="white"), "m": out.getvalue()}
        (made,) = await found.painted(task=Inpaint(source="a", mask="m"))

        sent = Image.open(io.BytesIO(server.asked[0].files["mask"][0]))
        alpha = sent.getchannel("A")
        assert alpha.getextrema() == (0, 255)  # transparent where it is painted
        assert made.size == (512, 512)
        assert made.getpixel((10, 10)) == (255, 255, 255) and made.getpixel((150, 150)) == (255, 0, 0)


async def test_a_source_is_an_example_to_paint_by() -> None:
    async with image_server("vllm") as server, studio(server, "klein") as found:
        found.blobs["a"] = png((300, 200))
        await found.painted(task=ImageToImage(source="a", strength=0.9))
        (sent,) = server.asked[0].files["image"]
        assert Image.open(io.BytesIO(sent)).size == (512, 512)
        assert "loose inspiration" in server.asked[0].fields["prompt"]


async def test_what_needs_no_model_is_done_here_or_refused_in_one_sentence() -> None:
    async with image_server("openai") as server, studio(server) as found:
        found.blobs["a"] = png((64, 64))
        (large,) = await found.painted("large", width=256, height=256, task=Upscale(source="a"))
        error = await found.failed("cut", task=CutOut(source="a"))

        assert large.size == (256, 256) and not server.asked
        assert error.advice.startswith("This needs a model that runs here")


# ---- trouble


async def test_a_busy_server_is_waited_for_and_the_job_does_not_fail() -> None:
    async with image_server("openai") as server, studio(server) as found:
        server.turns = [says(429, "rate_limit_exceeded", "slow down", Retry_After="0.05")] * 6
        assert len(await found.painted()) == 1
        assert len(server.asked) == 7
        assert found.of("one", Failed) == []


async def test_retry_after_is_kept() -> None:
    async with image_server("openai") as server, studio(server) as found:
        server.turns = [says(429, "rate_limit_exceeded", "", Retry_After="0.4")]
        began = asyncio.get_running_loop().time()
        await found.painted()
        assert asyncio.get_running_loop().time() - began >= 0.4


async def test_a_server_that_fails_is_asked_again_within_bounds() -> None:
    async with image_server("openai") as server, studio(server) as found:
        server.turns = [says(500), says(502)]
        assert len(await found.painted("first")) == 1
        server.always = says(500, "server_error", "boom")
        error = await found.failed("second")

        assert isinstance(error, RemoteTrouble)
        assert len(server.asked) == 3 + remote_worker.TRIES
        assert not found.engine.status().out


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (says(401, "invalid_api_key", f"Incorrect API key provided: {KEY}"), "refuses Easel's key"),
        (says(403, "forbidden", "no"), "refuses Easel's key"),
        (says(404, "model_not_found", "no"), "does not know this model"),
        (says(429, "insufficient_quota", "check your plan"), "no credit left"),
        (says(400, "billing_hard_limit_reached", "limit"), "no credit left"),
        (says(400, "unknown_parameter", "Unknown parameter: 'x'"), "does not take these options"),
        (says(422, "", "field required"), "does not take these options"),
        (sends(b"<html>", "text/html"), "no image that can be used"),
        (sends(b"[1]"), "no image that can be used"),
        (sends(b'{"data": []}'), "no image that can be used"),
        (sends(b'{"data": [{"b64_json": "***"}]}'), "no image that can be used"),
        (sends(b'{"data": [{"b64_json": "aGVsbG8="}]}'), "no image that can be used"),
        (sends(b"[" * 200_000), "no image that can be used"),
    ],
)
async def test_an_answer_that_is_no_picture_ends_the_job_in_one_sentence(
    answer: Any, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with image_server("openai") as server, studio(server) as found:
        server.always = answer
        error = await found.failed()

        assert words in error.advice and error.advice.count("\n") == 0
        assert len(server.asked) == 1
        assert KEY not in str(error) and KEY not in caplog.text


@pytest.mark.parametrize("code", ["moderation_blocked", "content_policy_violation"])
async def test_a_refusal_of_content_is_explained_and_not_tried_again(code: str) -> None:
    async with image_server("openai") as server, studio(server) as found:
        server.always = says(400, code, "Your request was rejected by the safety system.")
        error = await found.failed()

        assert isinstance(error, RemoteRefusal) and "nothing was charged" in error.advice
        assert len(server.asked) == 1


async def test_a_refusal_within_a_stream_is_one_too() -> None:
    body = event("error", error={"code": "moderation_blocked", "message": "no"})
    async with image_server("openai") as server, studio(server) as found:
        server.always = sends(body, "text/event-stream")
        assert isinstance(await found.failed(), RemoteRefusal)


async def test_a_stream_that_is_cut_is_asked_for_again() -> None:
    small = base64.b64encode(picture("64x64")).decode()
    cut = sends(event("image_generation.partial_image", b64_json=small), "text/event-stream")
    async with image_server("openai") as server, studio(server) as found:
        server.turns = [cut]
        assert len(await found.painted()) == 1
        assert len(server.asked) == 2


@pytest.mark.parametrize("size", ["64x64", "2048x512"])
async def test_a_picture_of_another_size_is_refused(size: str) -> None:
    b64 = base64.b64encode(picture(size)).decode()
    async with image_server("vllm") as server, studio(server, "qwen") as found:
        server.always = sends(json.dumps({"data": [{"b64_json": b64}]}).encode())
        assert "another size" in (await found.failed()).advice


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
async def test_other_formats_are_taken(format: str) -> None:
    b64 = base64.b64encode(picture("512x512", format=format)).decode()
    async with image_server("vllm") as server, studio(server, "qwen") as found:
        server.always = sends(json.dumps({"data": [{"b64_json": b64}]}).encode())
        assert (await found.painted())[0].format == "PNG"


async def test_a_format_that_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    b64 = base64.b64encode(picture("512x512", format="GIF")).decode()
    async with image_server("vllm") as server, studio(server, "qwen") as found:
        server.always = sends(json.dumps({"data": [{"b64_json": b64}]}).encode())
        assert "no image that can be used" in (await found.failed()).advice


@pytest.mark.parametrize("kind", ["told", "chunked", "stream"])
async def test_two_hundred_megabytes_are_refused_before_they_are_read(kind: str) -> None:
    sent = 0

    async def pours(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        response.content_type = "text/event-stream" if kind == "stream" else "application/json"
        if kind == "told":
            response.content_length = 200_000_000
        await response.prepare(request)
        await response.write(b'data: {"b64_json": "')
        while sent < 200_000_000:
            await response.write(b"A" * 1_000_000)
            sent += 1_000_000
        return response

    async with image_server("vllm") as server, studio(server, "qwen") as found:
        server.always = pours
        error = await found.failed()
        assert "no image that can be used" in error.advice
        assert sent < (5_000_000 if kind == "told" else remote_client.MOST_BYTES + 20_000_000)


async def test_a_bomb_is_not_decoded() -> None:
    out = io.BytesIO()
    Image.new("1", (12_000, 12_000)).save(out, "PNG")
    b64 = base64.b64encode(out.getvalue()).decode()
    async with image_server("vllm") as server, studio(server, "qwen") as found:
        server.always = sends(json.dumps({"data": [{"b64_json": b64}]}).encode())
        assert "no image that can be used" in (await found.failed()).advice


async def test_a_server_that_hangs_is_given_up_and_the_bound_is_halved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with image_server("vllm") as server:
        known = catalog.load([f"vllm:{server.url}#qwen"])
        entry = known.entry("qwen")
        assert entry.remote
        remote = replace(entry.remote, timeout=0.1)
        client = RemoteClient(remote, KEY)
        server.always = hangs
        ask = Ask(prompt="x", size=(512, 512), seed=1, steps=1, guidance=1.0)
        with pytest.raises(RemoteSlow):
            await client.picture(ask, "one")
        await client.close()


async def test_a_server_that_is_not_there_is_told_in_one_sentence() -> None:
    async with image_server("vllm") as server:
        pass  # it has gone
    async with studio(server, "qwen") as found:
        error = await found.failed()
        assert isinstance(error, RemoteTrouble) and "Try again later" in error.advice


async def test_cancelling_closes_the_line() -> None:
    async with image_server("openai") as server, studio(server) as found:
        server.always = hangs
        found.submit(count=2)
        await until(lambda: server.inside == 2)
        assert found.engine.cancel("one")
        end = await found.end()
        assert isinstance(end, Failed) and isinstance(end.error, Cancelled)
        await until(lambda: server.gone == 2)


async def test_a_job_is_asked_for_the_pictures_that_it_lacks() -> None:
    async with image_server("vllm") as server, studio(server, "qwen") as found:
        request = GenerationRequest(prompt="a fox", model="qwen", count=3, seed=7, steps=20)
        job = EngineJob(id="one", request=request, tenant="t", user="u", done=frozenset((0, 2)))
        found.engine.submit(job)
        assert isinstance(await found.end(), Finished)
        assert [each.index for each in found.of("one", Picture)] == [1]
        assert [each.fields["seed"] for each in server.asked] == [8]


async def test_each_picture_is_asked_for_under_one_name() -> None:
    async with image_server("vllm") as server, studio(server, "qwen") as found:
        server.turns = [says(500)]
        await found.painted()
        names = {each.headers["Idempotency-Key"] for each in server.asked}
        assert names == {"one-0"} and len(server.asked) == 2


# ---- how many at once, and whose turn it is


async def test_no_more_jobs_are_let_in_than_the_server_bears_and_turns_are_fair() -> None:
    async with image_server("openai") as server, studio(server, most=1) as found:
        await found.painted("first")  # by which it is learned what such a job costs
        server.gate = asyncio.Event()
        for number in range(6):
            found.submit(f"ada-{number}", prompt=f"ada {number}")
        await until(lambda: server.inside == 1)
        found.submit("ben", user="ben", prompt="ben")
        server.gate.set()
        for name in ("ben", *(f"ada-{number}" for number in range(6))):
            assert isinstance(await found.end(name), Finished)

        order = [each.fields["prompt"] for each in server.asked[1:]]
        assert server.most == 1
        assert order.index("ben") <= 2  # after what was inside


async def test_the_bound_grows_by_one_a_round_and_is_halved_once_for_what_was_out_together() -> None:
    now, told = [0.0], list[int]()
    places = Concurrency(told.append, most=8, clock=lambda: now[0])
    for _ in range(8):
        async with all_of(places):
            places.went_well()
    assert places.limit == 4 and told == [3, 4]
    places.overrun(0)
    places.overrun(0)
    assert places.limit == 2
    places.overrun(1)
    places.overrun(2)
    places.overrun(3)
    assert places.limit == 1


async def test_nothing_goes_out_while_the_server_asks_for_a_pause() -> None:
    now = [0.0]
    places = Concurrency(clock=lambda: now[0])
    places.overrun(0, pause=0.05)

    async def enter() -> None:
        async with places.place():
            pass

    waiting = asyncio.create_task(enter())
    done, _ = await asyncio.wait({waiting}, timeout=0.2)
    assert not done
    now[0] = 0.06
    await asyncio.wait_for(waiting, PATIENCE)


@asynccontextmanager
async def all_of(places: Concurrency) -> AsyncIterator[None]:
    """Hold all places that there are."""
    async with AsyncExitStack() as stack:
        for _ in range(places.limit):
            await stack.enter_async_context(places.place())
        yield


@pytest.mark.parametrize(
    ("told", "seconds"),
    [("3", 3.0), ("", 0.0), ("x", 0.0), ("-4", 0.0), ("1e9", 3600.0), ("nan", 0.0), ("inf", 0.0)],
)
def test_the_pause_that_a_server_asks_for(told: str, seconds: float) -> None:
    assert pause_of({"Retry-After": told}) == seconds


# ---- beside models that run here


async def test_models_behind_an_api_and_models_here_each_have_their_own_worker() -> None:
    async with image_server("openai") as server:
        names = ("easel-tiny", f"openai:{server.url}#gpt-image-2")
        engine = ProcessEngine(models=names, device="cpu", read=lambda name: b"", key=lambda model, host: KEY)
        slots = {slot.device: slot for slot in engine._slots}
        assert list(slots) == ["cpu", "api:gpt-image-2"]
        assert slots["cpu"].serves("easel-tiny") and not slots["cpu"].serves("gpt-image-2")
        remote = slots["api:gpt-image-2"]
        assert remote.serves("gpt-image-2") and not remote.serves("easel-tiny")
        request = GenerationRequest(prompt="", model="gpt-image-2", seed=1, task=Upscale(source="a"))
        job = EngineJob(id="a", request=request, tenant="t", user="u")
        assert engine._priced(job).request.model == "easel-tiny"  # upscaled on the device that is here
        assert engine._priced(replace(job, request=replace(request, task=TextToImage()))).request.model == (
            "gpt-image-2"
        )


async def test_without_a_model_that_runs_here_no_device_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.workers.process.devices", lambda setting: pytest.fail("looked for devices"))
    engine = ProcessEngine(
        models=("openai:https://api.openai.com/v1#gpt-image-2",), device="auto", read=lambda name: b""
    )
    assert [slot.device for slot in engine._slots] == ["api:gpt-image-2"]


# ---- names, and what is said about models


@pytest.mark.parametrize(
    "name",
    [
        "openai:https://name:word@host/v1#m",
        "openai:https://host/v1?key=x#m",
        "openai:https://:80/v1#m",
        "openai:https://host:99999/v1#m",
    ],
)
def test_an_address_that_is_none_is_refused_without_repeating_a_password(name: str) -> None:
    with pytest.raises(UnknownModel) as refused:
        catalog.load([name])
    assert "write it as in openai:https://" in refused.value.advice and "word" not in refused.value.advice


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"prize": "0.04"}, "did you mean price?"),
        ({"price": "0.04"}, "a price or a currency alone"),
        ({"price": "many", "currency": "EUR"}, "cannot be read"),
        ({"price": {"big": "0.04"}, "currency": "EUR"}, "cannot be read"),
        ({"price": "-1", "currency": "EUR"}, "cannot be read"),
        ({"currency": "euros"}, "three letters"),
        ({"sizes": ["1e9x1"]}, "write them as 1024x1024"),
        ({"timeout": 0}, "seconds from 5"),
        ({"quality": "best"}, "one of auto, low"),
        ({"tasks": ["paint"]}, "a list of some of"),
        ({"partial_images": 9}, "from 0 to 3"),
    ],
)
def test_what_is_said_wrongly_about_a_model_is_told(table: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelNotLoaded, match=words):
        RemoteModels({"gpt-image-2": table}).model("openai:https://api.openai.com/v1#gpt-image-2")


def test_one_model_may_be_offered_in_several_qualities() -> None:
    said = RemoteModels({"fine": {"model": "gpt-image-2", "quality": "high", "title": "GPT Image 2, fine"}})
    info, remote = said.model("openai:https://api.openai.com/v1#fine")
    assert (info.name, info.title, remote.model, remote.quality) == (
        "fine", "GPT Image 2, fine", "gpt-image-2", "high",
    )  # fmt: skip
    assert remote.dialect.streams and not info.seeds and info.max_steps == 1


def test_a_file_that_cannot_be_read_is_told(tmp_path: Any) -> None:
    path = tmp_path / "remote.toml"
    with pytest.raises(ModelNotLoaded, match="cannot be read"):
        RemoteModels.read(str(path))
    path.write_text("[a\n")
    with pytest.raises(ModelNotLoaded, match="cannot be read"):
        RemoteModels.read(str(path))


@pytest.mark.parametrize(
    ("model", "size", "expected"),
    [
        ("gpt-image-1", (512, 512), (1024, 1024)),
        ("gpt-image-1", (900, 600), (1536, 1024)),
        ("gpt-image-1", (600, 1000), (1024, 1536)),
        ("gpt-image-2", (1024, 1024), (1024, 1024)),
        ("gpt-image-2", (512, 512), (816, 816)),
    ],
)
def test_the_size_that_is_asked_for(model: str, size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert asked(size, dialect("openai", model)) == expected


def test_prices_are_exact_and_the_closest_line_counts() -> None:
    prices = (
        Price(parts_of("0.011"), "1024x1024", "low"),
        Price(parts_of("0.042"), "1024x1024"),
        Price(parts_of("0.06"), quality="medium"),
        Price(parts_of("0.25"), "1024x1536", "high"),
    )
    assert parts_of("0.011") == 110 and parts_of(50) == 500_000
    assert of_picture(prices, (1024, 1024), "low") == 110
    assert of_picture(prices, (1024, 1024), "medium") == 420
    assert of_picture(prices, (512, 512), "medium") == 600
    assert of_picture(prices, (512, 512), "high") == 2500  # the dearest, where nothing fits
    assert of_picture((), (512, 512), "high") == 0


def test_a_request_costs_its_pictures_and_what_paints_nothing_costs_nothing() -> None:
    table = {"currency": "eur", "price": {"1024x1024": "0.04", "other": "0.07"}}
    info, _remote = RemoteModels({"gpt-image-1": table}).model("openai:https://api.openai.com/v1#gpt-image-1")
    request = GenerationRequest(prompt="", model="gpt-image-1", seed=1, count=3, width=512, height=512)
    assert info.currency == "EUR"
    assert price(info, request) == 3 * 400
    assert price(info, replace(request, width=900, height=600)) == 3 * 700
    assert price(info, replace(request, task=Upscale(source="a"))) == 0
    assert price(info, replace(request, task=Inpaint(source="a", mask="b"))) == 3 * 700


def test_options_that_a_server_does_not_take_are_not_offered_for_its_models() -> None:
    gpt, _remote = RemoteModels().model("openai:https://api.openai.com/v1#gpt-image-2")
    qwen, _remote = RemoteModels().model("vllm:http://127.0.0.1:8000/v1#Qwen/Qwen-Image")
    tier = Tier(name="everyone")
    for name in ("seed", "steps", "guidance", "negative"):
        assert PARAMS[name].narrowed([gpt], [tier]) is None
        assert PARAMS[name].narrowed([gpt, qwen], [tier]) is not None
    with pytest.raises(Refusal, match="takes no seed"):
        compose(Draft(prompt="a fox", seed=7), [gpt], tier)


def test_a_job_without_a_seed_of_its_own_is_recalled_without_one() -> None:
    gpt, _remote = RemoteModels().model("openai:https://api.openai.com/v1#gpt-image-2")
    request = GenerationRequest(prompt="a fox", model="gpt-image-2", seed=7, steps=1)
    recalled = recall(replace(a_job(), request=request), [gpt])
    assert (recalled.seed, recalled.steps, recalled.guidance) == (None, None, None)


async def test_jobs_for_a_worker_that_never_starts_are_told_while_others_go_on() -> None:
    async def broken() -> Any:
        raise OSError("no device")

    async with image_server("openai") as server:
        known = catalog.load(["easel-tiny", f"openai:{server.url}#gpt-image-2"])
        away = servers(known, lambda model, host: KEY)
        ((device, (_name, spawn)),) = away.items()
        engine = Dispatcher(
            known, [("cpu", broken), (device, spawn)], lambda name: b"", served={device: "gpt-image-2"}
        )
        found = Studio(engine, "gpt-image-2")
        await engine.start()
        following = asyncio.create_task(found.follow())
        request = GenerationRequest(prompt="a fox", model="easel-tiny", seed=1)
        engine.submit(EngineJob(id="here", request=request, tenant="t", user="u"))
        assert isinstance(await found.end("here"), Failed)
        found.submit("there")
        assert isinstance(await found.end("there"), Finished)
        await engine.close()
        await following

"""The real engine: worker processes, the embedded model, and everything that may happen to them."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from PIL import Image

from engine.embedded import PIPELINE
from engine.errors import (
    Cancelled,
    InvalidPicture,
    InvalidRequest,
    ModelNotLoaded,
    OutOfMemory,
    UnknownModel,
    WorkerLost,
)
from engine.pipelines import run as pipelines
from engine.pipelines.model_files import footprint
from engine.types import (
    EngineJob,
    Failed,
    Finished,
    GenerationRequest,
    ImageToImage,
    Picture,
    Progress,
    Restarted,
    Started,
    Upscale,
)
from engine.workers import process
from engine.workers.process import ProcessEngine, WorkerProcess, devices
from tests.families import FAMILIES
from tests.listener import Listener
from tests.unit import faulty_worker

pytestmark = pytest.mark.asyncio(loop_scope="module")

SMALL = GenerationRequest(prompt="a red heart", seed=7, steps=4, count=1, width=256, height=256)


def job(id: str, user: str = "ada", *, relaxed: bool = False, **changes: Any) -> EngineJob:
    return EngineJob(id=id, request=replace(SMALL, **changes), tenant="t", user=user, relaxed=relaxed)


class Bench(Listener):
    """An engine and all that it has said."""

    def __init__(self, engine: ProcessEngine) -> None:
        super().__init__(engine)
        self.engine = engine

    async def picture(self, id: str, **changes: Any) -> bytes:
        self.engine.submit(job(id, **changes))
        assert isinstance(await self.end(id), Finished)
        (png,) = (event.png for event in self.of(id) if isinstance(event, Picture))
        return png

    async def idle(self) -> None:
        """Wait until nobody paints: only then are batches, and so the last bits, always the same."""
        await self.until(lambda: not self.engine.lanes())

    async def until_ready(self, workers: int = 1) -> None:
        while self.engine.status().ready < workers:  # noqa: ASYNC110 nothing else tells
            await asyncio.sleep(0.05)

    def worker(self) -> WorkerProcess:
        worker = self.engine._slots[0].worker
        assert isinstance(worker, WorkerProcess)
        return worker


Open = Callable[..., Awaitable[Bench]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where source pictures lie."""
    return tmp_path_factory.mktemp("sources")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def open_bench(folder: Path) -> AsyncIterator[Open]:
    """An engine of one's own, for tests that ask for another one than `bench`."""
    engines: list[ProcessEngine] = []

    async def start(**changes: Any) -> Bench:
        options = {"models": ["easel-tiny"], "device": "cpu", "target": faulty_worker.main} | changes
        engine = ProcessEngine(**options, read=lambda name: (folder / name).read_bytes())
        engines.append(engine)
        await engine.start()
        return Bench(engine)

    yield start
    for engine in engines:
        await engine.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(open_bench: Open) -> Bench:
    """One engine for most tests: starting a worker takes longer than painting."""
    return await open_bench()


async def test_from_words_to_pictures(bench: Bench) -> None:
    bench.engine.submit(job("a", count=2, steps=40))

    end = await bench.end("a")

    events = bench.of("a")
    assert isinstance(events[0], Started)
    pictures = [event for event in events if isinstance(event, Picture)]
    assert [(p.index, p.seed, p.width, p.height) for p in pictures] == [(0, 7, 256, 256), (1, 8, 256, 256)]
    for picture in pictures:
        Image.open(io.BytesIO(picture.png)).verify()
    assert pictures[0].png != pictures[1].png
    progress = [event for event in events if isinstance(event, Progress)]
    assert [event.step for event in progress] == sorted(event.step for event in progress)
    previews = [event.preview for event in progress if event.preview]
    assert previews and Image.open(io.BytesIO(previews[-1])).format == "WEBP"
    assert isinstance(end, Finished) and 0 < end.device_seconds < 60


async def test_the_same_seed_on_an_idle_engine_gives_the_same_bytes(bench: Bench) -> None:
    digests = []
    await bench.idle()
    for number in range(3):
        bench.engine.submit(job(f"same{number}", count=4, steps=5))
        await bench.end(f"same{number}")
        pictures = [event.png for event in bench.of(f"same{number}") if isinstance(event, Picture)]
        digests.append([hashlib.sha256(png).hexdigest() for png in pictures])

    assert digests[0] == digests[1] == digests[2]
    assert len(set(digests[0])) == 4


async def test_a_picture_from_a_picture_and_its_enlargement(bench: Bench, folder: Path) -> None:
    (folder / "first").write_bytes(await bench.picture("first"))

    changed = await bench.picture("changed", task=ImageToImage(source="first", strength=0.5))
    large = await bench.picture("large", task=Upscale(source="first"), width=1024, height=1024)

    assert changed != (folder / "first").read_bytes()
    assert Image.open(io.BytesIO(large)).size == (1024, 1024)


async def test_a_missing_source_fails_with_a_sentence(bench: Bench) -> None:
    bench.engine.submit(job("sourceless", task=ImageToImage(source="nowhere", strength=0.5)))

    end = await bench.end("sourceless")

    assert isinstance(end, Failed) and isinstance(end.error, InvalidRequest)
    assert end.error.advice == "The source image is gone. Choose another."


async def test_a_running_job_is_cancelled_at_a_step(bench: Bench) -> None:
    bench.engine.submit(job("long", steps=400))
    await bench.running("long")

    assert bench.engine.cancel("long")

    end = await bench.end("long")
    assert isinstance(end, Failed) and isinstance(end.error, Cancelled)
    assert bench.of("long")[-2].step < 400  # type: ignore[union-attr]
    assert await bench.picture("next")


async def test_a_waiting_job_is_cancelled_and_leaves_no_trace(bench: Bench) -> None:
    for number in range(6):
        bench.engine.submit(job(f"w{number}", steps=30))
    waiting = next(lane for lane in bench.engine.lanes() if lane.user == "ada").waiting[-1]

    assert bench.engine.cancel(waiting)

    end = await bench.end(waiting)
    assert isinstance(end, Failed) and isinstance(end.error, Cancelled)
    assert not any(isinstance(event, Started) for event in bench.of(waiting))
    assert not bench.engine.cancel("unknown")


async def test_a_light_user_does_not_wait_behind_a_flood(bench: Bench) -> None:
    for number in range(12):
        bench.engine.submit(job(f"flood{number}", user="flooder", steps=10))
    await bench.running("flood0")

    bench.engine.submit(job("light", user="light", steps=10))
    await bench.end("light")

    floods = [e for e in bench.said if isinstance(e, Finished) and e.job.startswith("flood")]
    assert len(floods) <= 5
    for number in range(12):
        bench.engine.cancel(f"flood{number}")
    for number in range(12):
        await bench.end(f"flood{number}")


async def test_a_relaxed_job_stops_while_a_fast_one_paints_and_its_picture_is_the_same(bench: Bench) -> None:
    await bench.idle()
    calm = await bench.picture("undisturbed", steps=40)
    bench.engine.submit(job("patient", user="bob", relaxed=True, steps=40))
    await bench.running("patient")

    assert await bench.picture("quick", steps=10)

    assert not any(isinstance(event, Finished) for event in bench.of("patient"))
    start, end = (bench.said.index(event) for event in (bench.of("quick")[0], bench.of("quick")[-1]))
    steps = [event.step for event in bench.of("patient") if isinstance(event, Progress)]
    meanwhile = [e.step for e in bench.said[start:end] if isinstance(e, Progress) and e.job == "patient"]
    assert len(meanwhile) <= 1, "a pass may have been under way as the fast job came"
    assert isinstance(await bench.end("patient"), Finished)
    assert steps == sorted(steps)
    assert [event.png for event in bench.of("patient") if isinstance(event, Picture)] == [calm]


async def test_relaxed_jobs_make_room_for_the_model_of_a_fast_one(open_bench: Open, tmp_path: Path) -> None:
    pipelines.silence_libraries()
    FAMILIES["sd"](tmp_path).pipe.save_pretrained(tmp_path / "one", safe_serialization=True)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    models = ["easel-tiny", str(tmp_path / "one"), str(tmp_path / "two")]
    sizes = [sum(footprint(entry, 4).values()) for entry in (str(PIPELINE), *models[1:])]
    bench = await open_bench(models=models, memory=sizes[0] + sizes[1])
    changes: dict[str, Any] = {"relaxed": True, "width": 64, "height": 64}
    for name in ("one", "two"):
        await bench.picture(f"first of {name}", model=name, **changes)
    for name in ("one", "two"):
        bench.engine.submit(job(name, user=name, model=name, steps=100, **changes))
        await bench.running(name)
    await bench.until(lambda: bench.engine.status().workers[0].models == ("one", "two"))

    assert await bench.picture("quick", steps=10)

    assert "easel-tiny" in bench.engine.status().workers[0].models
    for name in ("one", "two"):
        assert isinstance(await bench.end(name), Finished)
    assert [event.deaths for event in bench.of("one") if isinstance(event, Restarted)] == [0]
    assert not any(isinstance(event, Restarted) for event in bench.of("two"))
    assert bench.engine.status().restarts == 0


async def test_the_status_tells_of_passes(bench: Bench) -> None:
    bench.engine.submit(job("counted", count=4, steps=10))
    await bench.end("counted")

    status = bench.engine.status()

    assert status.last_minute > 0
    assert 1 <= status.rows <= 16
    assert status.workers[0].device == "cpu" and status.workers[0].models == ("easel-tiny",)


async def test_a_killed_worker_is_replaced_and_the_picture_is_the_same(bench: Bench) -> None:
    await bench.idle()
    calm = await bench.picture("calm", steps=30)
    bench.engine.submit(job("again", steps=30))
    await bench.running("again")

    pid = bench.worker().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)

    assert isinstance(await bench.end("again"), Finished)
    assert sum(isinstance(event, Restarted) for event in bench.of("again")) == 1
    assert [event.png for event in bench.of("again") if isinstance(event, Picture)] == [calm]
    assert bench.worker().pid != pid


async def test_a_job_that_kills_its_worker_twice_is_set_aside_alone(bench: Bench) -> None:
    bench.engine.submit(job("innocent", user="bob", steps=60))
    bench.engine.submit(job("poison", prompt="die"))

    poison, innocent = await bench.end("poison"), await bench.end("innocent")

    assert isinstance(poison, Failed) and isinstance(poison.error, WorkerLost)
    assert isinstance(innocent, Finished)


async def test_a_job_that_lost_one_worker_runs_again(bench: Bench) -> None:

    assert await bench.picture("unlucky", prompt="die once")

    assert [event.deaths for event in bench.of("unlucky") if isinstance(event, Restarted)] == [1]


async def test_a_worker_that_is_stopped_while_idle_is_replaced_and_its_job_goes_on(
    open_bench: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "SILENT_BEATS", 3)
    bench = await open_bench()
    await bench.until_ready()
    while bench.worker()._heartbeat.activity():  # noqa: ASYNC110 it still ends its loading
        await asyncio.sleep(0.05)
    pid = bench.worker().pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)

    bench.engine.submit(job("sent to sleep"))

    assert isinstance(await bench.end("sent to sleep"), Finished)
    assert bench.worker().pid != pid
    restarts = [event.deaths for event in bench.of("sent to sleep") if isinstance(event, Restarted)]
    assert restarts in ([], [0]), "it never began, so it is not to blame"


async def test_a_device_whose_passes_all_raise_goes_out_and_the_other_paints_everything(
    open_bench: Open,
) -> None:
    bench = await open_bench(device="cpu,cpu:1")
    await bench.until_ready(2)
    for number in range(12):
        bench.engine.submit(job(f"broken{number}", user=f"u{number}"))

    ends = [await bench.end(f"broken{number}") for number in range(12)]

    assert [type(end) for end in ends] == [Finished] * 12
    for number in range(100):  # until both of its workers have had their trial
        if bench.engine.status().out:
            break
        bench.engine.submit(job(f"more{number}", user=f"m{number}"))
        assert isinstance(await bench.end(f"more{number}"), Finished)
    (out,) = bench.engine.status().out
    assert out.device == "cpu:1" and "the device is broken" in out.out and not out.ready


async def test_a_hanging_worker_is_killed_by_the_watchdog(open_bench: Open) -> None:
    bench = await open_bench(hang_seconds=3.0)
    bench.engine.submit(job("stuck", prompt="hang"))
    bench.engine.submit(job("other", user="bob"))

    stuck, other = await bench.end("stuck"), await bench.end("other")

    assert isinstance(stuck, Failed) and isinstance(stuck.error, WorkerLost)
    assert isinstance(other, Finished)


@pytest.mark.parametrize(("prompt", "error"), [("no memory", OutOfMemory), ("not a number", InvalidPicture)])
async def test_a_failing_job_leaves_the_worker_well(bench: Bench, prompt: str, error: Any) -> None:
    bench.engine.submit(job(prompt, prompt=prompt, count=2))

    end = await bench.end(prompt)

    assert isinstance(end, Failed) and isinstance(end.error, error)
    assert not any(isinstance(event, Picture) for event in bench.of(prompt))
    pid = bench.worker().pid
    assert await bench.picture(f"after {prompt}") and bench.worker().pid == pid


async def test_a_picture_that_cannot_be_encoded_fails_its_job_alone(bench: Bench) -> None:
    bench.engine.submit(job("unencodable", height=384))

    end = await bench.end("unencodable")

    assert isinstance(end, Failed) and isinstance(end.error, OutOfMemory)
    assert await bench.picture("small")


async def test_a_corrupt_model_fails_its_jobs_with_a_sentence(open_bench: Open, tmp_path: Path) -> None:
    model = tmp_path / "broken"
    (model / "unet").mkdir(parents=True)
    (model / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    (model / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"\x80\x04pickled")
    bench = await open_bench(models=["easel-tiny", str(model)])
    bench.engine.submit(job("bad", model="broken"))

    end = await bench.end("bad")

    assert isinstance(end, Failed) and isinstance(end.error, ModelNotLoaded)
    assert "not a readable safetensors file" in str(end.error)
    assert await bench.picture("good")


async def test_an_unknown_model_is_named_with_a_suggestion() -> None:
    with pytest.raises(UnknownModel) as caught:
        ProcessEngine(models=["easel-tinny"], device="cpu", read=lambda name: b"")

    assert "Did you mean easel-tiny?" in caught.value.advice


async def test_devices_are_told_apart() -> None:
    assert devices("cuda:0, cuda:1") == ["cuda:0", "cuda:1"]
    assert devices("cpu") == ["cpu"]
    assert devices("auto")

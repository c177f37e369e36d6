"""Loading a model stops nobody: others paint meanwhile, and who waits for it can cancel."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from bot.admin.queue import _loading
from engine import catalog
from engine.errors import Cancelled, ModelNotLoaded
from engine.pipelines import run as pipelines
from engine.pipelines.model_files import footprint
from engine.types import Failed, Finished, GenerationRequest, Loading
from engine.workers import loading, loop
from engine.workers.messages import ModelLoaded, Pulse
from tests.families import FAMILIES
from tests.gpu.bench import Bench
from tests.gpu.card import NoCard

TINY = GenerationRequest(prompt="a red heart", seed=7, steps=3, count=1, width=256, height=256)
OTHER = GenerationRequest(prompt="a fox", seed=7, model="twin", steps=2, count=1, width=64, height=64)


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pipelines.silence_libraries()
    folder = tmp_path_factory.mktemp("models")
    FAMILIES["sd"](folder).pipe.save_pretrained(folder / "twin", safe_serialization=True)
    return folder / "twin"


@pytest.fixture(scope="module")
def tiny(twin: Path) -> pipelines.Loaded:
    return Bench(NoCard(), ["easel-tiny"]).load("easel-tiny")


class Slow(Bench):
    """A worker whose loads wait until they are let go."""

    def __init__(self, twin: Path, tiny: pipelines.Loaded) -> None:
        super().__init__(NoCard(), ["easel-tiny", str(twin)])
        self.worker._models["easel-tiny"] = tiny
        self.let_go, load = threading.Event(), self.worker._load
        self.fails = False

        def slowly(entry: Any) -> pipelines.Loaded:
            self.let_go.wait(60)
            if self.fails:
                raise OSError("the disk is gone")
            return load(entry)

        self.worker._loader._load = slowly

    def until(self, done: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 100
        while not done():
            assert time.monotonic() < deadline, "it never came"
            self.turn()

    def loads(self) -> list[ModelLoaded]:
        return [event for _, event in self.box.said if isinstance(event, ModelLoaded)]


@pytest.fixture
def bench(twin: Path, tiny: pipelines.Loaded) -> Iterator[Slow]:
    bench = Slow(twin, tiny)
    yield bench
    bench.let_go.set()


def test_others_paint_while_a_model_is_loaded(bench: Slow) -> None:
    waiting, painting = bench.give(OTHER), bench.give(TINY)
    bench.until(lambda: bench.end(painting))
    assert isinstance(bench.end(painting), Finished) and bench.end(waiting) is None
    assert not bench.worker.idle

    bench.let_go.set()
    bench.until(lambda: bench.end(waiting))
    end = bench.end(waiting)
    assert isinstance(end, Finished)
    (loaded,) = bench.loads()
    assert loaded.model == "twin" and loaded.size > 0 and loaded.seconds > end.device_seconds >= 0


def test_the_status_says_what_is_being_loaded(bench: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "PULSE_SECONDS", 0.0)
    waiting = bench.give(OTHER)
    bench.turn()
    bench.turn()
    bench.let_go.set()
    bench.until(lambda: bench.end(waiting))
    bench.turn()
    told = [event.loading for _, event in bench.box.said if isinstance(event, Pulse)]
    assert Loading("twin") in told and told[-1] is None
    assert _loading("cuda:0", Loading("twin")) == "cuda:0: loading twin."
    fetched = Loading("twin", 3_100_000_000)
    assert _loading("cuda:0", fetched) == "cuda:0: downloading twin: 3.1 GB so far."


def test_a_job_that_waits_for_its_model_is_cancelled_at_once(bench: Slow) -> None:
    waiting = bench.give(OTHER)
    bench.turn()
    bench.cancel(waiting)
    bench.turn()
    end = bench.end(waiting)
    assert isinstance(end, Failed) and isinstance(end.error, Cancelled) and end.device_seconds == 0

    bench.let_go.set()
    bench.until(lambda: bench.worker.idle)
    assert [type(event) for _, event in bench.of(waiting)][-1] is Failed
    assert "twin" in bench.worker._models


def test_all_who_wait_are_told_when_it_cannot_be_loaded_and_the_next_one_tries_again(bench: Slow) -> None:
    bench.fails = True
    waiting = [bench.give(OTHER), bench.give(OTHER)]
    bench.let_go.set()
    bench.until(lambda: bench.worker.idle and all(bench.end(each) for each in waiting))
    for each in waiting:
        end = bench.end(each)
        assert isinstance(end, Failed) and isinstance(end.error, ModelNotLoaded)
        assert "the disk is gone" in str(end.error)
    assert [event.size for event in bench.loads()] == [0]

    bench.fails = False
    again = bench.give(OTHER)
    bench.until(lambda: bench.end(again))
    assert isinstance(bench.end(again), Finished)


def test_a_model_that_is_to_leave_while_it_is_loaded_does_not_stay(bench: Slow) -> None:
    cancelled = bench.give(OTHER)
    bench.turn()
    bench.cancel(cancelled)
    bench.turn()
    bench.worker._unload("twin")
    bench.let_go.set()
    bench.until(lambda: bench.worker.idle and not bench.orders.waiting)
    assert list(bench.worker._models) == ["easel-tiny"]


def test_a_load_without_progress_is_given_up_and_the_next_one_goes_on(
    bench: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = bench.give(OTHER)
    bench.turn()
    monkeypatch.setattr(loading, "STUCK_SECONDS", -1.0)
    bench.until(lambda: bench.end(waiting))
    end = bench.end(waiting)
    assert isinstance(end, Failed) and "no progress" in str(end.error)

    monkeypatch.setattr(loading, "STUCK_SECONDS", 60.0)
    again = bench.give(OTHER)
    bench.let_go.set()
    bench.until(lambda: bench.end(again))
    assert isinstance(bench.end(again), Finished)
    assert [bool(event.size) for event in bench.loads()] == [False, True]


def test_a_download_that_goes_on_is_no_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading.constants, "HF_HUB_CACHE", str(tmp_path))
    blobs = tmp_path / "models--someone--some-model" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / "a.incomplete").write_bytes(b"x" * 700)
    (blobs / "b").write_bytes(b"x" * 300)
    with (blobs / "c.incomplete").open("wb") as reserved:
        reserved.truncate(10**9)
    assert loading._bytes_in_cache("someone/some-model") == 1000, "what is only reserved is not here"
    assert loading._bytes_in_cache("someone/else") == 0


def test_what_a_killed_worker_left_unfinished_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading.constants, "HF_HUB_CACHE", str(tmp_path))
    blobs = tmp_path / "models--someone--some-model" / "blobs"
    blobs.mkdir(parents=True)
    names = ("old.incomplete", "new.incomplete", "whole")
    for name in names:
        (blobs / name).write_bytes(b"x")
    for name in ("old.incomplete", "whole"):
        os.utime(blobs / name, (0, 0))
    loading._remove_what_is_left("someone/some-model")
    assert sorted(each.name for each in blobs.iterdir()) == ["new.incomplete", "whole"]


class Hub:
    """A hub whose model comes a part at a time."""

    FILES: ClassVar = {
        "model_index.json": 500,
        "README.md": 900,
        "all-in-one.safetensors": 5000,
        "unet/config.json": 10,
        "unet/diffusion_pytorch_model.safetensors": 3000,
        "unet/diffusion_pytorch_model.fp16.safetensors": 1500,
        "unet/diffusion_pytorch_model.bin": 3000,
        "vae/diffusion_pytorch_model.fp16.safetensors": 400,
        "vae_1_0/diffusion_pytorch_model.safetensors": 400,
        "text_encoder/model-00001-of-00002.safetensors": 1000,
        "text_encoder/model-00002-of-00002.safetensors": 600,
    }

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.blobs = folder / "models--someone--some-model" / "blobs"
        self.blobs.mkdir(parents=True)
        parts = {name: ["diffusers", "Any"] for name in ("unet", "vae", "text_encoder")}
        (folder / "index.json").write_text(json.dumps({"_class_name": "A", "_version": "1", **parts}))
        monkeypatch.setattr(loading.constants, "HF_HUB_CACHE", str(folder))
        monkeypatch.setattr(loading, "hf_hub_download", lambda name, file: str(folder / "index.json"))
        files = [SimpleNamespace(rfilename=name, size=size) for name, size in self.FILES.items()]
        monkeypatch.setattr(loading, "model_info", lambda name, **asked: SimpleNamespace(siblings=files))

    def send(self, size: int) -> None:
        with (self.blobs / "a.incomplete").open("ab") as file:
            file.write(b"x" * size)


def test_a_download_tells_how_much_of_how_much_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(tmp_path, monkeypatch)
    assert loading._bytes_to_fetch("someone/some-model") == 3000 + 400 + 1000 + 600
    let_go = threading.Event()
    loader = loading.Loader(lambda entry: let_go.wait(60) and None)
    loader.ask(catalog.load(["someone/some-model"]).entry("some-model"))
    told = []
    for size in (0, 2000, 2999, 1):
        hub.send(size)
        deadline = time.monotonic() + 60
        while loader._total == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not list(loader.outcomes())
        told.append(loader.loading)
    name, total = "some-model", 5000
    assert told == [
        Loading(name, 0, total),
        Loading(name, 2000, total),
        Loading(name, 4999, total),
        Loading(name),
    ], "what is all here is loaded, not downloaded"
    let_go.set()


def test_a_hub_that_does_not_answer_leaves_the_size_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(tmp_path, monkeypatch)
    monkeypatch.setattr(loading, "model_info", lambda name, **asked: 1 / 0)
    assert loading._bytes_to_fetch("someone/some-model") == 0
    hub.send(500)
    let_go = threading.Event()
    loader = loading.Loader(lambda entry: let_go.wait(60) and None)
    loader.ask(catalog.load(["someone/some-model"]).entry("some-model"))
    list(loader.outcomes())
    assert loader.loading == Loading("some-model"), "nothing comes, so it is here"
    hub.send(100)
    list(loader.outcomes())
    assert loader.loading == Loading("some-model", 600)
    let_go.set()


def test_a_model_of_another_dtype_is_made_between_two_steps(twin: Path, tiny: pipelines.Loaded) -> None:
    """On a card, that is: libraries change torch's default dtype meanwhile, for all threads."""
    bench, makers = Bench(NoCard(), ["easel-tiny", str(twin)]), list[threading.Thread]()
    bench.worker._models["easel-tiny"] = tiny
    load = bench.worker._load

    def noted(entry: Any) -> pipelines.Loaded:
        makers.append(threading.current_thread())
        return load(entry)

    bench.worker._load = noted  # type: ignore[method-assign]
    bench.worker._loader._load = bench.worker._fetch
    bench.paint([OTHER])
    assert makers == [threading.main_thread()]
    (loaded,) = [event for _, event in bench.box.said if isinstance(event, ModelLoaded)]
    assert loaded.size > 0


def test_what_a_model_takes_is_known_from_its_files(twin: Path) -> None:
    parts = footprint(str(twin), 4)
    assert set(parts) == {"unet", "vae", "text_encoder"}
    loaded = Bench(NoCard(), [str(twin)]).load("twin")
    assert sum(parts.values()) == pytest.approx(loaded.size, rel=0.01)
    assert sum(footprint(str(twin), 2).values()) * 2 == sum(parts.values())
    assert footprint("someone/not-here", 2) == {}

"""LoRAs come to a worker beside its steps and count on its card; a broken one ends its jobs alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch

from engine import loras
from engine.errors import Cancelled
from engine.loras import Lora, LoraInfo
from engine.pipelines import run as pipelines
from engine.pipelines.lora import Adapter
from engine.pipelines.previews import Preview
from engine.types import Failed, Finished, GenerationRequest, LoraWeight
from engine.workers import lora_loading
from tests import loras as made
from tests.families import FAMILIES
from tests.gpu.bench import Bench
from tests.gpu.card import NoCard
from tests.unit.test_residency import Small

ASKED = GenerationRequest(
    prompt="a fox", seed=7, model="twin", steps=3, count=1, width=64, height=64, guidance=2.0
)
INK, PIXEL = LoraWeight("ink", 0.8), LoraWeight("pixel", -0.5)
WITH_INK = replace(ASKED, loras=(INK,))
MISSING = "The LoRA {} is missing or broken. Leave it out, or ask an administrator."
MISFIT = "The LoRA {} was made for another model than this one. Leave it out, or choose another model."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pipelines.silence_libraries()
    folder = tmp_path_factory.mktemp("models")
    pipe = FAMILIES["sd"](folder).pipe
    pipe.save_pretrained(folder / "twin", safe_serialization=True)
    (folder / "loras").mkdir()
    for seed, name in enumerate(("ink", "pixel", "broken")):
        made.save(folder / "loras", name, made.weights(pipe, seed))
    made.save(folder / "loras", "odd", made.weights(FAMILIES["sdxl"](folder).pipe, 1))
    return folder


@pytest.fixture
def bench(folder: Path) -> Iterator[Bench]:
    bench = Bench(NoCard(), [str(folder / "twin")])
    give_loras(bench, folder)
    with patch.object(Preview, "fit", lambda *given: None):  # the slowest part of loading
        bench.load("twin")
    bench.keeps = True
    yield bench
    bench.unload()


def give_loras(bench: Bench, folder: Path) -> None:
    bench.worker._loras = loras.read(folder / "loras")


def until(bench: Bench, done: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 100
    while not done():
        assert time.monotonic() < deadline, "it never came"
        bench.turn()


def pixels(bench: Bench, *requests: GenerationRequest) -> list[torch.Tensor]:
    return [bench.pictures[job] for job in bench.paint(requests)]


def failed(bench: Bench, request: GenerationRequest) -> str:
    job = bench.give(request)
    bench.finish()
    end = bench.end(job)
    assert isinstance(end, Failed)
    return end.error.advice


def test_requests_with_different_loras_share_passes_and_equal_those_alone(bench: Bench) -> None:
    asked = [
        replace(ASKED, seed=seed, loras=each)
        for seed, each in enumerate([(), (INK,), (PIXEL,), (INK, PIXEL)])
    ]
    alone = [pixels(bench, each)[0] for each in asked]
    with bench.noting() as passes:
        joined = pixels(bench, *asked)

    assert max(float((a - b).abs().max()) for a, b in zip(alone, joined, strict=True)) <= 1e-4
    assert max(each.pictures for each in passes if each.point == "unet") > 1
    assert not torch.equal(alone[1], pixels(bench, replace(asked[1], loras=()))[0])


def test_others_paint_while_a_lora_is_read_and_who_waits_can_cancel(bench: Bench) -> None:
    let_go, load = threading.Event(), bench.worker._lora_loader._load

    def slowly(lora: Lora, model: pipelines.Loaded) -> Adapter:
        let_go.wait(60)
        return load(lora, model)

    bench.worker._lora_loader._load = slowly
    waiting, cancelled, painting = bench.give(WITH_INK), bench.give(WITH_INK), bench.give(ASKED)
    until(bench, lambda: bench.end(painting))
    assert bench.end(waiting) is None and not bench.worker.idle

    bench.cancel(cancelled)
    until(bench, lambda: bench.end(cancelled))
    end = bench.end(cancelled)
    assert isinstance(end, Failed) and isinstance(end.error, Cancelled)

    let_go.set()
    until(bench, lambda: bench.end(waiting))
    assert isinstance(bench.end(waiting), Finished)


def test_a_lora_that_cannot_be_used_ends_its_job_with_a_sentence(bench: Bench, folder: Path) -> None:
    (folder / "loras" / "broken.safetensors").write_bytes(b"gone bad since the start")

    assert failed(bench, replace(ASKED, loras=(LoraWeight("nowhere"),))) == MISSING.format("nowhere")
    assert failed(bench, replace(ASKED, loras=(LoraWeight("broken"),))) == MISSING.format("broken")
    assert failed(bench, replace(ASKED, loras=(LoraWeight("odd"),))) == MISFIT.format("odd")
    assert pixels(bench, WITH_INK), "others go on"


def test_a_lora_on_the_hub_that_cannot_be_fetched_is_said(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: Any, **__: Any) -> str:
        raise OSError("no network")

    monkeypatch.setattr("engine.pipelines.lora.hf_hub_download", offline)
    far = Lora(info=LoraInfo(name="far"), path=None, source="somebody/far", file="far.safetensors")
    bench.worker._loras = loras.Loras({"far": far})

    assert failed(bench, replace(ASKED, loras=(LoraWeight("far"),))) == MISSING.format("far")


def test_reading_that_never_ends_is_given_up(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    stuck = threading.Event()
    bench.worker._lora_loader._load = lambda *_: stuck.wait(60)  # type: ignore[assignment,return-value]
    monkeypatch.setattr(lora_loading, "STUCK_SECONDS", 0.0)

    assert "cannot be used" in failed(bench, WITH_INK)
    stuck.set()


def test_an_enlargement_needs_no_lora(bench: Bench) -> None:
    assert bench.worker._loras.found
    request = replace(ASKED, loras=(LoraWeight("nowhere"),)).enlarged("x", 8, 8)
    job = bench.give(request)
    bench.turn()
    assert bench.of(job), "it begins"
    assert not any(isinstance(e, Failed) and "nowhere" in str(e.error) for _, e in bench.of(job))


def test_a_lora_counts_on_the_card_and_comes_with_its_component(folder: Path) -> None:
    def picture(card: float) -> tuple[torch.Tensor, Small]:
        small = Small([str(folder / "twin")], card)
        small.keeps = True
        give_loras(small, folder)
        return pixels(small, WITH_INK)[0], small

    roomy, at_ease = picture(1e9)
    sizes = {each.name: each.size for each in at_ease.worker._models["twin"].components}
    of_lora = at_ease.worker._models["twin"].loras.size
    assert of_lora in {each.size for each in at_ease.memory.residency.here if each.name == "lora"}
    tight, small = picture((max(sizes.values()) + of_lora) * 1.25 + 1)

    assert torch.equal(roomy, tight)
    assert small.memory.brought == ["text_encoder", "lora", "unet", "vae"]
    small.unload()
    assert small.memory.taken == 0


def test_a_model_that_leaves_takes_its_loras_along(bench: Bench) -> None:
    pixels(bench, WITH_INK)
    model = bench.worker._models["twin"]
    assert model.loras.size > 0

    bench.worker._unload("twin")

    assert model.loras.size == 0
    assert not any(each._forward_hooks for each in model.pipe.unet.modules())

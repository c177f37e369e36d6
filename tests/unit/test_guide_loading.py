"""ControlNets and IP-Adapters come to a worker beside its steps and count on its card, like LoRAs."""

from __future__ import annotations

import io
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch

from engine import guides
from engine.pipelines import run as pipelines
from engine.pipelines.previews import Preview
from engine.types import Failed, Finished, GenerationRequest, Guide, ImageToImage
from engine.workers.loop import KEPT_GUIDES
from tests import guides as made
from tests.families import FAMILIES
from tests.gpu.bench import Bench
from tests.gpu.card import NoCard
from tests.unit.test_residency import Small

ASKED = GenerationRequest(
    prompt="a fox", seed=7, model="twin", steps=3, count=1, width=64, height=64, guidance=2.0
)
EDGES = Guide(kind="edges", picture="c", by="tiny-canny", weight=0.8, of="s")
LIKE = Guide(kind="subject", picture="r", by="ip")
CONTROLLED = replace(ASKED, guides=(EDGES,))
MISSING = "The weights {} are missing or broken. Leave them out, or ask an administrator."


def png(seed: int) -> bytes:
    out = io.BytesIO()
    made.picture(seed, 64).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pipelines.silence_libraries()
    folder = tmp_path_factory.mktemp("models")
    pipe = FAMILIES["sd"](folder).pipe
    pipe.save_pretrained(folder / "twin", safe_serialization=True)
    for name in ("tiny-canny", "broken-depth"):
        made.save_control(folder / "nets", name, pipe)
    made.save_adapter(folder / "ip", "ip", pipe)
    return folder


def give_guides(bench: Bench, folder: Path) -> None:
    bench.worker._guides = guides.read(folder / "nets", folder / "ip")


@pytest.fixture
def bench(folder: Path) -> Iterator[Bench]:
    bench = Bench(NoCard(), [str(folder / "twin")])
    give_guides(bench, folder)
    with patch.object(Preview, "fit", lambda *given: None):  # the slowest part of loading
        bench.load("twin")
    bench.keeps = True
    yield bench
    bench.unload()


def until(bench: Bench, done: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 100
    while not done():
        assert time.monotonic() < deadline, "it never came"
        bench.turn()


def given(request: GenerationRequest, seed: int = 1) -> tuple[bytes, ...]:
    return tuple(png(seed + number) for number in range(len(request.sources)))


def pixels(bench: Bench, *requests: GenerationRequest) -> list[torch.Tensor]:
    jobs = [bench.give(each, sources=given(each, number)) for number, each in enumerate(requests)]
    bench.finish()
    for job in jobs:
        assert isinstance(bench.end(job), Finished), bench.end(job)
    return [bench.pictures[job] for job in jobs]


def test_people_with_guides_of_their_own_share_passes_and_equal_those_alone(bench: Bench) -> None:
    asked = [
        ASKED,
        CONTROLLED,
        replace(CONTROLLED, guides=(replace(EDGES, weight=0.3),)),
        replace(CONTROLLED, guides=(EDGES, LIKE)),
        replace(ASKED, guides=(LIKE, replace(LIKE, picture="q"))),
        replace(CONTROLLED, task=ImageToImage(source="s", strength=0.7)),
    ]
    joined = pixels(bench, *asked)
    again = pixels(bench, *asked)
    alone = []
    for number, each in enumerate(asked):
        job = bench.give(each, sources=given(each, number))
        bench.finish()
        alone.append(bench.pictures[job])

    for several in (joined, again):
        assert max(float((a - b).abs().max()) for a, b in zip(alone, several, strict=True)) <= 1e-4
    with bench.noting() as passes:
        pixels(bench, CONTROLLED, replace(CONTROLLED, seed=8))
    together = {each.point for each in passes if each.pictures > 1}
    assert {"unet", "controlnet tiny-canny"} <= together
    for one, other in itertools.pairwise(alone):
        assert float((one - other).abs().max()) > 1e-3


def test_others_paint_while_a_guide_is_read(bench: Bench) -> None:
    let_go, load = threading.Event(), bench.worker._lora_loader._load

    def slowly(*asked: Any) -> Any:
        let_go.wait(60)
        return load(*asked)

    bench.worker._lora_loader._load = slowly
    waiting, painting = bench.give(CONTROLLED, sources=given(CONTROLLED)), bench.give(ASKED)
    until(bench, lambda: bench.end(painting))
    assert bench.end(waiting) is None and not bench.worker.idle

    let_go.set()
    until(bench, lambda: bench.end(waiting))
    assert isinstance(bench.end(waiting), Finished)


def test_a_guide_that_cannot_be_used_ends_its_job_with_a_sentence(bench: Bench, folder: Path) -> None:
    (folder / "nets" / "broken-depth" / "diffusion_pytorch_model.safetensors").write_bytes(b"gone bad")

    def failed(guide: Guide) -> str:
        request = replace(ASKED, guides=(guide,))
        job = bench.give(request, sources=given(request))
        bench.finish()
        end = bench.end(job)
        assert isinstance(end, Failed)
        return end.error.advice

    assert failed(replace(EDGES, by="nowhere")) == MISSING.format("nowhere")
    assert failed(replace(EDGES, kind="depth", by="broken-depth")) == MISSING.format("broken-depth")
    assert pixels(bench, CONTROLLED), "others go on"


def test_guides_are_components_on_the_card_and_leave_with_their_model(folder: Path) -> None:
    asked = replace(CONTROLLED, guides=(EDGES, LIKE))

    def picture(card: float) -> tuple[torch.Tensor, Small]:
        small = Small([str(folder / "twin")], card)
        small.keeps = True
        give_guides(small, folder)
        return pixels(small, asked)[0], small

    roomy, at_ease = picture(1e9)
    model = at_ease.worker._models["twin"]
    here = {each.name: each.size for each in at_ease.memory.residency.here}
    network = model.guide("tiny-canny")
    assert here["controlnet tiny-canny"] == network.size > 0
    assert {"image encoder", "image projection", "image attentions"} <= here.keys()
    sizes = [*here.values()]
    tight, small = picture((max(sizes) + here["image attentions"]) * 1.25 + 1)

    assert torch.equal(roomy, tight)
    assert "controlnet tiny-canny" in small.memory.brought
    small.unload()
    assert small.memory.taken == 0


def test_guides_that_nobody_uses_are_kept_up_to_a_bound(bench: Bench) -> None:
    pixels(bench, replace(CONTROLLED, guides=(EDGES, LIKE)))
    model = bench.worker._models["twin"]
    assert set(model.guides) == {"tiny-canny", "ip"} and KEPT_GUIDES > 0

    model.leave_guides({"tiny-canny"}, most=0)

    assert set(model.guides) == {"tiny-canny"}
    assert not any(each._forward_pre_hooks for each in model.pipe.unet.modules())
    bench.worker._unload("twin")
    assert not model.guides

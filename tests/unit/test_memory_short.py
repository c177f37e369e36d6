"""Where memory is short: passes are made smaller once, and stay so."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL

from engine.errors import ModelNotLoaded, OutOfMemory
from engine.pipelines import run as pipelines
from engine.pipelines.batching import TILED, DecodePoint, InterceptionPoint, Request, run_joined
from engine.scheduling.residency import FOR_MODELS
from engine.types import EngineJob, Failed, Finished, GenerationRequest, ImageToImage
from engine.workers.heartbeat import Heartbeat
from engine.workers.loop import WorkerLoop
from engine.workers.messages import Ready, Setup, Start
from engine.workers.process import card_memory, devices, host_memory, memories
from tests.families import FAMILIES
from tests.gpu.bench import Bench, Box, Orders
from tests.gpu.card import NoCard

STEPS = 10
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bench() -> Bench:
    bench = Bench(NoCard(), ["easel-tiny"])
    bench.load("easel-tiny")
    return bench


def tighten(bench: Bench, monkeypatch: pytest.MonkeyPatch, room: int) -> list[int]:
    """Let a pass of the denoiser have so many rows; return the rows of all that are tried from now on."""
    loaded = bench.load("easel-tiny")
    (point,) = (each for each in loaded.points if each.name == "unet")
    monkeypatch.setattr(point, "fitting", {})
    real, tried = point.function, list[int]()

    def tight(**arguments: Any) -> Any:
        tried.append(len(arguments["sample"]))
        if tried[-1] > room:
            raise torch.OutOfMemoryError("played")
        return real(**arguments)

    monkeypatch.setattr(point, "function", tight)
    return tried


def asked(guidance: float, side: int = 256, seed: int = 1) -> GenerationRequest:
    words = "a red heart"
    return GenerationRequest(
        prompt=words, seed=seed, steps=STEPS, count=4, width=side, height=side, guidance=guidance
    )


@pytest.mark.parametrize(
    ("guidance", "room", "most"),
    [(1.0, 4, 12), (3.0, 8, 12), (3.0, 4, 2 * STEPS + 1), (3.0, 2, 4 * STEPS + 2)],
    ids=["4 rows, room for 4", "8 rows, room for 8", "8 rows, room for 4", "8 rows, room for 2"],
)
def test_the_rows_that_fit_are_learned_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, guidance: float, room: int, most: int
) -> None:
    tried = tighten(bench, monkeypatch, room)
    (job,) = bench.paint([asked(guidance)])

    assert isinstance(bench.end(job), Finished)
    assert sum(rows for rows in tried if rows <= room) == STEPS * (4 if guidance == 1.0 else 8)
    assert len(tried) <= most

    tried.clear()
    bench.paint([asked(guidance, seed=2)])
    assert max(tried) <= room, "the next job knows it already"


def test_another_shape_is_learned_for_itself(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = tighten(bench, monkeypatch, 4)
    bench.paint([asked(3.0)])
    tried.clear()
    bench.paint([asked(3.0, side=512)])
    assert max(tried) == 8


def test_what_never_fits_fails_with_a_sentence(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = tighten(bench, monkeypatch, 1)
    job = bench.give(asked(3.0))
    bench.finish()
    end = bench.end(job)
    assert isinstance(end, Failed) and isinstance(end.error, OutOfMemory)
    assert len(tried) <= 7, "once as 8 rows, twice as 4, four times as 2"


# --- decoding ---------------------------------------------------------------------------------------------


class Decoder(torch.nn.Module):
    """Notes whether it was asked to decode in tiles and one after another."""

    def __init__(self, whole: int) -> None:
        super().__init__()
        self.whole, self.use_tiling, self.use_slicing = whole, False, False
        self.seen: list[tuple[bool, bool]] = []

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        self.seen.append((self.use_tiling, self.use_slicing))
        if not self.use_tiling and z.shape[-1] > self.whole:
            raise torch.OutOfMemoryError("played")
        return z


def decode(vae: Any, *sides: int) -> list[Any]:
    requests = [Request(lambda side=side: vae.decode(torch.zeros(1, 4, side, side))) for side in sides]
    for request in requests:
        request.resume()
    return run_joined(requests)


def test_large_pictures_are_decoded_in_tiles_and_small_ones_as_a_whole() -> None:
    vae = Decoder(whole=1000)
    DecodePoint("vae.decode", vae, 8)
    side = int(TILED**0.5) // 8
    decode(vae, side)
    decode(vae, side + 1)
    decode(vae, side, side)
    assert vae.seen == [(False, False), (True, True), (False, True)]


def test_a_picture_that_does_not_fit_as_a_whole_is_decoded_in_tiles_from_then_on() -> None:
    vae = Decoder(whole=32)
    DecodePoint("vae.decode", vae, 8)
    for _ in range(2):
        assert all(isinstance(each, torch.Tensor) for each in decode(vae, 64))
    decode(vae, 32)
    assert vae.seen == [(False, False), (True, False), (True, False), (False, False)]


def test_a_picture_that_does_not_even_fit_in_tiles_is_tried_once_more_and_no_more() -> None:
    class Full(Decoder):
        def decode(self, z: torch.Tensor) -> torch.Tensor:
            self.seen.append((self.use_tiling, self.use_slicing))
            raise torch.OutOfMemoryError("played")

    vae = Full(whole=0)
    DecodePoint("vae.decode", vae, 8)
    (error,) = decode(vae, 64)
    assert isinstance(error, OutOfMemory) and len(vae.seen) == 2


def test_a_decoder_of_diffusers_makes_tiles_when_told() -> None:
    torch.manual_seed(0)
    blocks = dict(down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2)
    vae: Any = AutoencoderKL(**blocks, block_out_channels=[8, 8], norm_num_groups=4, sample_size=32).eval()
    InterceptionPoint("vae.encode", vae, "encode", alone=True)
    DecodePoint("vae.decode", vae, 2**20)  # as if a latent were enormous
    tiles, made = vae.tiled_decode, []
    vae.tiled_decode = lambda *given, **more: made.append(1) or tiles(*given, **more)
    request = Request(lambda: vae.decode(torch.zeros(1, 4, 40, 40), return_dict=False)[0])
    request.resume()
    with torch.no_grad():
        (picture,) = run_joined([request])
    assert made and picture[0].shape == (1, 3, 80, 80)


class Half(torch.nn.Module):
    """A decoder that overflows in half precision."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(60_000.0).to(dtype))
        self.seen: list[torch.dtype] = []

    def decode(self, z: torch.Tensor) -> tuple[torch.Tensor]:
        self.seen.append(z.dtype)
        return (z * self.scale,)


def test_a_picture_that_came_out_as_no_numbers_is_decoded_again_in_fp32() -> None:
    vae = Half(torch.float16)
    DecodePoint("vae.decode", vae, 8)

    def paint(value: float) -> Any:
        latents = torch.full((1, 4, 2, 2), value, dtype=torch.float16)
        request = Request(lambda: vae.decode(latents))
        request.resume()
        with torch.no_grad():
            return run_joined([request])[0][0]

    assert paint(1.0).dtype is torch.float16 and vae.seen == [torch.float16]
    again = paint(2.0)
    assert torch.equal(again, torch.full((1, 4, 2, 2), 120_000.0))
    assert vae.seen[1:] == [torch.float16, torch.float32] and vae.scale.dtype is torch.float16
    assert not torch.isfinite(paint(float("nan"))).any() and len(vae.seen) == 4, "its latents were none"


# --- which cards ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, ["cuda:0", "cuda:1", "cuda:2"]),
        ("1", ["cuda:0"]),
        ("2,0", ["cuda:0", "cuda:1"]),
        ("0,-1,1", ["cuda:0"]),
        ("0,7,1", ["cuda:0"]),
        ("GPU-2,MIG-4,GPU-0", ["cuda:0", "cuda:1", "cuda:2"]),
        ("GPU-1,GPU-7,GPU-0", ["cuda:0"]),
        ("-1", ["cpu"]),
        ("", ["cpu"]),
    ],
)
def test_cards_that_the_environment_hides_are_not_there(
    visible: str | None, expected: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    smi = tmp_path / "nvidia-smi"
    smi.write_text('#!/bin/sh\nfor n in 0 1 2; do echo "GPU-$n$n, ${n}0000"; done\n')
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices("auto") == expected
    if visible == "2,0":
        assert card_memory() == [20000 * 2**20, 0]
        assert memories(["cuda:0", "cpu"]) == [FOR_MODELS * 20000 * 2**20, FOR_MODELS * host_memory()]


# --- cards without bfloat16 -------------------------------------------------------------------------------


def test_weights_are_bfloat16_only_where_the_card_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answers = list[bool](), [True, False]

    def supported(including_emulation: bool = True) -> bool:
        asked.append(including_emulation)
        return answers.pop(0)

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    for expected in (torch.bfloat16, torch.float16):
        assert pipelines.dtype_on(torch.device("cuda:1")) is expected
    assert asked == [False, False], "what is only emulated is slow"
    assert pipelines.dtype_on(torch.device("cpu")) is torch.float32


def test_on_such_a_card_the_vae_has_float32_and_pictures_are_painted_and_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    twin = FAMILIES["sd"](tmp_path).pipe
    twin.save_pretrained(tmp_path / "twin", safe_serialization=True)
    monkeypatch.setattr(pipelines, "dtype_on", lambda device: torch.float16)
    bench = Bench(NoCard(), [str(tmp_path / "twin")])
    loaded = bench.load("twin")
    assert loaded.pipe.vae.dtype is torch.float32 and loaded.pipe.unet.dtype is torch.float16
    assert loaded.preview is not None
    words = GenerationRequest(prompt="a fox", seed=1, model="twin", steps=2, count=1, width=64, height=64)
    png = pipelines.encode_png(torch.full((64, 64, 3), 120, dtype=torch.uint8))
    changed = replace(words, task=ImageToImage(source="0" * 64 + ".png", strength=0.6))
    jobs = [bench.give(words)]
    job = EngineJob(id="changed", request=changed, tenant="t", user="u")
    bench.orders.waiting.append(Start(job=job, sources=(png,)))
    bench.finish()
    assert isinstance(bench.end(jobs[0]), Finished) and isinstance(bench.end("changed"), Finished)


def test_a_card_that_is_not_there_is_told_by_the_worker_as_before() -> None:
    given: Any = Orders(), Box()
    setup = Setup(device="cuda:0", models=("easel-tiny",), hang_seconds=60.0)
    worker = WorkerLoop(setup, *given, Heartbeat(get_context("spawn")))
    with torch.no_grad():
        worker._prepare()
    (ready,) = (event for _, event in given[1].said if isinstance(event, Ready))
    assert isinstance(ready.error, ModelNotLoaded)


# --- what torch is told before it is there ----------------------------------------------------------------


def test_the_allocator_is_told_to_grow_its_segments_before_torch_is_imported() -> None:
    script = """
import json, os, sys, types
from engine.workers import process
loop = types.ModuleType("engine.workers.loop")
names = "PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"
loop.main = lambda *given: print(json.dumps([*map(os.environ.get, names), "torch" in sys.modules]))
sys.modules["engine.workers.loop"] = loop
process.run_worker(None, None, None, None)
"""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTORCH_")}

    def told(**more: str) -> list[Any]:
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment | more, capture_output=True, check=True, cwd=ROOT
        )
        found: list[Any] = json.loads(done.stdout)
        return found

    assert told() == ["expandable_segments:True", "expandable_segments:True", False]
    own = "max_split_size_mb:64"
    assert told(PYTORCH_ALLOC_CONF=own)[0] == own, "what an operator has set stays"

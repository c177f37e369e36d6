"""Parts of pictures by every family that starts from pictures: joined passes give what each gives alone."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionInpaintPipeline, StableDiffusionXLInpaintPipeline
from PIL import Image

from engine import catalog
from engine.families import Family, families, family_of
from engine.pipelines import run
from engine.pipelines.upscale import Upscaler
from engine.types import GenerationRequest, Inpaint, Outpaint
from tests.families import FAMILIES
from tests.families import Family as Twin
from tests.matrix.twins import TWINS
from tests.unit.test_batching import EXACT, Hub, difference

MODEL = replace(
    catalog.load(["sdxl"]).entry("sdxl").info, width=64, height=64, multiple=16, min_side=64, max_side=64
)


def nine_channels(kind: Any, twin: str) -> Callable[[Path], Twin]:
    def make(folder: Path) -> Twin:
        made = FAMILIES[twin](folder)
        parts = dict(made.pipe.components)
        torch.manual_seed(0)
        parts["unet"] = type(parts["unet"]).from_config({**parts["unet"].config, "in_channels": 9}).eval()
        known = kind._get_signature_keys(kind)[0]
        more = {} if twin == "sdxl" else {"requires_safety_checker": False}
        return Twin(kind(**{name: parts.get(name) for name in known}, **more), made.options)

    return make


MADE: dict[str, Callable[[Path], Twin]] = {
    **{name: make for name, make in TWINS.items()},
    "9 channels": nine_channels(StableDiffusionInpaintPipeline, "sd"),
    "9 channels, SDXL": nine_channels(StableDiffusionXLInpaintPipeline, "sdxl"),
}
PAINTING = (
    "Stable Diffusion",
    "Stable Diffusion XL",
    "Stable Diffusion 3",
    "FLUX.1",
    "FLUX.1 Fill",
    "FLUX.1 Kontext",
    "FLUX.2",
    "FLUX.2 klein",
    "Z-Image",
    "Qwen-Image",
    "Qwen-Image-Edit",
    "Qwen-Image-Edit-Plus",
    "Chroma",
    "9 channels",
    "9 channels, SDXL",
)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    run.silence_libraries()
    with torch.no_grad():
        yield
    torch.set_num_threads(threads)


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


SOURCE = Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8))


def mask(left: int, right: int) -> bytes:
    drawn = Image.new("L", (64, 64))
    drawn.paste(255, (left, 0, right, 64))
    return png(drawn)


def tasks() -> list[tuple[Inpaint | Outpaint, list[bytes], tuple[int, int]]]:
    part = Inpaint(source="s", mask="m")
    return [
        (part, [png(SOURCE), mask(0, 12)], (64, 64)),
        (part, [png(SOURCE), mask(40, 64)], (64, 64)),
        (
            Outpaint(source="s", left=0, top=0, width=48, height=64),
            [png(SOURCE.crop((0, 0, 48, 64)))],
            (64, 64),
        ),
    ]


@pytest.mark.parametrize("title", PAINTING)
def test_joined_parts_are_those_painted_alone(
    title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    twin = MADE[title](tmp_path)
    twin.pipe.set_progress_bar_config(disable=True)
    arguments = Family.arguments

    def with_embeddings(self: Family, task: Any, painting: Any) -> dict[str, Any]:
        """The twins have no text encoders: their options stand for the words."""
        made = arguments(self, task, painting)
        options = twin.options(int(painting.prompt))
        plain = {name: made[name] for name in made if not name.endswith("prompt")}
        given = {name: each for name, each in options.items() if name not in ("image", "mask_image", *plain)}
        return plain | given

    monkeypatch.setattr(Family, "arguments", with_embeddings)
    for each in {type(family_of(type(twin.pipe).__name__)), Family}:
        if "arguments" in vars(each) and each is not Family:
            monkeypatch.setattr(each, "arguments", with_embeddings)
    entry = replace(catalog.load(["sdxl"]).entry("sdxl"), info=MODEL)
    loaded = run.Loaded(entry, twin.pipe, [], None, Upscaler(torch.nn.Identity()))

    def painted(number: int) -> Callable[[], torch.Tensor]:
        task, sources, size = tasks()[number]
        request = GenerationRequest(
            prompt=str(number), seed=number, width=size[0], height=size[1], steps=4, guidance=3.0, task=task
        )
        return lambda: run.paint(loaded, request, 0, sources, lambda *_: None)

    made: dict[int, list[torch.Tensor]] = {}  # by seed: what the pipeline gave, alone and joined
    call = run._call

    def noted(pipe: Any, given: dict[str, Any], seed: int, *more: Any) -> torch.Tensor:
        pixels = call(pipe, given, seed, *more)
        made.setdefault(seed, []).append(pixels)
        return pixels

    monkeypatch.setattr(run, "_call", noted)
    alone = [painted(number)() for number in range(3)]
    hub = Hub(twin.pipe)
    requests = [hub.start(painted(number)) for number in range(3)]
    hub.finish()
    hub.close()

    assert difference(requests, alone) <= 1.01 / 255  # rounded to bytes
    assert all(float((one - other).abs().max()) <= EXACT for one, other in made.values())
    assert hub.widest >= 2 or family_of(type(twin.pipe).__name__).joins != "always"
    left, right, wider = (run.as_bytes(each).numpy() for each in alone)
    source = np.asarray(SOURCE)
    assert (left[:, 12 + 8 :] == source[:, 12 + 8 :]).all() and (left[:, :12] != source[:, :12]).any()
    assert (right[:, : 40 - 8] == source[:, : 40 - 8]).all() and (right[:, 42:] != source[:, 42:]).any()
    assert (wider[:, :48] == source[:, :48]).all() and (wider[:, 52:] != source[:, 52:]).any()


def test_every_family_that_starts_from_pictures_is_looked_at(tmp_path: Path) -> None:
    looked = set()
    for title in PAINTING:
        (tmp_path / title).mkdir()
        looked.add(type(MADE[title](tmp_path / title).pipe).__name__)
    able = [each for each in families() if "inpaint" in each.tasks]

    assert able and [each.name for each in able if not each.classes & looked] == []

"""Enlarging: any size, alpha kept, and detail painted tile by tile without seams."""

from __future__ import annotations

import functools
import io
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from engine import catalog, details
from engine.errors import InvalidRequest
from engine.families import Family, family_of
from engine.pipelines import enlarging, rehearsal, run, tensors
from engine.pipelines.upscale import Upscaler
from engine.regions import Region
from engine.tiles import OVERLAP, tiles, weights
from engine.types import CreativeUpscale, GenerationRequest, ImageToImage, Upscale
from tests import matrix
from tests.families import FAMILIES
from tests.families import Family as Twin
from tests.thorough import THOROUGHLY

SIZES = ((512, 512), (513, 700), (1024, 1024), (2000, 300), (100, 90), (4096, 4096))


@pytest.fixture(scope="module")
def upscaler() -> Upscaler:
    return Upscaler.load()


def png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def drawn(side: int = 64, mode: str = "RGB") -> Image.Image:
    picture = Image.new(mode, (side, side), "white" if mode == "RGB" else (0, 0, 0, 0))
    ImageDraw.Draw(picture).ellipse((side // 6, side // 6, side - side // 6, side - side // 6), fill="red")
    return picture


# ---- tiles


@pytest.mark.parametrize("size", SIZES)
def test_tiles_cover_the_picture_and_overlap(size: tuple[int, int]) -> None:
    found = tiles(size, (512, 384))
    seen = np.zeros(size[::-1], int)
    for left, top, right, bottom in found:
        assert (right - left, bottom - top) == (min(512, size[0]), min(384, size[1]))
        seen[top:bottom, left:right] += 1
    assert seen.min() == 1
    lefts = sorted({box[0] for box in found})
    steps = [after - before for before, after in itertools.pairwise(lefts)]
    assert all(step <= 512 * (1 - OVERLAP) + 1 for step in steps)


@pytest.mark.parametrize("size", SIZES)
def test_every_pixel_is_made_of_tiles_that_count(size: tuple[int, int]) -> None:
    total = np.zeros(size[::-1], np.float32)
    for box in tiles(size, (512, 512)):
        left, top, right, bottom = box
        share = weights(box, size)
        assert share.min() > 0
        total[top:bottom, left:right] += share
    assert total.min() > 0.2
    assert total[0, 0] == 1, "no border of the picture fades"


# ---- super-resolution


@pytest.mark.parametrize("size", [(64, 64), (70, 70), (128, 128), (200, 150), (256, 256), (640, 640)])
def test_a_picture_is_made_of_any_size(upscaler: Upscaler, size: tuple[int, int]) -> None:
    made = enlarging.enlarged(upscaler, drawn(), size)

    assert made.shape == (3, size[1], size[0]) and 0 <= made.min() and made.max() <= 1
    back = tensors.picture(made).resize((64, 64), Image.Resampling.BOX)
    assert np.abs(np.asarray(back, int) - np.asarray(drawn(), int)).mean() < 8


def test_what_is_transparent_stays_so(upscaler: Upscaler) -> None:
    made = enlarging.enlarged(upscaler, drawn(mode="RGBA"), (256, 256))

    assert made.shape[0] == 4
    alpha = tensors.picture(made).getchannel("A").resize((64, 64), Image.Resampling.BOX)
    off = np.abs(np.asarray(alpha, int) - np.asarray(drawn(mode="RGBA").getchannel("A"), int))
    assert off.mean() < 4 and alpha.getpixel((0, 0)) == 0 and alpha.getpixel((32, 32)) > 250


# ---- detail that is painted


def noisy(strength: float) -> enlarging.PaintTile:
    """Paint every tile in other colours, with noise that differs from tile to tile."""

    def paint(number: int, count: int, tile: Image.Image, lay: enlarging.Lay) -> torch.Tensor:
        dice = torch.Generator().manual_seed(number)
        values = tensors.pixels(tile) + 0.15 * torch.rand((3, 1, 1), generator=dice) - 0.07
        return (values + strength * torch.randn(values.shape, generator=dice)).clamp(0, 1)

    return paint


def test_tiles_leave_no_seam_that_the_noise_does_not_hide() -> None:
    """Where tiles meet, neighbouring pixels differ no more than elsewhere, however they were coloured."""
    base = torch.full((3, 256, 256), 0.5)
    made = enlarging.repainted(base, (128, 128), noisy(0.05))

    across = (made[:, :, 1:] - made[:, :, :-1]).abs().mean((0, 1))
    edges = sorted({x for box in tiles((256, 256), (128, 128)) for x in (box[0], box[2]) if 0 < x < 256})
    usual, spread = float(across.mean()), float(across.std())
    assert edges and all(float(across[x - 1]) <= usual + 2 * spread for x in edges)
    rows = made.mean((0, 2))
    assert (rows - 0.5).abs().max() < 0.03, "no tile is lighter or darker than its neighbours"


def test_detail_is_what_a_tile_adds() -> None:
    base = torch.full((3, 192, 192), 0.5)
    made = enlarging.repainted(base, (128, 128), noisy(0.05))

    assert 0.02 < float((made - base).std()) < 0.06


def test_lettering_stays_as_super_resolution_made_it() -> None:
    picture = Image.new("RGB", (256, 256), (200, 210, 220))
    draw = ImageDraw.Draw(picture)
    for y in range(100, 150, 16):
        draw.text((40, y), "The quick brown fox jumps", fill="black")
    base = tensors.pixels(picture)

    made = enlarging.repainted(base, (128, 128), noisy(0.1))

    changed = (made - base).abs().mean(0)
    assert changed[104:140, 60:150].mean() < 0.02
    assert changed[:60].mean() > 0.04


def test_plain_drawings_have_no_lettering() -> None:
    assert details.kept(drawn(512)).mean() < 0.05


# ---- with a model


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory, upscaler: Upscaler) -> run.Loaded:
    info = replace(
        catalog.load(["sdxl"]).entry("sdxl").info, width=32, height=32, multiple=8, min_side=16, max_side=64
    )
    entry = replace(catalog.load(["sdxl"]).entry("sdxl"), info=info)
    pipe = FAMILIES["sd"](tmp_path_factory.mktemp("sd")).pipe
    pipe.set_progress_bar_config(disable=True)
    return run.Loaded(entry, pipe, [], None, upscaler)


def creative(side: int = 32, factor: int = 2) -> GenerationRequest:
    request = GenerationRequest(prompt="a circle", seed=7, steps=10, count=1)
    return request.enlarged("s", side, side, (side * factor, side * factor), creative=True)


def test_a_model_paints_each_tile_with_the_steps_of_its_strength(loaded: run.Loaded) -> None:
    told: list[tuple[int, int]] = []

    def report(step: int, steps: int, _latents: Any, _size: Any, lay: Any = None) -> None:
        assert lay is not None
        whole = lay(torch.zeros(3, 4, 4))
        assert whole.shape == (3, 256, 256) and (whole == 0).any() and (whole != 0).any()
        told.append((step, steps))

    with torch.no_grad():
        made = run.paint(loaded, creative(), 0, [png(drawn(32))], report)

    count = len(tiles((64, 64), (32, 32)))
    assert made.shape == (3, 64, 64)
    assert told == [(step, 3 * count) for step in range(1, 3 * count + 1)]


def test_a_cut_out_stays_cut_out(loaded: run.Loaded) -> None:
    with torch.no_grad():
        made = run.paint(loaded, creative(), 0, [png(drawn(32, "RGBA"))], lambda *_: None)

    assert made.shape == (4, 64, 64) and made[3, 0, 0] < 0.02 and made[3, 32, 32] > 0.95


def test_its_cost_counts_its_tiles() -> None:
    entry = catalog.load(["easel-tiny"]).entry("easel-tiny")
    request = GenerationRequest(prompt="x", seed=1, count=1, steps=20)
    large = request.enlarged("s", 512, 512, (1024, 1024), creative=True)
    nine = replace(request, count=9, task=ImageToImage(source="s", strength=0.3))

    assert entry.units(large) == entry.units(nine)


@pytest.mark.parametrize("kind", [Upscale, CreativeUpscale])
def test_rows_of_before_still_tell_the_size_before(kind: Any) -> None:
    request = GenerationRequest(prompt="x", seed=1, width=1024, height=512, task=kind(source="s", factor=4))

    assert (request.before_upscale().width, request.before_upscale().height) == (256, 128)
    assert GenerationRequest.from_json(request.to_json()) == request


def test_only_models_that_take_a_strength_enlarge_creatively() -> None:
    assert "creative_upscale" in family_of("StableDiffusionPipeline").tasks
    assert "creative_upscale" not in family_of("QwenImageEditPipeline").tasks


# ---- every family


@pytest.mark.parametrize("name", THOROUGHLY)
def test_every_family_paints_detail_joined_as_alone(
    name: str, tmp_path: Path, upscaler: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    twin = FAMILIES[name](tmp_path)
    twin.pipe.set_progress_bar_config(disable=True)
    kind = type(twin.pipe).__name__
    family = family_of(kind)
    tiles_of_16 = replace(
        catalog.load(["sdxl"]).entry("sdxl").info, width=32, height=32, multiple=16, min_side=16, max_side=64
    )
    entry = replace(catalog.load(["sdxl"]).entry("sdxl"), info=tiles_of_16)
    loaded = run.Loaded(entry, twin.pipe, run.points_of(twin.pipe), None, upscaler)
    if "creative_upscale" not in family.tasks:
        assert not family.strength or "image_to_image" not in family.tasks
        with pytest.raises(InvalidRequest), torch.no_grad():
            run.paint(loaded, creative(), 0, [png(drawn(32))], lambda *_: None)
        return
    _conditioned(monkeypatch, twin)
    requests = [replace(creative(32), seed=seed, steps=4) for seed in (1, 2)]

    def paint(request: GenerationRequest) -> torch.Tensor:
        return run.paint(loaded, request, 0, [png(drawn(32))], lambda *_: None)

    runs = [functools.partial(paint, each) for each in requests]
    with torch.no_grad():
        alone = [each() for each in runs]
        with matrix._joined_passes() as passes:
            joined = rehearsal.meet(runs, together=True)

    assert family.joins != "always" or sum(passes.values()) > 0
    for one, other in zip(alone, joined, strict=True):
        assert one.shape == (3, 64, 64) and (one - other).abs().max() <= 1e-4
    assert not torch.equal(alone[0], alone[1]), "noise of its own"
    loaded.unload()


def _conditioned(monkeypatch: pytest.MonkeyPatch, twin: Twin) -> None:
    """Give a twin the conditioning that its text encoders would make of a prompt."""
    arguments = Family.arguments
    given = {name: value for name, value in twin.options(0).items() if "embeds" in name or "mask" in name}

    def with_embeddings(family: Family, *what: Any) -> dict[str, Any]:
        made = arguments(family, *what) | given
        if "prompt_embeds" in given:
            made = {name: each for name, each in made.items() if name not in ("prompt", "negative_prompt")}
        return made

    monkeypatch.setattr(Family, "arguments", with_embeddings)


# ---- previews


def test_a_region_is_previewed_in_the_whole_picture() -> None:
    canvas, alpha = Image.new("RGB", (512, 256), "blue"), Image.new("L", (512, 256))
    alpha.paste(255, (320, 64, 384, 192))
    part = Region(canvas=canvas, alpha=alpha, window=(256, 0, 512, 256), size=(64, 64))

    shown = enlarging.laying_region(part)(torch.ones(3, 16, 16))

    assert shown.shape == (3, 128, 256)
    assert (shown[:, 40:90, 164:188] > 0.98).all(), "what is painted"
    blue = torch.tensor([0.0, 0.0, 1.0])[:, None, None]
    assert torch.allclose(shown[:, :, :150], blue, atol=0.01), "what the window is laid into"
    assert torch.allclose(shown[:, :, 210:], blue, atol=0.01), "the rest of the window is kept"


def test_previews_of_several_sizes_share_a_sheet() -> None:
    small, large = torch.zeros(3, 16, 16), torch.ones(3, 128, 256)

    sheet = run.side_by_side([small, large, None])

    assert sheet.shape == (3, 256, 512)
    assert (sheet[:, :128, :256] == 0).all() and (sheet[:, :128, 256:] == 1).all()
    assert (sheet[:, 128:, :256] == 0.5).all()

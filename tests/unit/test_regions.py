"""Painting a part of a picture: the rest stays as it is, to the byte."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter

from engine import catalog, regions
from engine.errors import InvalidRequest
from engine.pipelines import run
from engine.pipelines.kept_latents import KeptLatents
from engine.pipelines.upscale import Upscaler
from engine.types import GenerationRequest, Inpaint, Outpaint
from tests.families import FAMILIES

MODEL = replace(
    catalog.load(["sdxl"]).entry("sdxl").info, width=64, height=64, multiple=8, min_side=32, max_side=128
)


def picture(width: int, height: int, seed: int = 1) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(values)


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def mask_of(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=255)
    return mask


def changed(before: Image.Image, after: Image.Image) -> np.ndarray:
    return (np.asarray(before) != np.asarray(after)).any(axis=2)


def test_pixels_outside_of_the_mask_stay_to_the_byte() -> None:
    source, mask = picture(100, 90), mask_of((100, 90), (40, 30, 60, 55))
    part = regions.region(Inpaint(source="s", mask="m"), [png(source), png(mask)], (100, 90), MODEL)

    after = part.composed(picture(*part.size, seed=2))

    seen = changed(source, after)
    assert seen[32:53, 42:58].mean() > 0.99
    seen[30 - 8 : 55 + 8, 40 - 8 : 60 + 8] = False
    assert not seen.any()


def test_what_is_under_the_mask_is_all_painted() -> None:
    source, mask = picture(96, 96), mask_of((96, 96), (20, 20, 70, 60))
    part = regions.region(Inpaint(source="s", mask="m"), [png(source), png(mask)], (96, 96), MODEL)

    flat = np.asarray(part.composed(Image.new("RGB", part.size, (9, 8, 7))))

    assert (flat[20:60, 20:70] == (9, 8, 7)).all()


def test_a_mask_with_soft_edges_is_mixed_as_it_is() -> None:
    source = Image.new("RGB", (96, 96), "white")
    soft = mask_of((96, 96), (30, 30, 60, 60)).filter(ImageFilter.GaussianBlur(6))
    part = regions.region(Inpaint(source="s", mask="m"), [png(source), png(soft)], (96, 96), MODEL)

    grey = np.asarray(part.composed(Image.new("RGB", part.size, "black")))[..., 0]

    assert np.abs(grey.astype(int) - (255 - np.asarray(soft).astype(int))).max() <= 1


@given(
    st.integers(1, 300), st.integers(1, 300), st.integers(0, 299), st.integers(0, 299), st.integers(1, 300)
)
def test_whatever_the_mask_the_window_holds_it(width: int, height: int, x: int, y: int, side: int) -> None:
    x, y = x % width, y % height
    mask = mask_of((width, height), (x, y, min(width, x + side), min(height, y + side)))
    source = Image.new("RGB", (width, height), "white")
    part = regions.region(Inpaint(source="s", mask="m"), [png(source), png(mask)], (width, height), MODEL)

    left, top, right, bottom = part.window
    assert 0 <= left < right <= width and 0 <= top < bottom <= height
    bounds = part.alpha.getbbox()
    assert bounds and left <= bounds[0] and top <= bounds[1] and bounds[2] <= right and bounds[3] <= bottom
    assert all(MODEL.min_side <= each <= MODEL.max_side and each % 8 == 0 for each in part.size)
    assert part.image.size == part.size


def test_a_mask_of_another_size_is_brought_to_that_of_the_picture() -> None:
    source = picture(96, 64)
    part = regions.region(
        Inpaint(source="s", mask="m"), [png(source), png(mask_of((48, 32), (0, 0, 24, 32)))], (96, 64), MODEL
    )

    assert not changed(source, part.composed(picture(*part.size, 2)))[:, 48 + 8 + 2 :].any()


def test_a_black_mask_marks_nothing() -> None:
    with pytest.raises(InvalidRequest) as refused:
        regions.region(
            Inpaint(source="s", mask="m"), [png(picture(8, 8)), png(Image.new("L", (8, 8)))], (8, 8), MODEL
        )

    assert refused.value.advice == "The mask marks nothing. Mark what is to change."


def test_the_middle_stays_when_more_is_painted_around_it() -> None:
    source = picture(64, 48)
    task = Outpaint(source="s", left=20, top=10, width=64, height=48)
    part = regions.region(task, [png(source)], (110, 70), MODEL)

    after = part.composed(Image.new("RGB", part.size, "red"))

    assert not changed(source, after.crop((20, 10, 84, 58))).any()
    assert after.getpixel((0, 0)) == after.getpixel((109, 69)) == (255, 0, 0)


def test_what_is_mirrored_goes_on_at_the_edge() -> None:
    source = Image.linear_gradient("L").resize((64, 64)).convert("RGB")
    part = regions.region(
        Outpaint(source="s", left=32, top=32, width=64, height=64), [png(source)], (128, 128), MODEL
    )

    rows = np.asarray(part.canvas)[..., 0].astype(int)

    assert np.abs(rows[31] - rows[32]).max() <= 8 and np.abs(rows[96] - rows[95]).max() <= 8


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    def load(family: str) -> run.Loaded:
        pipe = FAMILIES[family](tmp_path_factory.mktemp(family)).pipe
        pipe.set_progress_bar_config(disable=True)
        entry = replace(catalog.load(["sdxl"]).entry("sdxl"), info=MODEL)
        return run.Loaded(entry, pipe, [], None, Upscaler(torch.nn.Identity()))

    return load


@pytest.mark.parametrize("scheduler", ["", "euler", "euler_a", "dpm++", "ddim", "unipc"])
def test_the_latents_around_the_mask_are_those_of_the_source(
    loaded: Any, scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Image.linear_gradient("L").resize((64, 64)).convert("RGB")
    mask = mask_of((64, 64), (0, 0, 16, 64))
    put_back, seen = KeptLatents.put_back, []

    def watched(kept: KeptLatents, time: Any, latents: torch.Tensor) -> torch.Tensor:
        after = put_back(kept, time, latents)
        seen.append((kept._clean, latents, after))
        return after

    monkeypatch.setattr(KeptLatents, "put_back", watched)
    request = GenerationRequest(
        prompt="a fox",
        seed=1,
        width=64,
        height=64,
        steps=4,
        count=1,
        scheduler=scheduler,
        task=Inpaint(source="s", mask="m"),
    )

    with torch.no_grad():
        pixels = run.paint(loaded("sd"), request, 0, [png(source), png(mask)], lambda *_: None)

    assert not changed(source, Image.fromarray(run.as_bytes(pixels).numpy()))[:, 16 + 8 :].any()
    assert len(seen) == 4
    clean, painted, after = seen[-1]
    assert torch.equal(after[..., 16:], clean[..., 16:]) and torch.equal(after[..., :8], painted[..., :8])
    _, painted, noisy = seen[0]
    assert not torch.equal(noisy[..., 16:], painted[..., 16:])
    assert not torch.equal(noisy[..., 16:], clean[..., 16:])


def seam(picture: Image.Image, at: int, rows: slice) -> tuple[float, float]:
    """The largest step from one column to the next near a column, and elsewhere."""
    steps = np.abs(np.diff(np.asarray(picture.convert("L"), np.float32)[rows], axis=1)).mean(0)
    near = steps[at - 10 : at + 10]
    return float(near.max()), float(np.concatenate([steps[: at - 10], steps[at + 10 :]]).max())


@pytest.mark.parametrize("tone", [-40, 0, 40])
def test_no_seam_is_seen_where_a_window_has_another_tone(tone: int) -> None:
    noise = np.random.default_rng(3).normal(128, 6, (96, 128, 3))
    source = Image.fromarray(noise.clip(0, 255).astype(np.uint8))
    mask = mask_of((128, 96), (64, 0, 128, 96))
    part = regions.region(Inpaint(source="s", mask="m"), [png(source), png(mask)], (128, 96), MODEL)
    other = np.asarray(part.image, np.float32) + tone + np.random.default_rng(4).normal(0, 4, (1, 1, 3))

    after = part.composed(Image.fromarray(other.clip(0, 255).astype(np.uint8)))

    near, elsewhere = seam(after, 64, slice(8, 88))
    assert near <= 1.1 * elsewhere
    assert abs(np.asarray(after)[:, 100:].mean() - 128) < 4


def test_no_seam_is_seen_around_a_picture() -> None:
    ramp = np.linspace(60, 200, 96)[None, :, None] + np.random.default_rng(5).normal(0, 4, (64, 96, 3))
    source = Image.fromarray(ramp.clip(0, 255).astype(np.uint8))
    task = Outpaint(source="s", left=0, top=0, width=96, height=64)
    part = regions.region(task, [png(source)], (128, 64), MODEL)

    after = part.composed(part.image)

    near, elsewhere = seam(after, 96, slice(8, 56))
    assert near <= 1.1 * elsewhere


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("a red fox in snow", "snow"),
        ("an owl on a yellow background", "a yellow background"),
        ("ein Fuchs vor einem Wald", "einem Wald"),
        ("a sunflower", "plain background"),
        ("in", "plain background"),
        ("a bird sitting on", "plain background"),
    ],
)
def test_the_ground_s_words_are_found(prompt: str, words: str) -> None:
    assert regions.ground(prompt) == words

"""Edits and blends in the engine: what each family is given, and that nothing else of a picture moves."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from engine import catalog, changes
from engine.families import family_of
from engine.pipelines import references, run, tensors
from engine.pipelines.upscale import Upscaler
from engine.types import Blend, Edit, GenerationRequest, ImageToImage, PaintingTask
from tests.families import REFERENCES
from tests.unit.test_batching import EXACT, Hub, call, difference

SIZE = (128, 96)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with torch.no_grad():
        yield


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def flat(colour: str, size: tuple[int, int] = SIZE) -> Image.Image:
    return Image.new("RGB", size, colour)


# ---- joined = alone


@pytest.mark.parametrize("make", REFERENCES.values(), ids=list(REFERENCES))
def test_requests_with_other_references_are_painted_as_alone(
    make: Callable[[Path], Any], tmp_path: Path
) -> None:
    random.seed(1)
    family = make(tmp_path)
    family.pipe.set_progress_bar_config(disable=True)
    calls = [call(family, seed, steps=3 + seed % 2) for seed in range(6)]
    alone = [run() for run in calls]
    hub = Hub(family.pipe)

    requests = [hub.start(each) for each in calls]
    hub.finish()

    assert difference(requests, alone) <= EXACT
    assert hub.widest > 1, "nothing was ever joined"
    hub.close()


# ---- what each family is given


def told(pipeline: str, task: PaintingTask, prompt: str = "a red cup") -> str:
    return family_of(pipeline).words(task, prompt)


def test_families_with_references_are_told_the_instruction_and_what_each_picture_is_for() -> None:
    edit = Edit(sources=("a",), instruction="make the cup red")
    guided = Edit(sources=("a", "b", "c"), keep=False, style=1, subject=1)

    assert told("Flux2KleinPipeline", edit) == "make the cup red"
    assert told("StableDiffusionPipeline", edit) == "a red cup"
    assert told("Flux2KleinPipeline", guided) == (
        "a red cup. Take only the style and the colours of image 2, not the content. "
        "The subject is that of image 3: keep how it looks."
    )
    assert told("Flux2KleinPipeline", Blend(sources=("a", "b", "c"), weights=(1, 3, 1))) == (
        "a red cup. Blend image 1, image 2 and image 3 into one picture, with most of image 2."
    )


def test_a_strong_variation_may_leave_its_reference() -> None:
    subtle, strong = (ImageToImage(source="a", strength=strength) for strength in (0.4, 0.75))

    assert told("Flux2KleinPipeline", subtle) == "a red cup"
    assert told("Flux2KleinPipeline", strong).startswith("a red cup Use the given image only as a loose")
    assert told("StableDiffusionPipeline", strong) == "a red cup"


def test_references_are_given_as_a_whole_and_the_changed_picture_in_its_new_size() -> None:
    pictures, family = [flat("red", (200, 100)), flat("blue", (70, 90))], family_of("Flux2KleinPipeline")

    given = references.references(Edit(sources=("a", "b")), pictures, family, SIZE)

    assert [each.size for each in given] == [SIZE, (70, 90)]


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (2000, 20), (63, 64), (640, 480)])
def test_small_and_long_references_are_brought_to_what_every_family_takes(size: tuple[int, int]) -> None:
    width, height = references.usable(flat("red", size)).size

    assert min(width, height) >= 64
    assert max(width, height) <= 8 * min(width, height)


def test_more_pictures_than_a_family_takes_are_laid_side_by_side() -> None:
    pictures = [flat("red", (80, 80)), flat("blue", (160, 160)), flat("lime", (80, 160))]
    task = Blend(sources=("a", "b", "c"))

    (one,) = references.references(task, pictures, family_of("FluxKontextPipeline"), SIZE)

    assert one.size == (80 + 80 + 40, 80)
    assert [one.getpixel((x, 20)) for x in (20, 120, 180)] == [(255, 0, 0), (0, 0, 255), (0, 255, 0)]


@pytest.mark.parametrize(
    ("weights", "expected"), [((), (128, 0, 127)), ((3, 1), (191, 0, 64)), ((0, 1), (0, 0, 255))]
)
def test_other_models_start_from_the_pictures_mixed(
    weights: tuple[float, ...], expected: tuple[int, int, int]
) -> None:
    task = Blend(sources=("a", "b"), weights=weights)

    mixed = references.start(task, [flat("red"), flat("blue", (10, 10))], SIZE)

    assert mixed.size == SIZE
    assert np.abs(np.subtract(mixed.getpixel((5, 5)), expected)).max() <= 1


def test_a_model_says_how_many_references_it_takes() -> None:
    taken = {name: catalog.load([name]).info(name).references for name in ("flux2-klein", "sdxl")}

    assert taken == {"flux2-klein": 4, "sdxl": 0}
    assert {"edit", "blend"} <= catalog.load(["sdxl"]).info("sdxl").tasks
    assert not {"edit", "blend"} & catalog.load(["krea-2-turbo"]).info("krea-2-turbo").tasks


def test_tasks_are_the_same_after_they_were_stored() -> None:
    for task in (
        Edit(sources=("a", "b"), instruction="x", shows="y", keep=False, strength=0.5, style=1, subject=1),
        Blend(sources=("a", "b"), strength=0.5, weights=(1.0, 2.0)),
    ):
        request = GenerationRequest(prompt="a", seed=1, task=task)
        assert GenerationRequest.from_json(request.to_json()) == request


# ---- nothing else moves


def scene(seed: int = 1) -> Image.Image:
    """A picture of soft shapes with some detail."""
    dice = np.random.default_rng(seed)
    coarse = Image.fromarray(dice.integers(60, 200, (8, 8, 3), np.uint8))
    fine = Image.fromarray(dice.integers(0, 20, (256, 256, 3), np.uint8))
    soft = np.asarray(coarse.resize((256, 256), Image.Resampling.BICUBIC)) + np.asarray(fine) - 10
    return Image.fromarray(soft.clip(0, 255).astype(np.uint8))


def repainted(image: Image.Image, box: tuple[int, int, int, int], seed: int) -> Image.Image:
    """A picture as an edit gives it back: another colour in a box, and a drift everywhere."""
    drift = np.random.default_rng(seed).normal(1.5, 3, (256, 256, 3))
    moved = Image.fromarray((np.asarray(image) + drift).round().clip(0, 255).astype(np.uint8))
    ImageDraw.Draw(moved).ellipse(box, fill=(220, 20, 30))
    return moved


BOXES = [(10 + 48 * n, 20 + 40 * n, 46 + 48 * n, 60 + 40 * n) for n in range(5)]


def test_five_edits_leave_what_nobody_asked_to_change() -> None:
    first = kept = drifted = scene()
    for turn, box in enumerate(BOXES):
        kept = changes.kept(kept, repainted(kept, box, turn))
        drifted = repainted(drifted, box, turn)

    outside = np.ones((256, 256), bool)
    for left, top, right, bottom in BOXES:
        outside[max(0, top - 24) : bottom + 24, max(0, left - 24) : right + 24] = False
    apart = [np.abs(np.asarray(each, int) - np.asarray(first, int))[outside] for each in (kept, drifted)]
    assert apart[0].max() == 0, "pixels that were not asked about moved"
    assert apart[1].mean() > 5, "the test shows nothing: there is no drift"
    for left, top, right, bottom in BOXES:
        middle = np.asarray(kept)[(top + bottom) // 2, (left + right) // 2]
        assert np.abs(middle.astype(int) - (220, 20, 30)).max() <= 2, "the change itself was lost"


def test_an_edit_of_the_whole_keeps_nothing() -> None:
    before, after = scene(1), scene(2)

    assert changes.changed(before, after) is None
    assert changes.kept(before, after) is after


def test_where_nothing_was_changed_all_is_kept() -> None:
    before = scene()

    assert changes.kept(before, repainted(before, (0, 0, 0, 0), 3)).tobytes() == before.tobytes()


def test_an_edit_is_laid_over_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    source = scene()
    after = repainted(source, BOXES[1], 1)
    entry = catalog.load(["sdxl"]).entry("sdxl")
    entry = replace(entry, info=replace(entry.info, references=4))
    pipe = type("Flux2KleinPipeline", (), {})()
    loaded = run.Loaded(entry, pipe, [], None, Upscaler(torch.nn.Identity()))
    given: list[Any] = []

    def painted(
        _loaded: Any, _request: Any, _task: Any, _index: int, image: Any, *more: Any, **kw: Any
    ) -> Any:
        given.append((image, kw["given"]))
        return tensors.pixels(after)

    monkeypatch.setattr(run, "_painted", painted)
    request = GenerationRequest(prompt="a", seed=1, width=256, height=256, task=Edit(sources=("s",)))

    pixels = run.paint(loaded, request, 0, [png(source)], lambda *_: None)

    assert given[0][0].tobytes() == given[0][1][0].tobytes() == source.tobytes()
    result = np.asarray(Image.fromarray(tensors.as_bytes(pixels).numpy()), int)
    assert (result[200:, :40] == np.asarray(source)[200:, :40]).all()
    pixels = run.paint(
        loaded, replace(request, task=Edit(sources=("s",), keep=False)), 0, [png(source)], None
    )  # type: ignore[arg-type]
    assert torch.equal(pixels, tensors.pixels(after))

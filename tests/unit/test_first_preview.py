"""Whatever the kind of work, its first preview comes after at most two steps: a real worker, step by step."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from PIL import Image

from engine import catalog
from engine.pipelines import upscale
from engine.pipelines.run import Loaded
from engine.types import (
    Blend,
    CreativeUpscale,
    CutOut,
    Edit,
    EngineJob,
    ImageToImage,
    Inpaint,
    Letter,
    Outpaint,
    PaintingTask,
    Progress,
    Task,
    TaskKind,
    TextToImage,
    Upscale,
)
from engine.workers import loop
from engine.workers.messages import Start
from tests.unit.test_charges import REQUEST, Bench

SOURCE, OTHER = "source.png", "mask.png"
TASKS: dict[TaskKind, Task] = {
    "text_to_image": TextToImage(),
    "image_to_image": ImageToImage(source=SOURCE, strength=0.6),
    "edit": Edit(sources=(SOURCE,)),
    "blend": Blend(sources=(SOURCE, OTHER)),
    "inpaint": Inpaint(source=SOURCE, mask=OTHER),
    "outpaint": Outpaint(source=SOURCE, left=64, top=64, width=128, height=128),
    "creative_upscale": CreativeUpscale(source=SOURCE, factor=2, strength=0.6),
    "upscale": Upscale(source=SOURCE, factor=4),
    "cut_out": CutOut(source=SOURCE),
    "letter": Letter(sources=(SOURCE,)),
}
DOES = catalog.load(["easel-tiny"]).info("easel-tiny").tasks
PAINTING = [kind for kind, task in TASKS.items() if kind in DOES and isinstance(task, PaintingTask)]
"""What the shipped model does in steps."""
STEPS = 6


def picture(side: int = 256) -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").resize((side, side)).save(out, "PNG")
    return out.getvalue()


def half() -> bytes:
    """A mask of the upper half, and a picture to blend with."""
    out = io.BytesIO()
    mask = Image.new("RGB", (256, 256), "black")
    mask.paste("white", (0, 0, 256, 128))
    mask.save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(loop, "PROGRESS_SECONDS", 0.0)
    return Bench(monkeypatch)


def shown(bench: Bench, kind: TaskKind, source: bytes, **changes: Any) -> list[tuple[Progress, torch.Tensor]]:
    """Paint to the end; every preview that was sent, with its pixels."""
    found: list[tuple[Progress, torch.Tensor]] = []
    bench.box.put_preview = lambda progress, pixels: found.append((progress, pixels))  # type: ignore[method-assign]
    request = replace(REQUEST, task=TASKS[kind], **{"steps": STEPS, "count": 2, **changes})
    job = EngineJob(id="job", request=request, tenant="t", user="ada")
    sources = tuple(half() if each == OTHER else source for each in request.sources)
    bench.orders.waiting.append(Start(job=job, sources=sources))
    bench.finish()
    return found


def test_every_kind_of_work_is_looked_at() -> None:
    assert TASKS.keys() == set(get_args(TaskKind))
    assert {"text_to_image", "image_to_image", "inpaint", "outpaint"} <= set(PAINTING)


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("kind", PAINTING)
def test_the_first_preview_comes_after_two_steps_at_most(bench: Bench, kind: TaskKind, count: int) -> None:
    previews = shown(bench, kind, picture(), count=count)
    first, pixels = previews[0]
    assert 0 < first.step <= 2 * count
    assert int(pixels.max()) > int(pixels.min())


@pytest.mark.parametrize("kind", PAINTING)
def test_no_more_than_two_steps_lie_between_previews(bench: Bench, kind: TaskKind) -> None:
    steps = [progress.step for progress, _ in shown(bench, kind, picture(), count=1)]
    assert len(steps) >= 2
    assert max(after - before for before, after in zip([0, *steps], steps, strict=False)) <= 2


@pytest.mark.parametrize("kind", PAINTING)
def test_a_draft_of_few_steps_has_previews_too(bench: Bench, kind: TaskKind) -> None:
    first, _ = shown(bench, kind, picture(), count=1, steps=8, draft=True)[0]
    assert first.step <= 2


@pytest.mark.parametrize("kind", PAINTING)
def test_pictures_that_are_painted_one_after_another_are_shown_as_they_come(
    bench: Bench, kind: TaskKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has not begun is grey meanwhile."""
    monkeypatch.setattr(Loaded, "apart", property(lambda model: True))
    first, pixels = shown(bench, kind, picture(), count=4)[0]
    assert first.step <= 2
    height, width, _ = pixels.shape
    waiting = pixels[height // 2 :, width // 2 :]
    assert (waiting == 128).all() and not (pixels[: height // 2, : width // 2] == 128).all()


def test_a_large_picture_is_seen_while_it_is_enlarged(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are no steps: it is shown as it was before."""
    monkeypatch.setattr(upscale, "WHOLE", 0)
    monkeypatch.setattr(upscale, "TILE", 64)
    previews = shown(bench, "upscale", picture(128), count=1, width=512, height=512)
    progress, pixels = previews[0]
    assert progress.step == 0
    wanted = torch.tensor(list(Image.open(io.BytesIO(picture(128))).tobytes()))
    assert torch.equal(pixels.flatten().long(), wanted)

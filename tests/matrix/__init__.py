"""The matrix of pipeline classes: whether each loads from a folder, and paints alone and joined as it should.

`python -m tests.matrix` looks at every class, and writes the table into `docs/models.md`.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import diffusers
import torch
from diffusers.pipelines import auto_pipeline

from engine import catalog
from engine.families import family_of
from engine.pipelines import rehearsal
from engine.pipelines import run as pipelines
from engine.pipelines.batching import Call, InterceptionPoint
from engine.pipelines.components import DeviceMemory
from tests.families import Family
from tests.matrix.twins import TWINS, mask, picture, whole

EXACT = 1e-4  # per pixel, of 0 … 1
STEPS = 2  # of the first request; each further one takes one more, so that others end before it
REQUESTS = 5  # some twins have another size for every second, and a picture for every third

TO_IMAGE = auto_pipeline.AUTO_IMAGE2IMAGE_PIPELINES_MAPPING
INPAINT = auto_pipeline.AUTO_INPAINT_PIPELINES_MAPPING

DENOISERS = {"transformer", "unet"}

Run = Callable[[], torch.Tensor]


@dataclass(frozen=True)
class Row:
    """What came of one class."""

    title: str
    pipeline: str
    cells: tuple[str, ...]  # loads and alone, joined, image-to-image, inpaint

    def __str__(self) -> str:
        return f"| {self.title} | `{self.pipeline}` | {' | '.join(self.cells)} |"

    @property
    def wrong(self) -> list[str]:
        return [cell for cell in self.cells if cell.startswith("✗")]


def look(title: str, folder: Path) -> Row:
    """Look at one class: save its twin, load it as the engine does, and paint in every way."""
    twin = TWINS[title](folder)
    kind, where = type(twin.pipe).__name__, folder / "model"
    whole(twin.pipe, folder).save_pretrained(where, safe_serialization=True)
    try:
        entry = catalog.load([str(where)]).entry("model")
        nobody: Any = None
        loaded = pipelines.load(entry, DeviceMemory.of(torch.device("cpu"), 0), nobody)
        stock = diffusers.DiffusionPipeline.from_pretrained(where, dtype=torch.float32)
        stock.set_progress_bar_config(disable=True)
    except Exception as error:
        return Row(title, kind, (f"✗ does not load: {_first(error)}", "–", "–", "–"))
    cells = [_alone(loaded.pipe, stock, twin)]
    runs = [functools.partial(paint, loaded.pipe, twin, seed) for seed in range(REQUESTS)]
    cells.append(_joined(loaded, runs))
    given = {"image": picture(), "strength": 0.7}
    for mapping, more in ((TO_IMAGE, given), (INPAINT, given | {"mask_image": mask()})):
        cells.append(_other(loaded, stock, twin, _class_of(kind, mapping), more))
    loaded.unload()
    return Row(title, kind, tuple(cells))


def paint(pipe: Any, twin: Family, seed: int, **more: Any) -> torch.Tensor:
    """Paint one picture as a request does: on a copy of its own, with its own generator."""
    own, generator = pipelines.private_copy(pipe), torch.Generator().manual_seed(seed)
    pipelines._seeded(own, generator, seed)
    return _call(own, twin, seed, generator, **more)


def _call(pipe: Any, twin: Family, seed: int, generator: torch.Generator, **more: Any) -> torch.Tensor:
    accepted = inspect.signature(pipe.__call__).parameters
    options = {"guidance_scale": 2.0 + seed, **twin.options(seed), "num_inference_steps": STEPS + seed} | more
    if "true_cfg_scale" in options:
        del options["guidance_scale"]
    options = {"width": 32, "height": 32} | options
    given = {name: value for name, value in options.items() if name in accepted}
    if "strength" in given:  # the engine crops a picture to start from to the size that is painted
        size = given.get("width", 32), given.get("height", 32)
        given |= {name: given[name].resize(size) for name in ("image", "mask_image") if name in given}
    images = pipe(**given, generator=generator, output_type="pt")
    pictures: torch.Tensor = images.image if hasattr(images, "image") else images.images
    return pictures


def _alone(pipe: Any, stock: Any, twin: Family) -> str:
    return _told(
        [functools.partial(paint, pipe, twin, seed) for seed in range(2)],
        [_stock(stock, twin, seed) for seed in range(2)],
        together=False,
    )


def _stock(pipe: Any, twin: Family, seed: int, **more: Any) -> Run:
    return lambda: _call(pipe, twin, seed, torch.Generator().manual_seed(seed), **more)


def _told(runs: Sequence[Run], others: Sequence[Run], *, together: bool) -> str:
    """Return how far the pictures of requests are from those of plain calls."""
    try:
        expected = [run() for run in others]
        if together:
            found = rehearsal.meet(runs, together=True)
        else:
            found = [rehearsal.meet([run], together=False)[0] for run in runs]
    except Exception as error:
        return f"✗ {_first(error)}"
    far = max(float((one - other).abs().max()) for one, other in zip(found, expected, strict=True))
    return f"{'✓' if far <= EXACT else '✗'} {far:.0e}" if far else "✓ 0"


def _joined(loaded: pipelines.Loaded, runs: Sequence[Run]) -> str:
    rehearsal.compare(loaded, runs[::2])
    if loaded.apart:
        return "one after another" if loaded.verdict.apart else "✗ not compared"
    with _joined_passes() as passes:
        told = _told(runs, runs, together=True)
    joined = {form.partition(" ")[0] for form, each in loaded.verdict.calls.items() if each.varied}
    if not DENOISERS & (passes.keys() if loaded.family.joins == "always" else joined):
        return f"{told}, denoised alone"
    return told if loaded.family.joins == "always" else f"{told} after a comparison"


@contextlib.contextmanager
def _joined_passes() -> Iterator[Counter[str]]:
    """Count the passes for several calls, by module."""
    passes: Counter[str] = Counter()
    own = InterceptionPoint._run_joined

    def counted(point: InterceptionPoint, calls: Sequence[Call]) -> list[Any]:
        passes[point.name] += 1
        return own(point, calls)

    with mock.patch.object(InterceptionPoint, "_run_joined", counted):
        yield passes


def _class_of(kind: str, mapping: Any) -> str | None:
    if mapping is TO_IMAGE:
        if name := family_of(kind).pipelines.get("image_to_image"):
            return name
    found = auto_pipeline._get_task_class(mapping, kind, throw_error_if_not_exist=False)
    return found.__name__ if found else None


def _other(loaded: pipelines.Loaded, stock: Any, twin: Family, kind: str | None, more: dict[str, Any]) -> str:
    """Paint with another class over the same parts: alone as the plain call, and joined as alone."""
    if kind is None:
        return "–"
    try:
        ours, theirs = (pipelines._sibling(pipe, getattr(diffusers, kind)) for pipe in (loaded.pipe, stock))
    except Exception as error:
        return f"✗ {_first(error)}"
    runs = [functools.partial(paint, ours, twin, seed, **more) for seed in range(2)]
    told = _told(runs, [_stock(theirs, twin, seed, **more) for seed in range(2)], together=False)
    if told.startswith("✗") or loaded.apart:
        return told
    joined = _told(runs, runs, together=True)
    return max(told, joined, key=lambda each: (each.startswith("✗"), each))


def _first(error: Exception) -> str:
    text = str(error).replace("|", "/").splitlines()
    return f"{type(error).__name__}: {text[0][:120] if text else ''}"


HEAD = """\
| model | class | alone − stock call | joined − alone | image-to-image | inpaint |
|---|---|---|---|---|---|"""

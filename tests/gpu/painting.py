"""One model: what it weighs, whether joined pictures are right, what the engine costs, what joining gains."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from engine.pipelines import run as pipelines
from engine.scheduling.step_order import Limits
from engine.types import Failed, GenerationRequest, Progress
from tests.gpu import models
from tests.gpu.bench import Bench, Pass, bare, request, source
from tests.gpu.card import Card
from tests.gpu.models import Recipe
from tests.gpu.results import Results

EXACT = 1e-4  # per pixel, of 0 … 1, in fp32
OVERHEAD = 1.03  # engine seconds ÷ bare call
CHARGES = 0.01  # of the device's busy time
JOINING = (1, 2, 4, 8)  # requests at once


@dataclass
class Room:
    """What the sections of one model work with."""

    card: Card
    results: Results
    recipe: Recipe
    deadline: float
    bench: Bench | None = None
    loaded: Any = None

    @property
    def worker(self) -> Bench:
        assert self.bench is not None
        self.bench.deadline = self.deadline
        return self.bench

    def request(self, seed: int = 0, **changes: Any) -> GenerationRequest:
        return request(self.recipe, seed, **changes)

    def close(self) -> None:
        if self.bench is not None:
            self.bench.unload()
        self.bench = self.loaded = None
        self.card.tidy()


def load(room: Room) -> None:
    """Make the model's weights on the card and load it as the engine does; one picture, to warm up."""
    note, card = room.results.note, room.card
    note("model", f"{room.recipe.data['title']} ({room.recipe.data['source']})")
    if room.recipe.data["said"]:
        note("differs from it", room.recipe.data["said"])
    before = card.allocated()
    room.bench = Bench(card, [source(room.recipe.name)], room.deadline)
    room.loaded, seconds = card.seconds(lambda: room.worker.load(room.recipe.name))
    note("weights made up on the card and loaded (s)", seconds)
    parts = models.sizes(room.loaded.pipe)
    for name, size in parts.items():
        note(f"weights of {name} (bytes)", size)
    note("weights (bytes)", sum(parts.values()))
    note("allocated by loading (bytes)", card.allocated() - before)
    note("previews", room.loaded.preview is not None)
    _, first = card.seconds(lambda: room.worker.paint([room.request()]))
    note("first picture, with the libraries' warming up (s)", first)
    with room.worker.noting(peaks=True) as passes:
        room.worker.paint([room.request()])
    for name, most in peaks(passes).items():
        note(f"most allocated during {name} (bytes)", most)


def peaks(passes: Sequence[Pass]) -> dict[str, int]:
    """Return the most bytes that were allocated during each module's passes."""
    most: dict[str, int] = {}
    for each in passes:
        most[each.point] = max(most.get(each.point, 0), each.peak)
    return most


# --- joined = alone -----------------------------------------------------------------------------------------


def exact(room: Room) -> None:
    """Compare in the dtype that the engine uses."""
    _compare(room, room.worker, room.loaded, side=room.recipe.scaled(512))


def exact_fp32(room: Room) -> None:
    """Compare in fp32, on weights of its own; without TF32, which is no fp32."""
    convolutions = torch.backends.cudnn.allow_tf32  # that of matrices is off unless somebody sets it
    torch.backends.cudnn.allow_tf32 = False
    bench = Bench(room.card, [source(room.recipe.name)], room.deadline)
    try:
        pipe = models.build(room.recipe, room.card, torch.float32)
        entry = bench.worker._catalog.entry(room.recipe.name)
        points = pipelines.points_of(pipe)
        loaded = pipelines.Loaded(entry, pipe, points, None, bench.worker._upscale())
        bench.worker._models[room.recipe.name] = loaded
        del pipe
        # A small picture: fp32 without TF32 is slow, and what is asked depends on no size.
        worst = _compare(room, bench, loaded, side=room.recipe.scaled(512) // 2)
        room.results.bar(f"{room.recipe.name}: joined = alone in fp32", worst, most=EXACT)
    finally:
        bench.unload()
        torch.backends.cudnn.allow_tf32 = convolutions


def _compare(room: Room, bench: Bench, loaded: Any, side: int) -> float:
    """Paint four pictures alone and joined, each joining a step later; return the largest difference."""
    # Fewer steps than usual: a difference grows with each, and what is asked is whether joining makes one.
    asked = [room.request(seed, width=side, height=side, steps=2 + seed % 2) for seed in range(4)]
    bench.keeps = True
    alone = [bench.pictures[bench.paint([each], "u")[0]] for each in asked]
    again = bench.pictures[bench.paint([asked[0]], "u")[0]]
    stock = bare(loaded, asked[:1])[0].float().cpu()
    fair = bench.worker._turns.limits
    bench.worker._turns.limits = Limits(window=float("inf"), seconds=float("inf"))  # join all that can be
    with bench.noting() as passes:
        jobs = []
        for each in asked:
            jobs.append(bench.give(each))
            bench.turn()
        bench.finish()
    bench.worker._turns.limits, bench.keeps = fair, False
    for job in jobs:
        if isinstance(end := bench.end(job), Failed):
            raise end.error
    apart = [(bench.pictures[job] - picture).abs() for job, picture in zip(jobs, alone, strict=True)]
    worst = max(float(each.max()) for each in apart)
    widest = max((each.pictures for each in passes if each.point in DENOISERS), default=0)
    note = room.results.note
    note("dtype", str(loaded.pipe.dtype).removeprefix("torch."))
    note("alone and alone again, largest difference", float((again - alone[0]).abs().max()))
    note("alone and the stock call, largest difference", float((stock - alone[0]).abs().max()))
    note("joined and alone, largest difference", worst)
    note("joined and alone, mean difference", statistics.fmean(float(e.mean()) for e in apart))
    note("pictures in the widest denoiser pass", widest)
    assert widest > 1, "nothing was joined"
    return worst


DENOISERS = ("unet", "transformer")


# --- what the engine costs, and what joining gains ----------------------------------------------------------


def overhead(room: Room, repeats: int = 3) -> None:
    """Compare the engine with the bare pipeline call, in turns; neither encodes a PNG."""
    asked = [room.request(1)]
    bare(room.loaded, asked)  # warm
    pairs = []
    for _ in range(repeats):
        _, alone = room.card.seconds(lambda: [pipelines.as_bytes(each) for each in bare(room.loaded, asked)])
        _, engine = room.card.seconds(lambda: room.worker.paint(asked))
        pairs.append((engine, alone))
    engine, alone = (statistics.median(column) for column in zip(*pairs, strict=True))
    what = f"{asked[0].width} × {asked[0].height}, {asked[0].steps} steps"
    room.results.note(f"one picture of {what}, bare call (s)", alone)
    room.results.note("the same by the engine (s)", engine)
    room.results.note("engine ÷ bare call, each time", [round(a / b, 4) for a, b in pairs])
    room.results.bar(f"{room.recipe.name}: engine ÷ bare call, {what}", engine / alone, most=OVERHEAD)


def throughput(room: Room) -> None:
    """Paint 1, 2, 4, 8 requests of as many people at once, in two sizes."""
    one = 0.0
    for requests in JOINING:
        rate = _joining(room, room.recipe.side, requests, one)
        one = one or rate
    small = room.recipe.scaled(512)
    if small != room.recipe.side:
        one = _joining(room, small, 1, 0.0)
        _joining(room, small, 8, one)
    _joining(room, small, 8, one, user="u")


def throughput_of_two(room: Room) -> None:
    """Paint one and two at once: as much as there is time for with the largest model."""
    one = _joining(room, room.recipe.side, 1, 0.0)
    _joining(room, room.recipe.side, 2, one)


def _joining(room: Room, side: int, requests: int, one: float, user: str = "") -> float:
    asked = [room.request(seed, width=side, height=side) for seed in range(requests)]
    # Two steps for each number of rows first: libraries choose and load their kernels by shape.
    room.worker.paint([replace(each, steps=2) for each in asked], user)
    with room.worker.noting() as passes:
        (jobs, busy), wall = room.card.seconds(lambda: room.card.busy(lambda: room.worker.paint(asked, user)))
    rate, rows = requests / wall, [each.pictures for each in passes if each.point in DENOISERS]
    what = f"{side}²: {requests} requests of {'one' if user else requests} people"
    room.results.note(f"{what}, pictures/s", rate)
    room.results.note(f"{what}, pictures in a denoiser pass", statistics.fmean(rows))
    if one:
        room.results.note(f"{what}, × one at a time", rate / one)
    if not user and requests in (1, 8):
        off = room.worker.charged(jobs) / busy - 1
        name = f"{room.recipe.name} {side}², {requests} at once: charged ÷ device's busy time − 1"
        room.results.bar(name, off, most=CHARGES, least=-CHARGES)
    return rate


# --- cancel and first preview -------------------------------------------------------------------------------


def steering(room: Room) -> None:
    """Look at a picture's first preview, and cancel one that others are joined with."""
    bench, note = room.worker, room.results.note
    # Many steps: progress is told every 0.2 s at most, and a short picture would have ended before.
    first, *others = (bench.give(room.request(seed, steps=40)) for seed in range(3))
    while not (shown := _preview(bench, first)) and _step(bench, first) < 12:
        bench.turn()
    note("first preview after (s)", shown[0] - bench.of(first)[0][0] if shown else "none in 12 steps")
    note("first preview after (steps)", shown[1].step if shown else "none in 12 steps")
    with bench.noting() as passes:
        start = time.perf_counter()
        bench.cancel(first)
        while bench.end(first) is None:
            bench.turn()
    at, end = bench.of(first)[-1]
    note("cancelled: it ended with", type(end.error).__name__ if isinstance(end, Failed) else "its picture")
    note("cancelled: seconds until then", at - start)
    note("cancelled: passes until then", len(passes))
    bench.turn()
    note("cancelled: those it was joined with go on", all(bench.end(job) is None for job in others))
    for job in others:
        bench.cancel(job)
    bench.finish()


def _preview(bench: Bench, job: str) -> tuple[float, Any] | None:
    return next(((at, e) for at, e in bench.of(job) if isinstance(e, Progress) and e.preview), None)


def _step(bench: Bench, job: str) -> int:
    return max((event.step for _, event in bench.of(job) if isinstance(event, Progress)), default=0)

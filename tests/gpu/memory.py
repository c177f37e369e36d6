"""What the engine does where memory is short, and where several models take turns."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from engine.errors import EngineError
from engine.pipelines import run as pipelines
from engine.pipelines.components import ModuleComponent
from engine.scheduling.residency import turns
from engine.types import Failed, GenerationRequest
from tests.gpu import models
from tests.gpu.bench import Bench, request, source
from tests.gpu.card import Card
from tests.gpu.models import Recipe
from tests.gpu.painting import DENOISERS, Room, peaks
from tests.gpu.results import Results

KEPT = 2  # models loaded at once, in the section on switching
CAPS = (24, 16, 12, 8)  # GB
AT_ONCE = 24  # GB, in the section on three models at once
CALLS = 22  # denoiser calls, at most, that 10 steps × 4 pictures with room for two of them may take: 20 and 2


# --- out of memory, and afterwards --------------------------------------------------------------------------


def out_of_memory(room: Room) -> None:
    """Paint four pictures of ten steps where only two fit into a pass, one that never fits, and one more."""
    bench, note, card = room.worker, room.results.note, room.card
    with bench.noting(peaks=True) as passes:
        before = card.allocated()
        bench.paint([room.request(seed, steps=2) for seed in range(2)], "u")
    fits = max(each.peak for each in passes if each.point in DENOISERS) - before
    rows = max(each.rows for each in passes if each.point in DENOISERS)
    note(f"denoiser pass of {rows} rows allocates beside the weights (bytes)", fits)
    with _room_for(room, int(fits * 1.4)) as calls:
        jobs = [bench.give(room.request(seed, steps=10), "u") for seed in range(4)]
        _, seconds = card.seconds(bench.finish)
    ends = [bench.end(job) for job in jobs]
    note("10 steps × 4 pictures, room for 2 in a pass: painted", sum(not isinstance(e, Failed) for e in ends))
    note("denoiser calls, failed ones included", len(calls))
    note("denoiser calls that ran out of memory", calls.count(False))
    note("seconds", seconds)
    room.results.bar(
        f"{room.recipe.name}: denoiser calls with room for half the rows", len(calls), most=CALLS
    )
    with _room_for(room, fits // 10):
        job = bench.give(room.request(9), "u")
        bench.finish()
    end = bench.end(job)
    told = f"{type(end.error).__name__}: {end.error.advice}" if isinstance(end, Failed) else "its picture"
    note("a picture that never fits ended with", told)
    card.tidy()
    note("allocated more than before all this (bytes)", card.allocated() - before)
    _, seconds = card.seconds(lambda: bench.paint([room.request(10)]))
    note("the next picture, with room again (s)", seconds)


@contextmanager
def _room_for(room: Room, most: int) -> Iterator[list[bool]]:
    """Let each denoiser call have so many bytes and no more; note of each whether that was enough."""
    calls: list[bool] = []
    point = next(each for each in room.loaded.points if each.name in DENOISERS)
    real = point.function

    def tight(**arguments: Any) -> Any:
        first = next(iter(arguments.values()))
        calls.append(False)
        with room.card.room_for(most, len(first)):
            result = real(**arguments)
        calls[-1] = True
        return result

    with patch.object(point, "function", tight):
        yield calls


# --- small cards --------------------------------------------------------------------------------------------


def caps(card: Card, results: Results, recipes: Sequence[Recipe], deadline: float) -> None:
    """Try each model under each cap: whether it loads and paints, and what comes to the card for it."""
    card.tidy()
    results.note("allocated before (bytes)", card.allocated())
    for recipe in recipes:
        dtype = pipelines.dtype_on(card.device)
        pipe = models.build(recipe, card, dtype, in_host_memory=True)
        with patch.object(pipelines, "_from_source", lambda *given, pipe=pipe: pipe):
            for cap in CAPS:
                if time.monotonic() > deadline:
                    raise TimeoutError("it took longer than a section may")
                card.tidy()
                with card.capped(cap * card.caps_unit):
                    _try(card, results, recipe, f"{recipe.name} on {cap} GB", deadline)
        del pipe


def _try(card: Card, results: Results, recipe: Recipe, what: str, deadline: float) -> None:
    """Paint one picture to warm up, then four people's at once; note what came to the card for them."""
    bench = Bench(card, [source(recipe.name)], deadline)
    try:
        loaded = bench.load(recipe.name)
        with bench.noting(peaks=True) as passes, _arrivals(bench) as came:
            bench.paint([request(recipe, 1, steps=2)])
            came.clear()
            began = card.seconds(lambda: bench.paint([request(recipe, 2, steps=2)]))[1]
            alone, seconds = list(came), sum(each[2] for each in came)
            came.clear()
            bench.paint([request(recipe, seed, steps=2) for seed in range(3, 7)])
        most = ", ".join(f"{name} {size / 1e9:.1f}" for name, size in peaks(passes).items())
        results.note(what, f"paints; most allocated during {most} GB")
        planned, _ = turns(
            {each.name: each.size for each in loaded.components}, bench.worker._memory.residency.memory
        )
        results.note(f"{what}: planned for a prompt (bytes)", planned)
        results.note(f"{what}: came for the second prompt (bytes)", sum(each[1] for each in alone))
        results.note(f"{what}: seconds of that, and of all of its 2 steps", f"{seconds:.2f} of {began:.2f}")
        results.note(f"{what}: came for four people's prompts at once", _told_of(came))
    except EngineError as error:
        results.note(what, f"FAILS: {_told(error)}")
    finally:
        for model in bench.worker._models.values():
            for component in model.components:
                if component.here:
                    component.drop()  # the next cap begins with an empty card
        bench.unload()


def at_once(card: Card, results: Results, recipes: Sequence[Recipe], deadline: float) -> None:
    """Let three models be used at once where their denoisers do not fit together, two people each."""
    dtype = pipelines.dtype_on(card.device)
    made = {source(each.name): models.build(each, card, dtype, in_host_memory=True) for each in recipes}
    asked = [request(recipe, seed, steps=4) for seed in range(2) for recipe in recipes]
    card.tidy()
    with (
        patch.object(pipelines, "_from_source", lambda entry, *given: made[entry.source]),
        card.capped(AT_ONCE * card.caps_unit),
    ):
        bench = Bench(card, list(made), deadline)
        try:
            for recipe in recipes:
                bench.load(recipe.name)
            bench.paint([request(recipe, 9, steps=1) for recipe in recipes])  # to warm up
            with _arrivals(bench) as came:
                _, apart = card.seconds(lambda: [bench.paint([each]) for each in asked])
                one_by_one = len(came)
                came.clear()
                jobs, seconds = card.seconds(lambda: bench.paint(asked))
        finally:
            bench.unload()
    results.note("pictures", len(asked))
    results.note("one after another: seconds", apart)
    results.note("one after another: components that came", one_by_one)
    results.note("at once: seconds", seconds)
    results.note("at once: components that came", _told_of(came))
    results.note("at once: seconds until they had come", sum(each[2] for each in came))
    results.note("at once: charged (s)", bench.charged(jobs))


@contextmanager
def _arrivals(bench: Bench) -> Iterator[list[tuple[str, int, float]]]:
    """Write down what comes to the card meanwhile: its name, bytes, and the seconds that it took."""
    came: list[tuple[str, int, float]] = []
    memory = bench.worker._memory
    bring = memory.residency.bring

    def noted(component: ModuleComponent, *, alone: bool = False) -> int:
        size, seconds = bench.card.seconds(lambda: bring(component, alone=alone))
        if size:
            came.append((component.name, size, seconds))
        return size

    with patch.object(memory.residency, "bring", noted):
        yield came


def _told_of(came: Sequence[tuple[str, int, float]]) -> str:
    names = [name for name, _, _ in came]
    return ", ".join(f"{name} × {names.count(name)}" for name in dict.fromkeys(names)) or "nothing"


def _told(error: EngineError) -> str:
    return f"{type(error).__name__}: {str(error)[:160]} | told: {error.advice}"


# --- models that take turns ---------------------------------------------------------------------------------


def switching(card: Card, results: Results, folders: Sequence[Path], recipe: Recipe, deadline: float) -> None:
    """Let three models from files take turns where two stay loaded, then ask for all at once."""
    bench, names = Bench(card, [str(folder) for folder in folders], deadline), [f.name for f in folders]
    took: list[float] = []
    load = pipelines.load

    def timed(*given: Any) -> Any:
        result, seconds = card.seconds(lambda: load(*given))
        took.append(seconds)
        return result

    def round_of(requests: int) -> float:
        asked = [request(recipe, n, model=names[n % len(names)], steps=4) for n in range(requests)]
        return card.seconds(lambda: [_alone(bench, each) for each in asked])[1]

    try:
        with patch.object(pipelines, "load", timed):
            seconds = round_of(4)
            results.note("4 pictures of 3 models in turns: seconds", seconds)
            results.note("4 pictures of 3 models in turns: loads", len(took))
            results.note("4 pictures of 3 models in turns: seconds of loading", sum(took))
            results.note("longest load (s)", max(took))
            took.clear()
            bench.unload()
            jobs = [request(recipe, n, model=names[n % 3], steps=4) for n in range(6)]
            _, seconds = card.seconds(lambda: bench.paint(jobs))
            results.note("6 pictures of 3 models at once: seconds", seconds)
            results.note("6 pictures of 3 models at once: loads", len(took))
            results.note("models loaded together then", len(bench.worker._models))
            results.note("allocated then (bytes)", card.allocated())
    finally:
        bench.unload()


def _alone(bench: Bench, asked: GenerationRequest) -> None:
    """Paint a picture while two models stay loaded: the one that was used longest ago makes room."""
    loaded = list(bench.worker._models)
    here = asked.model in loaded or len(loaded) < KEPT
    job = bench.give(asked, leave=() if here else (loaded[0],))
    bench.finish()
    if isinstance(end := bench.end(job), Failed):
        raise end.error


def save(card: Card, results: Results, recipe: Recipe, folder: Path, deadline: float) -> None:
    """Write a model's files as they are published, and load them as the engine does."""
    pipe = models.build(recipe, card, torch.float32 if card.device.type == "cpu" else torch.bfloat16)
    _, seconds = card.seconds(partial(pipe.save_pretrained, folder, safe_serialization=True))
    del pipe
    card.tidy()
    files = [file for file in folder.rglob("*") if file.is_file()]
    results.note(f"{recipe.name}: files written (bytes)", sum(file.stat().st_size for file in files))
    results.note(f"{recipe.name}: written in (s)", seconds)
    bench = Bench(card, [str(folder)], deadline)
    try:
        before = card.allocated()
        _, seconds = card.seconds(lambda: bench.load(folder.name))
        results.note(f"{recipe.name}: loaded by the engine from files just written (s)", seconds)
        results.note(f"{recipe.name}: allocated by that (bytes)", card.allocated() - before)
        _, seconds = card.seconds(lambda: bench.paint([request(recipe, 1, model=folder.name, steps=4)]))
        results.note(f"{recipe.name}: first picture of 4 steps (s)", seconds)
    finally:
        bench.unload()

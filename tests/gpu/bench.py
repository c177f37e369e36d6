"""The engine's worker in this process, step by step, with everything that it says and does written down."""

from __future__ import annotations

import inspect
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Any
from unittest.mock import patch

import torch

from engine.pipelines import run as pipelines
from engine.types import EngineJob, Failed, Finished, GenerationRequest, Picture, Progress
from engine.workers import loop
from engine.workers.heartbeat import Heartbeat
from engine.workers.loop import PictureRequest, WorkerLoop
from engine.workers.messages import Cancel, Order, Pulse, Setup, Start
from tests.gpu.card import Card
from tests.gpu.models import OWNER, Recipe

HANG_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Pass:
    """One forward pass."""

    point: str
    rows: int
    pictures: int
    peak: int  # bytes allocated at most; 0 where it was not asked for


class Orders:
    """What the worker is asked for, in its own thread."""

    def __init__(self) -> None:
        self.waiting: deque[Order] = deque()

    def poll(self, timeout: float | None) -> bool:
        if timeout and not self.waiting:
            time.sleep(timeout)  # else whoever loads a model meanwhile would get no turn
        return bool(self.waiting)

    def recv(self) -> Order:
        return self.waiting.popleft()


class Box:
    """What the worker says, with the time of each word. Pictures are kept as they come, not encoded."""

    def __init__(self) -> None:
        self.said: list[tuple[float, Any]] = []

    def put(self, event: Any) -> None:
        self.said.append((time.perf_counter(), replace(event) if isinstance(event, Pulse) else event))

    def put_picture(self, picture: Picture, pixels: torch.Tensor, request: GenerationRequest) -> None:
        self.put(picture)

    def put_preview(self, progress: Progress, pixels: torch.Tensor) -> None:
        self.put(replace(progress, preview=b"preview"))


class Bench:
    """A worker with models in it, and orders to give it."""

    def __init__(self, card: Card, sources: Sequence[str], deadline: float = float("inf")) -> None:
        self.card, self.deadline = card, deadline
        self.orders, self.box = Orders(), Box()
        setup = Setup(device=str(card.device), models=tuple(sources), hang_seconds=HANG_SECONDS)
        given: Any = self.orders, self.box
        self.worker = WorkerLoop(setup, *given, Heartbeat(get_context("spawn")))
        self.worker._memory = card.memory()
        self.keeps = False  # whether pictures are kept as the pipeline returned them
        self.pictures: dict[str, torch.Tensor] = {}  # by job
        self._number = 0
        show = self.worker._show

        def shown(request: PictureRequest) -> None:
            if self.keeps:
                self.pictures[request.resident.job.id] = request.result.float().cpu()
            show(request)

        self.worker._show = shown  # type: ignore[method-assign]

    @torch.no_grad()
    def load(self, name: str) -> pipelines.Loaded:
        return self.worker._model(name)

    def unload(self) -> None:
        for loaded in self.worker._models.values():
            loaded.unload()
        self.worker._models.clear()
        self.card.tidy()

    def give(
        self,
        request: GenerationRequest,
        user: str = "",
        leave: tuple[str, ...] = (),
        sources: tuple[bytes, ...] = (),
    ) -> str:
        """Order a picture; each is somebody else's unless `user` says whose. Models may `leave` first."""
        self._number += 1
        job = EngineJob(id=str(self._number), request=request, tenant="t", user=user or str(self._number))
        self.orders.waiting.append(Start(job=job, leave=leave, sources=sources))
        return job.id

    def cancel(self, job: str) -> None:
        self.orders.waiting.append(Cancel(job))

    @torch.no_grad()
    def turn(self) -> None:
        """Raises TimeoutError where it takes too long."""
        if time.monotonic() > self.deadline:
            raise TimeoutError("it took longer than a section may")
        self.worker.turn()

    def finish(self) -> None:
        """Paint until nothing is left to do."""
        self.turn()
        while not self.worker.idle or self.orders.waiting:
            self.turn()

    def paint(self, requests: Sequence[GenerationRequest], user: str = "") -> list[str]:
        """Paint them all at once. Returns their jobs; raises what one of them failed with."""
        jobs = [self.give(request, user) for request in requests]
        self.finish()
        for job in jobs:
            if (end := self.end(job)) and isinstance(end, Failed):
                raise end.error
        return jobs

    def of(self, job: str) -> list[tuple[float, Any]]:
        return [(at, event) for at, event in self.box.said if getattr(event, "job", None) == job]

    def end(self, job: str) -> Finished | Failed | None:
        return next((e for _, e in self.of(job) if isinstance(e, Finished | Failed)), None)

    def charged(self, jobs: Sequence[str]) -> float:
        """Return the device-seconds that these jobs were charged."""
        ends = [self.end(job) for job in jobs]
        return sum(end.device_seconds for end in ends if end is not None)

    @contextmanager
    def noting(self, *, peaks: bool = False) -> Iterator[list[Pass]]:
        """Write down every forward pass meanwhile."""
        passes: list[Pass] = []
        run = loop.run_joined

        def noted(batch: Sequence[PictureRequest]) -> list[Any]:
            call, rows = batch[0].call, sum(each.rows for each in batch)
            assert call is not None
            name = call.point.name
            results, peak = self.card.peak(lambda: run(batch), rows) if peaks else (run(batch), 0)
            passes.append(Pass(name, rows, len(batch), peak))
            return results

        with patch.object(loop, "run_joined", noted):
            yield passes


def source(name: str) -> str:
    return f"{OWNER}/{name}"


def request(recipe: Recipe, seed: int = 0, **changes: Any) -> GenerationRequest:
    """Return the model's usual picture."""
    asked = GenerationRequest(
        prompt=f"a lighthouse on a cliff in the rain, number {seed}",
        negative_prompt="blurry",
        seed=seed,
        model=recipe.name,
        width=recipe.side,
        height=recipe.side,
        steps=recipe.steps,
        guidance=recipe.data["guidance"],
        count=1,
    )
    return replace(asked, **changes)


@torch.no_grad()
def bare(loaded: pipelines.Loaded, requests: Sequence[GenerationRequest]) -> list[torch.Tensor]:
    """Paint without the engine, as people write it: one call of the pipeline for all of them.

    Returns float RGB in 0 … 1. Its modules' points let calls through that come from no request of the engine.
    """
    first = requests[0]
    asked = {
        "prompt": [each.prompt for each in requests],
        "negative_prompt": [each.negative_prompt for each in requests],
        "num_inference_steps": first.steps,
        loaded.family.guidance: first.guidance,
        "width": first.width,
        "height": first.height,
        "generator": [torch.Generator("cpu").manual_seed(each.seed) for each in requests],
        "output_type": "pt",
    }
    accepted = inspect.signature(loaded.pipe.__call__).parameters
    return list(loaded.pipe(**{k: v for k, v in asked.items() if k in accepted}).images)

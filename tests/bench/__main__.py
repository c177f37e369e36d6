"""`make bench`: ratios measured in one run, on the shipped model, beside what they are compared with.

Seconds depend on the machine; the ratios are what to compare. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from engine.scheduling.job_queue import FairQueue
from engine.types import EngineJob, Failed, Finished, GenerationRequest, Progress
from engine.workers.process import ProcessEngine
from tests.bench import best, books, discord, formats, lettering, marks, slack, start

REQUEST = GenerationRequest(prompt="a red heart", seed=7, count=1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--depth", type=int, default=50, help="waiting jobs of the flooder")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=PARTS, action="append", help="one part; may be repeated")
    parser.add_argument("--pictures", type=int, default=500, help="fresh drawings to mark")
    parser.add_argument("--photos", type=Path, help="a folder of photographs to mark")
    parser.add_argument(
        "--drawings", type=Path, help="the training's folder, for drawings to cut out and to name"
    )
    parser.add_argument("--alarms", type=int, default=500, help="looks for a mark where there is none")
    parser.add_argument("--first-seed", type=int, default=1_000_000, help="of the drawings to mark")
    parser.add_argument("--reads", type=int, default=700, help="lettered pictures that OCR reads")
    parser.add_argument("--texts", type=int, default=200, help="texts of each language to set on images")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    figures: dict[str, Any] = {"machine": machine()}
    for name in options.only or PARTS:
        figures |= PARTS[name](options)
        if not options.json:
            _show(figures)
    if options.json:
        sys.stdout.write(json.dumps(figures, indent=2) + "\n")


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "queue": lambda _: queue_speed(),
    "best": lambda options: best.figures(options.drawings),
    "books": lambda _: books.figures(),
    "start": lambda _: start.figures(),
    "engine": lambda options: overhead_and_throughput(options.repeats),
    "flood": lambda options: flood(options.depth),
    "discord": lambda _: discord.figures(),
    "slack": lambda _: slack.figures(),
    "cutout": lambda options: cutout(options.drawings),
    "formats": lambda options: formats.figures(min(options.pictures, formats.PICTURES)),
    "marks": lambda options: marks.figures(
        options.pictures, options.photos, options.alarms, options.first_seed
    ),
    "lettering": lambda options: lettering.figures(
        options.photos, options.reads, options.first_seed, options.texts
    ),
}

_shown: set[str] = set()


def _show(figures: dict[str, Any]) -> None:
    for name, value in figures.items():
        if name not in _shown:
            _shown.add(name)
            sys.stdout.write(f"{name:56} {value if isinstance(value, str) else f'{value:.3g}'}\n")
    sys.stdout.flush()


def machine() -> str:
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if "model name" in line), platform.processor())
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}"


def queue_speed() -> dict[str, Any]:
    jobs = [
        EngineJob(id=str(n), request=REQUEST, tenant=f"t{n % 50}", user=f"u{n % 10_000}", cost=1 + n % 7)
        for n in range(100_000)
    ]
    queue = FairQueue(per_user=10**6, soft_limit=10**6, hard_limit=10**6)
    start = time.perf_counter()
    for job in jobs:
        queue.put(job)
    taken = sum(1 for _ in iter(queue.take, None))
    return {"queue: operations/s, 100,000 jobs of 10,000 users": 2 * taken / (time.perf_counter() - start)}


def cutout(drawings: Path | None) -> dict[str, Any]:
    """Measure what cuts out, on drawings kept aside where there are any; else its speed alone."""
    import torch

    from engine.embedded.training import cutouts
    from engine.pipelines.cutout import Cutter

    cutter, pixels = Cutter.load(), torch.rand(3, 512, 512)
    with torch.no_grad():
        cutter(pixels)
        seconds = [_cost(lambda _: cutter(pixels), [], time.perf_counter) for _ in range(5)]
        figures: dict[str, Any] = {"cut-out: one picture of 512² (s)": statistics.median(seconds)}
        if drawings:
            found = cutouts.figures(drawings, cutter=cutter)
            figures |= {f"cut-out of 500 grounds: {name}": value for name, value in found.items()}
    return figures


# --- one process: the engine's own cost ---------------------------------------------------------------------


class Sink:
    """Takes a worker's events and encodes its pictures at once, as a bare call would."""

    def __init__(self) -> None:
        self.ended = 0

    def put(self, event: object) -> None:
        self.ended += isinstance(event, Finished)
        assert not isinstance(event, Failed), event

    def put_picture(self, _picture: object, pixels: Any, _request: object) -> None:
        from engine.pipelines import run as pipelines

        pipelines.encode_png(pixels)

    def put_preview(self, _progress: object, pixels: Any) -> None:
        from engine.pipelines import run as pipelines

        pipelines.encode_preview(pixels)


def overhead_and_throughput(repeats: int) -> dict[str, Any]:
    import torch

    from engine.pipelines import run as pipelines
    from engine.workers.heartbeat import Heartbeat
    from engine.workers.loop import WorkerLoop
    from engine.workers.messages import Setup, Start

    pipelines.silence_libraries()
    context = get_context("spawn")
    orders, parent = context.Pipe(duplex=False)
    sink = Sink()
    setup = Setup(device="cpu", models=("easel-tiny",), hang_seconds=600)
    worker = WorkerLoop(setup, orders, sink, Heartbeat(context))  # type: ignore[arg-type]
    numbers = iter(range(10**6))

    def engine(requests: list[GenerationRequest]) -> None:
        due = sink.ended + len(requests)
        for request in requests:
            job = EngineJob(id=str(next(numbers)), request=request, tenant="t", user="u")
            parent.send(Start(job=job))
        while sink.ended < due:
            worker.turn()

    def bare(requests: list[GenerationRequest]) -> None:
        loaded = worker._model("easel-tiny")
        for request in requests:
            pixels = pipelines.paint(loaded, request, 0, (), lambda *_: None)
            pipelines.encode_png(pipelines.as_bytes(pixels))

    one = [REQUEST]
    eight = [replace(REQUEST, seed=seed) for seed in range(8)]
    with torch.no_grad():
        worker._prepare()
        engine(one)
        bare(one)
        cpu = [
            (_cost(engine, one, time.process_time), _cost(bare, one, time.process_time))
            for _ in range(repeats)
        ]
        wall = [
            (_cost(engine, eight, time.perf_counter), _cost(bare, eight, time.perf_counter))
            for _ in range(repeats)
        ]
    return {
        "one picture, bare pipeline call (s)": statistics.median(b for _, b in wall) / 8,
        "one request: engine CPU-seconds ÷ bare call": _median_ratio(cpu),
        "8 requests: engine pictures/s ÷ one by one": _median_ratio([(b, a) for a, b in wall]),
    }


def _cost(work: Any, requests: list[GenerationRequest], clock: Any) -> float:
    start = clock()
    work(requests)
    return float(clock() - start)


def _median_ratio(pairs: list[tuple[float, float]]) -> float:
    return statistics.median(a for a, _ in pairs) / statistics.median(b for _, b in pairs)


# --- the whole engine: a flood ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Policy:
    name: str
    light: str  # the light user's lane
    queue: FairQueue
    relaxed: bool = False  # the flooder's jobs


ONE_JOB_AT_A_TIME = {"per_user": 1, "soft_limit": 1, "hard_limit": 1}
POLICIES = (
    Policy("fair steps", "light", FairQueue()),
    Policy("fair steps, flood relaxed", "light", FairQueue(), relaxed=True),
    Policy("round-robin of whole jobs", "light", FairQueue(**ONE_JOB_AT_A_TIME)),
    Policy("plain FIFO", "flooder", FairQueue(**ONE_JOB_AT_A_TIME)),
)


def flood(depth: int) -> dict[str, Any]:
    return asyncio.run(_flood(depth))


async def _flood(depth: int) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    alone = 0.0
    for policy in POLICIES:
        engine = ProcessEngine(
            models=["easel-tiny"],
            device="cpu",
            read=lambda name: b"",
            queue=policy.queue,
        )
        await engine.start()
        try:
            jobs = _jobs()
            if not alone:
                await _time(engine, next(jobs))
                alone = min([await _time(engine, next(jobs)) for _ in range(3)])
                figures["light user alone (s)"] = alone
            for _ in range(depth):
                engine.submit(replace(next(jobs), user="flooder", relaxed=policy.relaxed))
            await _first_step(engine)
            took = await _time(engine, replace(next(jobs), user=policy.light))
            figures[f"light user behind {depth} jobs, {policy.name} (s)"] = took
            figures[f"light user behind {depth} jobs, {policy.name} (× alone)"] = took / alone
        finally:
            await engine.close()
    return figures


def _jobs() -> Iterator[EngineJob]:
    for number in range(10**6):
        yield EngineJob(id=str(number), request=replace(REQUEST, seed=number), tenant="t", user="light")


async def _first_step(engine: ProcessEngine) -> None:
    async for event in engine.events():
        if isinstance(event, Progress) and event.step:
            return


async def _time(engine: ProcessEngine, job: EngineJob) -> float:
    start = time.perf_counter()
    engine.submit(job)
    async for event in engine.events():
        assert not isinstance(event, Failed), event
        if isinstance(event, Finished) and event.job == job.id:
            break
    return time.perf_counter() - start


if __name__ == "__main__":
    main()

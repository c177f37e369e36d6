"""What becomes of flat pictures as SVG: drawn again by a browser, and compared with what was painted.

    python -m tests.bench --only formats

Nothing was tuned on these pictures.
"""

from __future__ import annotations

import base64
import io
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from PIL import Image

from bot.images import tracing
from bot.provenance import signing
from bot.provenance.signing import FileFacts
from bot.provenance.stamp import stamp
from engine.types import GenerationRequest

THINGS = (
    "sunflower", "red heart", "fox", "car", "pineapple", "house", "rocket", "cat", "umbrella", "guitar",
    "whale", "cactus", "mushroom", "snail", "balloon", "crown", "key", "bell", "anchor", "cake",
    "owl", "strawberry", "football", "sailboat", "lemon",
)  # fmt: skip
BAR, PICTURES = 0.95, 50
FIRST_SEED = 2_000_000


def figures(pictures: int) -> dict[str, Any]:
    """Return how alike fresh flat pictures and their SVG are."""
    with tempfile.TemporaryDirectory() as folder:
        keys = signing.ready(Path(folder))
    likeness, sizes, seconds, refused = [], [], [], 0
    from playwright.sync_api import sync_playwright

    with sync_playwright() as browsers:
        path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        page = browsers.chromium.launch(executable_path=path).new_page()
        for number, png in enumerate(paint(pictures)):
            facts = FileFacts(job=f"{number + 1:012x}", index=0, model="bench", seed=1)
            with Image.open(io.BytesIO(stamp(png, facts, keys).png)) as opened:
                picture = opened.convert("RGB")
            before = time.perf_counter()
            try:
                svg = tracing.trace(picture)
            except tracing.NotFlat:
                refused += 1
                continue
            seconds.append(time.perf_counter() - before)
            sizes.append(len(svg))
            likeness.append(tracing.likeness(picture, drawn_by(page, svg, picture.size)))
    low = sum(each < BAR for each in likeness)
    return {
        "svg: flat pictures": pictures,
        "svg: not flat enough": refused,
        "svg: SSIM, least": min(likeness),
        "svg: SSIM, median": statistics.median(likeness),
        f"svg: below {BAR}": low,
        "svg: kB, median": statistics.median(sizes) / 1e3,
        "svg: kB, most": max(sizes) / 1e3,
        "svg: s, median": statistics.median(seconds),
    }


def drawn_by(page: Any, svg: bytes, size: tuple[int, int]) -> Image.Image:
    """Return an SVG as a browser draws it."""
    page.set_viewport_size({"width": size[0], "height": size[1]})
    source = base64.b64encode(svg).decode()
    page.set_content(
        f'<body style="margin:0"><img src="data:image/svg+xml;base64,{source}" style="display:block">'
    )
    page.wait_for_function("document.images[0].complete")
    with Image.open(io.BytesIO(page.screenshot())) as opened:
        return opened.convert("RGB")


class Deaf:
    """Takes a worker's events, and wants none."""

    def put(self, event: object) -> None: ...


def paint(count: int, first_seed: int = FIRST_SEED) -> Iterator[bytes]:
    """Paint fresh pictures in the flat style with the shipped model, as they are delivered."""
    import torch

    from engine.pipelines import run as pipelines
    from engine.workers.heartbeat import Heartbeat
    from engine.workers.loop import WorkerLoop
    from engine.workers.messages import Setup

    context = get_context("spawn")
    orders, _parent = context.Pipe(duplex=False)
    setup = Setup(device="cpu", models=("easel-tiny",), hang_seconds=600)
    worker = WorkerLoop(setup, orders, Deaf(), Heartbeat(context))  # type: ignore[arg-type]
    with torch.no_grad():
        worker._prepare()
        loaded = worker._model("easel-tiny")
        for number in range(count):
            thing = THINGS[number % len(THINGS)]
            request = GenerationRequest(prompt=f"a {thing}, flat", seed=first_seed + number, count=1)
            pixels = pipelines.paint(loaded, request, 0, (), lambda *_: None)
            yield pipelines.encode_png(pipelines.as_bytes(pixels))

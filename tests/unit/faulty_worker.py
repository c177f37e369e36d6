"""A real worker process that a prompt can make fail: what a driver, a model or a memory shortage does.

A device called "cpu:1" is broken: whatever it is asked for, its forward passes raise.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from engine.errors import OutOfMemory
from engine.workers.heartbeat import Heartbeat
from engine.workers.messages import Setup


def main(setup: Setup, orders: Connection, reports: Connection, heartbeat: Heartbeat) -> None:
    import torch

    from engine.workers import loop

    run = loop.run_joined

    def faulty(batch: Sequence[loop.PictureRequest]) -> list[Any]:
        if setup.device == "cpu:1":
            return [ValueError("the device is broken")] * len(batch)
        prompts = {request.resident.job.request.prompt for request in batch}
        if "die" in prompts:
            os._exit(9)
        if "die once" in prompts and not any(request.resident.job.deaths for request in batch):
            os._exit(9)
        if "hang" in prompts:
            time.sleep(600)
        if "no memory" in prompts:
            return [OutOfMemory("out of memory")] * len(batch)
        results = run(batch)
        if "not a number" in prompts and batch[0].call is not None and batch[0].call.point.name == "upscaler":
            return [torch.full_like(result, float("nan")) for result in results]
        return results

    encode = loop.pipelines.encode_png

    def encode_some(pixels: torch.Tensor) -> bytes:
        if pixels.shape[0] == 384:
            raise MemoryError
        return encode(pixels)

    loop.pipelines.encode_png = encode_some  # type: ignore[assignment]
    loop.run_joined = faulty  # type: ignore[assignment]
    torch.set_num_threads(1)
    loop.main(setup, orders, reports, heartbeat)

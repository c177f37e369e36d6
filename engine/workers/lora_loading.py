"""Reads LoRAs and guides for loaded models in threads of their own, so that the worker's loop goes on."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from engine.errors import EngineError
from engine.guides import GuideWeights
from engine.loras import Lora, LoraUnusable
from engine.pipelines.control import Control
from engine.pipelines.image_prompts import ImagePrompts
from engine.pipelines.lora import Adapter
from engine.pipelines.run import Loaded
from engine.workers.loading import STUCK_SECONDS


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """What came of reading a LoRA or a guide for a model."""

    model: Loaded
    name: str
    result: Adapter | Control | ImagePrompts | EngineError


Further = Lora | GuideWeights
"""Weights that requests name besides their model."""


class LoraLoader:
    """Reads what is asked for; `load` runs in threads."""

    def __init__(self, load: Callable[[Further, Loaded], Adapter | Control | ImagePrompts]) -> None:
        self._load = load
        self._asked: dict[
            tuple[int, str], tuple[Loaded, float]
        ] = {}  # model and name → the model, since when
        self._done: queue.SimpleQueue[Read] = queue.SimpleQueue()

    @property
    def busy(self) -> bool:
        return bool(self._asked)

    def ask(self, lora: Further, model: Loaded) -> None:
        """Read a LoRA or a guide for a model, unless it is being read already."""
        key = id(model), name_of(lora)
        if key not in self._asked:
            self._asked[key] = model, time.monotonic()
            name = f"lora-{name_of(lora)}"
            threading.Thread(target=self._run, args=(lora, model), name=name, daemon=True).start()

    def outcomes(self) -> Iterator[Read]:
        """Yield what has been read, or failed, since the last time."""
        for (_id, name), (model, began) in self._asked.items():
            if time.monotonic() - began > STUCK_SECONDS:  # its thread may wait for a disk for ever
                self._done.put(
                    Read(model, name, LoraUnusable(f"{name}: nothing came for {STUCK_SECONDS:.0f} s"))
                )
        while not self._done.empty():
            read = self._done.get()
            if self._asked.pop((id(read.model), read.name), None):
                yield read

    @torch.no_grad()
    def _run(self, lora: Further, model: Loaded) -> None:
        try:
            result: Adapter | Control | ImagePrompts | EngineError = self._load(lora, model)
        except EngineError as error:
            result = error
        except Exception as error:
            result = LoraUnusable(f"{lora.info.name}: {error}")
        self._done.put(Read(model, name_of(lora), result))


def name_of(further: Further) -> str:
    """Return a name that no other weights have: LoRAs have no spaces in theirs."""
    return further.info.name if isinstance(further, Lora) else guide_name(further.info.name)


def guide_name(name: str) -> str:
    """Return the name of a guide among all further weights."""
    return f"guide {name}"

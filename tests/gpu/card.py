"""The device that is measured: a CUDA card, or for trials of this script the CPU."""

from __future__ import annotations

import gc
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch

from engine.pipelines.components import DeviceMemory, ModuleComponent
from engine.scheduling.residency import FOR_MODELS
from engine.workers.process import PINNED, host_memory

T = TypeVar("T")
GB = 10**9


class Card:
    """A CUDA card."""

    caps_unit = GB

    def __init__(self, name: str = "cuda:0") -> None:
        self.device = torch.device(name)
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)

    def describe(self) -> dict[str, Any]:
        """Return what the card is, and how much of its memory is free."""
        free, total = torch.cuda.mem_get_info(self.device)
        found = torch.cuda.get_device_properties(self.device)
        return {
            "card": found.name,
            "memory": total,
            "free": free,
            "capability": f"{found.major}.{found.minor}",
            "cuda": torch.version.cuda,
            "driver": _driver(),
            "allocator": os.environ.get("PYTORCH_CUDA_ALLOC_CONF", ""),
        }

    def wait(self) -> None:
        """Wait until all that was asked of the card is done."""
        torch.cuda.synchronize(self.device)

    def seconds(self, work: Callable[[], T]) -> tuple[T, float]:
        """Return a piece of work's result, and how long it took on the wall, device included."""
        self.wait()
        start = time.perf_counter()
        result = work()
        self.wait()
        return result, time.perf_counter() - start

    def busy(self, work: Callable[[], T]) -> tuple[T, float]:
        """Return a piece of work's result, and the seconds on the device's own clock."""
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        self.wait()
        begin.record()
        result = work()
        end.record()
        end.synchronize()
        return result, begin.elapsed_time(end) / 1000

    def allocated(self) -> int:
        return torch.cuda.memory_allocated(self.device)

    def free(self) -> int:
        """Return the bytes that nobody has."""
        return torch.cuda.mem_get_info(self.device)[0]

    def peak(self, work: Callable[[], T], rows: int) -> tuple[T, int]:
        """Return a piece of work's result, and the most bytes that were allocated meanwhile."""
        torch.cuda.reset_peak_memory_stats(self.device)
        result = work()
        return result, torch.cuda.max_memory_allocated(self.device)

    def memory(self) -> DeviceMemory:
        """Return what the engine has for components."""
        return DeviceMemory.of(self.device, pinned=PINNED * host_memory())

    def tidy(self) -> None:
        """Give back what no tensor uses."""
        gc.collect()
        torch.cuda.empty_cache()

    @contextmanager
    def capped(self, most: int) -> Iterator[None]:
        """Let this process have no more than so many bytes. The CUDA context itself is not counted."""
        torch.cuda.empty_cache()  # blocks that are kept for later would not be counted again
        total = torch.cuda.get_device_properties(self.device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, most / total), self.device)
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0, self.device)

    @contextmanager
    def room_for(self, most: int, rows: int) -> Iterator[None]:
        """Let a pass of `rows` have no more than so many bytes beside what is allocated now."""
        torch.cuda.empty_cache()
        with self.capped(torch.cuda.memory_reserved(self.device) + most):
            yield


class NoCard(Card):
    """The CPU in a card's place. Its memory limits are played: bytes of weights, and 1 MB for each row."""

    caps_unit = 150_000
    row = 10**6

    def __init__(self) -> None:
        super().__init__("cpu")
        torch.set_num_threads(1)
        self._most = 0  # bytes of weights, while capped

    def describe(self) -> dict[str, Any]:
        return {"card": f"none, {platform.machine()} CPU", "memory": 0, "free": 0}

    def wait(self) -> None: ...

    def tidy(self) -> None:
        gc.collect()

    def busy(self, work: Callable[[], T]) -> tuple[T, float]:
        return self.seconds(work)

    def allocated(self) -> int:
        return 0

    def free(self) -> int:
        return 0

    def peak(self, work: Callable[[], T], rows: int) -> tuple[T, int]:
        return work(), self.row * rows

    def memory(self) -> DeviceMemory:
        return PlayedMemory(self._most) if self._most else super().memory()

    @contextmanager
    def capped(self, most: int) -> Iterator[None]:
        self._most = most
        try:
            yield
        finally:
            self._most = 0

    @contextmanager
    def room_for(self, most: int, rows: int) -> Iterator[None]:
        if rows * self.row > most:
            raise torch.OutOfMemoryError(f"played: {rows} rows, room for {most // self.row}")
        yield


class PlayedMemory(DeviceMemory):
    """A card's memory, played on the CPU: weights that are not on it are empty; what does not fit fails."""

    def __init__(self, card: float) -> None:
        super().__init__(torch.device("cpu"), FOR_MODELS * card)
        self.card, self.taken, self.most = card, 0, 0  # bytes: of the card, now, and at most
        self.brought: list[str] = []  # components by name


class PlayedComponent(ModuleComponent):
    """One module whose weights are empty while it is not on the card."""

    def __init__(self, name: str, module: Any, memory: DeviceMemory) -> None:
        super().__init__(name, module, memory)
        assert isinstance(memory, PlayedMemory)
        self._card = memory
        self._away: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._put_away()

    @property
    def here(self) -> bool:
        return not self._away

    def _copy(self) -> None:
        self._card.taken += self.size
        self._card.most = max(self._card.most, self._card.taken)
        self._card.brought.append(self.name)
        for tensor, weights in self._away:
            tensor.data = weights
        self._away.clear()
        if self._card.taken > self._card.card:
            raise torch.OutOfMemoryError(f"played: {self._card.taken} of {self._card.card:.0f} bytes")

    def drop(self) -> None:
        self._card.taken -= self.size
        self._put_away()

    def _put_away(self) -> None:
        # Buffers stay: pipelines read some of them where they are, in host memory.
        self._away = [(each, each.data) for each in self.module.parameters()]
        for tensor, _ in self._away:
            tensor.data = tensor.data.new_empty(0)

    def unload(self) -> None:
        if self.here:
            self._card.taken -= self.size
        for tensor, weights in self._away:
            tensor.data = weights
        self._away.clear()
        super().unload()


PlayedMemory.kind = PlayedComponent


def _driver() -> str:
    """Return the version of the card's driver; empty where nothing tells."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
    return told.splitlines()[0].strip() if told.strip() else ""


def commit() -> str:
    """Return the commit: what COMMIT says, else what git's files say; empty where there are none."""
    if told := os.environ.get("COMMIT"):
        return told
    git = Path(__file__).parents[2] / ".git"
    try:
        if git.is_file():  # a worktree
            git = Path(git.read_text(encoding="utf-8").removeprefix("gitdir:").strip())
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref: "):
            return head
        common = git / "commondir"
        home = (git / common.read_text(encoding="utf-8").strip()) if common.is_file() else git
        return (home / head.removeprefix("ref: ")).read_text(encoding="utf-8").strip()
    except OSError:
        return ""

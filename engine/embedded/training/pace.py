"""What to train on, and with how many threads, while others may need the same cores.

A team of threads is as slow as its slowest member: when other programs hold a core, two threads
get less done than one. So every core is used only while the machine is otherwise quiet.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import torch

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
# A third more pictures in the same time where the processor has the type, half as many where it has not.
CPU_HAS_BFLOAT16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
HAS_BFLOAT16 = DEVICE.type == "cuda" or CPU_HAS_BFLOAT16
LOOK_SECONDS = 20.0
SESSION_NICE = 5
AUTOGROUP = Path("/proc/self/autogroup")
QUIET = 0.7  # other runnable processes, on average over a minute


Result = TypeVar("Result")


class StepPace(Generic[Result]):
    """Runs steps; `step()` is called once per step."""

    def __init__(self, step: Callable[[], Result]) -> None:
        self.step = step
        self.cores = os.cpu_count() or 1
        self.next_look = 0.0

    def __call__(self) -> Result:
        """Run one step, and return what it returns."""
        if time.monotonic() >= self.next_look:
            torch.set_num_threads(self._threads())
            self.next_look = time.monotonic() + LOOK_SECONDS
        return self.step()

    def _threads(self) -> int:
        others = os.getloadavg()[0] - torch.get_num_threads()
        return self.cores if others < QUIET else max(1, self.cores - 1)


def be_polite() -> None:
    """Lower this process's priority, also where the kernel shares the cores between sessions first.

    A session that somebody set lower still stays there.
    """
    os.nice(15)
    try:
        current = int(AUTOGROUP.read_text().split()[-1])
        AUTOGROUP.write_text(str(max(current, SESSION_NICE)))
    except (OSError, ValueError, IndexError):  # other systems, or the feature is off
        return

"""What a worker is doing right now, in shared memory: still readable when the worker has died or hangs."""

from __future__ import annotations

import ctypes
import itertools
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing.context import SpawnContext
from typing import Any

_HEADER = struct.Struct("<ddI")  # began (monotonic seconds, 0 while idle), limit (seconds), bytes of job ids
_SIZE = 4096
_MOST_JOBS = 300  # ids of 12 characters that fit; far more than a forward pass takes together


@dataclass(frozen=True, slots=True)
class Activity:
    """One forward pass or the loading of a model."""

    began: float  # monotonic seconds
    limit: float  # seconds it may take
    jobs: frozenset[str]

    @property
    def overdue(self) -> bool:
        return time.monotonic() > self.began + self.limit


class Vitals:
    """Written by the worker around each piece of work, read by its parent."""

    def __init__(self, context: SpawnContext) -> None:
        self._memory: Any = context.RawArray(ctypes.c_char, _SIZE)

    def begin(self, limit: float, jobs: Iterable[str]) -> None:
        ids = " ".join(itertools.islice(jobs, _MOST_JOBS)).encode()
        _HEADER.pack_into(self._memory, 0, time.monotonic(), limit, len(ids))
        self._memory[_HEADER.size : _HEADER.size + len(ids)] = ids

    def end(self) -> None:
        _HEADER.pack_into(self._memory, 0, 0.0, 0.0, 0)

    def activity(self) -> Activity | None:
        """None while the worker waits for work."""
        began, limit, length = _HEADER.unpack_from(self._memory, 0)
        if not began:
            return None
        ids = bytes(self._memory[_HEADER.size : _HEADER.size + length]).decode(errors="ignore")
        return Activity(began, limit, frozenset(ids.split()))

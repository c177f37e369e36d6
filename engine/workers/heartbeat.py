"""What a worker is doing right now, in shared memory: still readable when the worker has died or hangs.

Beside it two counters: beats, from a thread that does nothing else, which stand still when the whole process
does; and orders that the worker has taken in.
"""

from __future__ import annotations

import ctypes
import itertools
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from typing import Any

_HEADER = struct.Struct("<ddI")  # began (monotonic seconds, 0 while idle), limit (seconds), bytes of job ids
_COUNTER = struct.Struct("<Q")
_SIZE = 4096
_BEATS, _TAKEN = _SIZE - 16, _SIZE - 8  # where the counters stand
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


class Heartbeat:
    """A page of shared memory: written by the worker around each piece of work, read by its parent."""

    def __init__(self, context: BaseContext) -> None:
        self._memory: Any = context.RawArray(ctypes.c_char, _SIZE)

    def begin(self, limit: float, jobs: Iterable[str]) -> None:
        ids = " ".join(itertools.islice(jobs, _MOST_JOBS)).encode()
        _HEADER.pack_into(self._memory, 0, time.monotonic(), limit, len(ids))
        self._memory[_HEADER.size : _HEADER.size + len(ids)] = ids

    def end(self) -> None:
        _HEADER.pack_into(self._memory, 0, 0.0, 0.0, 0)

    def beat(self) -> None:
        """Tell that the process runs."""
        self._count(_BEATS)

    def take(self) -> None:
        """Acknowledge an order."""
        self._count(_TAKEN)

    @property
    def beats(self) -> int:
        return self._read(_BEATS)

    @property
    def taken(self) -> int:
        """Return the number of orders that were acknowledged."""
        return self._read(_TAKEN)

    def _count(self, counter: int) -> None:
        """Count one up. Each counter has one writer."""
        _COUNTER.pack_into(self._memory, counter, self._read(counter) + 1)

    def _read(self, counter: int) -> int:
        (count,) = _COUNTER.unpack_from(self._memory, counter)
        return int(count)

    def activity(self) -> Activity | None:
        """Return what the worker is doing; None while it waits for work."""
        began, limit, length = _HEADER.unpack_from(self._memory, 0)
        if not began:
            return None
        ids = bytes(self._memory[_HEADER.size : _HEADER.size + length]).decode(errors="ignore")
        return Activity(began, limit, frozenset(ids.split()))

"""What Slack was asked, remembered: each thing once for all who want to know, and nobody waits for long."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")

MOST = 10_000
OLDEST = 60 * 60.0  # seconds that an old answer may stand in for a new one
Ask = Callable[[], Awaitable[tuple[V | None, float]]]
"""Asks Slack: the answer and the seconds to believe it. None where Slack does not tell: the old one stays."""


class Cache(Generic[V]):
    """Answers by key. Whoever waits too long gets the old answer; the new one is kept when it comes."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: OrderedDict[Hashable, tuple[float, V]] = OrderedDict()  # until when it is believed
        self._asking: dict[Hashable, asyncio.Task[V]] = {}

    async def get(
        self, key: Hashable, ask: Ask[V], otherwise: V, within: float, *, stand_in: bool = True
    ) -> V:
        """Return the answer. Where there is none within so many seconds, the old one stands in for it.

        `otherwise` where there is no old one, or it may not stand in.
        """
        until, known = self._known.get(key, (0.0, otherwise))
        if time.monotonic() < until:
            return known
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._ask(key, ask, otherwise))
        try:
            async with asyncio.timeout(within):
                return await asyncio.shield(task)
        except TimeoutError:
            return self.old(key, otherwise) if stand_in else otherwise

    def old(self, key: Hashable, otherwise: V) -> V:
        """Return what is known, unless that is too old."""
        until, known = self._known.get(key, (0.0, otherwise))
        return known if time.monotonic() < until + OLDEST else otherwise

    def put(self, key: Hashable, value: V, seconds: float) -> None:
        """Store an answer that came another way; a question that is still open does not replace it."""
        self._asking.pop(key, None)
        self._known[key] = (time.monotonic() + seconds, value)
        self._known.move_to_end(key)
        while len(self._known) > self._most:
            self._known.popitem(last=False)

    def forget(self, key: Hashable) -> None:
        """Ask again the next time; what was asked before does not count any more."""
        self._asking.pop(key, None)
        self._known.pop(key, None)

    async def _ask(self, key: Hashable, ask: Ask[V], otherwise: V) -> V:
        task = asyncio.current_task()
        try:
            answer, seconds = await ask()
            value = self.old(key, otherwise) if answer is None else answer
            if self._asking.get(key) is task and seconds > 0:
                self.put(key, value, seconds)
            return value
        finally:
            if self._asking.get(key) is task:
                del self._asking[key]

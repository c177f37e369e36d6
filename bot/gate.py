"""Lets work in while Easel is open, and brings it to its end when Easel closes."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from bot.errors import Refusal, StoreError, StoreGone
from bot.guard import Guard
from bot.i18n import _
from engine.errors import EngineError

log = structlog.stdlib.get_logger(__name__)

T = TypeVar("T")


class Gate:
    """Closed until `open` is called, and where the process must end."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._under_way: set[asyncio.Task[Any]] = set()
        self.is_open = False

    def open(self) -> None:
        """Accept work from now on."""
        self.is_open = True

    def close(self) -> None:
        """Accept no more work."""
        self.is_open = False

    async def settle(self, patience: float) -> None:
        """Wait at most `patience` seconds for the work that was accepted."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=patience)

    async def through(self, work: Coroutine[Any, Any, T]) -> T:
        """Run the work and return its result; the work goes on even if the caller is cancelled.

        So what is admitted reaches the engine. Raises Refusal, also for what cannot be saved or painted.
        """
        if not self.is_open or self._guard.reason:
            work.close()
            raise Refusal(_("Easel is stopping or starting. Try again in a minute."), code="busy")
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._done)
        try:
            return await asyncio.shield(task)
        except StoreGone as error:
            log.critical("not saved", cause=str(error))
            notice = _(
                "Easel's database was deleted or replaced, so nothing new can be saved. Whoever "
                "runs this Easel must put it back and start Easel again."
            )
            raise Refusal(notice, code="store") from error
        except StoreError as error:
            log.error("not saved", cause=str(error))
            notice = _(
                "Easel cannot save anything at the moment, so nothing was done. Try again in a minute."
            )
            raise Refusal(notice, code="store") from error
        except EngineError as error:
            raise Refusal(error.advice, code="engine") from error

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # taken, so that an adapter that no longer waits leaves no warning

"""Ends this process when it may not go on: another one leads, or what happened cannot be written down."""

from __future__ import annotations

import asyncio

import structlog

from bot.errors import StoreError, StoreGone, StoreInUse
from bot.store import Store

log = structlog.stdlib.get_logger(__name__)

PAUSE = 1.0  # seconds between two looks at the database


class Guard:
    """Looks whether the database is still this process's own, on a timer and before each job is started."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._told = ""  # what was last said in the log
        self.reason = ""  # why the process must end; empty: it need not
        self.failed = asyncio.Event()

    async def run(self) -> None:
        """Look again and again, until the process must end."""
        while not self.failed.is_set():
            await self.may_start()
            await asyncio.sleep(PAUSE)

    async def may_start(self) -> bool:
        """Tell whether a waiting job may be started now."""
        if self.failed.is_set():
            return False
        try:
            await self._store.look()
        except StoreInUse as error:
            self.fail(str(error))
            return False
        except StoreError as error:
            self._tell(error)
            return False
        self._told = ""
        return True

    def fail(self, reason: str) -> None:
        """Make the process end; the next start goes on with unfinished jobs."""
        if not self.failed.is_set():
            log.critical("Easel stops now; unfinished jobs continue at the next start", cause=reason)
            self.reason = reason
            self.failed.set()

    def _tell(self, error: StoreError) -> None:
        """Say once what keeps jobs from starting."""
        if self._told != str(error):
            self._told = str(error)
            (log.critical if isinstance(error, StoreGone) else log.error)(
                "no job is started: the database cannot be reached", cause=self._told
            )

"""The threads that write. Each joins what waits into one transaction, so that many share one commit."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DatabaseError, DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlmodel import Session

T = TypeVar("T")

TRIES = 20  # of a transaction that the database gives up in favour of another
_LONGEST_PAUSE = 0.2  # seconds between two of them

# https://www.postgresql.org/docs/current/errcodes-appendix.html: serialization_failure, deadlock_detected,
# lock_not_available
_LOST_RACES = ("40001", "40P01", "55P03")


@dataclass(frozen=True, slots=True)
class WritePace:
    """How many threads write to a database, and how much they write at once."""

    threads: int
    group: int  # operations that share a commit, at most


@dataclass(frozen=True, slots=True)
class _Operation:
    work: Callable[[Session], Any]
    future: Future[Any] = field(default_factory=Future)


class Writer:
    """Runs operations, each in a savepoint, one or many in a transaction.

    An operation's own error rolls back that operation. An error of the database or of the commit fails the
    whole group: what is not on the disk is never reported as done. A transaction that lost a race is tried
    again.
    """

    def __init__(self, engine: Engine, pace: WritePace) -> None:
        self._engine = engine
        self._group = pace.group
        self._queue: SimpleQueue[_Operation | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._serve, name=f"store-writer-{n}", daemon=True)
            for n in range(pace.threads)
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, work: Callable[[Session], T]) -> T:
        """Run `work` and return its result once it is on the disk. `work` may be called more than once."""
        operation = _Operation(work)
        self._queue.put(operation)
        result: T = await asyncio.wrap_future(operation.future)
        return result

    def close(self) -> None:
        """Finish the queued operations, then end the threads."""
        self._queue.put(None)
        for thread in self._threads:
            thread.join()
        self._engine.dispose()

    def _serve(self) -> None:
        while group := self._next_group():
            try:
                self._finish(group)
            except BaseException as error:  # memory may be exhausted: nobody is left waiting for ever
                for operation in group:
                    if not operation.future.done():
                        operation.future.set_exception(error)

    def _next_group(self) -> list[_Operation]:
        group: list[_Operation] = []
        try:
            while len(group) < self._group:
                operation = self._queue.get(block=not group)
                if operation is None:
                    self._queue.put(None)  # for the next call, and for the other threads
                    return group
                if operation.future.set_running_or_notify_cancel():
                    group.append(operation)
        except Empty:
            pass
        return group

    def _finish(self, group: list[_Operation]) -> None:
        try:
            outcomes = self._commit(group)
        except Exception as error:  # every waiting caller gets it
            self._engine.dispose()  # the connection may have lost its transaction; take a new one
            outcomes = [error] * len(group)
        for operation, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, Exception):
                operation.future.set_exception(outcome)
            else:
                operation.future.set_result(outcome)

    def _commit(self, group: list[_Operation]) -> list[Any]:
        for attempt in range(1, TRIES + 1):
            try:
                with self._engine.connect() as connection, connection.begin():
                    return [_attempt(connection, operation) for operation in group]
            except DBAPIError as error:
                if attempt == TRIES or not _lost_a_race(error):
                    raise
            time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.002 * 2**attempt)))
        raise AssertionError


def _attempt(connection: Connection, operation: _Operation) -> Any:
    """Run an operation; return its result or its own error. Raises errors that concern the whole group."""
    with Session(connection, join_transaction_mode="create_savepoint") as session:
        try:
            result = operation.work(session)
            session.commit()
            return result
        except Exception as error:
            if _concerns_all(error):
                connection.invalidate()  # nothing more is to be tried on it, not even a rollback
                raise
            session.rollback()
            return error


def _concerns_all(error: Exception) -> bool:
    """Tell whether the transaction behind this error may be gone (disk full, I/O, memory, a lost race …)."""
    own = (IntegrityError, DataError, ProgrammingError)
    return isinstance(error, (DatabaseError, MemoryError)) and not isinstance(error, own)


def _lost_a_race(error: DBAPIError) -> bool:
    """Tell whether the database gave up this transaction in favour of another; it has then done nothing."""
    return getattr(error.orig, "sqlstate", None) in _LOST_RACES

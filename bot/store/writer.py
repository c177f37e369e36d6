"""The one thread that writes. It joins what waits into one transaction, so that many share one commit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DatabaseError, DataError, IntegrityError, ProgrammingError
from sqlmodel import Session

T = TypeVar("T")

_GROUP = 256  # operations that share a commit, at most


@dataclass(frozen=True, slots=True)
class _Operation:
    work: Callable[[Session], Any]
    future: Future[Any] = field(default_factory=Future)


class Writer:
    """Runs operations one after the other, each in a savepoint, many in one transaction.

    An operation's own error rolls back that operation. An error of the database or of the commit fails the
    whole group: what is not on the disk is never reported as done.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._queue: SimpleQueue[_Operation | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="store-writer", daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[Session], T]) -> T:
        """The result of `work`, once it is on the disk."""
        operation = _Operation(work)
        self._queue.put(operation)
        result: T = await asyncio.wrap_future(operation.future)
        return result

    def close(self) -> None:
        """Do what is queued, then end."""
        self._queue.put(None)
        self._thread.join()
        self._engine.dispose()

    def _serve(self) -> None:
        while group := self._next_group():
            self._commit(group)

    def _next_group(self) -> list[_Operation]:
        group: list[_Operation] = []
        try:
            while len(group) < _GROUP:
                operation = self._queue.get(block=not group)
                if operation is None:
                    self._queue.put(None)  # for the next call, which then finds nothing else
                    return group
                if operation.future.set_running_or_notify_cancel():
                    group.append(operation)
        except Empty:
            pass
        return group

    def _commit(self, group: list[_Operation]) -> None:
        try:
            with self._engine.connect() as connection, connection.begin():
                outcomes = [_attempt(connection, operation) for operation in group]
        except Exception as error:  # every waiting caller gets it
            self._engine.dispose()  # the connection may have lost its transaction; take a new one
            outcomes = [error] * len(group)
        for operation, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, Exception):
                operation.future.set_exception(outcome)
            else:
                operation.future.set_result(outcome)


def _attempt(connection: Connection, operation: _Operation) -> Any:
    """The operation's result, or the error that is its own. Raises what concerns the whole group."""
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
    """Whether SQLite may have rolled back the transaction behind this error (disk full, I/O, memory …)."""
    own = (IntegrityError, DataError, ProgrammingError)
    return isinstance(error, (DatabaseError, MemoryError)) and not isinstance(error, own)

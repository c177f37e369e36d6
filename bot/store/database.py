"""The way to a database: which one a URL names, one writer, a few readers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, Self, TypeVar

from sqlalchemy import Connection, Engine, text
from sqlmodel import Session

from bot.errors import StoreError, StoreGone
from bot.models import Original
from bot.store import leadership, ledger, migrations, survey, traces
from bot.store.postgres import PostgresServer
from bot.store.sqlite import SqliteFile
from bot.store.writer import WritePace, Writer

T = TypeVar("T")

_CLOSED = "The database is closed because Easel is stopping: try again after its start."
_READERS = 2


class Lock(Protocol):
    def check(self) -> None:
        """Make sure that it is still held, and on the same database.

        Raises StoreInUse where another process has it, StoreGone, StoreError.
        """

    def release(self) -> None: ...


class Server(Protocol):
    """What differs between databases."""

    pace: WritePace

    def lock(self, *, shared: bool) -> Lock:
        """Keep other processes out; `shared`: only those that lead. Raises StoreInUse, StoreError."""

    def connect(self, *, writes: bool) -> Engine: ...

    def explained(self) -> AbstractContextManager[None]:
        """Convert a database error to a StoreError."""

    def exists(self) -> bool: ...

    def describe(self, connection: Connection) -> str:
        """Return the server's name and version, to show."""

    def check(self, connection: Connection) -> str:
        """Return "ok", or what is wrong with the database's files."""


def server(url: str) -> Server:
    """Return the server of the database that a URL names. Raises StoreError."""
    return PostgresServer(url) if url.startswith("postgres") else SqliteFile(url)


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFacts:
    """What `look_at` finds, as text to show. `problem` is empty when the file and the ledger are sound."""

    database: str  # which, in what version
    revision: str  # of the schema; empty before the first start
    problem: str
    unreadable: tuple[str, ...] = ()  # rows that are set aside, each with its reason
    newest: datetime | None = None  # when the ledger was last written
    believed: datetime | None = None  # the time that retention goes by


@contextmanager
def _reading(url: str) -> Iterator[tuple[Server, Session]]:
    """Open a database to read alone, without locking it.

    Raises KeyError when there is none, StoreError when it cannot be read.
    """
    found = server(url)
    if not found.exists():
        raise KeyError(url)
    engine = found.connect(writes=False)
    try:
        with found.explained(), Session(engine) as session:
            yield found, session
    finally:
        engine.dispose()


def look_at(url: str) -> DatabaseFacts:
    """Examine a database without locking or changing it; blocks.

    Raises KeyError when there is none, StoreError when it cannot be read.
    """
    with _reading(url) as (found, session):
        revision = migrations.revision(session.connection())
        return DatabaseFacts(
            database=found.describe(session.connection()),
            revision=revision,
            problem=_check(session, found).removeprefix("ok") if revision == migrations.HEAD else "",
            unreadable=tuple(survey.unreadable(session)) if revision == migrations.HEAD else (),
            **(survey.moments(session) if revision == migrations.HEAD else {}),
        )


def pictures_at(url: str) -> list[tuple[str, str]]:
    """Return job and blob of all pictures, sources and masks that must exist. Locks nothing; blocks.

    Raises KeyError when there is no database, StoreError when it cannot be read.
    """
    with _reading(url) as (_, session):
        query = text(
            "SELECT p.job, p.blob FROM pictures p JOIN jobs j ON j.id = p.job "
            "WHERE j.state IN ('queued', 'running', 'rendered') "
            "UNION SELECT p.job, p.plain FROM pictures p JOIN jobs j ON j.id = p.job "
            "WHERE p.plain <> '' AND j.state IN ('queued', 'running', 'rendered') "
            "UNION SELECT id, source FROM jobs WHERE source <> '' AND state <> 'deleted' "
            "UNION SELECT s.job, s.blob FROM job_sources s JOIN jobs j ON j.id = s.job "
            "WHERE j.state <> 'deleted'"
        )
        return [(str(job), str(blob)) for job, blob in session.connection().execute(query)]


def original_at(url: str, job: str, look: str) -> Original | None:
    """Return what `Store.original` does, without locking or changing the database; blocks.

    Raises KeyError when there is no database, StoreError when it cannot be read.
    """
    with _reading(url) as (_, session):
        return traces.original(session, job, look)


class Database:
    """One database. Every method of its subclasses raises StoreError when the database or the disk fails.

    A method that returns has its effect on the disk. Writes go through `Writer`; reads run on their own
    connections and see everything that was written before they began.
    """

    def __init__(self, url: str, clock: Callable[[], datetime] = utc_now, shared: bool = False) -> None:
        """Lock and open the database. Blocks; use `open`."""
        self._clock = clock
        self._server = server(url)
        self._gone: StoreGone | None = None  # why nothing is written
        self._lock = self._server.lock(shared=shared)
        try:
            with self._server.explained():
                self._term = _prepare(self._server, leads=not shared)
                self._lock.check()
        except Exception:
            self._lock.release()
            raise
        self._reader = self._server.connect(writes=False)
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="store-reader")
        self._writer: Writer | None = Writer(self._server.connect(writes=True), self._server.pace)

    @classmethod
    async def open(cls, url: str, *, clock: Callable[[], datetime] = utc_now, shared: bool = False) -> Self:
        """Open or create the database and bring its schema up to date. Raises StoreInUse, StoreError.

        Only one process may have it open; of a Postgres database others may too that are `shared`: they
        admit, read and administrate, but leave painting and what was left unfinished to that one.
        """
        return await asyncio.to_thread(cls, url, clock, shared)

    def now(self) -> datetime:
        """Return the time that periods, blocks and ages are counted by; the machine's may jump."""
        return self._clock()

    async def close(self) -> None:
        """Finish all operations, then unlock the database. Closing twice is fine."""
        writer, self._writer = self._writer, None
        if writer:
            await asyncio.to_thread(writer.close)
            await asyncio.to_thread(self._readers.shutdown)
            self._reader.dispose()
            self._lock.release()

    async def look(self) -> None:
        """Check that the database is still there, and that this process leads: it alone may start jobs.

        Raises StoreInUse where another process leads, StoreGone, StoreError where that cannot be read.
        """
        if self._writer is None:
            raise StoreError(_CLOSED)
        try:
            with self._server.explained():
                await asyncio.to_thread(self._lock.check)
                if (term := self._term) is not None:
                    await self._read(lambda session: leadership.check(session, term))
            self._gone = None
        except StoreGone as error:
            self._gone = error
            raise

    async def check(self) -> str:
        """Return "ok", or what is wrong with the file or with the ledger."""
        return await self._read(lambda session: _check(session, self._server))

    async def touch(self) -> None:
        """Write something that changes nothing. Raises StoreError when nothing can be written."""
        same = text("UPDATE alembic_version SET version_num = version_num")
        await self._write(lambda session: session.connection().execute(same).rowcount)

    async def _write(self, work: Callable[[Session], T]) -> T:
        if self._writer is None:
            raise StoreError(_CLOSED)
        if self._gone:
            raise self._gone
        with self._server.explained():
            return await self._writer.run(self._fenced(work))

    def _fenced(self, work: Callable[[Session], T]) -> Callable[[Session], T]:
        """Wrap the work so that it is done only while this process leads."""
        if (term := self._term) is None:
            return work

        def fenced(session: Session) -> T:
            leadership.check(session, term, hold=True)
            return work(session)

        return fenced

    async def _read(self, work: Callable[[Session], T]) -> T:
        if self._writer is None:
            raise StoreError(_CLOSED)
        with self._server.explained():
            return await asyncio.get_running_loop().run_in_executor(self._readers, self._read_now, work)

    def _read_now(self, work: Callable[[Session], T]) -> T:
        with Session(self._reader) as session:
            return work(session)


def _prepare(server: Server, *, leads: bool) -> int | None:
    """Bring the schema up to date; return this process's term if it leads, else None."""
    engine = server.connect(writes=True)
    try:
        with engine.connect() as connection, connection.begin():
            if connection.dialect.name == "postgresql":  # others may start at the same moment
                connection.execute(text("SELECT pg_advisory_xact_lock(1)"))
            migrations.upgrade(connection)
            return leadership.begin(connection) if leads else None
    finally:
        engine.dispose()


def _check(session: Session, server: Server) -> str:
    found = server.check(session.connection())
    return ledger.check(session) if found == "ok" else found

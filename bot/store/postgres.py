"""What is Postgres's own: how to connect, the lock on the database, errors in plain words."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import NullPool

from bot.errors import StoreError, StoreInUse
from bot.store.writer import WritePace

_LOCK = 0x45_41_53_45_4C  # "EASEL": the advisory lock of the process that paints
_PATIENCE = 10  # seconds for a connection
_GRACE = 2  # seconds for the lock
_LOCK_NOT_AVAILABLE = "55P03"
_HELD = text(
    "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted "
    f"AND classid = {_LOCK >> 32} AND objid = {_LOCK & 0xFFFFFFFF})"
)
# A server that is gone without a word is noticed within seconds.
_KEEPALIVE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}
_KEEPALIVE |= {"tcp_user_timeout": 10_000}


class PostgresServer:
    """A database on a server, which several processes may share; one of them paints."""

    # Each operation is a transaction of its own, so that rows are locked for a moment only. The server joins
    # the waits for its disk.
    pace = WritePace(threads=4, group=1)

    def __init__(self, url: str) -> None:
        """Parse the database's address. Raises StoreError for what is none."""
        try:
            self._url = make_url(url).set(drivername="postgresql+psycopg")
        except (ArgumentError, ValueError) as error:
            raise StoreError("DATABASE_URL is no address of a database: see .env.example.") from error
        self._lock: PostgresLock | None = None

    def lock(self, *, shared: bool) -> PostgresLock:
        """Make sure that no other process paints from this database, unless it is to be shared.

        Raises StoreInUse, StoreError.
        """
        lock = PostgresLock(self._engine(poolclass=NullPool, isolation_level="AUTOCOMMIT"))
        if not shared:
            with self.explained():
                lock.take()
            self._lock = lock
        return lock

    def connect(self, *, writes: bool) -> Engine:
        if not writes:
            return self._engine(pool_size=2, pool_pre_ping=True, isolation_level="REPEATABLE READ")
        engine = self._engine(pool_size=self.pace.threads, isolation_level="READ COMMITTED")
        if self._lock:  # a new connection may mean that the server was restarted, and the lock lost
            event.listen(engine, "connect", self._lock.check)
        return engine

    def _engine(self, **options: Any) -> Engine:
        if "poolclass" not in options:
            options |= {"max_overflow": 0, "pool_timeout": _PATIENCE}
        arguments = {"connect_timeout": _PATIENCE, "application_name": "easel", **_KEEPALIVE}
        try:
            return create_engine(self._url, connect_args=arguments, **options)
        except ImportError as error:
            raise StoreError(
                "DATABASE_URL names a Postgres database: run `pip install 'easel[postgres]'`."
            ) from error

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Convert a database error to a StoreError."""
        try:
            yield
        except DBAPIError as error:
            raise StoreError(self._explain(error)) from error

    def exists(self) -> bool:
        return True

    def describe(self, connection: Connection) -> str:
        return f"PostgreSQL {connection.execute(text('SHOW server_version')).scalar_one()}"

    def check(self, connection: Connection) -> str:
        """Return "ok": the server checks its own files."""
        return "ok"

    def _explain(self, error: DBAPIError) -> str:
        """Explain a database error in one clear sentence, without the password."""
        cause = str(error.orig).strip().partition("\n")[0]
        state = getattr(error.orig, "sqlstate", None) or next(
            (state for words, state in _WORDS.items() if words in str(error.orig)), "08000"
        )
        sentence = _SENTENCES.get(state) or _SENTENCES.get(state[:2]) or _OTHERWISE
        place = f"{self._url.host or 'localhost'}/{self._url.database or ''}"
        return sentence.format(place=place, cause=cause)


class PostgresLock:
    """One painting process per database: an advisory lock of a session, gone when the process is."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._session: Connection | None = None
        self._taken = False  # it was, and is to be kept
        self._mutex = threading.Lock()

    def take(self) -> None:
        """Take the lock that one process alone can have. Raises StoreInUse when another process has it."""
        session = self._engine.connect()
        try:
            # The server may take a moment to see that a process was killed.
            session.execute(text(f"SET lock_timeout = '{_GRACE}s'"))
            session.execute(text(f"SELECT pg_advisory_lock({_LOCK})"))
        except DBAPIError as error:
            session.close()
            if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                raise
            raise StoreInUse(
                "Another Easel already paints from this database: stop it first, or give this one its own."
            ) from error
        self._session, self._taken = session, True

    def check(self, *_: object) -> None:
        """Take the lock again if its session was lost. Raises StoreInUse when another process was faster."""
        with self._mutex:
            if self._taken and not self._lives():
                self._forget()
                self.take()

    def _lives(self) -> bool:
        try:
            return self._session is not None and bool(self._session.execute(_HELD).scalar_one())
        except DBAPIError:
            return False

    def _forget(self) -> None:
        session, self._session = self._session, None
        if session:
            with suppress(DBAPIError):  # the session is gone already
                session.close()

    def release(self) -> None:
        with self._mutex:
            self._taken = False
            if self._session and self._lives():
                self._session.execute(text(f"SELECT pg_advisory_unlock({_LOCK})"))
            self._forget()
            self._engine.dispose()


# A connection that fails has words but no code.
_WORDS = {"password authentication failed": "28P01", "does not exist": "3D000", "too many clients": "53300"}

# https://www.postgresql.org/docs/current/errcodes-appendix.html, by code or by class
_SENTENCES = {
    "08": "The database {place} does not answer ({cause}): start it, or correct DATABASE_URL.",
    "57": "The database {place} does not answer ({cause}): start it, or correct DATABASE_URL.",
    "28": "The database {place} refuses the user or the password: correct DATABASE_URL.",
    "3D": "There is no database {place}: create it, or correct DATABASE_URL.",
    "53100": "The database server's disk is full, so nothing new can be saved: free some space on it.",
    "53300": "The database {place} takes no more connections: raise its max_connections.",
    "42501": "The database {place} does not let its user do this ({cause}): grant it all on the schema.",
    "25006": "The database {place} can only be read: connect to the one that is written.",
}
_OTHERWISE = "The database {place} does not take this ({cause}): run `python -m bot doctor`."

"""What is SQLite's own: which library, how to connect, the lock on the file, errors in plain words."""

from __future__ import annotations

import fcntl
import importlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError

from bot import private
from bot.errors import StoreError, StoreGone, StoreInUse
from bot.store import aside
from bot.store.writer import WritePace

# SQLite before these can corrupt a database in WAL mode when a checkpoint meets a second connection that
# writes (https://sqlite.org/wal.html, "the WAL-reset bug").
_FIXED = ((3, 44, 6), (3, 50, 7), (3, 51, 3))


PRAGMAS = {"busy_timeout": 5000, "foreign_keys": "ON", "synchronous": "FULL"}
"""Of every connection: what was committed survives even a power cut."""


def library() -> ModuleType:
    """Import the bundled SQLite where it is installed, else the one Python was built with."""
    try:
        return importlib.import_module("pysqlite3")
    except ImportError:
        return importlib.import_module("sqlite3")


def wal_is_safe(version: tuple[int, ...]) -> bool:
    """Tell whether this SQLite can be trusted with a write-ahead log."""
    return version >= _FIXED[-1] or any(version[:2] == fixed[:2] and version >= fixed for fixed in _FIXED)


def path_of(url: str) -> Path:
    """Return the path of the database file. Raises StoreError for a URL that names none."""
    name = url.removeprefix("sqlite:///")
    if not url.startswith("sqlite:///") or name in ("", ":memory:"):
        raise StoreError(
            "DATABASE_URL must name an SQLite file as in sqlite:///data/easel.db, or a Postgres database "
            "as in postgresql://user:password@host/easel."
        )
    return Path(make_url(url).database or name)


def connect(path: Path, *, writes: bool) -> Engine:
    """Create an engine of one writing connection, or of a few that only read."""
    sqlite = library()
    url = URL.create("sqlite", database=str(path))
    engine = create_engine(
        url,
        module=sqlite,
        pool_size=1 if writes else 2,
        max_overflow=0,
        pool_timeout=10,
        json_deserializer=aside.loads,
    )
    journal = "WAL" if wal_is_safe(sqlite.sqlite_version_info) else "DELETE"
    begin = "BEGIN IMMEDIATE" if writes else "BEGIN"

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: object) -> None:
        # The driver would begin transactions on its own, and too late for IMMEDIATE and savepoints.
        connection.isolation_level = None
        more = {"journal_mode": journal} if writes else {"query_only": "ON"}
        for name, value in (PRAGMAS | more).items():
            connection.execute(f"PRAGMA {name} = {value}").close()

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


class SqliteFile:
    """A database in a file, of one process."""

    pace = WritePace(
        threads=1, group=256
    )  # one writer at a time; many operations share the wait for the disk

    def __init__(self, url: str) -> None:
        self.path = path_of(url)

    def lock(self, *, shared: bool) -> FileLock:
        """Lock the database file, which is never shared. Raises StoreInUse, StoreError."""
        return FileLock(self.path)  # an SQLite file is never shared

    def connect(self, *, writes: bool) -> Engine:
        return connect(self.path, writes=writes)

    def explained(self) -> AbstractContextManager[None]:
        return explained(self.path)

    def exists(self) -> bool:
        return self.path.exists()

    def describe(self, connection: Connection) -> str:
        journal = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
        used = library()
        whose = "bundled" if used.__name__ == "pysqlite3" else "Python's own"
        unsafe = "" if wal_is_safe(used.sqlite_version_info) else ": a write-ahead log is not safe with it"
        return f"SQLite {used.sqlite_version} ({whose}{unsafe}), journal {journal}"

    def check(self, connection: Connection) -> str:
        """Return "ok", or what is wrong with the file."""
        for pragma in ("integrity_check", "foreign_key_check"):
            found = [str(row[0]) for row in connection.exec_driver_sql(f"PRAGMA {pragma}")]
            if found not in ([], ["ok"]):
                return f"{pragma}: {'; '.join(found[:3])}"
        return "ok"


_BESIDE = ("", "-wal", "-shm", "-journal", ".lock")  # what a database's files end with


class FileLock:
    """One process per database: an operating-system lock on a file beside it, gone when the process is.

    A database that is a link is locked by what it points to.
    """

    def __init__(self, database: Path) -> None:
        """Lock the database. Raises StoreInUse, or StoreError when the folder cannot be written."""
        self._database = database
        real = database.resolve()
        self._path = real.with_name(real.name + ".lock")
        self._first: os.stat_result | None = None  # the database, when it was first looked at
        try:
            private.folder(real.parent)
            private.own(*(real.with_name(real.name + end) for end in _BESIDE))
            private.file(real)  # SQLite would let everybody read it
            self._fd = self._take()
        except StoreInUse:
            raise
        except OSError as error:
            raise self._unwritable(error) from error

    def _take(self) -> int:
        """Open and lock the lock file, and return its descriptor. Raises OSError, StoreInUse."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            raise StoreInUse(
                f"Another Easel already uses {self._database}: "
                "stop it first, or give this one its own DATA_DIR."
            ) from error
        return fd

    def check(self) -> None:
        """Check the lock. Raises StoreGone when the database is another file, StoreInUse, StoreError.

        The file is never opened here: closing it would take SQLite's own locks from this process.
        """
        try:
            now = os.stat(self._database)
        except OSError as error:
            raise StoreGone(_GONE.format(path=self._database, cause="deleted")) from error
        if self._fd < 0:
            return  # it was let go of meanwhile
        before = self._first = self._first or now
        if (now.st_dev, now.st_ino) != (before.st_dev, before.st_ino) or now.st_size < before.st_size:
            raise StoreGone(_GONE.format(path=self._database, cause="replaced"))
        self._hold_on()

    def _hold_on(self) -> None:
        """Lock again where the lock's file was deleted."""
        try:
            if os.path.samestat(os.stat(self._path), os.fstat(self._fd)):
                return
        except OSError:
            pass
        try:
            before, self._fd = self._fd, self._take()
        except OSError as error:
            raise self._unwritable(error) from error
        os.close(before)

    def _unwritable(self, error: OSError) -> StoreError:
        return StoreError(
            f"{self._path} cannot be written ({error.strerror}): make the folder writable, or set DATA_DIR."
        )

    def release(self) -> None:
        fd, self._fd = self._fd, -1
        os.close(fd)


_GONE = (
    "The database {path} was {cause} while Easel was running, so nothing new is taken: "
    "stop Easel, put the file back, and start Easel again."
)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Convert a database error to a StoreError."""
    try:
        yield
    except DBAPIError as error:
        raise _explain(error, path) from error


def _explain(error: DBAPIError, path: Path) -> StoreError:
    """Explain a database error in one clear sentence."""
    name = str(getattr(error.orig, "sqlite_errorname", ""))
    for start, sentence in _SENTENCES.items():
        if name.startswith(start):
            return StoreError(sentence.format(path=path))
    return StoreError(f"The database {path} does not take this ({error.orig}): run `python -m bot doctor`.")


_SENTENCES = {
    "SQLITE_FULL": "The disk is full, so nothing new can be saved: free some space beside {path}.",
    "SQLITE_IOERR": "The disk beside {path} does not answer as it should: check its space and its health.",
    "SQLITE_READONLY": "The database {path} cannot be written: make the file and its folder writable.",
    "SQLITE_CANTOPEN": "The database {path} cannot be opened: make the file and its folder writable.",
    "SQLITE_PERM": "The database {path} cannot be opened: make the file and its folder writable.",
    "SQLITE_CORRUPT": "The database {path} is damaged: move it away and put a backup in its place.",
    "SQLITE_NOTADB": "{path} is not a database: move it away, or name another in DATABASE_URL.",
    "SQLITE_BUSY": "Another program holds the database {path}: close it, then try again.",
    "SQLITE_LOCKED": "Another program holds the database {path}: close it, then try again.",
}

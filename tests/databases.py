"""Empty databases, made by copying: the migrations take longer than most tests.

Postgres is a server of the tests' own, in a temporary folder, on a Unix socket, gone with the test run.
"""

from __future__ import annotations

import asyncio
import getpass
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from sqlalchemy import Connection, create_engine, inspect
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlmodel import Session, col

from bot.models import Job, State
from bot.store import Store, migrations, sqlite
from bot.store.tables import JobRow
from bot.store.writer import Writer

T = TypeVar("T")

FAST = {"fsync": "off", "full_page_writes": "off", "max_connections": "80", "shared_buffers": "32MB"}


PRAGMAS = dict(sqlite.PRAGMAS)
"""As they are outside of tests."""


def create(url: str) -> None:
    """Give a database its tables, wherever this is called from."""

    async def open_and_close() -> None:
        await (await Store.open(url)).close()

    with ThreadPoolExecutor(1) as thread:  # the caller's may run an event loop already
        thread.submit(asyncio.run, open_and_close()).result()


WAITING = set[asyncio.Event]()
WRITE = Writer.run


async def _write(writer: Writer, work: Callable[[Session], Any]) -> Any:
    try:
        return await WRITE(writer, work)
    finally:
        for each in WAITING:
            each.set()


Writer.run = _write  # type: ignore[method-assign]


async def found(look: Callable[[], Awaitable[T | None]], patience: float) -> T:
    """What `look` returns once that is something; it looks again after each write of this process."""
    written = asyncio.Event()
    WAITING.add(written)
    try:
        async with asyncio.timeout(patience):
            while (result := await look()) is None:
                await written.wait()
                written.clear()
        return result
    finally:
        WAITING.remove(written)


async def ended(store: Store, id: str, *states: State, patience: float) -> Job:
    """The job's row once it is in one of the states, and its end was shown or given up."""

    async def there() -> Job | None:
        job = await store.job(id)
        return job if job and job.state in states and (job.delivered or not job.state.ended) else None

    return await found(there, patience)


async def unfinished(store: Store) -> list[Job]:
    """Return the queued and running jobs, oldest first."""
    states = (State.QUEUED.value, State.RUNNING.value)
    return await store._jobs(col(JobRow.state).in_(states))


@cache
def _empty_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        create(f"sqlite:///{folder}/empty.db")
        return (Path(folder) / "empty.db").read_bytes()


def fresh_sqlite(path: Path) -> str:
    """The URL of a new file with the tables of today."""
    path.write_bytes(_empty_file())
    return f"sqlite:///{path}"


def copied(migrate: Callable[[Connection], None]) -> Callable[[Connection], None]:
    """Return what copies today's tables into a blank SQLite file, and migrates any other database."""
    head, engine = migrations.HEAD, create_engine("sqlite://")
    with engine.begin() as connection:
        migrate(connection)
        script = [*connection.connection.driver_connection.iterdump()][1:-1]  # without BEGIN and COMMIT
    engine.dispose()

    def upgrade(connection: Connection) -> None:
        blank = connection.dialect.name == "sqlite" and not inspect(connection).get_table_names()
        if not blank or migrations.HEAD != head:
            return migrate(connection)
        for statement in script:
            connection.exec_driver_sql(statement)

    return upgrade


def compile_once() -> None:
    """Let all SQLite databases of this process share what SQLAlchemy has compiled: 30 ms of many a test."""
    SQLiteDialect_pysqlite.__eq__ = lambda one, other: _kind(one) == _kind(other)  # type: ignore
    SQLiteDialect_pysqlite.__hash__ = lambda one: hash(_kind(one))  # type: ignore
    shared = {"compiled_cache": dict[Any, Any]()}
    sqlite.create_engine = partial(create_engine, execution_options=shared)


def _kind(dialect: Any) -> tuple[object, ...]:
    return type(dialect), dialect.dbapi


def binaries() -> Path | None:
    """Where initdb and pg_ctl are, if this machine has them."""
    found = shutil.which("initdb")
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return Path(found).resolve().parent if found else packaged[-1].parent if packaged else None


class Cluster:
    """A running server. Its databases are copies of one that is migrated already."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self._programs = programs
        self._numbers = itertools.count()
        # Postgres does not run as root.
        self._user = "nobody" if os.geteuid() == 0 else getpass.getuser()

    def start(self) -> None:
        data = self.folder / "data"
        if not data.exists():
            self._run("initdb", "-D", data, "-U", "easel", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = " ".join(f"-c {name}={value}" for name, value in FAST.items())
        socket = f"-k {self.folder} -c listen_addresses=''"
        log = self.folder / "log"
        self._run("pg_ctl", "-D", data, "-w", "-l", log, "-o", f"{options} {socket}", "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self.folder / "data", "-w", "-m", "immediate", "stop")

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://easel@/{database}?host={self.folder}"

    @staticmethod
    def name_of(url: str) -> str:
        return url.partition("@/")[2].partition("?")[0]

    def fresh(self, *, blank: bool = False) -> str:
        """The URL of a new database, with the tables of today unless it is to be blank."""
        name = f"books{next(self._numbers)}"
        template = "template1" if blank else self._migrated
        self._tell(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    @cached_property
    def _migrated(self) -> str:
        self._tell("CREATE DATABASE migrated")
        create(self.url("migrated"))
        return "migrated"

    def drop(self, url: str) -> None:
        self._tell(f"DROP DATABASE {self.name_of(url)} WITH (FORCE)")

    def _tell(self, statement: str) -> None:
        """Say what each test does from here: to start psql for it would take most of a short test."""
        with psycopg.connect(host=str(self.folder), user="easel", dbname="postgres", autocommit=True) as told:
            told.execute(statement)

    def ask(self, statement: str, database: str = "postgres") -> str:
        arguments = ("-h", self.folder, "-U", "easel", "-d", database, "-v", "ON_ERROR_STOP=1", "-Atqc")
        return self._run("psql", *arguments, statement)

    def _run(self, program: str, *arguments: object) -> str:
        options: dict[str, Any] = {"user": self._user} if os.geteuid() == 0 else {}
        command = [str(self._programs / program), *map(str, arguments)]
        # The server keeps what it inherits open, so that a pipe would never end.
        with tempfile.TemporaryFile("w+") as said:
            done = subprocess.run(
                command, stdout=said, stderr=said, cwd=self.folder, timeout=120, check=False, **options
            )
            said.seek(0)
            text = said.read()
        assert done.returncode == 0, f"{program}: {text}"
        return text.strip()


@contextmanager
def cluster(programs: Path) -> Iterator[Cluster]:
    # Not below pytest's own folder: that is closed to the user who runs the server.
    with tempfile.TemporaryDirectory(prefix="easel-postgres-") as name:
        folder = Path(name)
        if os.geteuid() == 0:
            shutil.chown(folder, "nobody")
        server = Cluster(folder, programs)
        server.start()
        try:
            yield server
        finally:
            server.stop()

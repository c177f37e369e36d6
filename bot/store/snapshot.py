"""Copy a database as it is at one moment into a file, and such a file into a new database.

The file is an SQLite database whatever the source is, so a copy can also move Easel to another kind.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, func, insert, select, text
from sqlmodel import SQLModel

from bot import private
from bot.errors import StoreError
from bot.store import aside, migrations
from bot.store.database import Server, server
from bot.store.sqlite import SqliteFile, explained, library
from bot.store.sqlite import connect as connect_file

_ROWS = 1000  # copied at a time


def save(url: str, file: Path) -> str:
    """Copy the database to a new file, also while Easel runs; return its schema's revision. Blocks.

    Raises KeyError where there is no database yet, StoreError.
    """
    source = server(url)
    if not source.exists():
        raise KeyError(url)
    private.file(file)
    with source.explained(), explained(file):
        if isinstance(source, SqliteFile):
            _copy_file(source.path, file)
        else:
            _copy_server(source, file)
    with _opened(connect_file(file, writes=False)) as engine, engine.connect() as connection:
        if (found := connection.exec_driver_sql("PRAGMA quick_check").scalar_one()) != "ok":
            raise StoreError(f"The database is damaged ({found}): run `python -m bot doctor`.")
        return migrations.revision(connection)


def refuse(url: str) -> None:
    """Raise StoreError where `load` would find a database already."""
    _refuse_what_is_used(server(url))


def load(file: Path, url: str) -> None:
    """Copy the file of `save` into a database that holds no jobs yet, with the schema of today; blocks.

    Changes the file. Raises StoreInUse while Easel runs, StoreError.
    """
    target = server(url)
    lock = target.lock(shared=False)
    try:
        with target.explained(), explained(file):
            _refuse_what_is_used(target)
            _upgrade(file)
            if isinstance(target, SqliteFile):
                _put_file(file, target.path)
            else:
                _fill_server(file, target)
    finally:
        lock.release()


def _copy_file(source: Path, file: Path) -> None:
    sqlite = library()
    with closing(sqlite.connect(source)) as old, closing(sqlite.connect(file)) as new:
        old.execute("PRAGMA query_only = ON").close()
        old.backup(new)
    _leave_no_journal(file)


def _leave_no_journal(file: Path) -> None:
    """Keep all of an SQLite database in its one file."""
    with closing(library().connect(file)) as done:
        done.execute("PRAGMA journal_mode = DELETE").close()


def _copy_server(source: Server, file: Path) -> None:
    with _opened(source.connect(writes=False)) as engine, engine.connect() as old:
        if (found := migrations.revision(old)) != migrations.HEAD:
            raise StoreError(
                f"The database has schema {found or 'none'}: start this Easel once, then save it."
            )
        with _opened(connect_file(file, writes=True)) as copy, copy.begin() as new:
            migrations.upgrade(new)
            _copy_rows(old, new)
    _leave_no_journal(file)


def _refuse_what_is_used(target: Server) -> None:
    """Raise StoreError where the database has tables already."""
    if not target.exists():
        return
    with target.explained(), _opened(target.connect(writes=False)) as engine, engine.connect() as connection:
        if migrations.revision(connection):
            raise StoreError(
                "There is a database already, and a backup is only put where none is: "
                "move it away, or name another in DATA_DIR or DATABASE_URL."
            )


def _upgrade(file: Path) -> None:
    with _opened(connect_file(file, writes=True)) as engine, engine.begin() as connection:
        migrations.upgrade(connection)
    _leave_no_journal(file)


def _put_file(file: Path, path: Path) -> None:
    with open(file, "rb") as source, private.whole(path.resolve()) as to:
        shutil.copyfileobj(source, to)


def _fill_server(file: Path, target: Server) -> None:
    with _opened(connect_file(file, writes=False)) as engine, engine.connect() as old:
        with _opened(target.connect(writes=True)) as filled, filled.begin() as new:
            migrations.upgrade(new)
            _copy_rows(old, new)
            for table in SQLModel.metadata.sorted_tables:
                _number_on(table, new)


def _copy_rows(old: Connection, new: Connection) -> None:
    tables = SQLModel.metadata.sorted_tables
    for table in reversed(tables):  # what migrations write into a new database
        new.execute(table.delete())
    for table in tables:
        for rows in old.execute(select(table)).mappings().partitions(_ROWS):
            new.execute(insert(table), [_readable(table, dict(row)) for row in rows])


def _readable(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    if any(value is aside.UNREADABLE for value in row.values()):
        raise StoreError(f"A row of {table.name} cannot be read: run `python -m bot doctor`, which names it.")
    return row


def _number_on(table: Table, connection: Connection) -> None:
    """Let Postgres number further rows after those that were copied."""
    for column in table.columns:
        named = {"table": table.name, "column": column.name}
        sequence = connection.scalar(text("SELECT pg_get_serial_sequence(:table, :column)"), named)
        if sequence and (last := connection.scalar(select(func.max(column)))):
            connection.execute(text("SELECT setval(:sequence, :last)"), {"sequence": sequence, "last": last})


@contextmanager
def _opened(engine: Engine) -> Iterator[Engine]:
    try:
        yield engine
    finally:
        engine.dispose()

"""The schema's history. A change of `tables` comes with a new file in `versions`; a test holds them equal."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from bot.errors import StoreError

HEAD = "0032"
"""The revision that `tables` describes."""


def revision(connection: Connection) -> str:
    """Return the revision of the database's schema; empty when it has none yet."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none() or "")


def upgrade(connection: Connection) -> None:
    """Bring the schema to HEAD. Raises StoreError when a newer Easel wrote this database."""
    present = revision(connection)
    if present == HEAD:
        return
    if present > HEAD:
        raise StoreError(
            f"A newer Easel wrote this database (schema {present}, this one knows {HEAD}): update Easel."
        )
    # Alembic takes a good part of a second to import, and nearly every start does without it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)

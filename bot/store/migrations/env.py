"""Run by alembic: the connection, and its transaction, are the store's."""

from __future__ import annotations

from alembic import context
from sqlmodel import SQLModel

from bot.store import tables

assert tables.JobRow.metadata is SQLModel.metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
)
context.run_migrations()

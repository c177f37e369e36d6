"""Which jobs only their owner may still see, and by which message a job is found again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0007"


def upgrade() -> None:
    # Not as a batch: with such a default it would make the table anew, which pictures refer to.
    op.add_column("jobs", sa.Column("hidden", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("jobs", sa.Column("posted", sa.String(), nullable=False, server_default=""))
    op.create_index("jobs_by_message", "jobs", ["posted"])
    jobs = sa.table("jobs", sa.column("id"), sa.column("posted"), sa.column("message", sa.JSON()))
    shown = sa.select(jobs.c.id, jobs.c.message).where(jobs.c.message.is_not(None))
    for id, ref in op.get_bind().execute(shown).all():
        if ref and "channel" in ref:
            posted = f"{ref['channel']}:{ref.get('message') or ref.get('ts') or ''}"
            op.get_bind().execute(jobs.update().where(jobs.c.id == id).values(posted=posted))

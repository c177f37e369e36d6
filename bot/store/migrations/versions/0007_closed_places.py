"""In which closed places a job may be seen. What was asked for before stays open to its tenant."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    with op.batch_alter_table("jobs") as jobs:
        jobs.add_column(sa.Column("seen_in", sa.Text(), nullable=False, server_default=""))

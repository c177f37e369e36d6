"""The format of the files that people like to be handed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0027"


def upgrade() -> None:
    op.add_column("preferences", sa.Column("format", sa.String(), nullable=False, server_default=""))

"""Alternative texts that people have written for their pictures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0024"


def upgrade() -> None:
    op.add_column("pictures", sa.Column("alt", sa.Text(), nullable=False, server_default=""))

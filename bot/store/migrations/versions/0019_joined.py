"""Which pictures were painted in forward passes with others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0015"


def upgrade() -> None:
    op.add_column("pictures", sa.Column("joined", sa.Boolean(), nullable=False, server_default=sa.false()))

"""Which pictures were painted in forward passes with others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.add_column("pictures", sa.Column("joined", sa.Boolean(), nullable=False, server_default=sa.false()))

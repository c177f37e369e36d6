"""The tenant in whose lane an account stands; allowances of single people."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("accounts", sa.Column("home", sa.String(), nullable=False, server_default=""))
    op.add_column("people", sa.Column("allowance", sa.JSON(), nullable=True))

"""The tenant in whose lane an account stands."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("accounts", sa.Column("home", sa.String(), nullable=False, server_default=""))

"""Pictures without the words that were set on them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.add_column("pictures", sa.Column("plain", sa.String(), nullable=False, server_default=""))

"""How pictures look, to find the original of a copy; whether people's prompts go into their files."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("pictures", sa.Column("fingerprint", sa.String(), nullable=False, server_default=""))
    tells: sa.Column[bool] = sa.Column(
        "tells_prompt", sa.Boolean(), nullable=False, server_default=sa.false()
    )
    op.add_column("preferences", tells)

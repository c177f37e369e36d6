"""Results that people have marked for themselves."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_table(
        "favourites",
        sa.Column("member", sa.String(), primary_key=True),
        sa.Column("job", sa.String(), sa.ForeignKey("jobs.id"), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("favourites_by_job", "favourites", ["job"])

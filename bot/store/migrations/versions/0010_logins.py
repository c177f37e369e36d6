"""Who is logged in to the web studio, and the links that log people in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    time = sa.DateTime(timezone=True)
    op.create_table(
        "web_sessions",
        sa.Column("digest", sa.String(), primary_key=True),
        sa.Column("member", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("person", sa.JSON(), nullable=False),
        sa.Column("browser", sa.String(), nullable=False),
        sa.Column("made", time, nullable=False),
        sa.Column("used", time, nullable=False),
        sa.Column("expires", time, nullable=False),
    )
    op.create_index("web_sessions_by_member", "web_sessions", ["member"])
    op.create_table(
        "web_links",
        sa.Column("digest", sa.String(), primary_key=True),
        sa.Column("member", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("person", sa.JSON(), nullable=False),
        sa.Column("expires", time, nullable=False),
    )

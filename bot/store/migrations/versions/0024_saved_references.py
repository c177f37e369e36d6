"""Pictures that people and places keep by name, to paint by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0022"


def upgrade() -> None:
    op.create_table(
        "saved_references",
        sa.Column("owner", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("member", sa.String(), nullable=False),
        sa.Column("blob", sa.String(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("made", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("saved_references_by_member", "saved_references", ["member"])
    op.create_index("saved_references_by_job", "saved_references", ["job"])

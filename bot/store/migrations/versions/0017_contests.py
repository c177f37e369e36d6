"""Contests: what is asked for, what was entered, who votes for what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.create_table(
        "contests",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("surface", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("theme", sa.Text(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("each", sa.Integer(), nullable=False),
        sa.Column("started", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closes", sa.DateTime(timezone=True), nullable=False),
        sa.Column("voting_days", sa.Integer(), nullable=False),
        sa.Column("phase", sa.String(), nullable=False),
        sa.Column("changes", sa.Integer(), nullable=False),
        sa.Column("shown", sa.Integer(), nullable=False),
        sa.Column("messages", sa.JSON(), nullable=False),
    )
    op.create_index("contests_by_phase", "contests", ["phase", "closes"])
    op.create_index("contests_by_tenant", "contests", ["tenant", "started"])
    op.create_table(
        "contest_entries",
        sa.Column("contest", sa.String(), sa.ForeignKey("contests.id"), primary_key=True),
        sa.Column("job", sa.String(), sa.ForeignKey("jobs.id"), primary_key=True),
        sa.Column("index", sa.Integer(), primary_key=True),
        sa.Column("member", sa.String(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("contest_entries_by_job", "contest_entries", ["job"])
    op.create_table(
        "contest_votes",
        sa.Column("contest", sa.String(), sa.ForeignKey("contests.id"), primary_key=True),
        sa.Column("member", sa.String(), primary_key=True),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
    )

"""Policies, people, the audit; a size among preferences."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_time = sa.DateTime(timezone=True)
_number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("preferences") as preferences:
        preferences.add_column(sa.Column("size", sa.String(), nullable=False, server_default=""))
    op.create_table(
        "policies",
        sa.Column("tenant", sa.String(), primary_key=True),
        sa.Column("policy", sa.JSON(), nullable=False),
    )
    _people()
    _audit()


def _people() -> None:
    op.create_table(
        "people",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("member", sa.String(), nullable=False),
        sa.Column("tier", sa.String(), nullable=False),
        sa.Column("blocked", sa.Boolean(), nullable=False),
        sa.Column("until", _time, nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("strikes", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "member"),
    )
    op.create_index("people_by_member", "people", ["member"])


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", _number, primary_key=True),
        sa.Column("at", _time, nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("surface", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("before", sa.Text(), nullable=False),
        sa.Column("after", sa.Text(), nullable=False),
    )
    op.create_index("audit_by_tenant", "audit", ["tenant", "id"])

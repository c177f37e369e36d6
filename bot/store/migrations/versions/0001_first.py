"""Jobs, pictures, the ledger, allowances, preferences."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_time = sa.DateTime(timezone=True)


def upgrade() -> None:
    _jobs()
    _pictures()
    _ledger()
    _allowances()
    _preferences()


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("surface", sa.String(), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("user_id", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("private", sa.Boolean(), nullable=False),
        sa.Column("origin", sa.JSON(), nullable=False),
        sa.Column("request", sa.JSON(), nullable=False),
        sa.Column("source", sa.String(), nullable=True),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("folded", sa.Text(), nullable=False),
        sa.Column("style", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("parent", sa.String(), nullable=True),
        sa.Column("parent_index", sa.Integer(), nullable=True),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("estimate", sa.Float(), nullable=False),
        sa.Column("device_seconds", sa.Float(), nullable=False),
        sa.Column("measured", sa.Float(), nullable=False),
        sa.Column("deaths", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created", _time, nullable=False),
        sa.Column("started", _time, nullable=True),
        sa.Column("finished", _time, nullable=True),
        sa.Column("delivered", _time, nullable=True),
        sa.Column("message", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("surface", "event", name="one_job_per_event"),
    )
    op.create_index("jobs_by_tenant", "jobs", ["tenant", "created"])
    op.create_index("jobs_by_user", "jobs", ["user_id", "state"])
    op.create_index("jobs_by_state", "jobs", ["state", "created"])
    op.create_index("jobs_by_source", "jobs", ["source"])


def _pictures() -> None:
    op.create_table(
        "pictures",
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("blob", sa.String(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("job", "index"),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"]),
    )
    op.create_index("pictures_by_blob", "pictures", ["blob"])


def _ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("amount_ms", sa.BigInteger(), nullable=False),
        sa.Column("at", _time, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"]),
        sa.UniqueConstraint("job", "kind", name="one_line_per_kind"),
        sa.CheckConstraint("amount_ms >= 0", name="no_negative_amounts"),
        sa.CheckConstraint("kind IN ('hold', 'charge', 'release')", name="known_kinds"),
    )
    op.create_index("ledger_by_account", "ledger", ["account", "day"])


def _allowances() -> None:
    op.create_table(
        "allowances",
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("used_ms", sa.BigInteger(), nullable=False),
        sa.Column("cap_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "day"),
        sa.CheckConstraint("used_ms <= cap_ms", name="within_cap"),
        sa.CheckConstraint("used_ms >= 0", name="no_negative_use"),
    )


def _preferences() -> None:
    op.create_table(
        "preferences",
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("style", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=True),
        sa.Column("aspect", sa.String(), nullable=False),
        sa.Column("private", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("user"),
    )

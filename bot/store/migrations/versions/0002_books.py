"""Accounts, and the ledger by bucket in place of by day."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_time = sa.DateTime(timezone=True)
_number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _jobs()
    op.drop_index("pictures_by_blob", "pictures")
    _accounts()
    for table in ("ledger", "allowances"):
        op.rename_table(table, f"old_{table}")
    op.drop_index("ledger_by_account", "old_ledger")
    _allowances()
    _ledger()
    for table in ("ledger", "allowances"):
        op.drop_table(f"old_{table}")


def _jobs() -> None:
    op.add_column("jobs", sa.Column("account", sa.String(), nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("relaxed", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute("UPDATE jobs SET account = user_id")
    op.drop_index("jobs_by_source", "jobs")
    op.create_index("jobs_by_account", "jobs", ["account", "state"])


def _accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("accepted", _time, nullable=True),
        sa.Column("closed", sa.Boolean(), nullable=False),
    )
    op.create_table(
        "identities",
        sa.Column("member", sa.String(), primary_key=True),
        sa.Column("account", sa.String(), nullable=False),
    )
    op.create_index("identities_by_account", "identities", ["account"])
    op.create_table(
        "link_codes",
        sa.Column("digest", sa.String(), primary_key=True),
        sa.Column("member", sa.String(), nullable=False),
        sa.Column("expires", _time, nullable=False),
        sa.Column("used", sa.Boolean(), nullable=False),
    )


def _allowances() -> None:
    op.create_table(
        "allowances",
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("bucket", sa.String(), nullable=False),
        sa.Column("used_ms", sa.BigInteger(), nullable=False),
        sa.Column("cap_ms", sa.BigInteger(), nullable=False),
        sa.Column("ends", _time, nullable=True),
        sa.PrimaryKeyConstraint("account", "bucket"),
        sa.CheckConstraint("used_ms <= cap_ms", name="within_cap"),
        sa.CheckConstraint("used_ms >= 0", name="no_negative_use"),
    )
    op.execute(
        f"INSERT INTO allowances SELECT account, {_bucket('day')}, used_ms, cap_ms, {_ends('day')} "
        "FROM old_allowances"
    )


def _ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("id", _number, primary_key=True),
        sa.Column("key", sa.String(), nullable=False, unique=True),
        sa.Column("job", sa.String(), sa.ForeignKey("jobs.id"), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("bucket", sa.String(), nullable=False),
        sa.Column("amount_ms", sa.BigInteger(), nullable=False),
        sa.Column("cap_ms", sa.BigInteger(), nullable=True),
        sa.Column("ends", _time, nullable=True),
        sa.Column("at", _time, nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.CheckConstraint("amount_ms >= 0 OR kind IN ('merge', 'gift')", name="no_negative_amounts"),
        sa.CheckConstraint(
            "kind IN ('hold', 'charge', 'release', 'gift', 'reset', 'merge')", name="known_kinds"
        ),
    )
    op.create_index("ledger_by_bucket", "ledger", ["account", "bucket"])
    op.create_index("ledger_by_job", "ledger", ["job"])
    op.execute(
        'INSERT INTO ledger (key, job, kind, account, bucket, amount_ms, cap_ms, ends, at, "by") '
        "SELECT line.job || '/' || line.kind || '/0', line.job, line.kind, line.account, "
        f"{_bucket('line.day')}, line.amount_ms, old.cap_ms, {_ends('line.day')}, line.at, '' "
        "FROM old_ledger AS line JOIN old_allowances AS old "
        "ON old.account = line.account AND old.day = line.day ORDER BY line.id"
    )


def _bucket(day: str) -> str:
    return f"'day ' || {day} || 'T00:00Z'"


def _ends(day: str) -> str:
    if op.get_bind().dialect.name == "postgresql":
        return f"({day} + 1)::timestamp AT TIME ZONE 'UTC'"
    return f"date({day}, '+1 day') || ' 00:00:00.000000'"

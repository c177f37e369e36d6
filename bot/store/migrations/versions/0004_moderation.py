"""Reports, reviews, strikes, erasures; which pictures are for age-restricted channels alone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_time = sa.DateTime(timezone=True)


def upgrade() -> None:
    with op.batch_alter_table("pictures") as pictures:
        pictures.add_column(sa.Column("adult", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "reports",
        sa.Column("job", sa.String(), sa.ForeignKey("jobs.id"), nullable=False),
        sa.Column("member", sa.String(), nullable=False),
        sa.Column("at", _time, nullable=False),
        sa.PrimaryKeyConstraint("job", "member"),
    )
    op.create_table(
        "reviews",
        sa.Column("job", sa.String(), sa.ForeignKey("jobs.id"), primary_key=True),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("at", _time, nullable=False),
        sa.Column("decision", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
    )
    op.create_index("reviews_by_tenant", "reviews", ["tenant", "decision"])
    op.create_table(
        "strikes",
        sa.Column("key", sa.String(), primary_key=True),
        sa.Column("member", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("at", _time, nullable=False),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("job", sa.String(), nullable=True),
        sa.Column("cool_off", _time, nullable=True),
        sa.Column("told", sa.Boolean(), nullable=False),
    )
    op.create_index("strikes_by_member", "strikes", ["member", "tenant"])
    op.create_table(
        "erasures",
        sa.Column("member", sa.String(), primary_key=True),
        sa.Column("at", _time, nullable=False),
        sa.Column("erased", sa.Boolean(), nullable=False),
    )
    _blank_deleted_jobs()


def _blank_deleted_jobs() -> None:
    """Remove the words and the source of jobs that were deleted before this revision."""
    jobs = sa.table(
        "jobs",
        *(sa.column(name) for name in ("id", "state", "prompt", "folded", "source", "style")),
        sa.column("request", sa.JSON()),
    )
    connection = op.get_bind()
    deleted = sa.select(jobs.c.id, jobs.c.request).where(jobs.c.state == "deleted")
    for id, request in connection.execute(deleted).all():
        nothing = {**request, "prompt": "", "negative_prompt": "", "source": None}
        values = {"request": nothing, "prompt": "", "folded": "", "source": None, "style": ""}
        connection.execute(sa.update(jobs).where(jobs.c.id == id).values(**values))

"""Find what was made from a job."""

from __future__ import annotations

from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.create_index("jobs_by_parent", "jobs", ["parent"])

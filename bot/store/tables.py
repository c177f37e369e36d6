"""The rows. They never leave this package: `store` turns them into the nouns of `bot.models`."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    Index,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlmodel import Field, SQLModel


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, kept in UTC by databases that know no time zones too."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("a datetime without a time zone")
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or value.tzinfo:
            return value
        return value.replace(tzinfo=UTC)


class JobRow(SQLModel, table=True):
    """One accepted request. What is asked for in queries has a column; the rest is in the JSON beside it."""

    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("surface", "event", name="one_job_per_event"),
        Index("jobs_by_tenant", "tenant", "created"),
        Index("jobs_by_user", "user_id", "state"),
        Index("jobs_by_state", "state", "created"),
        Index("jobs_by_source", "source"),
    )

    id: str = Field(primary_key=True)
    surface: str
    event: str
    tenant: str
    user_id: str
    channel: str
    private: bool
    origin: dict[str, Any] = Field(sa_type=JSON)
    request: dict[str, Any] = Field(sa_type=JSON)
    source: str | None  # the blob that the request starts from
    prompt: str = Field(sa_type=Text)
    folded: str = Field(sa_type=Text)  # the prompt without case, to search in any script
    style: str
    state: str
    parent: str | None
    parent_index: int | None
    action: str
    estimate: float
    device_seconds: float  # charged
    measured: float  # used, also where that is more than was held
    deaths: int
    reason: str = Field(sa_type=Text)
    created: datetime = Field(sa_type=UtcDateTime)
    started: datetime | None = Field(sa_type=UtcDateTime)
    finished: datetime | None = Field(sa_type=UtcDateTime)
    delivered: datetime | None = Field(sa_type=UtcDateTime)
    message: dict[str, Any] | None = Field(sa_type=JSON(none_as_null=True))


class PictureRow(SQLModel, table=True):
    """A picture of a job."""

    __tablename__ = "pictures"
    __table_args__ = (Index("pictures_by_blob", "blob"),)

    job: str = Field(primary_key=True, foreign_key="jobs.id")
    index: int = Field(primary_key=True)
    blob: str
    seed: int = Field(sa_type=BigInteger)
    width: int
    height: int


class LedgerRow(SQLModel, table=True):
    """One line of the books. Every balance can be computed again from these alone."""

    __tablename__ = "ledger"
    __table_args__ = (
        UniqueConstraint("job", "kind", name="one_line_per_kind"),
        CheckConstraint("amount_ms >= 0", name="no_negative_amounts"),
        CheckConstraint("kind IN ('hold', 'charge', 'release')", name="known_kinds"),
        Index("ledger_by_account", "account", "day"),
    )

    id: int | None = Field(default=None, primary_key=True)
    job: str = Field(foreign_key="jobs.id")
    kind: str
    account: str
    day: date
    amount_ms: int = Field(sa_type=BigInteger)  # device-milliseconds
    at: datetime = Field(sa_type=UtcDateTime)


class AllowanceRow(SQLModel, table=True):
    """What an account has used of its allowance of one day; the database itself keeps it within the cap."""

    __tablename__ = "allowances"
    __table_args__ = (
        CheckConstraint("used_ms <= cap_ms", name="within_cap"),
        CheckConstraint("used_ms >= 0", name="no_negative_use"),
    )

    account: str = Field(primary_key=True)
    day: date = Field(primary_key=True)
    used_ms: int = Field(sa_type=BigInteger)  # charged and held
    cap_ms: int = Field(sa_type=BigInteger)


class PreferencesRow(SQLModel, table=True):
    """A person's defaults."""

    __tablename__ = "preferences"

    user: str = Field(primary_key=True)
    style: str
    model: str
    count: int | None
    aspect: str
    private: bool

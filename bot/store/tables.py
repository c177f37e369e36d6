"""The rows. They never leave this package: `store` turns them into the nouns of `bot.models`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    Index,
    Integer,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlmodel import Field, SQLModel

from bot.store.aside import UNREADABLE
from engine.text import loaded, stored


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, kept in UTC by databases that know no time zones too."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("a datetime without a time zone")
        return value.astimezone(UTC) if value else None

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        """Return what reads a column: a datetime already, or the text that SQLite keeps."""

        def read(value: Any) -> Any:
            if value is None:
                return None
            try:
                found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
            except (ValueError, TypeError):  # SQLite takes anything
                return UNREADABLE
            return found if found.tzinfo else found.replace(tzinfo=UTC)

        return read


class Message(TypeDecorator[str]):
    """A text for people; a message keeps what it is made of, so that it can still be translated."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else stored(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return loaded(value) if isinstance(value, str) else value


# SQLite numbers rows by itself only where the type is spelled INTEGER.
Number = BigInteger().with_variant(Integer, "sqlite")


class JobRow(SQLModel, table=True):
    """One accepted request. What is asked for in queries has a column; the rest is in the JSON beside it."""

    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("surface", "event", name="one_job_per_event"),
        Index("jobs_by_tenant", "tenant", "created"),
        Index("jobs_by_user", "user_id", "state"),
        Index("jobs_by_state", "state", "created"),
        Index("jobs_by_account", "account", "state"),
        Index("jobs_by_message", "posted"),
        Index("jobs_by_parent", "parent"),
    )

    id: str = Field(primary_key=True)
    surface: str
    event: str
    tenant: str
    user_id: str
    account: str  # who pays
    channel: str
    private: bool
    seen_in: str = Field(sa_type=Text)  # each closed place between two spaces; empty: open
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
    relaxed: bool
    estimate: float
    device_seconds: float  # charged
    measured: float  # used, also where that is more than was held
    deaths: int
    reason: str = Field(sa_type=Message)
    created: datetime = Field(sa_type=UtcDateTime)
    started: datetime | None = Field(sa_type=UtcDateTime)
    finished: datetime | None = Field(sa_type=UtcDateTime)
    delivered: datetime | None = Field(sa_type=UtcDateTime)
    message: dict[str, Any] | None = Field(sa_type=JSON(none_as_null=True))
    note: str = Field(sa_type=Message)  # what is not as it was asked for
    posted: str  # "<channel>:<message>" of that reference, to find the job by; empty: no such message
    hidden: bool  # its message was deleted: only its owner sees it


class SourceRow(SQLModel, table=True):
    """A picture that a job needs besides the one that it starts from: a mask, a reference."""

    __tablename__ = "job_sources"

    job: str = Field(primary_key=True, foreign_key="jobs.id")
    blob: str = Field(primary_key=True)


class PictureRow(SQLModel, table=True):
    """A picture of a job."""

    __tablename__ = "pictures"

    job: str = Field(primary_key=True, foreign_key="jobs.id")
    index: int = Field(primary_key=True)
    blob: str
    seed: int = Field(sa_type=BigInteger)
    width: int
    height: int
    adult: bool
    fingerprint: str  # how it looks; empty: from before there were any
    joined: bool  # painted in forward passes with other pictures
    plain: str  # the blob without the words that were set on it; empty: none were
    alt: str = Field(sa_type=Text)  # for who cannot see it, as its owner wrote it; empty: the suggested text


class LedgerRow(SQLModel, table=True):
    """One line of the ledger. Every balance can be computed again from these alone.

    Of a bucket, `used` is the sum of holds and merges less releases and resets; the cap is that of its
    newest line that names one, and for gifts their sum.
    """

    __tablename__ = "ledger"
    __table_args__ = (
        CheckConstraint("amount_ms >= 0 OR kind IN ('merge', 'gift')", name="no_negative_amounts"),
        CheckConstraint(
            "kind IN ('hold', 'charge', 'release', 'gift', 'reset', 'merge')", name="known_kinds"
        ),
        Index("ledger_by_bucket", "account", "bucket"),
        Index("ledger_by_job", "job"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=Number)
    key: str = Field(unique=True)  # a line is written once, however often it is asked for
    job: str | None = Field(foreign_key="jobs.id")
    kind: str
    account: str
    bucket: str
    amount_ms: int = Field(sa_type=BigInteger)  # device-milliseconds
    cap_ms: int | None = Field(sa_type=BigInteger)  # the bucket's cap from this line on
    ends: datetime | None = Field(sa_type=UtcDateTime)  # when the bucket's period ends
    at: datetime = Field(sa_type=UtcDateTime)
    by: str  # the administrator or person behind it; empty: a job's own


class AllowanceRow(SQLModel, table=True):
    """What is used of one bucket: an account's allowance in one period, or its gifts.

    The database itself keeps it within the cap.
    """

    __tablename__ = "allowances"
    __table_args__ = (
        CheckConstraint("used_ms <= cap_ms", name="within_cap"),
        CheckConstraint("used_ms >= 0", name="no_negative_use"),
    )

    account: str = Field(primary_key=True)
    bucket: str = Field(primary_key=True)
    used_ms: int = Field(sa_type=BigInteger)  # charged and held
    cap_ms: int = Field(sa_type=BigInteger)
    ends: datetime | None = Field(sa_type=UtcDateTime)  # None: never


class AccountRow(SQLModel, table=True):
    """Who pays. An admission locks its row, so that one account's requests are decided one by one."""

    __tablename__ = "accounts"

    id: str = Field(primary_key=True)
    accepted: datetime | None = Field(sa_type=UtcDateTime)  # the last request
    closed: bool  # merged into another
    home: str  # the tenant where it first asked; empty: nowhere yet


class IdentityRow(SQLModel, table=True):
    """Whose account a member uses. A member without a row is an account of its own."""

    __tablename__ = "identities"
    __table_args__ = (Index("identities_by_account", "account"),)

    member: str = Field(primary_key=True)
    account: str


class LinkCodeRow(SQLModel, table=True):
    """A code: the person who types it joins the account of the person who made it."""

    __tablename__ = "link_codes"

    digest: str = Field(primary_key=True)  # SHA-256: the code itself is not kept
    member: str
    expires: datetime = Field(sa_type=UtcDateTime)
    used: bool


class PreferencesRow(SQLModel, table=True):
    """A person's defaults."""

    __tablename__ = "preferences"

    user: str = Field(primary_key=True)
    style: str
    model: str
    count: int | None
    aspect: str
    size: str
    private: bool
    tells_prompt: bool
    silent: bool
    format: str


class InstallationRow(SQLModel, table=True):
    """Where a surface's app is installed."""

    __tablename__ = "installations"

    place: str = Field(primary_key=True)  # "slack:<team>", "slack:<organisation>"
    sealed: str = Field(sa_type=Text)  # encrypted by the adapter
    at: datetime = Field(sa_type=UtcDateTime)


class PolicyRow(SQLModel, table=True):
    """What administrators set for one tenant, or for all ("*")."""

    __tablename__ = "policies"

    tenant: str = Field(primary_key=True)
    policy: dict[str, Any] = Field(sa_type=JSON)


class PersonRow(SQLModel, table=True):
    """What is set about one member in one tenant, or everywhere ("*")."""

    __tablename__ = "people"
    __table_args__ = (Index("people_by_member", "member"),)

    tenant: str = Field(primary_key=True)
    member: str = Field(primary_key=True)
    tier: str
    allowance: dict[str, Any] | None = Field(sa_type=JSON(none_as_null=True))
    blocked: bool
    until: datetime | None = Field(sa_type=UtcDateTime)
    reason: str = Field(sa_type=Message)
    strikes: int


class AuditRow(SQLModel, table=True):
    """One change by an administrator. Lines are never changed."""

    __tablename__ = "audit"
    __table_args__ = (Index("audit_by_tenant", "tenant", "id"),)

    id: int | None = Field(default=None, primary_key=True, sa_type=Number)
    at: datetime = Field(sa_type=UtcDateTime)
    by: str
    name: str
    surface: str
    tenant: str
    what: str
    target: str
    before: str = Field(sa_type=Text)
    after: str = Field(sa_type=Text)


# ---- moderation and privacy


class ReportRow(SQLModel, table=True):
    """Somebody's report of a job: one for each person, however often they press."""

    __tablename__ = "reports"

    job: str = Field(primary_key=True, foreign_key="jobs.id")
    member: str = Field(primary_key=True)
    at: datetime = Field(sa_type=UtcDateTime)


class ReviewRow(SQLModel, table=True):
    """What administrators decide about a reported job."""

    __tablename__ = "reviews"
    __table_args__ = (Index("reviews_by_tenant", "tenant", "decision"),)

    job: str = Field(primary_key=True, foreign_key="jobs.id")
    tenant: str
    at: datetime = Field(sa_type=UtcDateTime)  # of the first report
    decision: str  # "keep", "remove"; empty: open
    by: str


class StrikeRow(SQLModel, table=True):
    """Something serious that a person asked for, or that was removed after a report."""

    __tablename__ = "strikes"
    __table_args__ = (Index("strikes_by_member", "member", "tenant"),)

    key: str = Field(primary_key=True)  # of the event or the review: it counts once
    member: str
    tenant: str  # where it counts; "*": everywhere
    at: datetime = Field(sa_type=UtcDateTime)
    category: str
    job: str | None
    cool_off: datetime | None = Field(sa_type=UtcDateTime)  # it began a cool-off, until then
    told: bool


class ErasureRow(SQLModel, table=True):
    """A person who is to be forgotten; the row goes when nothing is left to do."""

    __tablename__ = "erasures"

    member: str = Field(primary_key=True)
    at: datetime = Field(sa_type=UtcDateTime)
    erased: bool  # only the quota they used still knows them


class OfferRow(SQLModel, table=True):
    """A text that was offered to somebody, in place of what was refused, and is too long for a button."""

    __tablename__ = "offers"
    __table_args__ = (Index("offers_by_member", "member"),)

    id: str = Field(primary_key=True)
    member: str
    text: str = Field(sa_type=Text)
    made: datetime = Field(sa_type=UtcDateTime)


class ReferenceRow(SQLModel, table=True):
    """A picture that a person or a place keeps by name, to paint by."""

    __tablename__ = "saved_references"
    __table_args__ = (Index("saved_references_by_member", "member"), Index("saved_references_by_job", "job"))

    owner: str = Field(primary_key=True)  # a member's id, or a place
    name: str = Field(primary_key=True)
    member: str  # who saved it
    blob: str
    width: int
    height: int
    prompt: str = Field(sa_type=Text)  # what it shows, as far as that is known
    job: str  # of which it is a picture; empty for a file
    made: datetime = Field(sa_type=UtcDateTime)


class FavouriteRow(SQLModel, table=True):
    """A result that somebody has marked for themselves."""

    __tablename__ = "favourites"
    __table_args__ = (Index("favourites_by_job", "job"),)

    member: str = Field(primary_key=True)
    job: str = Field(primary_key=True, foreign_key="jobs.id")
    at: datetime = Field(sa_type=UtcDateTime)


class ContestRow(SQLModel, table=True):
    """A contest in a place."""

    __tablename__ = "contests"
    __table_args__ = (
        Index("contests_by_phase", "phase", "closes"),
        Index("contests_by_tenant", "tenant", "started"),
    )

    id: str = Field(primary_key=True)
    surface: str
    tenant: str
    channel: str
    theme: str = Field(sa_type=Text)
    by: str  # the member who started it
    each: int  # entries that one person may have
    started: datetime = Field(sa_type=UtcDateTime)
    closes: datetime = Field(sa_type=UtcDateTime)  # when its phase ends, or ended
    voting_days: int
    phase: str  # entries, voting, ended
    changes: int  # so often has changed what its messages should show
    shown: int  # the change up to which they show it
    messages: dict[str, Any] = Field(sa_type=JSON)  # which of its messages → the adapter's reference


class ContestEntryRow(SQLModel, table=True):
    """A picture in a contest."""

    __tablename__ = "contest_entries"
    __table_args__ = (Index("contest_entries_by_job", "job"),)

    contest: str = Field(primary_key=True, foreign_key="contests.id")
    job: str = Field(primary_key=True, foreign_key="jobs.id")
    index: int = Field(primary_key=True)
    member: str
    name: str = Field(sa_type=Text)  # as they were called then
    number: int  # in the voting; 0 before
    at: datetime = Field(sa_type=UtcDateTime)


class ContestVoteRow(SQLModel, table=True):
    """A person's vote: one in each contest."""

    __tablename__ = "contest_votes"

    contest: str = Field(primary_key=True, foreign_key="contests.id")
    member: str = Field(primary_key=True)
    number: int  # of the entry
    at: datetime = Field(sa_type=UtcDateTime)


# ---- the process itself


class LeaderRow(SQLModel, table=True):
    """The number of the process that paints: one row. Whoever begins to lead takes the next."""

    __tablename__ = "leader"

    id: int = Field(primary_key=True)
    term: int = Field(sa_type=BigInteger)


class RetentionRow(SQLModel, table=True):
    """The time that retention goes by: one row. It follows the clock a day at a time when that jumps."""

    __tablename__ = "retention"

    id: int = Field(primary_key=True)
    believed: datetime = Field(sa_type=UtcDateTime)
    at: datetime = Field(sa_type=UtcDateTime)  # what the clock said then


# ---- the web studio


class WebSessionRow(SQLModel, table=True):
    """A browser that is logged in."""

    __tablename__ = "web_sessions"
    __table_args__ = (Index("web_sessions_by_member", "member"),)

    digest: str = Field(primary_key=True)  # of the cookie, which is not kept
    member: str
    tenant: str
    person: dict[str, Any] = Field(sa_type=JSON)  # the whole member
    browser: str
    made: datetime = Field(sa_type=UtcDateTime)
    used: datetime = Field(sa_type=UtcDateTime)
    expires: datetime = Field(sa_type=UtcDateTime)


class WebLinkRow(SQLModel, table=True):
    """A link that logs one browser in; using it takes the row away."""

    __tablename__ = "web_links"

    digest: str = Field(primary_key=True)  # SHA-256: the link itself is not kept
    member: str
    tenant: str
    person: dict[str, Any] = Field(sa_type=JSON)
    expires: datetime = Field(sa_type=UtcDateTime)


# ---- the API


class ApiKeyRow(SQLModel, table=True):
    """A key with which somebody's programs ask."""

    __tablename__ = "api_keys"
    __table_args__ = (Index("api_keys_by_member", "member"),)

    id: str = Field(primary_key=True)  # what people call it by
    digest: str = Field(unique=True)  # SHA-256: the key itself is not kept
    member: str
    person: dict[str, Any] = Field(sa_type=JSON)  # the whole member
    name: str
    scope: str
    made: datetime = Field(sa_type=UtcDateTime)
    used: datetime | None = Field(sa_type=UtcDateTime)

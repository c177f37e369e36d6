"""Between rows and the nouns of `bot.models`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

from sqlalchemy import BindParameter, Executable, Table, bindparam, func, inspect
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, SQLModel, col, select

from bot.models import (
    Allowance,
    AuditLine,
    Job,
    Member,
    Origin,
    Person,
    State,
    StoredPicture,
    own_account,
)
from bot.store.tables import AuditRow, IdentityRow, JobRow, PictureRow
from engine.types import GenerationRequest

_MANY = 1000  # ids in one statement; databases limit them


def table_of(row: type[SQLModel]) -> Table:
    """The plain table: statements on it are much cheaper than on the class."""
    table = inspect(row).local_table
    assert isinstance(table, Table)
    return table


def insert_once(session: Session, row: type[SQLModel], values: dict[str, Any], key: Sequence[str]) -> bool:
    """Insert, unless a row with this key is there already; True when it was not."""
    # Both databases have this clause and write it alike, but SQLAlchemy gives it to each of them apart.
    # The values go in as parameters: as `.values()` they would cost more than the rest of an admission.
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement = insert(table_of(row)).on_conflict_do_nothing(index_elements=key)
    counted = statement.execution_options(preserve_rowcount=True)
    return session.connection().execute(counted, values).rowcount == 1


def write_down(session: Session, line: AuditLine | None) -> None:
    """Add a line to the audit, if there is one."""
    if line:
        session.connection().execute(table_of(AuditRow).insert(), asdict(line))


def insert_job(session: Session, job: Job) -> str | None:
    """Write the row of a new job; its account, or None when its event was seen before."""
    who = job.origin.member.id
    values = {**values_of(job), "who": who, "own": own_account(who)}
    del values["account"]
    statement = _insert_job(session.get_bind().dialect.name)
    account: str | None = session.connection().execute(statement, values).scalar()
    return account


@cache
def _insert_job(dialect: str) -> Executable:
    jobs, identities = table_of(JobRow), table_of(IdentityRow)
    who: BindParameter[str] = bindparam("who")
    account = select(identities.c.account).where(identities.c.member == who).scalar_subquery()
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    statement = insert(jobs).values(account=func.coalesce(account, bindparam("own")))
    return statement.on_conflict_do_nothing(index_elements=("surface", "event")).returning(jobs.c.account)


def values_of(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "surface": job.origin.surface,
        "event": job.origin.event,
        "tenant": job.origin.member.tenant,
        "user_id": job.origin.member.id,
        "account": job.account,
        "channel": job.origin.channel,
        "private": job.origin.private,
        "seen_in": places(job.origin.seen_in),
        "origin": asdict(job.origin),
        "request": job.request.to_json(),
        "source": job.request.source,
        "prompt": job.prompt,
        "folded": job.prompt.casefold(),
        "style": job.style,
        "state": job.state.value,
        "parent": job.parent,
        "parent_index": job.parent_index,
        "action": job.action,
        "relaxed": job.relaxed,
        "estimate": job.estimate,
        "device_seconds": job.device_seconds,
        "measured": 0.0,
        "deaths": job.deaths,
        "reason": job.reason,
        "created": job.created,
        "started": job.started,
        "finished": job.finished,
        "delivered": job.delivered,
        "message": job.message,
    }


def places(seen_in: Collection[str]) -> str:
    """Closed places as their column holds them, so that one of them is found with the spaces around it."""
    return "".join(f" {place} " for place in seen_in)


def _job(row: JobRow, pictures: Collection[PictureRow]) -> Job:
    return Job(
        id=row.id,
        origin=_origin(dict(row.origin)),
        request=GenerationRequest.from_json(row.request),
        prompt=row.prompt,
        style=row.style,
        state=State(row.state),
        parent=row.parent,
        parent_index=row.parent_index,
        action=row.action,
        estimate=row.estimate,
        device_seconds=row.device_seconds,
        deaths=row.deaths,
        reason=row.reason,
        created=row.created,
        started=row.started,
        finished=row.finished,
        delivered=row.delivered,
        message=row.message,
        pictures=tuple(StoredPicture(**each.model_dump(exclude={"job"})) for each in pictures),
        relaxed=row.relaxed,
        account=row.account,
    )


def _origin(values: dict[str, Any]) -> Origin:
    seen_in = tuple(values.get("seen_in", ()))  # JSON has lists; old rows have none
    return Origin(**{**values, "member": member_of(values), "seen_in": seen_in})


def member_of(origin: Mapping[str, Any]) -> Member:
    """Who asked, from an origin as JSON."""
    member = dict(origin["member"])
    member["roles"] = tuple(member.get("roles", ()))  # JSON has lists; old rows have none
    return Member(**member)


def person(row: Any) -> Person:
    values = dict(row._mapping)
    return Person(**values | {"allowance": Allowance(**values["allowance"]) if values["allowance"] else None})


def with_pictures(session: Session, rows: Sequence[JobRow]) -> list[Job]:
    found: dict[str, list[PictureRow]] = {row.id: [] for row in rows}
    ids = list(found)
    for first in range(0, len(ids), _MANY):
        some = col(PictureRow.job).in_(ids[first : first + _MANY])
        for picture in session.exec(select(PictureRow).where(some).order_by(col(PictureRow.index))):
            found[picture.job].append(picture)
    return [_job(row, found[row.id]) for row in rows]


def job(session: Session, id: str) -> Job:
    row = session.get(JobRow, id, populate_existing=True)
    if row is None:
        raise KeyError(id)
    return with_pictures(session, [row])[0]


def same_event(session: Session, origin: Origin) -> Job:
    same = (col(JobRow.surface) == origin.surface, col(JobRow.event) == origin.event)
    return with_pictures(session, session.exec(select(JobRow).where(*same)).all())[0]

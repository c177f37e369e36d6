"""Between rows and the nouns of `bot.models`."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, fields, replace
from functools import cache
from math import inf
from operator import attrgetter
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import BindParameter, Boolean, Executable, Table, bindparam, func, inspect, literal
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlmodel import Session, SQLModel, col, select

from bot.errors import StoreError
from bot.models import (
    AuditLine,
    Job,
    Member,
    Origin,
    Person,
    Policy,
    Preferences,
    State,
    StoredPicture,
    own_account,
)
from bot.store import aside
from bot.store.tables import AuditRow, IdentityRow, JobRow, PictureRow, PreferencesRow, SourceRow
from engine.text import Text
from engine.types import GenerationRequest, NewerVersion

_MANY = 1000  # ids in one statement; databases limit them


def table_of(row: type[SQLModel]) -> Table:
    """Return a row class's plain table: statements on it are much cheaper than on the class."""
    table = inspect(row).local_table
    assert isinstance(table, Table)
    return table


class ValidJson(FunctionElement[bool]):
    """Whether a column holds JSON: SQLite takes anything, and fails when it looks inside."""

    type = Boolean()
    inherit_cache = True


@compiles(ValidJson)
def _always(element: ValidJson, compiler: Any, **_: Any) -> str:
    return "true"


@compiles(ValidJson, "sqlite")
def _asked(element: ValidJson, compiler: Any, **options: Any) -> str:
    return f"json_valid({compiler.process(element.clauses, **options)})"


class HoldsText(FunctionElement[bool]):
    """Whether a text holds another. LIKE takes forty times as long where much of it nearly fits."""

    type = Boolean()
    inherit_cache = True


@compiles(HoldsText)
def _strpos(element: HoldsText, compiler: Any, **options: Any) -> str:
    return f"strpos({compiler.process(element.clauses, **options)}) > 0"


@compiles(HoldsText, "sqlite")
def _instr(element: HoldsText, compiler: Any, **options: Any) -> str:
    return f"instr({compiler.process(element.clauses, **options)}) > 0"


def one_of(column: Any, values: Collection[str]) -> Any:
    """Return the condition that a column holds one of many values: `in_` alone looks at each of them."""
    return column.in_(bindparam(None, list(values), expanding=True, type_=column.type))


MOST_SEARCHED = 200  # characters


def searched(column: Any, search: str) -> list[HoldsText]:
    """Return the conditions that a case-folded text holds every word of a search."""
    words = dict.fromkeys(search[:MOST_SEARCHED].casefold().split())
    return [HoldsText(column, literal(word)) for word in words]


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
    """Write the row of a new job. Return its account, or None when its event was seen before."""
    who = job.origin.member.id
    values = {**values_of(job), "who": who, "own": own_account(who)}
    del values["account"]
    statement = _insert_job(session.get_bind().dialect.name)
    account: str | None = session.connection().execute(statement, values).scalar()
    if account is not None and (more := dict.fromkeys(_further(job))):
        further = [{"job": job.id, "blob": each} for each in more]
        session.connection().execute(table_of(SourceRow).insert(), further)
    return account


def _further(job: Job) -> list[str]:
    """Return the pictures that a job needs beside its first."""
    return [each for each in job.request.sources if each != job.request.source]


@cache
def _insert_job(dialect: str) -> Executable:
    jobs, identities = table_of(JobRow), table_of(IdentityRow)
    who: BindParameter[str] = bindparam("who")
    account = select(identities.c.account).where(identities.c.member == who).scalar_subquery()
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    statement = insert(jobs).values(account=func.coalesce(account, bindparam("own")))
    return statement.on_conflict_do_nothing(index_elements=("surface", "event")).returning(jobs.c.account)


def values_of(job: Job) -> dict[str, Any]:
    """Return the columns of a new job's row."""
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
        "note": job.note,
        "posted": "",
        "hidden": job.hidden,
    }


def places(seen_in: Collection[str]) -> str:
    """Format closed places for their column, with spaces around each by which it is found."""
    return "".join(f" {place} " for place in seen_in)


NEEDED = (*(each.name for each in fields(Job) if each.name != "pictures"), "seen_in")
"""The columns that make a job."""

Needed = namedtuple("Needed", NEEDED)  # type: ignore[misc]
"""A row of them: its fields are read in a fifth of the time that those of SQLAlchemy's take."""

_needed = attrgetter(*NEEDED)


class Unreadable(ValueError):
    """A row whose content is not what its columns are for."""


def read(row: Any, pictures: Collection[Any] = ()) -> Job:
    """Convert a row of the table of jobs to a job. Raises Unreadable."""
    try:
        job = _job(row, pictures)
    except NewerVersion as error:
        raise Unreadable(str(error)) from error
    except aside.FAULTS as error:
        raise Unreadable(f"{type(error).__name__}: {error}") from error
    request = job.request
    if not _NUMERIC.issuperset(map(type, _numbers(job))) or not 0 <= job.estimate < inf:
        raise Unreadable("a column that holds numbers holds something else")
    if not _NUMERIC.issuperset(map(type, _requested(request))):
        raise Unreadable("a number of the request is something else")
    if not isinstance(request.prompt, str):
        raise Unreadable("the prompt is not text")
    moments: tuple[Any, ...] = (job.created, job.started, job.finished, job.delivered, job.message)
    if not job.created or aside.UNREADABLE in moments:
        raise Unreadable("a date or the message is unreadable")
    return job


_NUMERIC = {int, float, bool}
_STATES: Mapping[str, State] = {each.value: each for each in State}
_numbers = attrgetter("estimate", "device_seconds", "deaths")
_requested = attrgetter("width", "height", "steps", "count", "seed", "guidance")


def _read(row: Any, pictures: Collection[Any]) -> Job | None:
    """Convert a row to a job; set aside one that cannot be read and return None."""
    try:
        return read(row, pictures)
    except Unreadable as error:
        aside.tell("jobs", row.id, error)
        return None


def _job(row: Any, pictures: Collection[PictureRow]) -> Job:
    """Build a job from the columns of `NEEDED`; one loop over their names is faster than naming each."""
    values = dict(zip(NEEDED, row if type(row) is Needed else _needed(row), strict=True))
    values["origin"] = _origin(values["origin"], values.pop("seen_in"))
    values["request"] = GenerationRequest.from_json(values["request"])
    values["state"] = _STATES[values["state"]]
    if pictures:
        values["pictures"] = tuple(StoredPicture(**each.model_dump(exclude={"job"})) for each in pictures)
    return Job(**values)


def _origin(values: Mapping[str, Any], seen_in: str) -> Origin:
    return Origin(**{**values, "member": member_of(values), "seen_in": tuple(seen_in.split())})


def member_of(origin: Mapping[str, Any]) -> Member:
    """Return the member who asked, from an origin as JSON."""
    member = origin["member"]
    roles, moderates = member.get("roles", ()), member.get("moderates", ())  # old rows have none
    return Member(**{**member, "roles": tuple(roles), "moderates": tuple(moderates)})


def person(row: Any) -> Person:
    """Convert a row to what is set about a person, without what cannot be read."""
    found, wrong = aside.mended(PERSON, dict(row._mapping))
    if wrong:
        aside.tell("people", f"{row.tenant}/{row.member}", wrong)
    return replace(found, reason=row.reason) if isinstance(row.reason, Text) else found  # a message stays one


def preferences(row: PreferencesRow | None) -> Preferences:
    """Convert a row to somebody's defaults, as far as they can be read."""
    if row is None:
        return Preferences()
    found, wrong = aside.mended(PREFERENCES, row.model_dump(exclude={"user"}, warnings=False))
    if wrong:
        aside.tell("preferences", row.user, wrong)
    return found


def policy(row: Any) -> Policy:
    """Convert a row to a place's policy. One that cannot be read lets nothing start until it is set."""
    found, wrong = aside.mended(POLICY, row.policy)
    if wrong:
        aside.tell("policies", row.tenant, wrong)
        return replace(found, paused=True)
    return found


POLICY = TypeAdapter(Policy)
PERSON = TypeAdapter(Person)
PREFERENCES = TypeAdapter(Preferences)


def with_pictures(session: Session, rows: Sequence[Any], painted: Sequence[str] | None = None) -> list[Job]:
    """Convert these rows to jobs with their pictures, without those that are set aside.

    `painted`: the ids of those that may have pictures, if that is known.
    """
    found: dict[str, list[PictureRow]] = {row.id: [] for row in rows}
    ids = list(found if painted is None else painted)
    for first in range(0, len(ids), _MANY):
        some = col(PictureRow.job).in_(ids[first : first + _MANY])
        for picture in session.exec(select(PictureRow).where(some).order_by(col(PictureRow.index))):
            found[picture.job].append(picture)
    return [job for row in rows if (job := _read(row, found[row.id]))]


def job(session: Session, id: str) -> Job:
    row = session.get(JobRow, id, populate_existing=True)
    found = with_pictures(session, [row] if row else [])
    if not found:
        raise KeyError(id)
    return found[0]


def same_event(session: Session, origin: Origin) -> Job:
    same = (col(JobRow.surface) == origin.surface, col(JobRow.event) == origin.event)
    found = with_pictures(session, session.exec(select(JobRow).where(*same)).all())
    if not found:
        raise StoreError(f"The row of the event {origin.event} cannot be read: run `python -m bot doctor`.")
    return found[0]

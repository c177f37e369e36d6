"""What was used, over time, and by whom: the numbers behind the administrator's charts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import BigInteger, ColumnElement, case, cast, extract, func, select
from sqlmodel import Session

from bot.models import HOUSE, Known, Member, State, Use, Wait
from bot.store import aside
from bot.store.database import Database
from bot.store.rows import ValidJson, member_of, table_of
from bot.store.tables import JobRow, PersonRow

_jobs = table_of(JobRow)
_people = table_of(PersonRow)

By = Literal["model", "person", "state"]

_KEYS: Mapping[By, ColumnElement[Any]] = {
    "model": case((ValidJson(_jobs.c.request), _jobs.c.request["model"].as_string())),
    "person": _jobs.c.user_id,
    "state": _jobs.c.state,
}
_NAME = case((ValidJson(_jobs.c.origin), _jobs.c.origin["member"]["name"].as_string()))


class Usage(Database):
    """The part of the store that sums up jobs by the time at which they were asked for."""

    async def usage(self, since: datetime, bucket: timedelta, by: By, *, tenant: str = "") -> list[Use]:
        """Jobs and their measured device-seconds, oldest first; deleted ones were painted too.

        Of one tenant, if one is named.
        """
        key, start = _KEYS[by].label("key"), _start(bucket)
        name = func.max(_NAME if by == "person" else _KEYS[by])
        query = select(start, key, name, func.count(), func.sum(_jobs.c.measured))
        query = query.where(_jobs.c.created >= since, _jobs.c.state.in_(_ALL)).group_by(start, key)
        query = query.where(_jobs.c.tenant == tenant) if tenant else query
        rows = await self._read(lambda session: session.connection().execute(query.order_by(start)).all())
        return [
            Use(
                at=datetime.fromtimestamp(at, UTC),
                key=key or "unreadable",
                name=name or "unreadable",
                jobs=jobs,
                seconds=seconds or 0.0,
            )
            for at, key, name, jobs, seconds in rows
            if at is not None  # of a row whose date cannot be read
        ]

    async def waits(self, since: datetime, bucket: timedelta) -> list[Wait]:
        """How long jobs waited from accepted to started: median and 90th percentile (nearest rank)."""
        start = _start(bucket)
        wait = extract("epoch", _jobs.c.started) - extract("epoch", _jobs.c.created)
        rank = func.cume_dist().over(partition_by=start, order_by=wait)
        begun = (_jobs.c.created >= since, _jobs.c.state.in_(_ALL), _jobs.c.started.is_not(None))
        each = select(start, wait.label("wait"), rank.label("rank")).where(*begun).subquery()
        query = select(
            each.c.start,
            func.count(),
            *(func.min(case((each.c.rank >= share, each.c.wait))) for share in (0.5, 0.9)),
        ).group_by(each.c.start)
        ordered = query.order_by(each.c.start)
        rows = await self._read(lambda session: session.connection().execute(ordered).all())
        return [
            Wait(
                at=datetime.fromtimestamp(at, UTC),
                jobs=jobs,
                median=max(0.0, float(half)),
                p90=max(0.0, float(most)),
            )
            for at, jobs, half, most in rows
            if at is not None
        ]

    async def known(self, since: datetime) -> list[Known]:
        """Everybody who asked since then, who asked last first; then those about whom something is set."""

        def work(session: Session) -> list[Known]:
            seen = {row.user_id: _known(row) for row in session.connection().execute(_seen(since))}
            something = select(_people.c.member).distinct().order_by(_people.c.member)
            for id in session.connection().scalars(something):
                seen.setdefault(id, Known(member=Member(tenant=HOUSE, id=id, name=id)))
            return list(seen.values())

        return await self._read(work)

    async def database(self) -> str:
        """Which database this is, and its version."""
        return await self._read(lambda session: self._server.describe(session.connection()))


_ALL = [state.value for state in State]  # named, so that the index by state and time is of use


def _start(bucket: timedelta) -> ColumnElement[int]:
    """The second at which the job's bucket begins; buckets are counted from 1970 in UTC."""
    second = extract("epoch", _jobs.c.created)
    return cast(second - second % int(bucket.total_seconds()), BigInteger).label("start")


def _seen(since: datetime) -> Any:
    """The last job of each person, with how many they had and what these took."""
    of_one: dict[str, Any] = {"partition_by": _jobs.c.user_id}
    each = (
        select(
            _jobs.c.user_id,
            _jobs.c.origin,
            _jobs.c.created,
            func.row_number().over(**of_one, order_by=_jobs.c.created.desc()).label("nth"),
            func.count().over(**of_one).label("jobs"),
            func.sum(_jobs.c.measured).over(**of_one).label("seconds"),
        )
        .where(_jobs.c.created >= since, _jobs.c.state.in_(_ALL))
        .subquery()
    )
    return select(each).where(each.c.nth == 1).order_by(each.c.created.desc(), each.c.user_id)


def _known(row: Any) -> Known:
    try:
        member = member_of(row.origin)
    except aside.FAULTS:
        member = Member(tenant=HOUSE, id="unreadable", name=row.user_id)
    return Known(member=member, last=row.created, jobs=row.jobs, seconds=row.seconds)

"""Return what was used, over time, and by which people: the numbers of the administrator's charts."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import BigInteger, ColumnElement, case, cast, extract, func, select
from sqlmodel import Session

from bot.models import INSTANCE, Known, Member, State, Use, Wait
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


class UsageStore(Database):
    """The part of the store that sums up jobs by the time at which they were asked for."""

    async def usage(
        self, since: datetime, bucket: timedelta, by: By, *, tenant: str = "", most: int = 0
    ) -> list[Use]:
        """Return the number and device-seconds of jobs, oldest first; deleted ones were painted too.

        Of one tenant, if one is named. With `most`, only so many that used most each; what the others used
        is summed up under the key "".
        """
        key, start = _KEYS[by].label("key"), _start(bucket)
        name = func.max(_NAME if by == "person" else _KEYS[by])
        query = select(start, key, name, func.count(), func.sum(_jobs.c.measured))
        query = query.where(_jobs.c.created >= since, _jobs.c.state.in_(_ALL)).group_by(start, key)
        query = query.where(_jobs.c.tenant == tenant) if tenant else query

        def work(session: Session) -> list[Use]:
            found = [
                Use(
                    at=datetime.fromtimestamp(at, UTC),
                    key=key or "unreadable",
                    name=name or "unreadable",
                    jobs=jobs,
                    seconds=seconds or 0.0,
                )
                for at, key, name, jobs, seconds in session.connection().execute(query.order_by(start))
                if at is not None  # of a row whose date cannot be read
            ]
            return _gathered(found, most) if most else found

        return await self._read(work)

    async def waits(self, since: datetime, bucket: timedelta) -> list[Wait]:
        """Return how long jobs waited from accepted to started: median and 90th percentile (nearest rank)."""
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

    async def known(
        self, since: datetime, *, search: str = "", skip: int = 0, limit: int | None = None
    ) -> list[Known]:
        """Return all people who asked since then, the last first; then others about whom something is set.

        `search` are words that their name or id contains, in any case.
        """
        wanted = search.casefold().split()

        def work(session: Session) -> list[Known]:
            seen = {row.user_id: _known(row) for row in session.connection().execute(_seen(since))}
            something = select(_people.c.member).distinct().order_by(_people.c.member)
            for id in session.connection().scalars(something):
                seen.setdefault(id, Known(member=Member(tenant=INSTANCE, id=id, name=id)))
            found = [each for each in seen.values() if _named(each.member, wanted)]
            return found[skip : None if limit is None else skip + limit]

        return await self._read(work)

    async def acquaintance(self, since: datetime, member: str) -> Known | None:
        """Return what is known of one member, as far as they asked since then."""
        query = _seen(since, _jobs.c.user_id == member)
        row = await self._read(lambda session: session.connection().execute(query).first())
        return _known(row) if row else None

    async def tenants(self, since: datetime) -> set[str]:
        """Return the tenants where somebody asked since then."""
        query = select(_jobs.c.tenant).where(_jobs.c.created >= since, _jobs.c.state.in_(_ALL)).distinct()
        return await self._read(lambda session: set(session.connection().scalars(query)))

    async def database(self) -> str:
        """Return the database's name and version."""
        return await self._read(lambda session: self._server.describe(session.connection()))


_ALL = [state.value for state in State]  # named, so that the index by state and time is of use


def _start(bucket: timedelta) -> ColumnElement[int]:
    """Compute the second at which the job's bucket begins; buckets are counted from 1970 in UTC."""
    second = extract("epoch", _jobs.c.created)
    return cast(second - second % int(bucket.total_seconds()), BigInteger).label("start")


def _gathered(uses: Sequence[Use], most: int) -> list[Use]:
    """Keep those that used most, and add up for each bucket what the others used."""
    totals: defaultdict[str, float] = defaultdict(float)
    for use in uses:
        totals[use.key] += use.seconds
    shown = set(heapq.nsmallest(most, totals, key=lambda key: (-totals[key], key)))
    others: defaultdict[datetime, list[Use]] = defaultdict(list)
    for use in uses:
        if use.key not in shown:
            others[use.at].append(use)
    rest = [
        Use(
            at=at,
            key="",
            name="",
            jobs=sum(use.jobs for use in each),
            seconds=sum(use.seconds for use in each),
            others=len(totals) - len(shown),
        )
        for at, each in others.items()
    ]
    return [*(use for use in uses if use.key in shown), *rest]


def _named(member: Member, words: Sequence[str]) -> bool:
    text = f"{member.id} {member.name}".casefold()
    return all(word in text for word in words)


def _seen(since: datetime, *wanted: ColumnElement[bool]) -> Any:
    """Select the last job of each person, with their number of jobs and the device-seconds of these."""
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
        .where(_jobs.c.created >= since, _jobs.c.state.in_(_ALL), *wanted)
        .subquery()
    )
    return select(each).where(each.c.nth == 1).order_by(each.c.created.desc(), each.c.user_id)


def _known(row: Any) -> Known:
    try:
        member = member_of(row.origin)
    except aside.FAULTS:
        member = Member(tenant=INSTANCE, id="unreadable", name=row.user_id)
    return Known(member=member, last=row.created, jobs=row.jobs, seconds=row.seconds)

"""Named queries over the tables. The job row is the truth; everything else can be rebuilt from it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, func, or_, text, update
from sqlmodel import Session, col, select

from bot import quota
from bot.errors import EaselError, StoreError
from bot.models import Balance, Job, Preferences, State, StoredPicture
from bot.store import ledger, migrations, rows
from bot.store.sqlite import FileLock, connect, explained, library, path_of
from bot.store.tables import JobRow, PictureRow, PreferencesRow
from bot.store.writer import Writer
from engine.types import GenerationRequest

T = TypeVar("T")

_ANY = tuple(State)
_UNFINISHED = (State.QUEUED, State.RUNNING)
_ENDS = (State.RENDERED, State.FAILED, State.CANCELLED)
_CLOSED = "The database is closed because Easel is stopping: try again after its start."


class TooManyWaiting(EaselError):
    """The person has as many unfinished jobs as one person may have."""

    def __init__(self, waiting: int) -> None:
        super().__init__(f"{waiting} jobs are unfinished")
        self.waiting = waiting


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What `look_at` finds. Texts to show; `problem` is empty when the file and the books are sound."""

    library: str  # SQLite's version
    journal: str
    revision: str  # of the schema; empty before the first start
    problem: str


def look_at(url: str) -> Facts:
    """Examine a database without locking or changing it; blocks.

    Raises KeyError when there is none, StoreError when it cannot be read.
    """
    path = path_of(url)
    if not path.exists():
        raise KeyError(url)
    engine = connect(path, writes=False)
    try:
        with explained(path), Session(engine) as session:
            revision = migrations.revision(session.connection())
            return Facts(
                library=str(library().sqlite_version),
                journal=str(session.execute(text("PRAGMA journal_mode")).scalar_one()),
                revision=revision,
                problem=_check(session).removeprefix("ok") if revision == migrations.HEAD else "",
            )
    finally:
        engine.dispose()


class Store:
    """One database, one process. Every method raises StoreError when the database or the disk fails.

    A method that returns has its effect on the disk. Writes are joined by `Writer`; reads run on their own
    connections and see everything that was written before they began.
    """

    def __init__(self, url: str, clock: Callable[[], datetime] = utc_now) -> None:
        """Blocks; use `open`."""
        self._clock = clock
        self._path = path_of(url)
        self._lock = FileLock(self._path)
        try:
            with explained(self._path):
                _migrate(self._path)
        except Exception:
            self._lock.release()
            raise
        self._reader = connect(self._path, writes=False)
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="store-reader")
        self._writer: Writer | None = Writer(connect(self._path, writes=True))

    @classmethod
    async def open(cls, url: str, *, clock: Callable[[], datetime] = utc_now) -> Store:
        """Open or create the database and bring its schema up to date. Raises StoreInUse, StoreError."""
        return await asyncio.to_thread(cls, url, clock)

    async def close(self) -> None:
        """Finish what was asked for, then let go of the file. Closing twice is fine."""
        writer, self._writer = self._writer, None
        if writer:
            await asyncio.to_thread(writer.close)
            await asyncio.to_thread(self._readers.shutdown)
            self._reader.dispose()
            self._lock.release()

    # ---- admission

    async def admit(
        self, job: Job, *, account: str, cap: float, max_waiting: int | None = None
    ) -> tuple[Job, bool]:
        """Hold the job's estimate and write its row, in one transaction; True when this call did it.

        False, and the job there is, when the origin's surface and event were seen before. `cap` is the
        account's allowance of the UTC day, in device-seconds; `max_waiting` limits the person's unfinished
        jobs, this one included. Raises OverQuota, TooManyWaiting.
        """
        if not job.origin.event:
            raise ValueError("a job without an event id could be admitted twice")
        amount, now = quota.held_ms(job.estimate), self._clock()

        def work(session: Session) -> tuple[Job, bool]:
            if not rows.insert_once(session, JobRow, rows.values_of(job), ("surface", "event")):
                return rows.same_event(session, job.origin), False
            ledger.hold(session, job.id, amount, account, cap, now)
            if max_waiting is not None:
                _check_waiting(session, job.origin.member.id, max_waiting)
            return job, True

        return await self._write(work)

    async def balance(self, account: str, *, cap: float) -> Balance:
        """What the account has used of today's allowance of `cap` device-seconds."""
        now = self._clock()
        return await self._read(lambda session: ledger.balance(session, account, cap, now))

    # ---- the life of a job

    async def started(self, id: str) -> None:
        """QUEUED → RUNNING; nothing for a job in any other state."""
        await self._change(id, (State.QUEUED,), state=State.RUNNING.value, started=self._clock())

    async def died(self, id: str, deaths: int) -> None:
        """Back to QUEUED, with the count of workers that were lost with it."""
        await self._change(id, _UNFINISHED, state=State.QUEUED.value, deaths=deaths)

    async def add_picture(self, id: str, picture: StoredPicture) -> bool:
        """Write a picture's row; the first one for (job, index) stays. False when the job has ended."""
        values = {"job": id, **asdict(picture)}

        def work(session: Session) -> bool:
            lives = select(JobRow.id).where(JobRow.id == id, _in(_UNFINISHED)).with_for_update()
            if session.exec(lives).first() is None:
                return False
            rows.insert_once(session, PictureRow, values, ("job", "index"))
            return True

        return await self._write(work)

    async def end(
        self, id: str, state: State, *, device_seconds: float = 0.0, reason: str = ""
    ) -> tuple[Job, bool]:
        """End the job and settle its hold, in one transaction; the first end wins (else False).

        RENDERED charges the measured device-seconds, at most what was held, and releases the rest; FAILED and
        CANCELLED charge nothing. Raises KeyError for an unknown job.
        """
        if state not in _ENDS:
            raise ValueError(f"a job does not end as {state}")
        now = self._clock()

        def work(session: Session) -> tuple[Job, bool]:
            first = _end(session, id, state, device_seconds, reason, now)
            return rows.job(session, id), first

        return await self._write(work)

    async def message(self, id: str, ref: dict[str, Any]) -> None:
        """Keep the adapter's reference to the job's message."""
        await self._change(id, _ANY, message=ref)

    async def delivered(self, id: str, state: State, *, reason: str = "") -> None:
        """The job's end `state` was shown, or never can be: then `reason` says why.

        Nothing for a job that was deleted meanwhile: that is still to be shown.
        """
        values: dict[str, Any] = {"delivered": self._clock()} | ({"reason": reason} if reason else {})
        await self._change(id, (state,), **values)

    async def delete(self, id: str) -> Job:
        """Mark the job DELETED, which is then to be shown; an unfinished one is cancelled first.

        Raises KeyError.
        """
        now = self._clock()

        def work(session: Session) -> Job:
            _end(session, id, State.CANCELLED, 0.0, "", now)
            _change(session, id, _ENDS, {"state": State.DELETED.value, "delivered": None})
            return rows.job(session, id)

        return await self._write(work)

    # ---- questions

    async def job(self, id: str) -> Job | None:
        jobs = await self._jobs(col(JobRow.id) == id)
        return jobs[0] if jobs else None

    async def jobs(
        self,
        tenant: str,
        *,
        user: str = "",
        channel: str = "",
        viewer: str = "",
        search: str = "",
        style: str = "",
        states: Collection[State] = (),
        before: datetime | None = None,
        limit: int = 50,
    ) -> list[Job]:
        """A tenant's jobs, newest first; private ones only of `viewer`, deleted ones never.

        `search` are words that the prompt must contain, in any case. `before` is the `created` of the last
        job of the page before.
        """
        wanted = [
            col(JobRow.tenant) == tenant,
            col(JobRow.state) != State.DELETED.value,
            or_(col(JobRow.private).is_(False), col(JobRow.user_id) == viewer),
        ]
        wanted += [col(JobRow.user_id) == user] if user else []
        wanted += [col(JobRow.channel) == channel] if channel else []
        wanted += [col(JobRow.style) == style] if style else []
        wanted += [_in(states)] if states else []
        wanted += [col(JobRow.created) < before] if before else []
        wanted += [col(JobRow.folded).contains(w, autoescape=True) for w in search.casefold().split()]
        return await self._jobs(*wanted, newest_first=True, limit=limit)

    async def unfinished(self) -> list[Job]:
        """Queued and running jobs, oldest first."""
        return await self._jobs(_in(_UNFINISHED))

    async def undelivered(self) -> list[Job]:
        """Jobs that ended and whose end is not shown yet, oldest first."""
        return await self._jobs(_in((*_ENDS, State.DELETED)), col(JobRow.delivered).is_(None))

    async def measured(self, limit: int = 200) -> list[tuple[GenerationRequest, float]]:
        """What recent rendered jobs took, in device-seconds, newest first."""

        def work(session: Session) -> list[tuple[GenerationRequest, float]]:
            query = select(JobRow.request, JobRow.measured).where(JobRow.state == State.RENDERED.value)
            recent = session.exec(query.order_by(col(JobRow.created).desc()).limit(limit))
            return [(GenerationRequest.from_json(dict(request)), measured) for request, measured in recent]

        return await self._read(work)

    async def blobs(self) -> set[str]:
        """What is needed: sources of jobs that are not deleted, pictures of those that live or are rendered.

        The pictures of a job that failed or was cancelled are never shown.
        """

        def work(session: Session) -> set[str]:
            shown = select(PictureRow.blob).join(JobRow, col(JobRow.id) == col(PictureRow.job))
            pictures = session.exec(shown.where(_in((*_UNFINISHED, State.RENDERED))))
            sources = session.exec(select(JobRow.source).where(JobRow.state != State.DELETED.value))
            return {*pictures, *(source for source in sources if source)}

        return await self._read(work)

    async def check(self) -> str:
        """ "ok", or what is wrong with the file or with the books."""
        return await self._read(_check)

    # ---- preferences

    async def preferences(self, user: str) -> Preferences:
        def work(session: Session) -> Preferences:
            row = session.get(PreferencesRow, user)
            return Preferences(**row.model_dump(exclude={"user"})) if row else Preferences()

        return await self._read(work)

    async def save_preferences(self, user: str, preferences: Preferences) -> None:
        row = PreferencesRow(user=user, **asdict(preferences))
        await self._write(lambda session: session.merge(row) and None)

    # ---- ways in

    async def _write(self, work: Callable[[Session], T]) -> T:
        if self._writer is None:
            raise StoreError(_CLOSED)
        with explained(self._path):
            return await self._writer.run(work)

    async def _read(self, work: Callable[[Session], T]) -> T:
        if self._writer is None:
            raise StoreError(_CLOSED)
        with explained(self._path):
            return await asyncio.get_running_loop().run_in_executor(self._readers, self._read_now, work)

    def _read_now(self, work: Callable[[Session], T]) -> T:
        with Session(self._reader) as session:
            return work(session)

    async def _jobs(self, *wanted: Any, newest_first: bool = False, limit: int | None = None) -> list[Job]:
        order = [col(JobRow.created), col(JobRow.id)]
        query = select(JobRow).where(*wanted).limit(limit)
        query = query.order_by(*[each.desc() for each in order] if newest_first else order)
        return await self._read(lambda session: rows.with_pictures(session, session.exec(query).all()))

    async def _change(self, id: str, states: Collection[State], **values: Any) -> None:
        await self._write(lambda session: _change(session, id, states, values))


def _migrate(path: Path) -> None:
    engine = connect(path, writes=True)
    try:
        with engine.connect() as connection, connection.begin():
            migrations.upgrade(connection)
    finally:
        engine.dispose()


def _in(states: Collection[State]) -> ColumnElement[bool]:
    return col(JobRow.state).in_([state.value for state in states])


def _change(session: Session, id: str, states: Collection[State], values: dict[str, Any]) -> bool:
    """Change the job's row if it is in one of the states; True when it was."""
    jobs = rows.table_of(JobRow)
    statement = update(jobs).where(jobs.c.id == id, _in(states)).values(**values)
    return session.connection().execute(statement).rowcount == 1


def _check_waiting(session: Session, user: str, limit: int) -> None:
    query = select(func.count()).select_from(JobRow).where(col(JobRow.user_id) == user, _in(_UNFINISHED))
    if (unfinished := session.exec(query).one()) > limit:
        raise TooManyWaiting(unfinished - 1)


def _end(session: Session, id: str, state: State, measured: float, reason: str, now: datetime) -> bool:
    """True when this ended the job: the condition lets only one end through."""
    values = {"state": state.value, "measured": measured, "reason": reason, "finished": now}
    if not _change(session, id, _UNFINISHED, values):
        return False
    charge = ledger.settle(session, id, measured if state is State.RENDERED else 0.0, now)
    _change(session, id, (state,), {"device_seconds": charge})
    return True


def _check(session: Session) -> str:
    if session.get_bind().dialect.name == "sqlite":
        for pragma in ("integrity_check", "foreign_key_check"):
            found = [str(row[0]) for row in session.execute(text(f"PRAGMA {pragma}"))]
            if found not in ([], ["ok"]):
                return f"{pragma}: {'; '.join(found[:3])}"
    return ledger.check(session)

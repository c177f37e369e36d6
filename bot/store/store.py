"""Named queries over the tables. The job row is the truth; everything else can be rebuilt from it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, or_, update
from sqlmodel import Session, col, select

from bot import quota
from bot.errors import EaselError, StoreError
from bot.models import Budget, Job, Preferences, State, StoredPicture, Tier
from bot.store import identities, ledger, rows
from bot.store.accounts import Accounts
from bot.store.installations import Installations
from bot.store.people import People
from bot.store.privacy import Privacy, blank
from bot.store.reviews import Reviews
from bot.store.tables import IdentityRow, JobRow, PictureRow, PreferencesRow
from bot.store.usage import Usage
from engine.types import GenerationRequest

_ANY = tuple(State)
_UNFINISHED = (State.QUEUED, State.RUNNING)
_ENDS = (State.RENDERED, State.FAILED, State.CANCELLED)


class TooManyWaiting(EaselError):
    """The person has as many unfinished jobs as one person may have."""

    def __init__(self, waiting: int) -> None:
        super().__init__(f"{waiting} jobs are unfinished")
        self.waiting = waiting


class Store(Accounts, Installations, People, Privacy, Reviews, Usage):
    """Jobs, pictures, preferences; its bases count what they cost."""

    # ---- admission

    async def admit(self, job: Job, *, tier: Tier, budgets: Sequence[Budget] = ()) -> tuple[Job, bool]:
        """Hold the job's estimate and write its row, in one transaction; True when this call did it.

        False, and the job there is, when the origin's surface and event were seen before. The estimate is
        held on every allowance of the tier and on every budget; the account's gifts stand in for its
        allowances when these are too small. A relaxed job holds nothing. The job comes back with its account.
        Raises OverQuota, TooManyWaiting, TooSoon.
        """
        if not job.origin.event:
            raise ValueError("a job without an event id could be admitted twice")
        amount, now = quota.held_ms(job.estimate), self._clock()

        def work(session: Session) -> tuple[Job, bool]:
            account = rows.insert_job(session, job)
            if account is None:
                return rows.same_event(session, job.origin), False
            account = _enter(session, job, account, tier, now)
            if job.relaxed:
                ledger.hold_nothing(session, job.id, account, now)
            else:
                _hold(session, job.id, amount, account, tier, budgets, now)
            return replace(job, account=account), True

        return await self._write(work)

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

    async def publish(self, id: str) -> Job:
        """Let everybody of its tenant see the job. Raises KeyError."""

        def work(session: Session) -> Job:
            row = rows.job(session, id)
            origin = {**asdict(row.origin), "private": False}
            _change(session, id, _ANY, {"private": False, "origin": origin})
            return rows.job(session, id)

        return await self._write(work)

    async def reach(self, id: str, reply: Mapping[str, Any]) -> Job:
        """Add to the ways in which the job's person is answered. Raises KeyError."""

        def work(session: Session) -> Job:
            origin = rows.job(session, id).origin
            changed = {**asdict(origin), "reply": {**origin.reply, **reply}}
            _change(session, id, _UNFINISHED, {"origin": changed})
            return rows.job(session, id)

        return await self._write(work)

    async def delivered(self, id: str, state: State, *, reason: str = "") -> None:
        """The job's end `state` was shown, or never can be: then `reason` says why.

        Nothing for a job that was deleted meanwhile: that is still to be shown.
        """
        values: dict[str, Any] = {"delivered": self._clock()} | ({"reason": reason} if reason else {})
        await self._change(id, (state,), **values)

    async def delete(self, id: str) -> Job:
        """Mark the job DELETED, which is then to be shown, and forget its words.

        An unfinished one is cancelled first.

        Raises KeyError.
        """
        now = self._clock()

        def work(session: Session) -> Job:
            _end(session, id, State.CANCELLED, 0.0, "", now)
            if _change(session, id, _ENDS, {"state": State.DELETED.value, "delivered": None}):
                blank(session, id)
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

        Whoever shares an account counts as the same user, and finds their own jobs from everywhere.
        `search` are words that the prompt must contain, in any case. `before` is the `created` of the last
        job of the page before.
        """
        here, mine = col(JobRow.tenant) == tenant, _of(viewer)
        wanted = [
            or_(here, mine & (col(JobRow.user_id) != viewer)) if user and user == viewer else here,
            col(JobRow.state) != State.DELETED.value,
            or_(col(JobRow.private).is_(False), mine),
        ]
        wanted += [_of(user)] if user else []
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

    async def _jobs(self, *wanted: Any, newest_first: bool = False, limit: int | None = None) -> list[Job]:
        order = [col(JobRow.created), col(JobRow.id)]
        query = select(JobRow).where(*wanted).limit(limit)
        query = query.order_by(*[each.desc() for each in order] if newest_first else order)
        return await self._read(lambda session: rows.with_pictures(session, session.exec(query).all()))

    async def _change(self, id: str, states: Collection[State], **values: Any) -> None:
        await self._write(lambda session: _change(session, id, states, values))


def _in(states: Collection[State]) -> ColumnElement[bool]:
    return col(JobRow.state).in_([state.value for state in states])


def _change(session: Session, id: str, states: Collection[State], values: dict[str, Any]) -> bool:
    """Change the job's row if it is in one of the states; True when it was."""
    jobs = rows.table_of(JobRow)
    statement = update(jobs).where(jobs.c.id == id, _in(states)).values(**values)
    return session.connection().execute(statement).rowcount == 1


def _of(user: str) -> ColumnElement[bool]:
    """Jobs of the user or of whoever shares an account with them."""
    account = select(IdentityRow.account).where(IdentityRow.member == user).scalar_subquery()
    sharing = select(IdentityRow.member).where(col(IdentityRow.account) == account)
    return or_(col(JobRow.user_id) == user, col(JobRow.user_id).in_(sharing))


def _enter(session: Session, job: Job, account: str, tier: Tier, now: datetime) -> str:
    """Let one request of the account in at a time; the account that pays. Raises TooManyWaiting, TooSoon."""
    if not identities.enter(session, account, tier.cooldown, now):  # merged into another at this very moment
        account = identities.account_of(session, job.origin.member.id)
        _change(session, job.id, (State.QUEUED,), {"account": account})
        if not identities.enter(session, account, tier.cooldown, now):
            raise StoreError("The account is being linked: try again in a moment.")
    waiting = session.connection().execute(_WAITING, {"of": account}).scalar_one() - 1
    if waiting >= tier.waiting:
        raise TooManyWaiting(waiting)
    return account


_jobs = rows.table_of(JobRow)
_WAITING = select(func.count()).where(
    _jobs.c.account == bindparam("of"), _jobs.c.state.in_([state.value for state in _UNFINISHED])
)


def _hold(
    session: Session,
    job: str,
    amount: int,
    account: str,
    tier: Tier,
    budgets: Sequence[Budget],
    now: datetime,
) -> None:
    """From the account's allowances, or else its gifts; from the budgets in any case. Raises OverQuota."""
    shared = ledger.shared(session, budgets, now)
    try:
        with session.begin_nested():
            ledger.hold(session, job, amount, [*ledger.own(session, account, tier, now), *shared], now)
    except ledger.OverQuota as error:
        try:
            ledger.hold(session, job, amount, [ledger.gifts(account), *shared], now)
        except ledger.OverQuota:
            raise error from None


def _end(session: Session, id: str, state: State, measured: float, reason: str, now: datetime) -> bool:
    """True when this ended the job: the condition lets only one end through."""
    values = {"state": state.value, "measured": measured, "reason": reason, "finished": now}
    if not _change(session, id, _UNFINISHED, values):
        return False
    charge = ledger.settle(session, id, measured if state is State.RENDERED else 0.0, now)
    _change(session, id, (state,), {"device_seconds": charge})
    return True

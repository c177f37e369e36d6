"""Named queries over the tables. The job row is the truth; everything else can be rebuilt from it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete, func, or_, true, update
from sqlmodel import Session, col, select

from bot.accounts.periods import held_ms
from bot.errors import EaselError, StoreError
from bot.models import (
    UNFINISHED,
    Allowance,
    AuditLine,
    Budget,
    Chosen,
    Job,
    Origin,
    Original,
    Preferences,
    Spending,
    State,
    StoredPicture,
    Tier,
)
from bot.store import aside, identities, ledger, money, rows, traces
from bot.store.accounts import Accounts
from bot.store.api_keys import ApiKeyStore
from bot.store.clocks import Clocks
from bot.store.contests import ContestStore
from bot.store.favourites import Favourites, marked_by
from bot.store.installations import Installations
from bot.store.lineage import LineageStore
from bot.store.logins import LoginStore
from bot.store.money import MoneyStore
from bot.store.offers import Offers
from bot.store.people import PeopleStore, check_blocks
from bot.store.privacy import PrivacyStore, blank
from bot.store.references import References
from bot.store.removals import Removals, posted
from bot.store.reviews import ReviewStore
from bot.store.tables import IdentityRow, JobRow, PictureRow, PreferencesRow, ReferenceRow, SourceRow
from bot.store.usage import UsageStore
from engine.types import GenerationRequest

PageEnd = tuple[datetime, str]
"""When the last job of a page was asked for, and its id."""

_ANY = tuple(State)
OWED = timedelta(days=7)  # after which an end that could not be shown is no longer to be shown
_ENDS = (State.RENDERED, State.FAILED, State.CANCELLED)


class TooManyWaiting(EaselError):
    """The person has as many unfinished jobs as one person may have."""

    def __init__(self, waiting: int) -> None:
        super().__init__(f"{waiting} jobs are unfinished")
        self.waiting = waiting


class Store(
    Accounts,
    ApiKeyStore,
    Clocks,
    ContestStore,
    Favourites,
    Installations,
    LineageStore,
    LoginStore,
    MoneyStore,
    Offers,
    References,
    PeopleStore,
    PrivacyStore,
    Removals,
    ReviewStore,
    UsageStore,
):
    """Jobs, pictures, preferences; its bases count what they cost."""

    # ---- admission

    async def admit(
        self, job: Job, *, tier: Tier, budgets: Sequence[Budget] = (), periods: Sequence[Allowance] = ()
    ) -> tuple[Job, bool]:
        """Hold the job's estimate and write its row, in one transaction; True when this call did it.

        False, and the job there is, when the origin's surface and event were seen before. The estimate is
        held on every allowance of the tier and on every budget, and counted in the `periods` of other tiers;
        the account's gifts stand in for its allowances when these are too small. A relaxed job holds nothing.
        The job comes back with its account.
        Raises OverQuota, TooManyWaiting, TooSoon, Blocked.
        """
        admitted, new = await self.admit_all([job], tier=tier, budgets=budgets, periods=periods)
        return admitted[0], new

    async def admit_all(
        self,
        jobs: Sequence[Job],
        *,
        tier: Tier,
        budgets: Sequence[Budget] = (),
        periods: Sequence[Allowance] = (),
        spending: Sequence[Sequence[Spending]] = (),
    ) -> tuple[list[Job], bool]:
        """Admit jobs of one request as `admit` does, all of them or none, as one for the tier's cooldown.

        `spending`: what each job costs in money, which is held of a relaxed one, too.
        False, and the jobs there are, when their events were seen before. TooManyWaiting tells how many
        waited before. Raises OverQuota, OverBudget, TooManyWaiting, TooSoon, Blocked.
        """
        if not all(job.origin.event for job in jobs):
            raise ValueError("a job without an event id could be admitted twice")
        amounts, now = [held_ms(each.estimate) for each in jobs], self._clock()

        def work(session: Session) -> tuple[list[Job], bool]:
            admitted = []
            for number, (job, amount) in enumerate(zip(jobs, amounts, strict=True)):
                account = rows.insert_job(session, job)
                if account is None:
                    return [rows.same_event(session, each.origin) for each in jobs], False
                of_first = tier if number == 0 else replace(tier, cooldown=0.0)
                try:
                    account = _lock_account(session, job, account, of_first, now)
                except TooManyWaiting as error:
                    raise TooManyWaiting(error.waiting - number) from error
                if job.relaxed:
                    ledger.hold_nothing(session, job.id, account, now)
                else:
                    own = ledger.tier_buckets(session, account, tier, now)
                    own += ledger.unlimited_buckets(session, account, periods, now)
                    shared = ledger.budget_buckets(session, budgets, now)
                    _hold(session, job.id, amount, account, own, shared, now)
                if spending:
                    money.hold(session, job.id, spending[number], now)
                admitted.append(replace(job, account=account))
            return admitted, True

        return await self._write(work)

    # ---- the life of a job

    async def started(self, id: str) -> None:
        """Change a job from QUEUED to RUNNING; do nothing in any other state."""
        await self._change(id, (State.QUEUED,), state=State.RUNNING.value, started=self._clock())

    async def noted(self, id: str, note: str) -> None:
        """Write down what is not as it was asked for of a job that has not ended."""
        await self._change(id, UNFINISHED, note=note)

    async def died(self, id: str, deaths: int) -> None:
        """Set a job back to QUEUED, with the count of workers that were lost with it."""
        await self._change(id, UNFINISHED, state=State.QUEUED.value, deaths=deaths)

    async def add_picture(self, id: str, picture: StoredPicture) -> bool:
        """Write a picture's row; the first one for (job, index) stays. False when the job has ended."""
        values = {"job": id, **asdict(picture)}

        def work(session: Session) -> bool:
            lives = select(JobRow.id).where(JobRow.id == id, _in(UNFINISHED)).with_for_update()
            if session.exec(lives).first() is None:
                return False
            rows.insert_once(session, PictureRow, values, ("job", "index"))
            return True

        return await self._write(work)

    async def describe_picture(self, job: str, index: int, alt: str) -> None:
        """Write down the alternative text of a picture; an empty one is the suggested text."""
        mine = PictureRow.job == job, PictureRow.index == index
        change = update(PictureRow).where(*mine).values(alt=alt)  # type: ignore[arg-type]
        await self._write(lambda session: session.connection().execute(change))

    async def end(
        self,
        id: str,
        state: State,
        *,
        device_seconds: float = 0.0,
        reason: str = "",
        line: AuditLine | None = None,
        chosen: Chosen | None = None,
    ) -> tuple[Job, bool]:
        """End the job, settle its hold and write the audit's line, in one transaction.

        The first end wins (else False). RENDERED charges the measured device-seconds, at most what was held,
        and releases the rest; FAILED and CANCELLED charge nothing. Where one of its pictures is `chosen`, the
        others are dropped. Raises KeyError for an unknown job.
        """
        if state not in _ENDS:
            raise ValueError(f"a job does not end as {state}")
        now = self._clock()

        def work(session: Session) -> tuple[Job, bool]:
            first = _end(session, id, state, device_seconds, reason, now)
            rows.write_down(session, line if first else None)
            if chosen and first:
                _keep_alone(session, id, chosen)
            return rows.job(session, id), first

        return await self._write(work)

    async def message(self, id: str, ref: dict[str, Any]) -> None:
        """Store the adapter's reference to the job's message."""
        await self._change(id, _ANY, message=ref, posted=posted(ref))

    async def publish(self, id: str, there: Origin, ref: dict[str, Any]) -> None:
        """Make the job visible where it was shared: to the tenant, or to a closed channel's people alone.

        `there` is the origin of the request to share it; `ref` is the adapter's reference, which now names
        the message there as well. Raises KeyError.
        """
        seen_in = there.seen_in

        def work(session: Session) -> None:
            before = rows.job(session, id).origin
            if before.private:
                places = sorted(seen_in)
            else:
                places = sorted({*before.seen_in, *seen_in}) if before.seen_in and seen_in else []
            about = {"private": False, "channel": there.channel}
            origin = asdict(before) | about | {"seen_in": places}
            values = about | {"seen_in": rows.places(places), "origin": origin, "message": ref}
            values |= {"posted": posted(ref)}
            _change(session, id, _ANY, values)

        await self._write(work)

    async def close_place(self, tenant: str, channel: str, before: datetime | None = None) -> None:
        """Show a channel's jobs only to its people; with `before`, only jobs created until then."""
        there = [_jobs.c.tenant == tenant, _jobs.c.channel == channel, _jobs.c.seen_in == ""]
        there += [_jobs.c.private.is_(False)]
        there += [_jobs.c.created <= before] if before else []
        statement = update(_jobs).where(*there).values(seen_in=rows.places([channel]))
        await self._write(lambda session: session.connection().execute(statement) and None)

    async def reach(self, id: str, reply: Mapping[str, Any]) -> Job:
        """Add ways to answer the job's person. Raises KeyError."""

        def work(session: Session) -> Job:
            origin = rows.job(session, id).origin
            changed = {**asdict(origin), "reply": {**origin.reply, **reply}}
            _change(session, id, UNFINISHED, {"origin": changed})
            return rows.job(session, id)

        return await self._write(work)

    async def delivered(self, id: str, state: State, *, reason: str = "") -> None:
        """Record that the job's end `state` was shown, or never can be: then `reason` says why.

        Changes nothing for a job that was deleted meanwhile: that is still to be shown.
        """
        values: dict[str, Any] = {"delivered": self._clock()} | ({"reason": reason} if reason else {})
        await self._change(id, (state,), **values)

    async def owe(self, surface: str, reasons: Collection[str]) -> list[Job]:
        """Mark recent ends as not shown yet that were given up for one of these reasons; return the jobs."""
        since = self._clock() - OWED

        def work(session: Session) -> list[Job]:
            given_up = (_jobs.c.surface == surface, _jobs.c.reason.in_(reasons), _jobs.c.delivered > since)
            ids = list(session.connection().scalars(select(_jobs.c.id).where(*given_up)))
            for id in ids:
                _change(session, id, _ENDS, {"delivered": None, "reason": ""})
            return [rows.job(session, id) for id in ids]

        return await self._write(work)

    async def delete(self, id: str, line: AuditLine | None = None) -> Job:
        """Mark the job DELETED, which is then to be shown, forget its words, and write the audit's line.

        An unfinished one is cancelled first. Raises KeyError.
        """
        now = self._clock()

        def work(session: Session) -> Job:
            _end(session, id, State.CANCELLED, 0.0, "", now)
            if _change(session, id, _ENDS, {"state": State.DELETED.value, "delivered": None}):
                blank(session, id)
                rows.write_down(session, line)
            return rows.job(session, id)

        return await self._write(work)

    # ---- questions

    async def job(self, id: str) -> Job | None:
        jobs = await self._jobs(col(JobRow.id) == id)
        return jobs[0] if jobs else None

    async def job_posted(self, surface: str, message: str) -> Job | None:
        """Return the newest job whose message is "<channel>:<message>"."""
        posted_there = (col(JobRow.posted) == message, col(JobRow.surface) == surface)
        jobs = await self._jobs(*posted_there, newest_first=True, limit=1)
        return jobs[0] if jobs else None

    async def series(self, job: Job) -> list[Job]:
        """Return all jobs of a job's series in their order, the job alone where it is of none."""
        if (series := job.series) is None:
            return [job]
        events = [replace(series, number=number).event for number in range(1, series.count + 1)]
        of_series = (col(JobRow.surface) == job.origin.surface, col(JobRow.event).in_(events))
        return sorted(await self._jobs(*of_series), key=lambda each: each.series.number if each.series else 0)

    async def waiting(self, account: str) -> int:
        """Return how many unfinished jobs an account has."""
        return await self._read(
            lambda session: int(session.connection().execute(_WAITING, {"of": account}).scalar_one())
        )

    async def jobs(
        self,
        tenant: str,
        *,
        user: str = "",
        channel: str = "",
        viewer: str = "",
        here: Collection[str] = (),
        guest: bool = False,
        search: str = "",
        style: str = "",
        states: Collection[State] = (),
        favourite: bool = False,
        before: datetime | None = None,
        limit: int = 50,
    ) -> list[Job]:
        """Return a tenant's jobs, newest first; private and hidden ones only of `viewer`, deleted ones never.

        Of those that were asked for in closed places, only the viewer's and those of the places `here`; a
        guest sees no others at all. Names that share an account count as the same user, who finds their own
        jobs of all places. `favourite`: only what the viewer has marked. `search` are words that the prompt
        must contain, in any case. `before` is the `created` of the last job of the page before.
        """
        local, seen = col(JobRow.tenant) == tenant, _seen(here)
        seen &= col(JobRow.channel).in_(here) if guest else true()
        wanted = [
            or_(local, _shared(viewer)) if favourite or (user and user == viewer) else local,
            col(JobRow.state) != State.DELETED.value,
            or_(col(JobRow.private).is_(False) & col(JobRow.hidden).is_(False) & seen, _of(viewer)),
        ]
        wanted += [_of(user)] if user else []
        wanted += [col(JobRow.channel) == channel] if channel else []
        wanted += [col(JobRow.style) == style] if style else []
        wanted += [_in(states)] if states else []
        wanted += [col(JobRow.id).in_(marked_by(viewer))] if favourite else []
        wanted += [col(JobRow.created) < before] if before else []
        wanted += rows.searched(col(JobRow.folded), search)
        return await self._jobs(*wanted, newest_first=True, limit=limit)

    async def requeue(self) -> set[str]:
        """Queue the jobs that a former process left running; return the ids of all queued jobs."""

        def work(session: Session) -> set[str]:
            running = update(_jobs).where(_jobs.c.state == State.RUNNING.value)
            session.connection().execute(running.values(state=State.QUEUED.value))
            waiting = select(_jobs.c.id).where(_jobs.c.state == State.QUEUED.value)
            return set(session.connection().scalars(waiting))

        return await self._write(work)

    async def queued(
        self, after: PageEnd | None = None, limit: int = 1000
    ) -> tuple[list[Job], PageEnd | None]:
        """Return a page of queued jobs, oldest first, and where it ended; None when no row is left."""
        columns = [_jobs.c[name] for name in rows.NEEDED]
        query = select(*columns).where(_jobs.c.state == State.QUEUED.value)
        if after:
            same = (_jobs.c.created == after[0]) & (_jobs.c.id > after[1])
            query = query.where(_jobs.c.created >= after[0], (_jobs.c.created > after[0]) | same)
        query = query.order_by(_jobs.c.created, _jobs.c.id).limit(limit)

        def work(session: Session) -> tuple[list[Job], PageEnd | None]:
            found: list[Any] = [rows.Needed._make(row) for row in session.connection().execute(query).all()]
            ends = [(row.created, row.id) for row in found if row.created is not aside.UNREADABLE]
            jobs = rows.with_pictures(session, found, [row.id for row in found if row.started])
            return jobs, ends[-1] if ends else None

        return await self._read(work)

    async def set_aside(self, ids: Collection[str], reason: str) -> None:
        """Fail queued jobs whose rows cannot be read, and release their holds. No message says so."""
        now = self._clock()

        def work(session: Session) -> None:
            for id in ids:
                if _end(session, id, State.FAILED, 0.0, reason, now):
                    _change(session, id, (State.FAILED,), {"delivered": now})

        await self._write(work)

    async def undelivered(self) -> list[Job]:
        """Return jobs that ended and whose end is not shown yet, oldest first."""
        return await self._jobs(_in((*_ENDS, State.DELETED)), col(JobRow.delivered).is_(None))

    async def measured(self, limit: int = 200) -> list[tuple[GenerationRequest, float]]:
        """Return recent rendered jobs' requests and measured device-seconds, newest first."""

        def work(session: Session) -> list[tuple[GenerationRequest, float]]:
            query = select(JobRow.request, JobRow.measured).where(JobRow.state == State.RENDERED.value)
            recent = session.exec(query.order_by(col(JobRow.created).desc()).limit(limit))
            found = []
            for request, measured in recent:
                with suppress(*aside.FAULTS):
                    found.append((GenerationRequest.from_json(dict(request)), float(measured)))
            return found

        return await self._read(work)

    async def blobs(self) -> set[str]:
        """Return the blobs in use: sources of jobs not deleted, pictures of unfinished and rendered jobs.

        The pictures of a job that failed or was cancelled are never shown.
        """

        def work(session: Session) -> set[str]:
            shown = select(PictureRow.blob).join(JobRow, col(JobRow.id) == col(PictureRow.job))
            pictures = session.exec(shown.where(_in((*UNFINISHED, State.RENDERED))))
            sources = session.exec(select(JobRow.source).where(JobRow.state != State.DELETED.value))
            further = select(SourceRow.blob).join(JobRow, col(JobRow.id) == col(SourceRow.job))
            others = session.exec(further.where(JobRow.state != State.DELETED.value))
            saved = session.exec(select(ReferenceRow.blob))
            unlettered = session.exec(
                select(PictureRow.plain)
                .join(JobRow, col(JobRow.id) == col(PictureRow.job))
                .where(_in((*UNFINISHED, State.RENDERED)), PictureRow.plain != "")
            )
            return {*pictures, *unlettered, *others, *saved, *(source for source in sources if source)}

        return await self._read(work)

    async def original(self, job: str, look: str) -> Original | None:
        """Return what is known of the job, or without an id, of a picture with a fingerprint near `look`."""
        return await self._read(lambda session: traces.original(session, job, look))

    # ---- preferences

    async def preferences(self, user: str) -> Preferences:
        def work(session: Session) -> Preferences:
            return rows.preferences(session.get(PreferencesRow, user))

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


def _seen(here: Collection[str]) -> ColumnElement[bool]:
    """Match the jobs of no closed place, or of one of these."""
    among = [col(JobRow.seen_in).contains(f" {place} ", autoescape=True) for place in here]
    return or_(col(JobRow.seen_in) == "", *among)


def _of(user: str) -> ColumnElement[bool]:
    """Match the jobs of the user, under any name that shares their account."""
    return or_(col(JobRow.user_id) == user, _shared(user))


def _shared(user: str) -> ColumnElement[bool]:
    """Match the jobs of all names that share the user's account; none where no other name does."""
    account = select(IdentityRow.account).where(IdentityRow.member == user).scalar_subquery()
    sharing = select(IdentityRow.member).where(col(IdentityRow.account) == account)
    linked = sharing.where(col(IdentityRow.member) != user).exists()
    return linked & col(JobRow.user_id).in_(sharing)


def _lock_account(session: Session, job: Job, account: str, tier: Tier, now: datetime) -> str:
    """Lock the account row for admission; return the account that pays, which may be another by now.

    Raises TooManyWaiting, TooSoon, Blocked.
    """
    member = job.origin.member
    cooldown = 0.0 if job.parent else tier.cooldown  # several variations of one picture are asked for at once
    if not identities.lock_and_note(session, account, member.tenant, cooldown, now):  # merged at this moment
        account = identities.account_of(session, member.id)
        _change(session, job.id, (State.QUEUED,), {"account": account})
        if not identities.lock_and_note(session, account, member.tenant, cooldown, now):
            raise StoreError("The account is being linked: try again in a moment.")
    check_blocks(session, member, account, now)
    waiting = session.connection().execute(_WAITING, {"of": account}).scalar_one() - 1
    if waiting >= tier.waiting:
        raise TooManyWaiting(waiting)
    return account


_jobs = rows.table_of(JobRow)
_pictures = rows.table_of(PictureRow)
_WAITING = select(func.count()).where(
    _jobs.c.account == bindparam("of"), _jobs.c.state.in_([state.value for state in UNFINISHED])
)


def _hold(
    session: Session,
    job: str,
    amount: int,
    account: str,
    own: list[ledger.Bucket],
    shared: list[ledger.Bucket],
    now: datetime,
) -> None:
    """Hold an amount in the account's allowances or else its gifts, and in the budgets. Raises OverQuota."""
    try:
        with session.begin_nested():
            ledger.hold(session, job, amount, [*own, *shared], now)
    except ledger.OverQuota as error:
        try:
            ledger.hold(session, job, amount, [ledger.gift_bucket(account), *shared], now)
        except ledger.OverQuota:
            raise error from None


def _keep_alone(session: Session, id: str, chosen: Chosen) -> None:
    """Drop a job's pictures but one; the sweep takes their files."""
    others = (_pictures.c.job == id, _pictures.c.index != chosen.index)
    session.connection().execute(delete(_pictures).where(*others))
    _change(session, id, _ANY, {"note": chosen.note})


def _end(session: Session, id: str, state: State, measured: float, reason: str, now: datetime) -> bool:
    """End a job and settle its charge; return whether this ended it, as only one end may."""
    values = {"state": state.value, "measured": measured, "reason": reason, "finished": now}
    if not _change(session, id, UNFINISHED, values):
        return False
    seconds = measured if state is State.RENDERED else 0.0
    charge = ledger.settle(session, id, seconds, now, lambda: money.delivered(session, id))
    _change(session, id, (state,), {"device_seconds": charge})
    return True

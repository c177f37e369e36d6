"""What a person may have and may have forgotten.

Erasing goes in steps that can each be repeated: `begin_erasure` writes down who is to be forgotten; their
jobs are deleted one by one, so that messages change; `erase` blanks and renames everything else in one
transaction; `finish_erasures` blanks what was kept to change messages, and lets go of the last row that knows
the id. That row holds the quota used until its periods end: nobody gets a fresh one by being forgotten.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, or_, select, update
from sqlmodel import Session

from bot.models import Job, Person, State, Strike
from bot.store import api_keys, aside, contests, favourites, identities, logins, offers, references, rows
from bot.store.database import Database
from bot.store.rows import insert_once, table_of
from bot.store.tables import (
    AccountRow,
    AllowanceRow,
    AuditRow,
    ErasureRow,
    IdentityRow,
    JobRow,
    LedgerRow,
    LinkCodeRow,
    PersonRow,
    PictureRow,
    PreferencesRow,
    ReportRow,
    ReviewRow,
    SourceRow,
    StrikeRow,
)
from engine.types import GenerationRequest, TextToImage

ERASED = "erased:"  # begins the name that stands for a person who was forgotten
NOBODY = "deleted person"
_SHOWN_WITHIN = timedelta(days=7)  # after which a message that could not be changed is given up

_accounts = table_of(AccountRow)
_allowances = table_of(AllowanceRow)
_audit = table_of(AuditRow)
_codes = table_of(LinkCodeRow)
_erasures = table_of(ErasureRow)
_identities = table_of(IdentityRow)
_jobs = table_of(JobRow)
_ledger = table_of(LedgerRow)
_people = table_of(PersonRow)
_pictures = table_of(PictureRow)
_preferences = table_of(PreferencesRow)
_reports = table_of(ReportRow)
_reviews = table_of(ReviewRow)
_sources = table_of(SourceRow)
_strikes = table_of(StrikeRow)


class PrivacyStore(Database):
    """The part of the store that answers for personal data."""

    # ---- export

    async def sharing(self, member: str) -> list[str]:
        """Return the ids of the member and of everyone who shares their account."""
        return await self._read(lambda session: sorted(identities.names_of(session, member)))

    async def jobs_of(self, members: Sequence[str], after: str = "", limit: int = 200) -> list[Job]:
        """Return the members' jobs that are not deleted, by id, those after `after`."""

        def work(session: Session) -> list[Job]:
            query = select(JobRow).where(_jobs.c.user_id.in_(members), _jobs.c.id > after)
            query = query.where(_jobs.c.state != State.DELETED.value).order_by(_jobs.c.id).limit(limit)
            return rows.with_pictures(session, session.scalars(query).all())

        return await self._read(work)

    async def strikes_of(self, members: Sequence[str]) -> list[Strike]:
        query = select(_strikes).where(_strikes.c.member.in_(members)).order_by(_strikes.c.at)
        found = await self._read(lambda session: session.connection().execute(query).all())
        return [Strike(**row._mapping) for row in found]

    async def persons_of(self, members: Sequence[str]) -> list[Person]:
        """Return what administrators have set about these members, in every place."""
        query = select(_people).where(_people.c.member.in_(members)).order_by(*_people.primary_key)
        found = await self._read(lambda session: session.connection().execute(query).all())
        return [rows.person(row) for row in found]

    async def reports_of(self, members: Sequence[str]) -> list[tuple[str, datetime]]:
        """Return the jobs that the members reported, and when."""
        query = select(_reports.c.job, _reports.c.at).where(_reports.c.member.in_(members))
        found = await self._read(lambda session: session.connection().execute(query).all())
        return [(row.job, row.at) for row in found]

    # ---- deletion

    async def begin_erasure(self, members: Sequence[str]) -> None:
        """Write down which members to forget, so that it goes on after a restart."""
        now = self._clock()

        def work(session: Session) -> None:
            for member in members:
                values = {"member": member, "at": now, "erased": False}
                if not insert_once(session, ErasureRow, values, ("member",)):
                    again = update(_erasures).where(_erasures.c.member == member)
                    session.connection().execute(again.values(erased=False))
            logins.end_of(session, members)
            api_keys.forget(session, members)

        await self._write(work)

    async def erasing(self) -> list[str]:
        """Return the members that are to be forgotten and are not yet."""
        query = select(_erasures.c.member).where(_erasures.c.erased.is_(False)).order_by(_erasures.c.member)
        return await self._read(lambda session: list(session.connection().scalars(query)))

    async def erase(self, members: Sequence[str]) -> None:
        """Forget them, in one transaction: their jobs are to be DELETED before. Doing it twice is fine."""
        now = self._clock()

        def work(session: Session) -> None:
            for member in members:
                _erase(session, member, now)

        await self._write(work)

    async def finish_erasures(self) -> None:
        """Blank what was kept to change messages, and forget ids whose quota has ended."""
        now = self._clock()

        def work(session: Session) -> None:
            _blank_origins(session, now)
            _let_go(session, now)

        await self._write(work)

    # ---- retention

    async def expire(self, before: datetime, limit: int = 200) -> int:
        """Delete jobs that were finished before a moment, without changing messages; how many there were."""
        now = self._clock()

        def work(session: Session) -> int:
            query = select(_jobs.c.id).where(_jobs.c.finished < before, _jobs.c.state != State.DELETED.value)
            ids = list(session.connection().scalars(query.order_by(_jobs.c.finished).limit(limit)))
            for id in ids:
                blank(session, id)
                values = {"state": State.DELETED.value, "delivered": now}
                session.connection().execute(update(_jobs).where(_jobs.c.id == id).values(**values))
            _without_pictures(session, _jobs.c.id.in_(ids))
            return len(ids)

        return await self._write(work)


def blank(session: Session, id: str) -> None:
    """Remove from a job's row what was asked for, and where it was marked or entered."""
    contests.withdraw(session, id)
    favourites.forget_job(session, id)
    references.forget_job(session, id)
    session.connection().execute(delete(_sources).where(_sources.c.job == id))
    request = session.connection().scalar(select(_jobs.c.request).where(_jobs.c.id == id))
    empty = dict.fromkeys(("prompt", "folded", "style", "reason", "note"), "")
    nothing = {**empty, "request": _blanked(request), "source": None}
    session.connection().execute(update(_jobs).where(_jobs.c.id == id).values(**nothing))


def _blanked(request: Any) -> dict[str, Any]:
    """Return a request's JSON without words and source; nothing of one that cannot be read."""
    try:
        known = GenerationRequest.from_json(request)
    except aside.FAULTS:
        return {}
    return replace(known, prompt="", negative_prompt="", lettering="", task=TextToImage()).to_json()


def _without_pictures(session: Session, *of: ColumnElement[bool]) -> None:
    jobs = select(_jobs.c.id).where(*of, _jobs.c.state == State.DELETED.value)
    session.connection().execute(delete(_pictures).where(_pictures.c.job.in_(jobs)))


def _erase(session: Session, member: str, now: datetime) -> None:
    logins.end_of(session, [member])
    api_keys.forget(session, [member])
    offers.forget(session, member)
    favourites.forget_member(session, member)
    references.forget_member(session, member)
    contests.forget_voter(session, member, f"{ERASED}{secrets.token_hex(8)}")
    own = select(_jobs.c.id).where(_jobs.c.user_id == member, _jobs.c.state == State.DELETED.value)
    for id in list(session.connection().scalars(own)):
        blank(session, id)
    left = select(_jobs.c.id).where(_jobs.c.user_id == member, _jobs.c.state != State.DELETED.value)
    if session.connection().execute(left.limit(1)).first():
        return  # accepted meanwhile: the next turn deletes it too
    pseudonym = f"{ERASED}{secrets.token_hex(8)}"
    _rename(session, member, pseudonym)
    theirs = _accounts.c.id.startswith(pseudonym)
    session.connection().execute(update(_accounts).where(theirs).values(home=""))
    _without_pictures(session, _jobs.c.user_id == member)
    session.connection().execute(update(_jobs).where(_jobs.c.user_id == member).values(user_id=pseudonym))
    session.connection().execute(delete(_preferences).where(_preferences.c.user == member))
    session.connection().execute(delete(_codes).where(_codes.c.member == member))
    session.connection().execute(delete(_strikes).where(_strikes.c.member == member, _strikes.c.at < now))
    unblocked = or_(_people.c.blocked.is_(False), _people.c.until < now)
    session.connection().execute(delete(_people).where(_people.c.member == member, unblocked))
    done = update(_erasures).where(_erasures.c.member == member)
    session.connection().execute(done.values(erased=True))


def _rename(session: Session, member: str, pseudonym: str) -> None:
    """Replace a member's name by a pseudonym in ledger, reports and audit."""
    for name in _names(session, member):
        new = pseudonym + name.removeprefix(member)
        for column in (_ledger.c.account, _allowances.c.account, _accounts.c.id, _jobs.c.account):
            _replace(session, column, name, new)
        _replace(session, _identities.c.account, name, new)
        _replace(session, _ledger.c.key, f"unlink/{name}", f"unlink/{new}", begins=True)
    account = identities.account_of(session, member)
    kept = account if account != member else pseudonym
    insert_once(session, IdentityRow, {"member": member, "account": kept}, ("member",))
    for column in (_ledger.c.by, _audit.c.by, _audit.c.target, _reports.c.member, _reviews.c.by):
        _replace(session, column, member, pseudonym)
    named = update(_audit).where(_audit.c.by == pseudonym)
    session.connection().execute(named.values(name=NOBODY))


def _names(session: Session, member: str) -> set[str]:
    """Return the accounts that are named after the member: their own, and those that unlinking made."""
    found: set[str] = set()
    for column in (_ledger.c.account, _allowances.c.account, _accounts.c.id, _identities.c.account):
        after = or_(column == member, column.startswith(f"{member}+", autoescape=True))
        found |= set(session.connection().scalars(select(column).where(after)))
    return found


def _replace(session: Session, column: Any, old: str, new: str, *, begins: bool = False) -> None:
    if not begins:
        session.connection().execute(update(column.table).where(column == old).values({column.name: new}))
        return
    found = select(column).where(column.startswith(f"{old}/", autoescape=True))
    for key in list(session.connection().scalars(found)):
        _replace(session, column, key, new + key.removeprefix(old))


def _blank_origins(session: Session, now: datetime) -> None:
    """Remove place and name from erased persons' jobs, once their messages were changed or never will be."""
    theirs: ColumnElement[bool] = and_(
        _jobs.c.user_id.startswith(ERASED),
        or_(_jobs.c.delivered.is_not(None), _jobs.c.finished < now - _SHOWN_WITHIN),
        _jobs.c.event.not_like(f"{ERASED}%"),
    )
    for row in session.connection().execute(
        select(_jobs.c.id, _jobs.c.user_id, _jobs.c.tenant, _jobs.c.origin).where(theirs)
    ):
        tenant = _nameless(row.tenant, row.user_id)
        values = {
            "origin": _nobodys(row.origin, row.user_id, tenant, f"{ERASED}{row.id}"),
            "tenant": tenant,
            "event": f"{ERASED}{row.id}",
            "channel": "",
            "seen_in": "",
            "message": None,
            "posted": "",
            "delivered": now,
        }
        session.connection().execute(update(_jobs).where(_jobs.c.id == row.id).values(**values))


def _nameless(tenant: str, pseudonym: str) -> str:
    """Return the tenant, with the pseudonym where it is a direct message, which is named after its person."""
    place, direct, _ = tenant.partition(":dm:")
    return f"{place}{direct}{pseudonym}" if direct else tenant


def _nobodys(origin: Any, pseudonym: str, tenant: str, event: str) -> dict[str, Any]:
    nobody = {"tenant": tenant, "id": pseudonym, "name": NOBODY, "admin": False, "roles": []}
    origin = aside.mapping(origin)
    member = {**aside.mapping(origin.get("member")), **nobody}
    return {**origin, "member": member, "channel": "", "event": event, "reply": {}, "seen_in": []}


def _let_go(session: Session, now: datetime) -> None:
    """Forget an id when no period of its account runs any more."""
    erased = select(_erasures.c.member).where(_erasures.c.erased)
    for member in list(session.connection().scalars(erased)):
        account = identities.account_of(session, member)
        running = select(_allowances.c.bucket).where(
            _allowances.c.account == account, _allowances.c.ends > now
        )
        if session.connection().execute(running.limit(1)).first():
            continue
        alone = account.startswith(ERASED) and identities.members_of(session, account) == [member]
        if alone:  # else they linked it anew
            session.connection().execute(delete(_identities).where(_identities.c.member == member))
        session.connection().execute(delete(_erasures).where(_erasures.c.member == member))

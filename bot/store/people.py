"""What administrators set: policies, people, and the audit of every change."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, or_, select, update
from sqlmodel import Session

from bot.errors import EaselError
from bot.models import INSTANCE, AuditLine, Job, Member, Person, Policy, Standing, State
from bot.store import aside, identities, ledger, logins
from bot.store.database import Database
from bot.store.rows import (
    POLICY,
    insert_once,
    one_of,
    person,
    policy,
    preferences,
    table_of,
    with_pictures,
    write_down,
)
from bot.store.tables import AuditRow, IdentityRow, JobRow, PersonRow, PolicyRow, PreferencesRow

_EMPTY = POLICY.dump_python(Policy(), mode="json")
_RECENT = 2000  # jobs among which names are looked for

_policies = table_of(PolicyRow)
_people = table_of(PersonRow)
_audit = table_of(AuditRow)
_jobs = table_of(JobRow)
_identities = table_of(IdentityRow)

_BLOCKS = select(_people).where(
    _people.c.blocked,
    _people.c.tenant.in_((INSTANCE, bindparam("tenant"))),
    or_(
        _people.c.member.in_((bindparam("member"), bindparam("account"))),
        _people.c.member.in_(
            select(_identities.c.member).where(_identities.c.account == bindparam("account"))
        ),
    ),
)

Note = Callable[[Any, Any], AuditLine]
"""The audit's line for a change, from what was before and after it."""


class Blocked(EaselError):
    """The member is blocked, under this name or one that shares the account."""

    def __init__(self, person: Person) -> None:
        super().__init__(f"{person.member} is blocked in {person.tenant}")
        self.person = person


class PeopleStore(Database):
    """The part of the store that knows what administrators set. Each change writes its line of the audit."""

    async def standing(self, member: Member) -> Standing:
        """Return all that is stored about a member and the place where they are."""
        now = self._clock()

        def work(session: Session) -> Standing:
            found = _standings(session, [member], now)[member.tenant, member.id]
            return replace(found, preferences=preferences(session.get(PreferencesRow, member.id)))

        return await self._read(work)

    async def standings(self, members: Collection[Member]) -> dict[tuple[str, str], Standing]:
        """Return the standing of many, by tenant and id, without their preferences; a few queries for all."""
        now = self._clock()
        return await self._read(lambda session: _standings(session, members, now))

    async def policy(self, tenant: str) -> Policy:
        found = await self._read(lambda session: _policies_of(session, tenant))
        return found.get(tenant, Policy())

    async def policies(self) -> dict[str, Policy]:
        """Return the policy of every tenant that has one."""
        return await self._read(_policies_of)

    async def persons(self, tenant: str) -> list[Person]:
        """Return all persons that something is set about in the tenant."""
        return await self._read(lambda session: _persons(session, None, {tenant}))

    async def change_policy(self, tenant: str, change: Callable[[Policy], Policy], note: Note) -> Policy:
        """Read, change and write a policy in one transaction; what `change` raises leaves it as it is."""

        def work(session: Session) -> Policy:
            insert_once(session, PolicyRow, {"tenant": tenant, "policy": _EMPTY}, ("tenant",))
            this = _policies.c.tenant == tenant
            row = session.connection().execute(select(_policies).where(this).with_for_update()).one()
            before = policy(row)
            after = change(before)
            if after != before:
                values = {"policy": POLICY.dump_python(after, mode="json")}
                session.connection().execute(update(_policies).where(this).values(values))
                write_down(session, note(before, after))
            return after

        return await self._write(work)

    async def change_person(
        self, tenant: str, member: str, change: Callable[[Person], Person], note: Note
    ) -> Person:
        """Read, change and write what is set about a member in a tenant, in one transaction."""
        return await self._write(lambda session: change_person(session, tenant, member, change, note))

    async def relax(self, id: str, line: AuditLine) -> bool:
        """Make an unfinished job free; False for one that has ended or is free already."""
        now = self._clock()

        def work(session: Session) -> bool:
            waits = (_jobs.c.id == id, _jobs.c.state == State.QUEUED.value, _jobs.c.relaxed.is_(False))
            changed = session.connection().execute(update(_jobs).where(*waits).values(relaxed=True))
            if changed.rowcount:
                ledger.release_all(session, id, now)
                write_down(session, line)
            return bool(changed.rowcount)

        return await self._write(work)

    async def note(self, line: AuditLine) -> None:
        """Write an audit line alone, with no other change."""
        await self._write(lambda session: write_down(session, line))

    async def audit(
        self,
        tenant: str = "",
        *,
        search: str = "",
        skip: int = 0,
        limit: int = 20,
    ) -> list[AuditLine]:
        """Return the changes in a tenant or everywhere, newest first, which contain all words of `search`."""
        query = select(_audit).order_by(_audit.c.id.desc()).offset(skip).limit(limit)
        query = query.where(_audit.c.tenant == tenant) if tenant else query
        for word in search.split():
            columns = ("by", "name", "what", "target", "before", "after")
            query = query.where(or_(*(_audit.c[each].icontains(word, autoescape=True) for each in columns)))
        rows = await self._read(lambda session: session.connection().execute(query).all())
        return [_audit_line(row) for row in rows]

    async def recent(self, member: str, tenant: str = "", limit: int = 5) -> list[Job]:
        """Return a member's jobs, newest first, also private but not deleted ones; in a tenant or in all."""
        query = select(JobRow).where(_jobs.c.user_id == member, _jobs.c.state != State.DELETED.value)
        query = query.where(_jobs.c.tenant == tenant) if tenant else query
        query = query.order_by(_jobs.c.created.desc()).limit(limit)
        return await self._read(lambda session: with_pictures(session, session.scalars(query).all()))

    async def names(self, tenant: str = "", search: str = "") -> dict[str, str]:
        """Map ids to names of those who asked lately in a tenant or anywhere, who asked last first."""
        query = select(_jobs.c.user_id, _jobs.c.origin).order_by(_jobs.c.created.desc()).limit(_RECENT)
        query = query.where(_jobs.c.tenant == tenant) if tenant else query
        wanted = search.casefold()

        def work(session: Session) -> dict[str, str]:
            found: dict[str, str] = {}
            for row in session.connection().execute(query):
                member = aside.mapping(aside.mapping(row.origin).get("member"))
                found.setdefault(row.user_id, str(member.get("name", row.user_id)))
            return {id: name for id, name in found.items() if wanted in f"{id} {name}".casefold()}

        return await self._read(work)


def _standings(
    session: Session, members: Collection[Member], now: datetime
) -> dict[tuple[str, str], Standing]:
    """Return the standing of members by tenant and id, without their preferences."""
    tenants = {INSTANCE, *(each.tenant for each in members)}
    policies = _policies_of(session, *tenants)
    groups = identities.groups(session, {each.id for each in members})
    everyone = {name for group in groups.values() for name in group.members}
    persons = {(each.tenant, each.member): each for each in _persons(session, everyone, tenants)}

    def standing(member: Member) -> Standing:
        group = groups[member.id]
        keys = [(tenant, name) for name in sorted(group.members) for tenant in (INSTANCE, member.tenant)]
        return Standing(
            at=now,
            account=group.account,
            home=group.home,
            everywhere=policies.get(INSTANCE, Policy()),
            place=policies.get(member.tenant, Policy()),
            persons=tuple(persons[key] for key in dict.fromkeys(keys) if key in persons),
        )

    return {(each.tenant, each.id): standing(each) for each in members}


def check_blocks(session: Session, member: Member, account: str, now: datetime) -> None:
    """Raise Blocked for a member who is blocked in their tenant, or everywhere."""
    values = {"tenant": member.tenant, "member": member.id, "account": account}
    for row in session.connection().execute(_BLOCKS, values):
        if (found := person(row)).is_blocked(now):
            raise Blocked(found)


def change_person(
    session: Session, tenant: str, member: str, change: Callable[[Person], Person], note: Note
) -> Person:
    """Read, change and write what is set about a member, and its line of the audit."""
    new = asdict(Person(tenant=tenant, member=member))
    insert_once(session, PersonRow, new, ("tenant", "member"))
    this = (_people.c.tenant == tenant, _people.c.member == member)
    row = session.connection().execute(select(_people).where(*this).with_for_update()).one()
    before = person(row)
    after = replace(change(before), tenant=tenant, member=member)
    if after != before:
        session.connection().execute(update(_people).where(*this).values(**asdict(after)))
        if after.blocked:
            logins.end_of_blocked(session, member, tenant)
        write_down(session, note(before, after))
    return after


def _policies_of(session: Session, *tenants: str) -> dict[str, Policy]:
    query = select(_policies).where(_policies.c.tenant.in_(tenants)) if tenants else select(_policies)
    rows = session.connection().execute(query)
    return {row.tenant: policy(row) for row in rows}


def _persons(session: Session, members: set[str] | None, tenants: set[str]) -> list[Person]:
    query = select(_people).where(_people.c.tenant.in_(tenants)).order_by(_people.c.member)
    query = query if members is None else query.where(one_of(_people.c.member, members))
    return [person(row) for row in session.connection().execute(query)]


def _audit_line(row: Any) -> AuditLine:
    return AuditLine(**{name: value for name, value in row._mapping.items() if name != "id"})

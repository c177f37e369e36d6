"""Whose account a member uses, and how two members come to share one. Inside the caller's transaction."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import bindparam, case, delete, or_, select, update
from sqlmodel import Session

from bot.errors import EaselError
from bot.i18n import _
from bot.models import GUESTS, State, own_account
from bot.store import ledger
from bot.store.rows import insert_once, one_of, table_of
from bot.store.tables import AccountRow, IdentityRow, JobRow, LinkCodeRow

CODE_LIFE = timedelta(minutes=10)

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32
_HALF = 5  # characters on each side of the hyphen, 50 bits together
_READ_AS = str.maketrans("OILU", "011V", "- ")

_accounts = table_of(AccountRow)
_identities = table_of(IdentityRow)
_codes = table_of(LinkCodeRow)
_jobs = table_of(JobRow)

Why = Literal["unknown", "expired", "used", "own", "linked", "alone", "busy", "guest"]


class LinkRefused(EaselError):
    """Two members cannot share an account, or one cannot leave it; `why` is the reason."""

    def __init__(self, why: Why) -> None:
        super().__init__(_WHY[why])
        self.why = why


_WHY: dict[Why, str] = {
    "unknown": _("There is no such code."),
    "expired": _("That code has expired: ask for a new one."),
    "used": _("That code was used already: ask for a new one."),
    "own": _("That code is your own: type it on the other platform."),
    "linked": _("These two share an account already."),
    "alone": _("Your account is not linked."),
    "busy": _("One of the two accounts is being linked at this moment: try again."),
    "guest": _("Guests of the web studio share one account, so it cannot be linked: ask for an invitation."),
}


class TooSoon(EaselError):
    """The account's last request is too recent."""

    def __init__(self, until: datetime, seconds: float) -> None:
        super().__init__(f"the next request may come in {seconds:g} s")
        self.until = until
        self.seconds = seconds  # to wait


# ---- whose account


def account_of(session: Session, member: str) -> str:
    return session.connection().scalar(_ACCOUNT, {"who": member}) or own_account(member)


def members_of(session: Session, account: str) -> list[str]:
    """Return the ids of those who share the account, in order."""
    query = select(_identities.c.member).where(_identities.c.account == account)
    return sorted(session.connection().scalars(query)) or [account]


def names_of(session: Session, member: str) -> set[str]:
    """Return the ids of the member and of all who share their account."""
    return {member, *members_of(session, account_of(session, member))}


@dataclass(frozen=True, slots=True)
class LinkedGroup:
    """Who shares an account."""

    account: str
    members: frozenset[str]  # with the account's own id, under which something may be set as well
    home: str  # the tenant where the account first asked; empty while one name alone uses it


def groups(session: Session, members: Collection[str]) -> dict[str, LinkedGroup]:
    """Return the group of each member, by two or three queries for all."""
    mine = select(_identities.c.member, _identities.c.account).where(one_of(_identities.c.member, members))
    accounts: dict[str, str] = {each: account for each, account in session.connection().execute(mine)}
    sharing: dict[str, set[str]] = {}
    if accounts:
        theirs = _identities.c.account.in_(set(accounts.values()))
        query = select(_identities.c.account, _identities.c.member).where(theirs)
        for account, member in session.connection().execute(query):
            sharing.setdefault(account, set()).add(member)
    linked = [account for account, names in sharing.items() if len({account, *names}) > 1]
    query = select(_accounts.c.id, _accounts.c.home).where(_accounts.c.id.in_(linked))
    homes: dict[str, str] = {id: home for id, home in session.connection().execute(query)} if linked else {}

    def group(member: str) -> LinkedGroup:
        account = accounts.get(member) or own_account(member)
        names = frozenset({member, account, *sharing.get(account, ())})
        return LinkedGroup(account, names, homes.get(account, ""))

    return {member: group(member) for member in members}


_ACCOUNT = select(_identities.c.account).where(_identities.c.member == bindparam("who"))


# ---- one request after the other

# Whoever changes this row decides alone about its account until the transaction ends.
_ENTER = (
    update(_accounts)
    .where(_accounts.c.id == bindparam("of"), _accounts.c.closed.is_(False))
    .where(or_(_accounts.c.accepted.is_(None), _accounts.c.accepted <= bindparam("latest")))
    .values(
        accepted=bindparam("now"),
        home=case((_accounts.c.home == "", bindparam("here")), else_=_accounts.c.home),
    )
)
_FAR = datetime.max.replace(tzinfo=UTC)


def lock_and_note(session: Session, account: str, tenant: str, cooldown: float, now: datetime) -> bool:
    """Lock the account's row and note a request; return False if it was merged. Raises TooSoon."""
    latest = now - timedelta(seconds=cooldown) if cooldown > 0 else _FAR
    values = {"of": account, "here": tenant, "latest": latest, "now": now}
    new = {"id": account, "accepted": now, "closed": False, "home": tenant}
    for _attempt in range(2):  # the second time where another process has just made the row
        if session.connection().execute(_ENTER, values).rowcount:
            return True
        if insert_once(session, AccountRow, new, ("id",)):
            return True
    row = session.connection().execute(select(_accounts).where(_accounts.c.id == account)).one()
    if not row.closed:
        until = row.accepted + timedelta(seconds=cooldown)
        raise TooSoon(until, max(0.0, (until - now).total_seconds()))
    return False


def lock(session: Session, *accounts: str) -> None:
    """Lock the rows of accounts, in order of their ids, until the transaction ends."""
    for account in sorted(accounts):
        new = {"id": account, "accepted": None, "closed": False, "home": ""}
        insert_once(session, AccountRow, new, ("id",))
        row = select(_accounts.c.id).where(_accounts.c.id == account)
        session.connection().execute(row.with_for_update())


def locked_account_of(session: Session, member: str) -> str:
    """Lock and return the member's account: it cannot be merged into another until the transaction ends."""
    while True:
        account = account_of(session, member)
        lock(session, account)
        if account_of(session, member) == account:
            return account


# ---- sharing one


def new_code(session: Session, member: str, now: datetime) -> str:
    """Create a code by which another member joins the member's account; the member's older codes end.

    Raises LinkRefused.
    """
    if account_of(session, member) == GUESTS:
        raise LinkRefused("guest")
    code = "".join(secrets.choice(_ALPHABET) for _ in range(2 * _HALF))
    old = or_(_codes.c.member == member, _codes.c.expires < now - CODE_LIFE)
    session.connection().execute(delete(_codes).where(old))
    session.add(LinkCodeRow(digest=_digest(code), member=member, expires=now + CODE_LIFE, used=False))
    return f"{code[:_HALF]}-{code[_HALF:]}"


def link(session: Session, code: str, member: str, now: datetime) -> str:
    """Join the member's account to that of the code's maker; returns the account. Raises LinkRefused."""
    found = _taken(session, code, member, now)
    kept, joined = account_of(session, found.member), account_of(session, member)
    if joined == GUESTS:
        raise LinkRefused("guest")
    if kept == joined:
        raise LinkRefused("linked")
    lock(session, kept, joined)
    if (account_of(session, found.member), account_of(session, member)) != (kept, joined):
        raise LinkRefused("busy")
    # Before the ledger: whoever ends one of these jobs waits here, and then finds its hold moved.
    unfinished = _jobs.c.state.in_((State.QUEUED.value, State.RUNNING.value))
    of_joined = (_jobs.c.account == joined, unfinished)
    session.connection().execute(update(_jobs).where(*of_joined).values(account=kept))
    ledger.merge(session, joined, kept, by=member, key=f"link/{found.digest[:16]}", now=now)
    _close(session, joined, kept)
    for each in (found.member, member):
        insert_once(session, IdentityRow, {"member": each, "account": kept}, ("member",))
    return kept


def unlink(session: Session, member: str, now: datetime) -> str:
    """Split the member off into an account of its own, and return it. Raises LinkRefused.

    What the shared account has used is copied; gifts, and holds of unfinished jobs, stay with the others.
    """
    shared = account_of(session, member)
    lock(session, shared)
    if len(members_of(session, shared)) < 2:
        raise LinkRefused("alone")
    token = secrets.token_hex(6)
    own = f"{member}+{token}"
    ledger.copy(session, shared, own, by=member, key=f"unlink/{token}", now=now)
    mine = _identities.c.member == member
    session.connection().execute(update(_identities).where(mine).values(account=own))
    return own


def _taken(session: Session, code: str, member: str, now: datetime) -> Any:
    """Mark a code as used and return its row. Raises LinkRefused."""
    this = _codes.c.digest == _digest(code)
    found = session.connection().execute(select(_codes).where(this).with_for_update()).first()
    if found is None:
        raise LinkRefused("unknown")
    if found.used:
        raise LinkRefused("used")
    if found.expires <= now:
        raise LinkRefused("expired")
    if found.member == member:
        raise LinkRefused("own")
    session.connection().execute(update(_codes).where(this).values(used=True))
    return found


def _close(session: Session, joined: str, kept: str) -> None:
    """Send everybody who used one account to the other."""
    accounts, identities = _accounts, _identities
    session.connection().execute(update(accounts).where(accounts.c.id == joined).values(closed=True))
    moved = update(identities).where(identities.c.account == joined)
    session.connection().execute(moved.values(account=kept))


def _digest(code: str) -> str:
    return hashlib.sha256(code.upper().translate(_READ_AS).encode()).hexdigest()

"""Keys with which a person's programs ask for pictures: shown once, kept as a digest, revoked at once.

A key is 256 random bits, so one pass of SHA-256 keeps it as safe as a slow hash would.
"""

from __future__ import annotations

import math
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import structlog

from bot.accounts import audit
from bot.accounts.logins import Logins, digest
from bot.errors import Refusal, StoreError
from bot.i18n import _
from bot.messages import answers
from bot.messages.types import Card
from bot.models import API_SCOPES, GUEST, INSTANCE, ApiKey, Job, Member, Origin, State, StoredPicture
from bot.options import clip
from bot.store import Store

log = structlog.stdlib.get_logger(__name__)

PREFIX = "sk-easel-"
MOST = 20  # keys of one person
REMEMBERED = 4096  # people, and refusals
AUDITED = 3600.0  # seconds in which a refusal of one key and cause is written down once


@dataclass(eq=False)
class ApiKeys:
    """Methods raise Refusal and StoreError."""

    _store: Store
    _logins: Logins  # knows where people open the studio
    _is_on: bool  # whether there is an API

    def __post_init__(self) -> None:
        """Begin with nobody seen and nothing noted."""
        self._seen: dict[tuple[str, str], Member] = {}
        self._noted: dict[tuple[str, str], float] = {}  # when, by key and cause

    async def create(self, options: dict[str, Any], origin: Origin) -> Card:
        """Answer `/api create`: the only message that ever shows the key."""
        member = origin.member
        if not self._is_on:
            raise Refusal(_("There is no API here: an operator has switched it off."), code="forbidden")
        if member.id.startswith(GUEST):
            raise Refusal(
                _("Guests of the web studio share one account, so they have no keys: ask for an invitation."),
                code="forbidden",
            )
        name, scope = options.get("name", "key"), options.get("scope", API_SCOPES[0])
        id, secret = secrets.token_hex(4), f"{PREFIX}{secrets.token_hex(32)}"
        line = audit.line(origin, "api create", id, after=f"{name} ({scope})")
        if not await self._store.save_api_key(
            id, digest(secret), _program_of(member), name, scope, MOST, line
        ):
            raise Refusal(
                _("You have {most} keys, the most for one person. /api revoke one first.", most=MOST),
                code="count",
            )
        log.info("API key created", key=id, scope=scope)
        return answers.api_key(secret, name, id, self._logins.address)

    async def listed(self, options: dict[str, Any], origin: Origin) -> Card:
        """Answer `/api list`."""
        return answers.api_keys(await self._store.api_keys_of(origin.member.id), datetime.now(UTC))

    async def revoke(self, options: dict[str, Any], origin: Origin) -> Card:
        """Answer `/api revoke`: what the key asks from now on is refused, and what waits for it ends."""
        gone = await self._store.drop_api_key(
            options["key"], origin.member.id, lambda id: audit.line(origin, "api revoke", id)
        )
        if not gone:
            named = clip(options["key"])
            raise Refusal(_("You have no key {named}. /api list shows yours.", named=named), code="unknown")
        log.info("API key revoked", keys=gone)
        return answers.api_revoked(gone)

    async def seen(self, member: Member) -> None:
        """Let a member's keys have the roles that the member has now, wherever that is seen."""
        who, now = (member.tenant, member.id), _program_of(member)
        if self._seen.get(who) == now:
            return
        try:
            await self._store.update_api_keys(now)
        except StoreError as error:
            log.warning("API keys keep former roles", cause=str(error))
            return
        self._seen[who] = now
        while len(self._seen) > REMEMBERED:
            self._seen.pop(next(iter(self._seen)))

    async def refused(self, key: ApiKey | None, code: str) -> None:
        """Write into the audit that use of the API was refused: once an hour for each key and cause."""
        about, now = (key.id if key else "", code), time.monotonic()
        if now - self._noted.get(about, -math.inf) < AUDITED:
            return
        self._noted[about] = now
        while len(self._noted) > REMEMBERED:
            self._noted.pop(next(iter(self._noted)))
        stranger = Member(tenant=INSTANCE, id="api:unknown", name="unknown key")
        origin = Origin(surface="api", member=key.member if key else stranger, channel="", event="")
        with suppress(StoreError):  # the refusal itself is what counts
            await self._store.write_audit(audit.line(origin, "api refused", about[0], after=code))

    async def holder(self, secret: str) -> ApiKey | None:
        """Return the key with that secret; None where it was revoked or never was."""
        return await self._store.api_key(digest(secret)) if secret.startswith(PREFIX) else None

    async def still(self, key: ApiKey) -> bool:
        """Tell whether a key was not revoked meanwhile."""
        return await self._store.has_api_key(key.id)

    async def picture(self, job: str, index: int) -> tuple[Job, StoredPicture] | None:
        """Return a picture that may be shown to whoever was handed its address; None where it is gone."""
        found = await self._store.job(job)
        if found is None or found.state is not State.RENDERED:
            return None
        return next(((found, each) for each in found.singles if each.index == index and not each.adult), None)


def _program_of(member: Member) -> Member:
    """Return a member as their programs ask, which decide nothing."""
    return replace(member, admin=False, moderates=())

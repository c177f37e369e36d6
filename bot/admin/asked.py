"""An administrator's command, and what all of them share: the audit, places' policies, plain answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.accounts import access_rules, audit
from bot.errors import Refusal
from bot.i18n import _
from bot.i18n.speech import Speech
from bot.jobs.covers import Covers
from bot.jobs.holds import Holds
from bot.messages import marks
from bot.messages.types import Card
from bot.models import AuditLine, Origin, Policy
from bot.options import clip
from bot.store import Store

EVERYONE = "everyone"  # the role of all who have no other
MOST_TERMS = 200  # of one list of a place


@dataclass(frozen=True, slots=True)
class AdminRequest:
    """One administrator's command."""

    name: str
    options: dict[str, Any]
    origin: Origin
    operator: bool
    written: dict[AuditLine, None] = field(default_factory=dict)  # to the audit

    @property
    def tenant(self) -> str:
        return self.origin.member.tenant

    def line(self, target: str = "", before: str = "", after: str = "") -> AuditLine:
        line = audit.line(self.origin, self.name, target, before, after)
        self.written[line] = None
        return line

    def note(self, target: str = "") -> Callable[[Any, Any], AuditLine]:
        return lambda before, after: self.line(target, *access_rules.difference(before, after))

    @property
    def key(self) -> str:
        """The key of the event: what the same event gives is not given twice."""
        return f"{self.origin.surface}/{self.origin.event}"


Run = Callable[[AdminRequest], Awaitable[Card]]
Commands = Mapping[str, Run]
"""What answers each command, by its name."""


@dataclass(eq=False)
class Policies:
    """Changes what holds in places, with what follows from it at once. Methods raise StoreError."""

    _store: Store
    _speech: Speech
    _holds: Holds
    _covers: Covers

    async def load(self) -> None:
        """Load from the store which places are paused and which language each has."""
        found = await self._store.policies()
        self._holds.set_paused(tenant for tenant, each in found.items() if each.paused)
        for tenant, each in found.items():
            self._speech.place(tenant, each)
            self._covers.place(tenant, each)

    async def here(self, asked: AdminRequest) -> Policy:
        """Return the policy of the administrator's place."""
        return await self._store.policy(asked.tenant)

    async def change(
        self, asked: AdminRequest, change: Callable[[Policy], Policy], target: str = ""
    ) -> Policy:
        """Change the policy of the administrator's place, and return it as it is now."""
        after = await self._store.change_policy(asked.tenant, change, asked.note(target))
        self._speech.place(asked.tenant, after)
        self._covers.place(asked.tenant, after)
        return after


def whom(asked: AdminRequest) -> str:
    """Return the id of the member that a command names. Raises Refusal."""
    named: str = asked.options["person"]
    if ":" in named:
        return named
    if asked.origin.surface == "cli":
        raise Refusal(_("Say where {name} is from, as in discord:{name}.", name=clip(named)), code="missing")
    return f"{asked.origin.surface}:{named.casefold() if asked.origin.surface == 'web' else named}"


def who(id: str) -> str:
    """Return a member, role or user group to show: by its name where the surface knows it."""
    return marks.person(id) if ":" in id else marks.role(id) if id.casefold() != EVERYONE else id


def titled(title: str, lines: Iterable[str], facts: Sequence[str] = ()) -> Card:
    """Return an answer of several lines, for the administrator alone."""
    return Card(kind="text", title=title, facts=tuple(facts), body=tuple(lines), private=True)


def done(sentence: str) -> Card:
    """Return an answer of one sentence, for the administrator alone."""
    return Card(kind="text", body=(sentence,), private=True)

"""What surfaces may call: the services, each by its one responsibility."""

from __future__ import annotations

from dataclasses import dataclass

from bot.accounts.access import Access
from bot.accounts.logins import Logins
from bot.accounts.service import AccountService
from bot.adapters.base import ChatAdapter
from bot.admin.dashboard import Dashboard
from bot.admin.service import Admin
from bot.guard import Guard
from bot.images import Images
from bot.jobs.cards import JobCards
from bot.jobs.departures import Departures
from bot.jobs.message_sync import MessageSync
from bot.jobs.messages import JobMessages
from bot.jobs.planning import Planner
from bot.jobs.queries import JobQueries
from bot.jobs.visibility import Visibility
from bot.lifecycle import Lifecycle
from bot.readiness import Readiness
from bot.router import Router
from bot.store import Installations
from bot.vocabulary import Vocabulary
from bot.words import Speech


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Built by `bot.app.build`; nobody else makes one."""

    router: Router
    access: Access
    accounts: AccountService
    admin: Admin
    cards: JobCards
    sync: MessageSync
    departures: Departures
    guard: Guard
    images: Images
    installations: Installations
    lifecycle: Lifecycle
    logins: Logins
    messages: JobMessages
    overview: Dashboard
    planner: Planner
    queries: JobQueries
    readiness: Readiness
    speech: Speech
    visibility: Visibility
    vocabulary: Vocabulary

    def add(self, adapter: ChatAdapter) -> None:
        """Let a surface show messages. Before the start, or its undelivered ends wait for the next one."""
        self.sync.add(adapter)
        self.readiness.add(adapter)
        self.visibility.add(adapter)

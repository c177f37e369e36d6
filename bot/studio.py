"""What surfaces may call, by name, whichever service does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bot.accounts.access import Access
from bot.accounts.logins import Logins
from bot.accounts.service import AccountService
from bot.adapters.base import Answer as Answer
from bot.adapters.base import ChatAdapter
from bot.adapters.base import Receipt as Receipt
from bot.admin.dashboard import Dashboard
from bot.admin.service import Admin
from bot.commands.complete import Vocabulary
from bot.guard import Guard
from bot.images.service import Images
from bot.jobs.cards import JobCards
from bot.jobs.changes import Changes
from bot.jobs.departures import Departures
from bot.jobs.message_sync import MessageSync
from bot.jobs.messages import JobMessages
from bot.jobs.planning import Planner
from bot.jobs.queries import JobQueries
from bot.jobs.visibility import Visibility
from bot.lifecycle import Lifecycle
from bot.messages.types import Card
from bot.models import Origin
from bot.options import Command
from bot.readiness import Readiness
from bot.router import Router
from bot.store import Installations
from bot.words import Speech


@dataclass(eq=False, kw_only=True)
class Studio:
    """The services that `app.build` has made. Nothing is done here."""

    router: Router
    access: Access
    accounts: AccountService
    admin: Admin
    cards: JobCards
    changes: Changes
    dashboard: Dashboard
    departures: Departures
    guard: Guard
    images: Images
    installations: Installations
    lifecycle: Lifecycle
    logins: Logins
    messages: JobMessages
    planner: Planner
    queries: JobQueries
    readiness: Readiness
    speech: Speech
    sync: MessageSync
    visibility: Visibility
    wordlist: Vocabulary

    def __post_init__(self) -> None:
        self.start, self.load, self.close = self.lifecycle.start, self.lifecycle.load, self.lifecycle.close
        self.offered = self.router.offered
        self.heard, self.changed = self.changes.heard, self.changes.changed
        self.wonder = self.changes.wonder
        self.said, self.administer = self.speech.said, self.admin.administer
        self.rules, self.tasks, self.allowance = self.access.rules, self.access.tasks, self.access.allowance
        self.job, self.jobs = self.visibility.job, self.visibility.jobs
        self.close_place, self.overview = self.visibility.close_place, self.dashboard.opened_to
        self.private, self.check = self.planner.private, self.planner.check
        self.card, self.line, self.living = self.cards.card, self.queries.line, self.queries.living
        self.team, self.defaults = self.accounts.team, self.accounts.form
        self.shared, self.redraw = self.messages.shared, self.messages.redraw
        self.owe, self.reach = self.messages.owe, self.messages.reach
        self.known, self.complete = self.wordlist.known, self.wordlist.complete
        self.styles, self.check_source = self.wordlist.styles, self.wordlist.check_source
        self.picture, self.fitted = self.images.get, self.images.fitted
        self.thumbnail, self.sweep = self.images.thumbnail, self.images.sweep
        self.verify = self.images.verify

    def add(self, adapter: ChatAdapter) -> None:
        """Let a surface show messages. Before the start, or its undelivered ends wait for the next one."""
        self.sync.add(adapter)
        self.readiness.add(adapter)
        self.visibility.add(adapter)

    async def handle(
        self, command: str, options: Mapping[str, object], origin: Origin, *, parent: str = ""
    ) -> Card | Receipt:
        """Do what a command asks. Raises Refusal."""
        return await self.router.handle(command, options, origin, parent=parent)

    async def press(self, button: str, origin: Origin) -> Answer:
        """Do what a button stands for. Raises Refusal."""
        return await self.router.press(button, origin)

    @property
    def vocabulary(self) -> tuple[Command, ...]:
        """Return the commands as far as the models here can do them."""
        return self.wordlist.all

    async def quota(self, origin: Origin) -> Card:
        """Return what `/quota` says, also before the start. Raises Refusal, StoreError."""
        return self.said(await self.accounts.quota({}, origin), origin)

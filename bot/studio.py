"""The services under the names that surfaces call them by."""

from __future__ import annotations

from collections.abc import Mapping

from bot.card import Card
from bot.commands import Command
from bot.jobs.service import Receipt as Receipt
from bot.models import Origin
from bot.router import Answer as Answer
from bot.services import Services


class Studio:
    """Names what surfaces may call, wherever it lives."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.said = services.speech.said
        self.add = services.add
        self.start = services.lifecycle.start
        self.load = services.lifecycle.load
        self.close = services.lifecycle.close
        self.administer = services.admin.administer
        self.overview = services.overview.opened_to
        self.allowance, self.rules = services.access.allowance, services.access.rules
        self.job, self.jobs = services.visibility.job, services.visibility.jobs
        self.close_place = services.visibility.close_place
        self.private, self.check = services.planner.private, services.planner.check
        self.card = services.cards.card
        self.team, self.defaults = services.accounts.team, services.accounts.form
        self.installations = services.installations
        self.shared, self.redraw = services.messages.shared, services.messages.redraw
        self.owe, self.reach = services.messages.owe, services.messages.reach
        self.tasks, self.known = services.access.tasks, services.vocabulary.known
        self.styles, self.complete = services.vocabulary.styles, services.vocabulary.complete
        self.check_source = services.vocabulary.check_source
        self.line, self.living = services.queries.line, services.queries.living
        self.picture, self.fitted = services.images.get, services.images.fitted
        self.verify, self.sweep = services.images.verify, services.images.sweep
        self.guard, self.departures = services.guard, services.departures
        self.logins, self.readiness = services.logins, services.readiness

    async def handle(
        self, command: str, options: Mapping[str, object], origin: Origin, *, parent: str = ""
    ) -> Card | Receipt:
        """Do what a command asks. Raises Refusal."""
        return await self.services.router.handle(command, options, origin, parent=parent)

    async def press(self, button: str, origin: Origin) -> Answer:
        """Do what a button stands for. Raises Refusal."""
        return await self.services.router.press(button, origin)

    @property
    def vocabulary(self) -> tuple[Command, ...]:
        """Return the commands as far as the models here can do them."""
        return self.services.vocabulary.all

    async def quota(self, origin: Origin) -> Card:
        """Return what `/quota` says. Raises Refusal, StoreError."""
        return self.said(await self.services.accounts.quota({}, origin), origin)

"""What administrators can do, and what they are told. Platform-neutral; who may is decided in `policy`.

Every change is one transaction with its line of the audit. It concerns the tenant of the administrator, or
every tenant where that is the house ("*"). Only gifts, resets and allowances of one's own reach further: they
count in a person's account wherever it is used, so the vocabulary keeps them to operators.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from bot import commands
from bot.accounts import access_rules
from bot.accounts.access import Access
from bot.admin.asked import AdminRequest, Commands, Run
from bot.admin.log_channel import LogChannel
from bot.admin.overview import OverviewCommands
from bot.admin.people import PeopleCommands
from bot.admin.places import PlaceCommands
from bot.admin.queue import QueueCommands
from bot.admin.records import RecordCommands, change_line
from bot.admin.setup import SetupCommands
from bot.admin.tiers import TierCommands
from bot.messages.types import Card
from bot.models import Origin


class Admin:
    """Answers the commands of the group "admin", and `/reports`."""

    def __init__(
        self,
        operators: Collection[str],
        access: Access,
        queue: QueueCommands,
        people: PeopleCommands,
        tiers: TierCommands,
        places: PlaceCommands,
        records: RecordCommands,
        overview: OverviewCommands,
        log: LogChannel,
        setup: SetupCommands,
        contests: Commands,
    ) -> None:
        self._operators = operators
        self._access = access
        self._log = log
        self._setup = setup
        self._commands: dict[str, Run] = {
            **queue.commands,
            **people.commands,
            **tiers.commands,
            **places.commands,
            **records.commands,
            **overview.commands,
            "setup": setup.show,
            **contests,
        }

    async def administer(self, name: str, options: Mapping[str, object], origin: Origin) -> Card:
        """Do what the command asks; Easel need not be started. Raises Refusal, StoreError."""
        command = commands.command(name)
        access_rules.authorize(command, origin, self._operators)
        (await self._access.rules(origin.member)).check_person()
        said = commands.check(command.name, options)
        operator = access_rules.runs_easel(origin, self._operators)
        asked = AdminRequest(command.name, said, origin, operator)
        answer = await self._commands[command.name](asked)
        for line in asked.written:
            self._log.tell(asked.tenant, change_line(line))
        trouble = self._log.trouble(asked.tenant)
        return replace(answer, body=(*answer.body, trouble)) if trouble else answer

    async def set_up(self, key: str, origin: Origin) -> Card:
        """Do what a button of `/setup` stands for, and return the next step. Raises Refusal, StoreError."""
        command = commands.command("setup")
        access_rules.authorize(command, origin, self._operators)
        operator = access_rules.runs_easel(origin, self._operators)
        asked = AdminRequest(command.name, {}, origin, operator)
        if chosen := self._setup.command(asked, key):
            await self.administer(*chosen, origin)
        await self._setup.mark(asked, key)
        return await self.administer(command.name, {}, origin)

    async def needs_set_up(self, origin: Origin) -> bool:
        """Tell whether steps of `/setup` are left in an administrator's place."""
        return origin.member.admin and not await self._setup.finished(origin.member.tenant)

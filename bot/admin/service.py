"""What administrators can do, and what they are told. Platform-neutral; who may is decided in `policy`.

Every change is one transaction with its line of the audit. It concerns the tenant of the administrator, or
every tenant where that is the house ("*"). Only gifts, resets and allowances of one's own reach further: they
count in a person's account wherever it is used, so the vocabulary keeps them to operators.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from bot import commands
from bot.accounts import access_rules
from bot.accounts.access import Access
from bot.admin.asked import AdminRequest, Run
from bot.admin.people import PeopleCommands
from bot.admin.places import PlaceCommands
from bot.admin.queue import QueueCommands
from bot.admin.records import RecordCommands
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
    ) -> None:
        self._operators = operators
        self._access = access
        self._commands: dict[str, Run] = {
            **queue.commands,
            **people.commands,
            **tiers.commands,
            **places.commands,
            **records.commands,
        }

    async def administer(self, name: str, options: Mapping[str, object], origin: Origin) -> Card:
        """Do what the command asks; Easel need not be started. Raises Refusal, StoreError."""
        command = commands.command(name)
        access_rules.authorize(command, origin, self._operators)
        (await self._access.rules(origin.member)).check_person()
        said = commands.check(command.name, options)
        operator = access_rules.runs_easel(origin, self._operators)
        return await self._commands[command.name](AdminRequest(command.name, said, origin, operator))

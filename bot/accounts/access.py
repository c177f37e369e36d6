"""Looks up what holds for somebody where they ask: rules, balances, how strict moderation is."""

from __future__ import annotations

from bot import moderation
from bot.accounts.policy import Rules
from bot.accounts.tiers import Tiers
from bot.models import Balance, Job, Member, Origin, Tier
from bot.store import Store


class Access:
    """Every method reads what holds at this moment, and raises StoreError."""

    def __init__(self, store: Store, tiers: Tiers) -> None:
        self._store = store
        self._tiers = tiers

    async def rules(self, member: Member) -> Rules:
        """Return what holds for the member in their tenant."""
        return Rules(await self._store.standing(member), self._tiers, member)

    async def rules_to_paint(self, origin: Origin) -> Rules:
        """Return the rules for somebody who asks for pictures. Raises Refusal where they may not."""
        rules = await self.rules(origin.member)
        rules.check_person()
        rules.check_place(origin.channel)
        return rules

    async def moderation(self, job: Job) -> moderation.Rules:
        """Return what the job's pictures may show."""
        return (await self.rules(job.origin.member)).moderation(adult=job.origin.adult)

    async def balances(self, rules: Rules, origin: Origin) -> list[Balance]:
        """Return what is used of the allowances, budgets and gifts that a request there draws on."""
        budgets = rules.budgets(origin.member.tenant, origin.channel)
        return await self._store.balances(rules.account, rules.tier, budgets)

    async def allowance(self, origin: Origin) -> tuple[Tier, list[Balance]]:
        """Return the person's tier, and their balances."""
        rules = await self.rules(origin.member)
        return rules.tier, await self.balances(rules, origin)

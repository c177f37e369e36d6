"""Looks up what holds for somebody where they ask: rules, models and tasks, balances, moderation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot import moderation
from bot.accounts.access_rules import AccessRules
from bot.accounts.tiers import Tiers
from bot.errors import Refusal
from bot.i18n import _
from bot.models import Balance, Job, Member, Origin, Preferences, Tier
from bot.store import Store
from engine.types import ControlKind, Engine, ModelInfo, TaskKind


@dataclass(eq=False)
class Access:
    """Every method reads what holds at this moment, and raises StoreError."""

    _store: Store
    _engine: Engine
    _tiers: Tiers
    takes_direct: bool = True  # requests in direct messages

    async def rules(self, member: Member) -> AccessRules:
        """Return what holds for the member in their tenant."""
        return AccessRules(await self._store.standing(member), self._tiers, member)

    async def rules_to_paint(self, origin: Origin) -> AccessRules:
        """Return the rules for somebody who asks for pictures. Raises Refusal where they may not."""
        rules = await self.rules(origin.member)
        rules.check_person()
        if origin.direct and not self.takes_direct:
            raise Refusal(
                _("Easel generates no images in direct messages. Ask in a channel where it is."),
                code="direct",
            )
        rules.check_place(origin.channel)
        return rules

    def models(self, rules: AccessRules) -> Sequence[ModelInfo]:
        """Return the models that may be asked for; none where there are none."""
        try:
            return rules.models(self._engine.models())
        except Refusal:
            return ()

    async def preferences(self, member: Member) -> Preferences:
        """Return the member's own defaults, completed by the place's."""
        return (await self.rules(member)).preferences()

    async def tasks(self, member: Member) -> frozenset[TaskKind]:
        """Return what the member may ask for: what the models do that are for them."""
        return self.tasks_of(await self.rules(member))

    async def controls(self, member: Member) -> frozenset[ControlKind]:
        """Return what control pictures the models that are for the member take."""
        models = self.models(await self.rules(member))
        return frozenset(kind for model in models for kind in model.controls)

    def tasks_of(self, rules: AccessRules) -> frozenset[TaskKind]:
        """Return what the person of these rules may ask for."""
        models = self.models(rules)
        painting = frozenset[TaskKind]().union(*(model.tasks for model in models))
        return painting | {"upscale", "cut_out"}

    async def moderation(self, job: Job) -> moderation.ModerationRules:
        """Return what the job's pictures may show."""
        return (await self.rules(job.origin.member)).moderation(adult=job.origin.adult)

    async def labelled(self, job: Job) -> bool:
        """Tell whether the job's pictures visibly say "AI", as a policy or the person's tier wants."""
        return (await self.rules(job.origin.member)).labelled

    async def balances(self, rules: AccessRules, origin: Origin) -> list[Balance]:
        """Return what is used of the allowances, budgets and gifts that a request there draws on."""
        budgets = rules.budgets(origin.member.tenant, origin.channel)
        return await self._store.balances(rules.account, rules.tier, budgets)

    async def allowance(self, origin: Origin) -> tuple[Tier, list[Balance]]:
        """Return the person's tier, and their balances."""
        rules = await self.rules(origin.member)
        return rules.tier, await self.balances(rules, origin)

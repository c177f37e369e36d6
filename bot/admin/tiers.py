"""Administrators and tiers: who has which by their role, and what all may use together."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bot.accounts import access_rules, periods
from bot.accounts.tiers import Tiers
from bot.admin.asked import EVERYONE, AdminRequest, Commands, Policies, done, titled, who
from bot.errors import Refusal
from bot.i18n import _, join
from bot.messages import answers, marks
from bot.messages.types import Card
from bot.models import Allowance, Policy, Tier
from bot.options import CHOICES, unknown
from bot.store import Store
from engine import prices

NONE = "none"  # what takes a tier away


@dataclass(eq=False)
class TierCommands:
    """Answers `/admin tier list` and `role`, `/admin quota role`, `budget` and `money`."""

    _store: Store
    _tiers: Tiers
    _policies: Policies
    _currencies: Callable[[], Sequence[str]] = tuple  # of the models that are paid for by the image

    @property
    def commands(self) -> Commands:
        return {
            "admin tier list": self._show_tiers,
            "admin tier role": self._role,
            "admin quota budget": self._budget,
            "admin quota money": self._money,
            "admin quota role": self._quota,
        }

    async def _show_tiers(self, asked: AdminRequest) -> Card:
        found = await self._policies.here(asked)
        lines = [_tier_line(tier) for tier in self._tiers.all]
        lines += [
            _("Role {role}: {title}", role=who(role), title=self._tiers.title(tier))
            for role, tier in found.roles.items()
        ]
        lines += [_("Everyone else here: {title}", title=self._tiers.title(found.tier))] if found.tier else []
        return titled(_("Tiers"), lines)

    async def _role(self, asked: AdminRequest) -> Card:
        role, tier = asked.options["role"], tier_named(asked, self._tiers)

        def change(before: Policy) -> Policy:
            if role.casefold() == EVERYONE:
                return replace(before, tier=tier.name if tier else "")
            roles = {key: name for key, name in before.roles.items() if key != role}
            return replace(before, roles=roles | ({role: tier.name} if tier else {}))

        await self._policies.change(asked, change, role)
        if tier is None:
            return done(_("{role} has no tier any more.", role=who(role)))
        return done(_("{role} has the tier {title} now.", role=who(role), title=tier.title))

    async def _quota(self, asked: AdminRequest) -> Card:
        """Give everybody with a role a quota, in place of their tier's."""
        role, allowance = asked.options["role"], allowance_of(asked)
        role = role.casefold() if role.casefold() == EVERYONE else role
        check_grant(asked, allowance, self._tiers)

        def change(before: Policy) -> Policy:
            others = {key: each for key, each in before.quotas.items() if key != role}
            return replace(before, quotas=others | ({role: allowance} if allowance else {}))

        await self._policies.change(asked, change, role)
        if allowance is None:
            return done(_("{role} has the quota of the tier again.", role=who(role)))
        quota = access_rules.allowance(allowance)
        return done(_("Each person with {role} may use {quota} here.", role=who(role), quota=quota))

    async def _budget(self, asked: AdminRequest) -> Card:
        if "seconds" not in asked.options:
            return await self._show_budgets(asked)
        channel, allowance = asked.options.get("channel", ""), allowance_of(asked)

        def change(before: Policy) -> Policy:
            if channel:
                others = {key: each for key, each in before.channel_budgets.items() if key != channel}
                return replace(before, channel_budgets=others | ({channel: allowance} if allowance else {}))
            if before.budget_by_operator and not asked.operator:
                raise Refusal(
                    _("Those who run this Easel have set this budget; only they change it."), code="forbidden"
                )
            return replace(before, budget=allowance, budget_by_operator=asked.operator and bool(allowance))

        await self._policies.change(asked, change, channel)
        what = _shared(channel)
        if allowance is None:
            return done(_("{what} may use as much as they like.", what=what))
        return done(_("{what} may use {quota}.", what=what, quota=access_rules.allowance(allowance)))

    async def _show_budgets(self, asked: AdminRequest) -> Card:
        found, now = await self._policies.here(asked), self._store.now()
        if found.budget is None and not found.channel_budgets:
            return titled(
                _("Budgets"), [_("There are none. /admin quota budget with a number of seconds sets one.")]
            )
        budgets = [
            replace(
                each,
                name=_("Channel {channel}", channel=marks.channel(channel))
                if channel
                else _("All people together"),
            )
            for channel in ("", *found.channel_budgets)
            for each in access_rules.budgets(Policy(), found, asked.tenant, channel)
            if each.account.endswith(f"/{channel}") == bool(channel)
        ]
        balances = await self._store.balances("", Tier(name=""), budgets)
        return titled(_("Budgets"), [answers.balance_line(each, now) for each in balances])

    async def _money(self, asked: AdminRequest) -> Card:
        currency = self._currency(asked.options.get("currency", ""))
        if "amount" not in asked.options:
            return await self._show_money(asked)
        cap = prices.parts_of(asked.options["amount"])

        def change(before: Policy) -> Policy:
            if before.money_by_operator and not asked.operator:
                raise Refusal(
                    _("Those who run this Easel have set this budget; only they change it."), code="forbidden"
                )
            others = {key: each for key, each in before.money.items() if key != currency}
            money = others | ({currency: cap} if cap else {})
            return replace(before, money=money, money_by_operator=asked.operator and bool(money))

        await self._policies.change(asked, change)
        if not cap:
            return done(_("What is spent in {currency} is counted, without a limit.", currency=currency))
        return done(_("Together people may spend {money} a month.", money=answers.money(cap, currency)))

    def _currency(self, given: str) -> str:
        """Return the currency that is meant. Raises Refusal where that is not clear."""
        known = self._currencies()
        if given:
            return given.upper()
        if len(known) == 1:
            return known[0]
        if not known:
            raise Refusal(
                _("No model here is paid for by the image. Prices are set in REMOTE_MODELS."), code="unknown"
            )
        raise Refusal(_("Say in which currency: {names}.", names=", ".join(known)), code="unknown")

    async def _show_money(self, asked: AdminRequest) -> Card:
        found, now = await self._policies.here(asked), self._store.now()
        currencies = dict.fromkeys((*self._currencies(), *found.money))
        caps = [(each, found.money.get(each)) for each in currencies]
        spent = await self._store.spent(f"money:{asked.tenant}", caps)
        return titled(_("Money"), [answers.spent_line(each, now) for each in spent])


def tier_named(asked: AdminRequest, tiers: Tiers) -> Tier | None:
    """Return the tier that a command names, or None for "none". Raises Refusal."""
    name: str = asked.options["tier"].strip().casefold()
    if name == NONE:
        return None
    tier = tiers.named(name)
    if tier is None:
        names = [each.name for each in tiers.all]
        raise Refusal(unknown(_("There is no tier called {name}."), name, [*names, NONE]), code="unknown")
    if tier.restricted and not asked.operator:
        raise Refusal(
            _("Only those who run this Easel give people the tier {title}.", title=tier.title),
            code="forbidden",
        )
    return tier


def allowance_of(asked: AdminRequest) -> Allowance | None:
    """Return what `seconds` and `per` say; None where that is 0."""
    seconds, per = asked.options["seconds"], asked.options.get("per", "month")
    return Allowance(seconds=seconds, per=per) if seconds else None


def check_grant(asked: AdminRequest, allowance: Allowance | None, tiers: Tiers) -> None:
    """Raise Refusal where an administrator gives more than any tier has that they could give."""
    if allowance is None or asked.operator:
        return
    best = max((each for each in tiers.all if not each.restricted), key=_rate)
    if _speed(allowance) > _rate(best):
        raise Refusal(
            _(
                "{quota} is more than the tier {title} has; only those who run this Easel give that.",
                quota=access_rules.allowance(allowance),
                title=best.title,
            ),
            code="forbidden",
        )


def _rate(tier: Tier) -> float:
    """Return the device-seconds a second that a tier's tightest allowance comes to."""
    return min(map(_speed, tier.allowances), default=math.inf)


def _speed(allowance: Allowance) -> float:
    return allowance.seconds / periods.length(allowance.per).total_seconds()


def _shared(channel: str) -> str:
    if channel:
        return _("Channel {channel}", channel=marks.channel(channel))
    return _("All people together")


def _tier_line(tier: Tier) -> str:
    allowances = join(", ", map(access_rules.allowance, tier.allowances)) or _("no limit")
    priorities = join(", ", (CHOICES[each] for each in tier.priorities))
    return _(
        "{title} ({name}): {quotas}; weight {weight}; {running} running, {waiting} "
        "waiting; {count} images, {megapixels} megapixels, {steps} steps; {speeds}",
        title=tier.title,
        name=tier.name,
        quotas=allowances,
        weight=f"{tier.weight:g}",
        running=tier.running,
        waiting=tier.waiting,
        count=tier.max_count,
        megapixels=f"{tier.max_pixels / 1000000.0:.1f}",
        steps=tier.max_steps,
        speeds=priorities,
    )

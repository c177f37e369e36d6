"""What holds where something is asked: the place's policy, the person's standing, their tier. No I/O.

A place is a tenant. The policy of "*" is set by operators: it holds everywhere, beside the policy of each
place, and what either of them refuses is refused.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from typing import Any

from bot import formats, limits, moderation, prompts
from bot.accounts.periods import length
from bot.accounts.tiers import DEFAULT, Tiers
from bot.errors import Offer, Refusal
from bot.i18n import _, join
from bot.messages import answers
from bot.models import (
    EVERYWHERE,
    INSTANCE,
    Allowance,
    Budget,
    Filter,
    Job,
    Member,
    Origin,
    Period,
    Person,
    Policy,
    Preferences,
    Spending,
    Standing,
    Tier,
)
from bot.options import Command, clip
from bot.prompts import Draft, styles
from bot.prompts.draft import landed
from bot.prompts.styles import NO_STYLE
from engine.remote.sizes import price
from engine.types import GenerationRequest, GuideInfo, Inpaint, Letter, LoraInfo, ModelInfo

OPERATED = ("cli", "web")
"""Surfaces whose administrators run this Easel."""

# --- who may administrate ---------------------------------------------------------------------------------


def runs_easel(origin: Origin, operators: Collection[str]) -> bool:
    """Tell whether the person is an operator: an administrator of a surface in `OPERATED`, or named."""
    member = origin.member
    return member.id in operators or (member.admin and origin.surface in OPERATED)


def authorize(command: Command, origin: Origin, operators: Collection[str]) -> None:
    """Raise Refusal when this person may not use the command."""
    if not command.admin or runs_easel(origin, operators):
        return
    if not origin.member.admin:
        raise Refusal(_("Only an administrator may use /{name}.", name=command.name), code="forbidden")
    if command.operator:
        raise Refusal(
            _(
                "/{name} counts in every place, so it is only for those who run this Easel. Ask "
                "one of them, or use /admin quota person.",
                name=command.name,
            ),
            code="forbidden",
        )


# --- rules ------------------------------------------------------------------------------------------------


class AccessRules:
    """What holds for one person in one place right now."""

    def __init__(self, standing: Standing, tiers: Tiers, member: Member) -> None:
        self._standing = standing
        self._member = member
        self._policies = (standing.everywhere, standing.place)
        self.account = standing.account
        self.home = standing.home or member.tenant
        self._persons = sorted(  # the operator's word first, then the member's own name
            standing.persons, key=lambda each: (each.tenant != INSTANCE, each.member != member.id)
        )
        own = tuple(each.allowance for each in self._persons if each.allowance)
        tier = self._tier(tiers, member)
        self.tier = replace(tier, allowances=own[:1]) if own else tier
        roles = [quota for policy in self._policies for quota in policy.quotas.values()]
        self.periods = (*tiers.periods, *own, *roles)  # in which the account's use is counted

    def _tier(self, tiers: Tiers, member: Member) -> Tier:
        """Return the person's own tier, or their role's, the place's or everyone's; none that is gone.

        A quota that an administrator has set for a role stands in for the allowances of a tier by role, one
        for everyone in for those of a tier that nobody has by a role.
        """
        for person in self._persons:
            if tier := tiers.named(person.tier):
                return tier
        by_role = [
            policy.roles[role] for policy in self._policies for role in member.roles if role in policy.roles
        ]
        ordered = (self._standing.place.tier, self._standing.everywhere.tier, DEFAULT)
        usual = next(tier for name in ordered if name and (tier := tiers.named(name)))
        tier = tiers.first(by_role) or usual
        quota = self._quota(member, everyone=tiers.first(by_role) is None)
        return replace(tier, allowances=(quota,)) if quota else tier

    def _quota(self, member: Member, *, everyone: bool) -> Allowance | None:
        """Return the largest quota of the member's roles, else that of `everyone`; None where none is set."""
        set_for = [policy.quotas for policy in reversed(self._policies)]  # the place's before the instance's
        found = [quotas[role] for quotas in set_for for role in member.roles if role in quotas]
        if not found and everyone:
            return next((quotas[DEFAULT] for quotas in set_for if DEFAULT in quotas), None)
        return max(found, key=lambda each: each.seconds / length(each.per).total_seconds(), default=None)

    @property
    def labelled(self) -> bool:
        """Tell whether their pictures visibly say "AI"."""
        return self.tier.label or any(policy.label for policy in self._policies)

    # ---- may they ask at all

    def check_person(self) -> None:
        """Raise Refusal when the person is blocked in this place or everywhere."""
        for person in self._persons:
            if person.is_blocked(self._standing.at):
                raise blocked(person, self._standing.at)

    def check_place(self, channel: str) -> None:
        """Raise Refusal when Easel is paused or drained here, or does not paint in the channel."""
        if any(policy.paused for policy in self._policies):
            raise Refusal(
                _("Easel is paused by an administrator. Waiting jobs keep their place; ask again later."),
                code="paused",
            )
        if any(policy.drained for policy in self._policies):
            raise Refusal(
                _("Easel accepts nothing new at the moment; accepted jobs still run. Ask again later."),
                code="drained",
            )
        if not self.takes_channel(channel):
            raise Refusal(_("Easel is not used in this channel. Ask in another one."), code="channel")

    # ---- whose work they may take away

    def moderates(self, job: Job) -> bool:
        """Tell whether they may delete, cancel and see reports of a job that they see; never elsewhere."""
        if job.origin.member.tenant != self._member.tenant:
            return False
        return self.moderator or job.origin.channel in self._member.moderates

    @property
    def moderator(self) -> bool:
        """Whether the person moderates the whole place: by the platform, or named by an administrator."""
        names = {self._member.id, *self._member.roles}
        named = any(not names.isdisjoint(policy.moderators) for policy in self._policies)
        return self._member.admin or named or EVERYWHERE in self._member.moderates

    def takes_channel(self, channel: str) -> bool:
        return all(policy.channels.takes(channel) for policy in self._policies)

    # ---- what may be asked for

    def models(self, offered: Sequence[ModelInfo]) -> list[ModelInfo]:
        """Return the models that are allowed here, the default first. Raises Refusal when there is none."""
        found = [self._with_loras(model) for model in offered if self._takes_model(model, offered)]
        if not found:
            raise Refusal(
                _("No model may be used here. An administrator can allow one."), code="unknown_model"
            )
        return found

    def _takes_model(self, model: ModelInfo, offered: Sequence[ModelInfo]) -> bool:
        """Tell whether a model may be used; where none that a place allows is left, any may."""
        mine = not self.tier.models or model.name in self.tier.models
        names = [each.name for each in offered]
        here = all(_present(policy.models, names).takes(model.name) for policy in self._policies)
        return mine and here and not self._forbids(model) and limits.usable(model, self.tier)

    def _with_loras(self, model: ModelInfo) -> ModelInfo:
        """Return a model with those of its LoRAs and guides that may be used."""
        if not (model.loras or model.guides):
            return model
        guides = tuple(each for each in model.guides if not self._forbids(each))
        return replace(model, loras=tuple(filter(self._takes_lora, model.loras)), guides=guides)

    def _takes_lora(self, lora: LoraInfo) -> bool:
        mine = not self.tier.loras or lora.name in self.tier.loras
        here = all(policy.loras.takes(lora.name) for policy in self._policies)
        return here and mine and not self._forbids(lora)

    def _forbids(self, model: ModelInfo | LoraInfo | GuideInfo) -> bool:
        """Tell whether the place does business, which the licence forbids."""
        return model.terms == "non-commercial" and any(policy.commercial for policy in self._policies)

    def takes_style(self, name: str) -> bool:
        return all(policy.styles.takes(name) for policy in self._policies)

    def preferences(self) -> Preferences:
        """Return the person's own defaults, completed by the place's and then by the instance's."""
        found = self._standing.preferences
        for policy in (self._standing.place, self._standing.everywhere):
            found = _filled(found, policy.defaults)
        return found

    def moderation(self, *, adult: bool) -> moderation.ModerationRules:
        """Return what words and pictures may contain; `adult`: the channel is age-restricted.

        A place may be looser or stricter than others, but where the instance is strict, every place is.
        """
        everywhere, place = self._policies
        strict = "strict" in (everywhere.strictness, place.strictness)
        return moderation.ModerationRules(
            strictness="strict" if strict else "relaxed" if place.strictness == "relaxed" else "standard",
            adult=adult,
            blocked=(*everywhere.refused_terms, *place.refused_terms),
            allowed=(*everywhere.allowed_terms, *place.allowed_terms),
        )

    def budgets(self, tenant: str, channel: str) -> tuple[Budget, ...]:
        """Return the budgets that the people of the instance, of the place and of the channel share."""
        return budgets(self._standing.everywhere, self._standing.place, tenant, channel)

    def spending(self, tenant: str, model: ModelInfo, request: GenerationRequest) -> tuple[Spending, ...]:
        """Return what a request costs in money, of the budgets of the instance and of the place."""
        if not (parts := price(model, request)):
            return ()
        return spending(self._standing.everywhere, self._standing.place, tenant, model.currency, parts)

    def relaxed(self, wanted: bool | None, draft: Draft | None = None) -> bool:
        """Tell whether a job is free and goes last. Raises Refusal when that is not in the person's tier."""
        priorities = self.tier.priorities
        if wanted and "relax" not in priorities:
            raise Refusal(
                _("Your tier, {title}, has no relaxed jobs. Leave out --relax.", title=self.tier.title),
                code="relax",
                offers=_offers(_("Leave it out"), draft, relax=None),
            )
        return bool(wanted) or "fast" not in priorities

    def check_model(self, name: str, offered: Sequence[ModelInfo], draft: Draft | None = None) -> None:
        """Raise Refusal for a model that exists but that the person may not use."""
        names = {model.name.casefold(): model for model in offered}
        model = names.get(name.casefold())
        if model is None or self._takes_model(model, offered):
            return
        instead = [model.name for model in self.models(offered)]
        if self._forbids(model):
            raise Refusal(
                _(
                    "The licence of {model} forbids commercial use, and this place is marked commercial. "
                    "You can use {names}.",
                    model=model.name,
                    names=", ".join(instead),
                ),
                code="model",
                offers=_offers(_("Use {model}", model=clip(instead[0], 28)), draft, model=instead[0]),
            )
        raise Refusal(
            _(
                "{model} is not for your tier, {title}, here. You can use {names}.",
                model=model.name,
                title=self.tier.title,
                names=", ".join(instead),
            ),
            code="model",
            offers=_offers(_("Use {model}", model=clip(instead[0], 28)), draft, model=instead[0]),
        )

    def check(self, request: GenerationRequest, style: str, model: ModelInfo, draft: Draft | None) -> None:
        """Raise Refusal for what the tier or place does not allow, with an offer where `draft` is given."""
        if style not in ("", NO_STYLE) and not self.takes_style(style):
            raise Refusal(
                _(
                    "The style {label} is not used here. /styles shows those that are.",
                    label=styles.load().label(style),
                ),
                code="style",
                offers=_offers(_("Leave it out"), draft, style=NO_STYLE),
            )
        if request.paints:
            for each in landed():
                prompts.check_range(each, getattr(request, each.field), model, self.tier, _sendable(draft))
        self._check_pixels(request, model, draft)

    def _check_pixels(self, request: GenerationRequest, model: ModelInfo, draft: Draft | None) -> None:
        """Raise Refusal for a picture of more pixels than the tier allows; enlarging it is not limited."""
        if isinstance(request.task, Inpaint | Letter):
            return  # it is as large as its source, and at most a part of it is painted
        before = request.before_upscale()
        width, height = before.width, before.height
        times = width * height / self.tier.max_pixels
        if times <= 1:
            return
        smaller = limits.fitted((width, height), model, self.tier.max_pixels)
        small = limits.usable(model, self.tier)
        hint = (
            _("Try --size {width}x{height}.", width=smaller[0], height=smaller[1])
            if small
            else _("Choose another model.")
        )
        raise Refusal(
            _(
                "{size} is {percent}% more than your tier, {title}, allows for one image. {hint}",
                size=formats.sized(width, height),
                percent=math.ceil(times * 100 - 100),
                title=self.tier.title,
                hint=hint,
            ),
            code="size",
            offers=_offers(
                _("Make it {value}", value=formats.sized(*smaller)), draft, size=smaller, aspect=""
            )
            if small
            else (),
        )


def blocked(person: Person, now: datetime) -> Refusal:
    """Return what somebody who is blocked is told."""
    notice = (
        _("You cannot use Easel here.")
        if person.until is None
        else _("You cannot use Easel here until {when}.", when=answers.when(person.until, now))
    )
    return Refusal(join(" ", (notice, person.reason, _("An administrator can lift this."))), code="blocked")


def _offers(label: str, draft: Draft | None, **changes: Any) -> tuple[Offer, ...]:
    """Return an offer of the draft with the changes; none where text cannot express the draft."""
    sendable = _sendable(draft)
    return (prompts.offer(label, sendable, **changes),) if sendable else ()


def _sendable(draft: Draft | None) -> Draft | None:
    """Return the draft if text can express all of it, else None."""
    return None if draft is None or draft.has_file else draft


def _present(names: Filter, offered: Collection[str]) -> Filter:
    """Return the filter without allowed names that are not in `offered` any more."""
    return replace(names, allowed=tuple(name for name in names.allowed if name in offered))


def _filled(own: Preferences, others: Preferences) -> Preferences:
    """Fill what `own` leaves open from `others`. A shape is an aspect or a size."""
    gaps = {each.name: getattr(others, each.name) for each in fields(own) if not getattr(own, each.name)}
    if own.aspect or own.size:
        gaps |= {"aspect": own.aspect, "size": own.size}
    return replace(own, **gaps)


def budgets(everywhere: Policy, place: Policy, tenant: str, channel: str) -> tuple[Budget, ...]:
    """Return the budgets of the instance, the place and the channel that a request in the channel uses."""
    found = (
        (f"budget:{INSTANCE}", _("all of Easel"), everywhere.budget),
        (f"budget:{tenant}", _("this place"), place.budget),
        (f"budget:{tenant}/{channel}", _("this channel"), place.channel_budgets.get(channel)),
    )
    return tuple(Budget(account=account, name=name, allowance=of) for account, name, of in found if of)


def spending(
    everywhere: Policy, place: Policy, tenant: str, currency: str, parts: int
) -> tuple[Spending, ...]:
    """Return what a cost in money counts against; where there is no budget, it is counted all the same."""
    of = ((INSTANCE, _("all of Easel"), everywhere), (tenant, _("this place"), place))
    return tuple(
        Spending(
            account=f"money:{each}",
            name=name,
            currency=currency,
            parts=parts,
            cap=policy.money.get(currency),
        )
        for each, name, policy in of
    )


def difference(before: Any, after: Any) -> tuple[str, str]:
    """Return the fields that differ between two values of one dataclass, each side as text for the audit."""
    names = [each.name for each in fields(before) if getattr(before, each.name) != getattr(after, each.name)]
    return _told(before, names), _told(after, names)


def _told(value: Any, names: Sequence[str]) -> str:
    found = {name: _said(getattr(value, name)) for name in names}
    return "; ".join(f"{name.replace('_', ' ')}: {text}" for name, text in found.items())


def _said(value: Any) -> str:
    if value in (None, "", (), {}):
        return "none"
    match value:
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        case Allowance():
            return allowance(value)
        case Mapping():
            return ", ".join(f"{name} → {_said(each)}" for name, each in value.items())
        case tuple():
            return ", ".join(map(_said, value))
    if is_dataclass(value) and not isinstance(value, type):
        set_apart = [
            each.name for each in fields(value) if getattr(value, each.name) not in (None, "", (), False)
        ]
        return _told(value, set_apart) or "none"
    return str(value)


def allowance(value: Allowance) -> str:
    """Format an allowance as text, such as "3,600 GPU seconds a day"."""
    return per(value.seconds, value.per, rolling=value.rolling)


def per(seconds: float, period: Period | None, *, rolling: bool = False) -> str:
    """Format a number of GPU seconds in a period."""
    return (_ROLLING if rolling else _PER)[period].format(seconds=f"{seconds:,.0f}")


_PER: Mapping[Period | None, str] = {
    None: _("{seconds} GPU seconds"),
    "hour": _("{seconds} GPU seconds an hour"),
    "day": _("{seconds} GPU seconds a day"),
    "week": _("{seconds} GPU seconds a week"),
    "month": _("{seconds} GPU seconds a month"),
}
_ROLLING: Mapping[Period | None, str] = {
    None: _("{seconds} GPU seconds"),
    "hour": _("{seconds} GPU seconds an hour from the first request on"),
    "day": _("{seconds} GPU seconds a day from the first request on"),
    "week": _("{seconds} GPU seconds a week from the first request on"),
    "month": _("{seconds} GPU seconds a month from the first request on"),
}

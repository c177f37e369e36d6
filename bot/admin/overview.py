"""All that is set for a place, on one card: `/admin show`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bot.accounts import access_rules
from bot.accounts.tiers import Tiers
from bot.admin.asked import AdminRequest, Commands, Policies, titled, who
from bot.admin.places import covered
from bot.i18n import _, join
from bot.i18n.catalogs import LANGUAGES
from bot.messages import answers, marks
from bot.messages.types import Card
from bot.models import Filter, Person, Policy
from bot.options import CHOICES
from bot.store import Store

MOST_PEOPLE = 20


@dataclass(eq=False)
class OverviewCommands:
    """Answers `/admin show`."""

    _store: Store
    _tiers: Tiers
    _policies: Policies

    @property
    def commands(self) -> Commands:
        return {"admin show": self._show}

    async def _show(self, asked: AdminRequest) -> Card:
        policy = await self._policies.here(asked)
        persons = await self._store.persons(asked.tenant)
        return titled(_("What is set here"), lines(policy, persons, self._tiers))


def lines(policy: Policy, persons: list[Person], tiers: Tiers) -> list[str]:
    """Return a line for each thing that is set, and what holds for the others."""
    found = [
        *_stopped(policy),
        *_people(policy, persons, tiers),
        *_places(policy),
        *_pictures(policy),
        *_rules(policy),
        *_told(policy),
    ]
    return found or [_("Nothing yet: everything is as Easel comes. /setup leads through it.")]


def _stopped(policy: Policy) -> Iterator[str]:
    if policy.paused:
        yield _("Paused here: /admin resume continues.")
    if policy.drained:
        yield _("Draining here: /admin resume continues.")


def _people(policy: Policy, persons: list[Person], tiers: Tiers) -> Iterator[str]:
    for role, name in policy.roles.items():
        yield _("Role {role}: {title}", role=who(role), title=tiers.title(name))
    if policy.tier:
        yield _("Everyone else here: {title}", title=tiers.title(policy.tier))
    for role, each in policy.quotas.items():
        yield _("Quota of {who}: {quota}", who=who(role), quota=access_rules.allowance(each))
    own = [each for each in persons if each.tier or each.allowance]
    for person in own[:MOST_PEOPLE]:
        told = [_("tier {title}", title=tiers.title(person.tier))] if person.tier else []
        told += [access_rules.allowance(person.allowance)] if person.allowance else []
        yield _("{who}: {rules}", who=marks.person(person.member), rules=join(", ", told))
    if len(own) > MOST_PEOPLE:
        yield _("and {count} more", count=len(own) - MOST_PEOPLE)
    if policy.budget:
        yield _("All people together: {quota}", quota=access_rules.allowance(policy.budget))
    for channel, budget in policy.channel_budgets.items():
        quota = access_rules.allowance(budget)
        yield _("Channel {channel}: {quota}", channel=marks.channel(channel), quota=quota)
    if policy.moderators:
        yield _("Moderators: {names}", names=join(", ", map(who, policy.moderators)))


def _places(policy: Policy) -> Iterator[str]:
    only, without = _("Channels: {names} only"), _("Channels without Easel: {names}")
    yield from _filter(only, without, policy.channels, marks.channel)
    for channel, how in policy.words.items():
        yield _("Words in {channel}: {how}", channel=marks.channel(channel), how=CHOICES[how])


def _pictures(policy: Policy) -> Iterator[str]:
    yield from _filter(_("Models: {names} only"), _("Models refused: {names}"), policy.models)
    yield from _filter(_("LoRAs: {names} only"), _("LoRAs refused: {names}"), policy.loras)
    yield from _filter(_("Styles: {names} only"), _("Styles refused: {names}"), policy.styles)
    if policy.defaults != Policy().defaults:
        yield from answers.defaults(policy.defaults)
    if policy.commercial:
        yield _("Commercial: models whose licence forbids it are not used")
    if policy.label:
        yield _("Label “AI” on images: {answer}", answer=answers.YES)


def _rules(policy: Policy) -> Iterator[str]:
    if policy.language in LANGUAGES:
        yield _("Language: {language}", language=LANGUAGES[policy.language])
    if policy.strictness != Policy().strictness:
        yield _("Strictness: {strictness}", strictness=CHOICES[policy.strictness])
    if policy.refused_terms:
        yield _("Refused here: {names}", names=", ".join(policy.refused_terms))
    if policy.allowed_terms:
        yield _("Allowed here: {names}", names=", ".join(policy.allowed_terms))


def _told(policy: Policy) -> Iterator[str]:
    if policy.log:
        yield _("Log: {channel}", channel=marks.channel(policy.log))
    if policy.spoiler_channels or policy.spoiler_roles:
        yield covered(policy)


def _filter(only: str, without: str, names: Filter, shown: Callable[[str], str] = str) -> Iterator[str]:
    if names.allowed:
        yield only.format(names=join(", ", map(shown, names.allowed)))
    if names.refused:
        yield without.format(names=join(", ", map(shown, names.refused)))

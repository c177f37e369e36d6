"""Administrators and people: tiers and allowances of their own, gifts, blocks, moderators, invitations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bot import formats, prompts
from bot.accounts import access_rules
from bot.accounts.access_rules import AccessRules
from bot.accounts.logins import Logins
from bot.accounts.tiers import Tiers
from bot.admin.asked import EVERYONE, MOST_TERMS, AdminRequest, Commands, Policies, done, titled, who, whom
from bot.admin.tiers import allowance_of, check_grant, tier_named
from bot.errors import Refusal
from bot.i18n import _, join, ngettext
from bot.jobs.endings import Endings
from bot.messages import answers, marks
from bot.messages.types import Card
from bot.models import INSTANCE, ApiKey, Job, Member, Person, Policy
from bot.options import clip
from bot.store import Store

MOST_KEYS = 50  # listed


@dataclass(eq=False)
class PeopleCommands:
    """Gifts, resets and allowances count in a person's account wherever it is used."""

    _store: Store
    _tiers: Tiers
    _endings: Endings
    _logins: Logins
    _policies: Policies

    @property
    def commands(self) -> Commands:
        return {
            "admin person show": self._person,
            "admin tier person": self._tier,
            "admin quota person": self._set_allowance,
            "admin person gift": self._gift,
            "admin person reset": self._reset,
            "admin person block": self._block,
            "admin person unblock": self._unblock,
            "admin person keys": self._keys,
            "admin set moderators": self._moderators,
            "admin person invite": self._invite,
        }

    async def _person(self, asked: AdminRequest) -> Card:
        person = whom(asked)
        jobs = await self._store.recent(person, "" if asked.tenant == INSTANCE else asked.tenant)
        last = jobs[0].origin.member if jobs else Member(tenant=asked.tenant, id=person, name=person)
        standing = await self._store.standing(replace(last, tenant=asked.tenant))
        rules, now = AccessRules(standing, self._tiers, last), self._store.now()
        lines = [_("Tier: {title}", title=rules.tier.title)]
        if jobs or asked.operator:  # what strangers used elsewhere is not for a place's administrators
            balances = await self._store.balances(standing.account, rules.tier)
            lines += [answers.balance_line(each, now) for each in balances] or [_("No limit.")]
        own = [access_rules.allowance(each.allowance) for each in standing.persons if each.allowance]
        lines += [_("Their own quota: {quota}", quota=each) for each in own]
        lines += [_blocked(each, now) for each in standing.persons if each.is_blocked(now)]
        lines += [_("Strikes: {strikes}", strikes=each.strikes) for each in standing.persons if each.strikes]
        lines += [_summary(job) for job in jobs] or [_("Has asked for nothing here.")]
        return titled(last.name, lines, facts=[who(person)])

    async def _tier(self, asked: AdminRequest) -> Card:
        person, tier = whom(asked), tier_named(asked, self._tiers)
        await self._set_person(asked, person, lambda before: replace(before, tier=tier.name if tier else ""))
        if tier is None:
            return done(_("{who} has no tier of their own any more; their roles decide.", who=who(person)))
        return done(_("{who} is in the tier {title} now.", who=who(person), title=tier.title))

    async def _set_allowance(self, asked: AdminRequest) -> Card:
        """Set a person's own quota: everywhere for those who run Easel, else in the administrator's place."""
        person, allowance = whom(asked), allowance_of(asked)
        check_grant(asked, allowance, self._tiers)
        tenant = INSTANCE if asked.operator else asked.tenant
        await self._store.change_person(
            tenant, person, lambda before: replace(before, allowance=allowance), asked.note(person)
        )
        if allowance is None:
            return done(_("{who} has the quota of their tier again.", who=who(person)))
        told = {"who": who(person), "quota": access_rules.allowance(allowance)}
        if asked.operator:
            return done(_("{who} may use {quota}, whatever their tier.", **told))
        return done(_("{who} may use {quota} here, whatever their tier.", **told))

    async def _gift(self, asked: AdminRequest) -> Card:
        person, seconds = whom(asked), asked.options["seconds"]
        if not await self._store.gift(person, seconds, asked.line(person), asked.key):
            return done(_("That gift was given already."))
        return done(
            _(
                "{who} has {seconds} GPU seconds more, to use whenever the quota does not suffice.",
                who=who(person),
                seconds=formats.amount(seconds),
            )
        )

    async def _reset(self, asked: AdminRequest) -> Card:
        person = whom(asked)
        await self._store.reset(person, asked.line(person), asked.key)
        return done(_("The usage of {who} is reset.", who=who(person)))

    async def _keys(self, asked: AdminRequest) -> Card:
        """List the keys of the API that ask here, or take one back."""
        if id := asked.options.get("revoke", ""):
            if await self._store.take_api_key(id, asked.tenant, asked.line(f"key {id}")) is None:
                raise Refusal(
                    _("No key {id} asks here. /admin person keys lists them.", id=clip(id)), code="unknown"
                )
            return done(_("The key {id} is revoked: nothing is done with it any more.", id=id))
        found = await self._store.api_keys_in(asked.tenant)
        lines = [_key_line(each, self._store.now()) for each in found[:MOST_KEYS]]
        if len(found) > MOST_KEYS:
            lines.append(_("and {count} more", count=len(found) - MOST_KEYS))
        return titled(_("API keys"), lines or [_("Nobody here has a key of the API.")])

    async def _block(self, asked: AdminRequest) -> Card:
        person, hours = whom(asked), asked.options.get("hours")
        if person == asked.origin.member.id:
            raise Refusal(_("You cannot block yourself."))
        now = self._store.now()
        until = now + timedelta(hours=hours) if hours else None
        reason = _sentence(asked.options.get("reason", ""))
        ended = await self._store.block(
            asked.tenant,
            person,
            lambda before: replace(before, blocked=True, until=until, reason=reason),
            asked.note(person),
            reason=_("An administrator has blocked you."),
        )
        await self._endings.take_out(ended)
        blocked = _("{who} is blocked {end}.", who=who(person), end=_end(until, now))
        return done(join(" ", (blocked, _cancelled(len(ended)))))

    async def _unblock(self, asked: AdminRequest) -> Card:
        person = whom(asked)
        await self._set_person(
            asked, person, lambda before: replace(before, blocked=False, until=None, reason="")
        )
        return done(_("{who} may ask again.", who=who(person)))

    async def _set_person(self, asked: AdminRequest, person: str, change: Callable[[Person], Person]) -> None:
        await self._store.change_person(asked.tenant, person, change, asked.note(person))

    async def _invite(self, asked: AdminRequest) -> Card:
        member, invitation = await self._logins.invite(asked.options["name"])
        await self._store.note(asked.line(member.id))
        return invitation

    async def _moderators(self, asked: AdminRequest) -> Card:
        """Show or change who may moderate here, in addition to the platform's own moderators."""
        names = [asked.options["role"]] if "role" in asked.options else []
        names += [whom(asked)] if "person" in asked.options else []
        if EVERYONE in map(str.casefold, names):
            raise Refusal(_("Not everyone can moderate. Name a role, a user group or a person."))
        removed = asked.options.get("rule") == "remove"

        def change(before: Policy) -> Policy:
            others = [each for each in before.moderators if each not in names]
            if len(others) + len(names) > MOST_TERMS:
                raise Refusal(_("A place has at most {most} moderators. Remove one first.", most=MOST_TERMS))
            return replace(before, moderators=(*others, *([] if removed else names)))

        found = await (
            self._policies.change(asked, change, ", ".join(names)) if names else self._policies.here(asked)
        )
        return titled(
            _("Moderators here"),
            [_("Named here: {names}", names=join(", ", map(who, found.moderators)) or _("no one"))],
        )


def _cancelled(jobs: int) -> str:
    """Return a sentence that says how many of the person's jobs a block cancelled."""
    if not jobs:
        return _("They had nothing waiting or running.")
    return ngettext(
        "{count} of their jobs was cancelled; nothing was charged.",
        "{count} of their jobs were cancelled; nothing was charged.",
        jobs,
    )


def _blocked(person: Person, now: datetime) -> str:
    end = _end(person.until, now)
    everywhere = person.tenant == INSTANCE
    blocked = _("Blocked everywhere {end}.", end=end) if everywhere else _("Blocked here {end}.", end=end)
    return join(" ", (blocked, person.reason))


def _end(until: datetime | None, now: datetime) -> str:
    return _("until {when}", when=answers.when(until, now)) if until else _("until /admin person unblock")


def _summary(job: Job) -> str:
    """Summarize a job in one line, without its prompt where that is private."""
    what = clip(job.prompt, 60) if job.is_open() else _("a private job")
    when = marks.time(job.created, formats.date(job.created))
    state = answers.STATES[job.state.value]
    return join(" · ", (what, state, formats.span(job.device_seconds), when, job.id))


def _sentence(text: str) -> str:
    """Clean a reason and end it with a period, so that other sentences can follow it."""
    text = prompts.clean(text)
    return text if not text or text[-1] in ".?!" else f"{text}."


def _key_line(key: ApiKey, now: datetime) -> str:
    used = _("last used {when}", when=answers.when(key.used, now)) if key.used else _("never used")
    who = marks.person(key.member.id, key.member.name)
    about = {"id": key.id, "name": key.name, "scope": key.scope, "used": used}
    return _("{who}: {id} “{name}” ({scope}), {used}", who=who, **about)

"""What people ask about their own account: settings, quota, linked names, what their team used."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from bot import prompts
from bot.accounts.access import Access
from bot.accounts.access_rules import AccessRules
from bot.accounts.logins import Logins
from bot.accounts.remaining import images_left
from bot.errors import Refusal
from bot.i18n import _
from bot.jobs.tracker import JobTracker
from bot.jobs.visibility import Visibility
from bot.messages import answers
from bot.messages.types import Card, Form
from bot.models import Origin, State
from bot.prompts import Draft
from bot.store import LinkRefused, Store
from engine.types import Engine


@dataclass(eq=False)
class AccountService:
    """Methods raise Refusal and StoreError."""

    _store: Store
    _engine: Engine
    _access: Access
    _visibility: Visibility
    _tracker: JobTracker
    _logins: Logins

    async def quota(self, options: dict[str, Any], origin: Origin) -> Card:
        """Answer `/quota`."""
        rules = await self._access.rules(origin.member)
        cost = self._ordinary_cost(rules)
        recent = await self._visibility.jobs(
            origin.member, user=origin.member.id, states=(State.RENDERED,), limit=5
        )
        balances = await self._access.balances(rules, origin)
        return answers.quota(rules.tier, balances, recent, self._store.now(), cost)

    async def images_left(self, origin: Origin) -> str:
        """Tell how many ordinary images somebody has left; empty where nothing limits them."""
        rules = await self._access.rules(origin.member)
        return images_left(await self._access.balances(rules, origin), self._ordinary_cost(rules))

    def _ordinary_cost(self, rules: AccessRules) -> float:
        """Return the device-seconds that one ordinary picture is expected to cost; 0 without a model."""
        models = self._access.models(rules)
        if not models:
            return 0.0
        ordinary = Draft(prompt="a picture", count=1)
        return self._engine.estimate(prompts.compose(ordinary, models, rules.tier))

    async def team(self, origin: Origin) -> Card:
        """Return what the people of a place used in the last seven days."""
        if not origin.member.admin:
            raise Refusal(_("Only an administrator can see what the others used."), code="forbidden")
        since = datetime.now(UTC) - answers.TEAM_SPAN
        uses = await self._store.usage(
            since, 2 * answers.TEAM_SPAN, "person", tenant=origin.member.tenant, most=answers.TEAM
        )
        return answers.team(uses)

    async def settings(self, options: dict[str, Any], origin: Origin) -> Card:
        """Answer `/settings`: change the person's defaults, and show them."""
        person = origin.member.id
        if options.pop("logout", False):
            await self._logins.end_all(origin.member)
        before = await self._store.preferences(person)
        rules = await self._access.rules(origin.member)
        models, most = rules.models(self._engine.models()), rules.tier.max_count
        if "metadata" in options:
            options["tells_prompt"] = options.pop("metadata")
        if "notify" in options:
            options["silent"] = not options.pop("notify")
        after = prompts.changed(before, options, models, most)
        if after != before:
            await self._store.save_preferences(person, after)
        return answers.settings(after, await self._logins.sessions(origin.member))

    async def form(self, origin: Origin) -> Form:
        """Return the person's settings as a form."""
        rules = await self._access.rules(origin.member)
        own = prompts.held(
            await self._store.preferences(origin.member.id),
            self._access.models(rules) or self._engine.models(),
            rules.tier.max_count,
        )
        known = asdict(own)
        known["metadata"] = known.pop("tells_prompt")
        known["notify"] = not known.pop("silent")
        values = {name: "yes" if value is True else str(value) for name, value in known.items() if value}
        return Form(command="settings", title=_("Your settings"), values=values)

    async def link(self, options: dict[str, Any], origin: Origin) -> Card:
        """Answer `/link`: a code to type elsewhere, two names joined by one, or a name that leaves."""
        me = origin.member.id
        try:
            if options.get("leave"):
                await self._store.unlink(me)
                return answers.unlinked()
            if "code" not in options:
                return answers.link_code(await self._store.link_code(me))
            account = await self._store.link(options["code"], me)
        except LinkRefused as error:
            raise Refusal(error.args[0], code="link") from error
        names = await self._store.members_of(account)
        await self._tracker.gather(names, account, (await self._access.rules(origin.member)).home)
        return answers.linked(names)

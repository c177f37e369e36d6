"""The commands and styles that a member may ask for, and what may follow while they type."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from bot import commands
from bot.accounts import access_rules
from bot.accounts.access import Access
from bot.accounts.tiers import Tiers
from bot.jobs import remake
from bot.jobs.visibility import Visibility
from bot.messages import answers
from bot.messages.types import Card
from bot.models import INSTANCE, UNFINISHED, Member, Origin, State
from bot.options import MAX_TYPED, Command, Completes, clip
from bot.prompts import styles
from bot.store import Store
from engine.types import Engine

MOST_CHOICES = 25  # of one completion: the platforms show no more

_STATES: Mapping[Completes, tuple[State, ...]] = {
    "jobs": (),
    "pictures": (State.RENDERED,),
    "unfinished": UNFINISHED,
}
"""Of which jobs an option takes one."""


@dataclass(eq=False)
class Vocabulary:
    """Narrows what there is to what somebody may ask for. Methods raise StoreError."""

    _store: Store
    _engine: Engine
    _tiers: Tiers
    _operators: Collection[str]
    _access: Access
    _visibility: Visibility

    @property
    def all(self) -> tuple[Command, ...]:
        """Return the commands as far as the models here can do them, with the widest ranges of all tiers."""
        return commands.vocabulary(self._engine.models(), self._tiers.all)

    async def known(self, member: Member) -> tuple[Command, ...]:
        """Return the commands as they are for the member: with the ranges of their models and tier."""
        rules = await self._access.rules(member)
        return commands.vocabulary(self._access.models(rules), [rules.tier])

    async def styles(self, member: Member) -> list[tuple[str, str]]:
        """Return name and label of the styles that the member may ask for."""
        rules = await self._access.rules(member)
        known = styles.load().styles.values()
        return [(each.name, each.label) for each in known if rules.takes_style(each.name)]

    async def models(self, member: Member) -> list[tuple[str, str]]:
        """Return name and title of the models that the member may ask for, the default first."""
        offered = self._access.models(await self._access.rules(member))
        return [(model.name, model.title) for model in offered]

    async def loras(self, member: Member) -> list[tuple[str, str]]:
        """Return name and title of the LoRAs that the member may ask for with any model."""
        offered = self._access.models(await self._access.rules(member))
        return list({lora.name: lora.title or lora.name for model in offered for lora in model.loras}.items())

    async def check_source(self, member: Member) -> None:
        """Raise Refusal for somebody whose models cannot start from a picture."""
        rules = await self._access.rules(member)
        remake.able(rules.models(self._engine.models()), "image_to_image")

    # ---- commands

    async def help(self, options: dict[str, Any], origin: Origin) -> Card:
        """Answer `/help`. Raises Refusal for a command that there is not, or not for the person."""
        name = options.get("command", "").strip().lstrip("/").casefold()
        may = origin.member.admin or access_rules.runs_easel(origin, self._operators)
        asked = commands.command(name) if name and name != "admin" else None
        if asked:
            access_rules.authorize(asked, origin, self._operators)
        known = await self.known(origin.member)
        shown = [each for each in known if each.admin == (may and name == "admin")]
        here = next((each for each in known if asked and each.name == asked.name), asked)
        return answers.help(here, shown, admin=may)

    async def show_styles(self, options: dict[str, Any], origin: Origin) -> Card:
        """Answer `/styles`."""
        rules = await self._access.rules(origin.member)
        return answers.styles(
            [each for each in styles.load().styles.values() if rules.takes_style(each.name)]
        )

    # ---- completion

    async def complete(self, source: Completes, typed: str, member: Member) -> list[tuple[str, str]]:
        """Return what may follow while someone types an option: (value, label), at most `MOST_CHOICES`."""
        wanted = typed[:MAX_TYPED].casefold()
        found = await self._choices(source, member, wanted)
        return [choice for choice in found if wanted in " ".join(choice).casefold()][:MOST_CHOICES]

    async def _choices(self, source: Completes, member: Member, typed: str) -> list[tuple[str, str]]:
        known = styles.load()
        match source:
            case "styles":
                return await self.styles(member)
            case "aspects":
                return known.shapes
            case "models":
                return await self.models(member)
            case "loras":
                before = typed[: typed.rfind(",") + 1]  # of several, the last one is completed
                return [(f"{before} {name}".strip(), title) for name, title in await self.loras(member)]
            case "commands":
                known_here = await self.known(member)
                return [(each.name, each.help) for each in known_here if member.admin or not each.admin]
            case "tiers":
                return [(tier.name, tier.title) for tier in self._tiers.all]
            case "people" if member.admin:
                here = "" if member.tenant == INSTANCE else member.tenant
                return list((await self._store.names(here, typed)).items())
            case "jobs" | "pictures" | "unfinished":
                recent = await self._visibility.jobs(member, user=member.id, states=_STATES[source], limit=50)
                return [(job.id, clip(job.prompt, 60)) for job in recent]
        return []

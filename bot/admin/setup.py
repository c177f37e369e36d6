"""`/setup`: what an administrator decides first, a step at a time, each by a button.

Which steps were taken or skipped is kept with the place, so anybody who administers it goes on where the
last one stopped. A choice is a command of the group "admin" like any other: it is checked and written down
as if it had been typed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bot import commands
from bot.accounts.tiers import Tiers
from bot.actions import Action, fits
from bot.admin.asked import EVERYONE, AdminRequest, Policies, titled
from bot.admin.overview import lines
from bot.errors import Refusal
from bot.i18n import _
from bot.i18n.catalogs import LANGUAGES
from bot.messages.job_cards import button, rows_of
from bot.messages.types import Button, Card
from bot.models import INSTANCE, Policy, Tier
from bot.options import CHOICES
from bot.store import Store

SKIP, AGAIN = "skip", "again"
Choice = tuple[str, str]
"""What is chosen, as it stands in a button's id, and its label."""
Run = tuple[str, dict[str, object]]
"""A command and its options."""


@dataclass(frozen=True, slots=True)
class SetupStep:
    """One question: its heading, what it is about, its choices, and what a choice does."""

    name: str
    title: str
    about: str
    choices: Callable[[AdminRequest, Sequence[Tier]], list[Choice]]
    run: Callable[[AdminRequest, str], Run | None]


def _channels(asked: AdminRequest, tiers: Sequence[Tier]) -> list[Choice]:
    here = asked.tenant != INSTANCE and asked.origin.channel and not asked.origin.direct
    return [("all", _("In every channel"))] + ([("here", _("In this channel only"))] if here else [])


def _tiers(asked: AdminRequest, tiers: Sequence[Tier]) -> list[Choice]:
    return [(each.name, each.title) for each in tiers if asked.operator or not each.restricted]


STEPS = (
    SetupStep(
        "channels",
        _("Channels"),
        _("Where may people use Easel? /admin set channel allows or refuses further channels."),
        _channels,
        lambda asked, choice: (
            ("admin set channel", {"channel": asked.origin.channel, "rule": "allow"})
            if choice == "here"
            else None
        ),
    ),
    SetupStep(
        "tier",
        _("Tiers"),
        _("How much may everybody here use? /admin tier role gives a role another tier."),
        _tiers,
        lambda asked, choice: ("admin tier role", {"role": EVERYONE, "tier": choice}),
    ),
    SetupStep(
        "moderation",
        _("Moderation"),
        _("How strictly are words and images checked? /admin set moderation names words of your own."),
        lambda asked, tiers: [(each, CHOICES[each]) for each in ("relaxed", "standard", "strict")],
        lambda asked, choice: ("admin set moderation", {"strictness": choice}),
    ),
    SetupStep(
        "language",
        _("Language"),
        _("In which language does Easel answer here?"),
        lambda asked, tiers: [("own", _("Each person’s own")), *LANGUAGES.items()],
        lambda asked, choice: ("admin set language", {"language": choice}),
    ),
    SetupStep(
        "picture",
        _("A first image"),
        _("Try it: everybody in the channel sees the image."),
        lambda asked, tiers: [("done", _("It works"))],
        lambda asked, choice: None,
    ),
)
BY_NAME = {each.name: each for each in STEPS}


@dataclass(eq=False)
class SetupCommands:
    """Shows the next step, and what is set at the end."""

    _store: Store
    _tiers: Tiers
    _policies: Policies

    async def finished(self, tenant: str) -> bool:
        """Tell whether every step was taken or skipped."""
        return _next(await self._store.policy(tenant)) is None

    async def show(self, asked: AdminRequest) -> Card:
        """Answer `/setup`: the step where somebody stopped, or all that is set."""
        policy = await self._policies.here(asked)
        step = _next(policy)
        if step is None:
            persons = await self._store.persons(asked.tenant)
            card = titled(_("Setup is complete"), lines(policy, persons, self._tiers))
            return replace(card, rows=((_button(AGAIN, _("Start again")),),))
        return self._asking(asked, step)

    def command(self, asked: AdminRequest, key: str) -> Run | None:
        """Return the command that a button's choice stands for; None where it changes nothing.

        Raises Refusal.
        """
        name, _, choice = key.partition("_")
        if key == AGAIN or choice == SKIP:
            return None
        if name not in BY_NAME or choice not in dict(BY_NAME[name].choices(asked, self._tiers.all)):
            raise _gone()
        return BY_NAME[name].run(asked, choice)

    async def mark(self, asked: AdminRequest, key: str) -> None:
        """Keep that a step was taken or skipped, or begin again."""
        name = key.partition("_")[0]

        def change(before: Policy) -> Policy:
            taken = () if key == AGAIN else (*(each for each in before.setup if each != name), name)
            return replace(before, setup=taken)

        await self._policies.change(asked, change)

    def _asking(self, asked: AdminRequest, step: SetupStep) -> Card:
        title = _("Setup, step {number} of {count}: {what}")
        number = STEPS.index(step) + 1
        shown = [
            _button(f"{step.name}_{choice}", label)
            for choice, label in step.choices(asked, self._tiers.all)
            if fits(_id(f"{step.name}_{choice}")) and choice.isidentifier()
        ]
        trial = [_trial()] if step.name == "picture" else []
        skip = (_button(f"{step.name}_{SKIP}", _("Skip")),)
        card = titled(title.format(number=number, count=len(STEPS), what=step.title), [step.about])
        return replace(card, rows=(*rows_of([*trial, *shown]), skip))


def _next(policy: Policy) -> SetupStep | None:
    return next((each for each in STEPS if each.name not in policy.setup), None)


def _gone() -> Refusal:
    return Refusal(_("This step has changed. Type /setup to go on."), code="expired")


def _id(key: str) -> str:
    return Action(name="setup", job=key).id


def _button(key: str, label: str) -> Button:
    return button("setup", key, label=label, name=label)


def _trial() -> Button:
    prompt = commands.command("imagine").examples[0]
    label = _("Generate an image")
    return Button(id=Action(name="try", text=prompt).id, label=label, name=label, style="primary")

"""The port between Easel and its surfaces: what a surface offers, and what it may ask.

`ChatAdapter` is what Easel calls to show a job's message. `Easel` is what a surface calls when people do
something; `bot.adapters.interactions` does that for all chats. docs/adapters.md leads through both.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from bot.actions import Action
from bot.messages.types import Card, Form
from bot.models import Job, Member, Origin
from bot.options import Command, Completes
from bot.words import Sayable
from engine.types import Place

MessageRef = dict[str, Any]
"""An adapter's own reference to a posted message; JSON, kept in the job's row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A job was accepted; its message lives on its own through the adapter's `post` and `edit`."""

    job: Job
    place: Place | None


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """It was not for Easel, so nothing is said."""


Answer = Card | Form | Receipt | NoAnswer

Heard = Literal["paint", "buttons", "off"]
"""What words come to in a channel: pictures, a button to paint them, nothing."""


# ---- what a surface offers


class ChatAdapter(Protocol):
    """A surface that people type on. It translates and renders, and decides nothing."""

    name: str  # `Origin.surface` of what is asked here
    edit_interval: float  # seconds between two edits of one message that the surface allows

    async def run(self) -> None:
        """Serve until cancelled. Returns early only when the surface cannot be used (it has logged why)."""
        ...

    async def post(self, job: Job, card: Card) -> MessageRef:
        """Show the job's first card. `job.id` is the key by which a repeated post is recognised.

        Raises Unreachable or TryLater.
        """
        ...

    async def edit(self, job: Job, ref: MessageRef, card: Card) -> MessageRef:
        """Replace the card; doing it twice is the same as once. Raises Unreachable or TryLater."""
        ...

    async def adult(self, job: Job) -> bool:
        """Tell whether the job's channel is age-restricted at this moment; False where it is not known."""
        ...


@runtime_checkable
class Connected(Protocol):
    """A surface that has a connection to lose."""

    @property
    def connected(self) -> bool:
        """Tell whether events reach Easel at this moment."""
        ...


@runtime_checkable
class KnowsPlaces(Protocol):
    """A surface whose open places may be closed later."""

    async def closed(self, job: Job) -> bool | None:
        """Tell whether a job's place is closed at this moment; None where the surface does not tell."""
        ...


# ---- what a surface may ask


class Easel(Protocol):
    """What a chat surface asks of the studio. Sentences in a Refusal are for the person who asked."""

    async def handle(
        self, command: str, options: Mapping[str, object], origin: Origin, *, parent: str = ""
    ) -> Card | Receipt:
        """Do what a command asks. `options`: name → value as typed; a picture may be its bytes.

        `parent` is the job whose form is answered, or whose picture the words change. Raises Refusal.
        """
        ...

    async def press(self, button: str, origin: Origin) -> Answer:
        """Do what a button stands for, however old its card is. Raises Refusal."""
        ...

    async def heard(self, origin: Origin) -> Heard:
        """Return what words come to where they were said, as an administrator has set it."""
        ...

    async def changed(self, parent: str, words: str, which: str, origin: Origin) -> dict[str, object]:
        """Return what /imagine takes to change a job's picture as the words say. Raises Refusal.

        `which` of its pictures: a number, "last" or a place in the grid; empty: the first.
        """
        ...

    async def wonder(self, options: Mapping[str, object], origin: Origin) -> Card | NoAnswer:
        """Ask whether to paint what /imagine takes; nothing where that would be refused."""
        ...

    async def job(self, id: str, member: Member, here: Collection[str] = ()) -> Job:
        """Return a job for a member who is in the places `here`. Raises Refusal where they may not see it."""
        ...

    async def jobs(self, member: Member, **filters: Any) -> list[Job]:
        """Return the newest jobs that the member may see. `filters` are the keywords of `Store.jobs`."""
        ...

    async def private(
        self, options: Mapping[str, object], member: Member, here: Collection[str] = ()
    ) -> bool:
        """Tell whether what /imagine paints by these options is for the member alone. Raises Refusal."""
        ...

    async def offered(self, action: Action, member: Member) -> str:
        """Return the text that an offer's button stands for. Raises Refusal where it is not kept any more."""
        ...

    async def check_source(self, member: Member) -> None:
        """Raise Refusal for somebody whose models cannot start from a picture."""
        ...

    @property
    def vocabulary(self) -> tuple[Command, ...]:
        """Return the commands as far as the models here can do them, with the widest ranges of all tiers."""
        ...

    async def known(self, member: Member) -> tuple[Command, ...]:
        """Return the commands as they are for the member: with the ranges of their models and tier."""
        ...

    async def complete(self, source: Completes, typed: str, member: Member) -> list[tuple[str, str]]:
        """Return completions of what is typed for an option, as (value, label); at most 25."""
        ...

    def said(self, what: Sayable, origin: Origin) -> Sayable:
        """Translate a card, a form or a refusal to the language of the place, else to the person's own."""
        ...

    async def picture(self, blob: str) -> bytes:
        """Return a stored picture. Raises KeyError when there is none, StoreError when it cannot be read."""
        ...

    async def fitted(self, blob: str, limit: int) -> tuple[bytes, str]:
        """Return a picture in at most `limit` bytes, and its media type.

        Raises KeyError when there is none, ValueError when it cannot be made so small, StoreError.
        """
        ...

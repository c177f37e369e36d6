"""The port between Easel and its surfaces: what a surface offers, and what it is answered.

`ChatAdapter` is what Easel calls to show a job's message. When people do something, a surface asks the
services of `bot.easel.Easel`; `bot.adapters.interactions` does that for all chats. docs/adapters.md leads
through both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from bot.messages.types import Card, Form
from bot.models import Job

MessageRef = dict[str, Any]
"""An adapter's own reference to a posted message; JSON, kept in the job's row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A job was accepted; its message is shown by the adapter's `post` and `edit`."""

    job: Job
    others: tuple[Job, ...] = ()  # the further jobs of a series


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """What was said was not for Easel, so it is not answered."""


Answer = Card | Form | Receipt | NoAnswer

Heard = Literal["paint", "buttons", "off"]
"""What plain words lead to in a channel: pictures, a button to paint them, nothing."""


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
class Tells(Protocol):
    """A surface that tells people of new messages, and of edits not at all."""

    async def tell(self, job: Job, ref: MessageRef | None, card: Card) -> MessageRef:
        """Show an end in a new message, or edit the one of `ref` where that is new already or none can be.

        Doing it twice is once. The reference that comes back is kept before `clear` is called.

        Raises Unreachable or TryLater.
        """
        ...

    async def clear(self, job: Job, ref: MessageRef, card: Card) -> None:
        """Take away the message that the one of `ref`, which shows the card, replaced, if there is one.

        Doing it twice is once. Raises TryLater.
        """
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


@runtime_checkable
class Displays(Protocol):
    """A surface on which a card can be shown in a channel and changed later."""

    async def display(
        self, tenant: str, channel: str, card: Card, ref: MessageRef | None, key: str
    ) -> MessageRef:
        """Show a card in a channel, or in the message of `ref` in place of what it shows; it pings nobody.

        `key` names the message for ever, for surfaces that make no two of a name. Raises Unreachable,
        MessageGone where somebody deleted the message, or TryLater.
        """
        ...


@runtime_checkable
class Announces(Protocol):
    """A surface on which a card can be shown in a channel, without anybody having asked for it."""

    async def announce(self, tenant: str, channel: str, card: Card) -> None:
        """Show a card in a channel of the place; its text pings nobody. Raises Unreachable or TryLater."""
        ...

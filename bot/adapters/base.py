"""What every surface is to the studio."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from bot.card import Card
from bot.models import Job

MessageRef = dict[str, Any]
"""An adapter's own reference to a posted message; JSON, kept in the job's row."""


class ChatAdapter(Protocol):
    """A surface that people type on. It translates and renders, and decides nothing.

    What people do reaches the studio through `Studio.handle`, `Studio.press` and `Studio.answer`; what
    the studio has to say reaches people through the methods here. One that has a connection to lose tells
    by a property `connected` whether it has it now.
    """

    name: str
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
        """Whether the job's channel is age-restricted at this moment; no where that cannot be known."""
        ...


@runtime_checkable
class KnowsPlaces(Protocol):
    """A surface whose open places may be closed later."""

    async def closed(self, job: Job) -> bool | None:
        """Whether the place where a job was asked for is closed at this moment; None where nobody tells."""
        ...

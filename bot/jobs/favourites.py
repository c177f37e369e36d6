"""What people mark for themselves with ⭐: by a button, or by a reaction on a result's message.

A mark opens nothing: whenever favourites are shown, it is asked anew which of them the person may still see.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bot.actions import Action
from bot.errors import Refusal
from bot.i18n import _
from bot.jobs.visibility import Visibility
from bot.messages import answers
from bot.messages.types import Card
from bot.models import Job, Origin, State
from bot.store import Store

PAGE = 10  # favourites that one card lists


@dataclass(eq=False)
class FavouriteService:
    """Methods raise Refusal and StoreError."""

    _store: Store
    _visibility: Visibility

    async def toggle(self, action: Action, job: Job, origin: Origin) -> Card:
        """Answer a press of ⭐: mark the job, or unmark one that is marked."""
        names = await self._store.sharing(origin.member.id)
        if await self._store.disfavour(job.id, names):
            return answers.favoured(added=False)
        await self.add(job, origin)
        return answers.favoured(added=True)

    async def add(self, job: Job, origin: Origin) -> None:
        """Mark a job that the person may see; marking it twice is once."""
        if job.state is not State.RENDERED:
            raise Refusal(_("Only finished images can be favourites."), code="no_picture")
        await self._store.favour(job.id, origin.member.id)

    async def remove(self, job: str, member: str) -> None:
        """Unmark a job for a member, whether or not they may still see it."""
        await self._store.disfavour(job, await self._store.sharing(member))

    async def listed(self, options: dict[str, Any], origin: Origin) -> Card:
        """Answer `/favourites`."""
        search, page = options.get("search", ""), options.get("page", 1)
        found = await self._visibility.jobs(
            origin.member,
            here=origin.here,
            search=search,
            favourite=True,
            states=(State.RENDERED,),
            limit=page * PAGE + 1,
        )
        shown = found[(page - 1) * PAGE : page * PAGE]
        return answers.favourites(shown, search=search, page=page, more=len(found) > page * PAGE)

"""What somebody who cannot see an image is told of it: suggested, and changed by whose it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot import actions
from bot.accounts.access import Access
from bot.actions import Action
from bot.i18n import _
from bot.jobs.visibility import Visibility
from bot.messages import job_cards
from bot.messages.types import Card
from bot.models import Job, Origin
from bot.moderation.reviews import Reviews
from bot.store import Store


@dataclass(eq=False)
class AltTextService:
    """Methods raise Refusal and StoreError."""

    _store: Store
    _access: Access
    _visibility: Visibility
    _reviews: Reviews

    async def command(self, options: Mapping[str, Any], origin: Origin) -> Card:
        """Answer `/alt`: write a text where one is given, and show it."""
        job = await self._visibility.job(options["job"], origin.member, origin.here)
        index = options.get("picture", 1) - 1
        actions.picture(job, index)
        if options.get("reset") or "text" in options:
            await self._visibility.check_whose(Action(name="alt", job=job.id), job, origin.member)
            await self._write(job, index, " ".join(options.get("text", "").split()), options, origin)
            job = await self._visibility.job(job.id, origin.member, origin.here)
        return self._shown(job, [index])

    async def press(self, action: Action, job: Job, origin: Origin) -> Card:
        """Show the texts of a job's images, and how they are changed."""
        await self._visibility.check_whose(action, job, origin.member)
        return self._shown(job, [actions.picture(job, each.index).index for each in job.singles])

    async def _write(
        self, job: Job, index: int, text: str, options: Mapping[str, Any], origin: Origin
    ) -> None:
        if options.get("reset"):
            text = ""
        else:
            rules = await self._access.rules(origin.member)
            moderated = rules.moderation(adult=origin.adult)
            await self._reviews.check(job.request, text, origin, moderated)
        await self._store.describe_picture(job.id, index, text)

    def _shown(self, job: Job, indexes: list[int]) -> Card:
        lines = [
            _("Image {number}: {alt}", number=index + 1, alt=job_cards.alt_text(job, index))
            for index in indexes
        ]
        how = _(
            "To change it: /alt {job} {number} and the text. It is used wherever the image is shown next.",
            job=job.id,
            number=indexes[0] + 1,
        )
        return Card(kind="text", title=_("Alt text"), body=(*lines, how), job=job.id, private=True)

"""Answers /verify: whether a picture was made here, to whoever may see the picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bot import actions
from bot.attempts import Attempts
from bot.errors import Refusal
from bot.i18n import _
from bot.images.service import Images
from bot.jobs.visibility import Visibility
from bot.messages import job_cards
from bot.messages.types import Card
from bot.models import Job, Origin
from bot.provenance.verdict import Verdict

OFTEN = 20  # pictures that one person may ask about in a minute


@dataclass(eq=False)
class VerifyService:
    """Tells what anybody may be told; whoever may see the job can open its info."""

    _images: Images
    _visibility: Visibility
    _asked: Attempts = field(default_factory=lambda: Attempts(OFTEN))

    async def verify(self, options: Mapping[str, Any], origin: Origin) -> Card:
        """Answer about `picture`: bytes, or a job's id and perhaps a picture's number. Raises Refusal."""
        if self._asked.exhausted(origin.member.id):
            raise Refusal(_("You asked about many images. Wait a minute, then ask again."), code="busy")
        self._asked.note(origin.member.id)
        named = options.get("picture") or options.get("message")
        if not named:
            raise Refusal(_("Give an image, or a message or job that shows one."), code="no_picture")
        picture = named if isinstance(named, bytes) else await self._stored(str(named), origin)
        verdict = await self._images.verify(picture)
        job = await self._seen(verdict, origin)
        rows = ((job_cards.button("info", job.id),),) if job else ()
        return Card(kind="text", body=(verdict.sentence, *verdict.facts), rows=rows, private=True)

    async def _stored(self, named: str, origin: Origin) -> bytes:
        """Return a job's picture: "1a2b3c4d5e6f:2", or the first that it shows."""
        id, _colon, number = named.strip().partition(":")
        job = await self._visibility.job(id, origin.member, origin.here)
        if number or not job.pictures:
            chosen = actions.picture(job, int(number) - 1 if number.isdecimal() else -1)
        else:
            chosen = min(job.pictures, key=lambda each: each.index)
        return await self._images.shown(chosen)

    async def _seen(self, verdict: Verdict, origin: Origin) -> Job | None:
        """Return the picture's job where this person may see it."""
        try:
            return await self._visibility.job(verdict.job, origin.member, origin.here)
        except Refusal:
            return None

"""Answers /describe: what a picture shows, as prompts with a button each that paints them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog

from bot import actions, moderation
from bot.accounts.access import Access
from bot.actions import Action
from bot.attempts import Attempts
from bot.describing.describers import Describer
from bot.errors import Offer, Refusal
from bot.i18n import _, join
from bot.images import pictures
from bot.images.picture_process import Unanswered
from bot.images.service import Images
from bot.jobs import offers
from bot.jobs.planning import Planner
from bot.jobs.visibility import Visibility
from bot.messages.types import Button, Card
from bot.models import Job, Origin, StoredPicture
from bot.options import clip
from bot.store import Store

log = structlog.stdlib.get_logger(__name__)

OFTEN = 10  # pictures that one person may ask about in a minute
PATIENCE = 45.0  # seconds for a caption; then the shipped classifier says what it can
LONGEST = 300  # characters of a suggestion
MAX_NAME = 60  # characters of a prompt, for screen readers

NOTHING = _("Easel could not tell what this image shows. Describe it in your own words with /imagine.")
_LATE = _("The captioning model is not ready yet. Ask again in a minute for its words.")


@dataclass(eq=False)
class DescribeService:
    """Methods raise Refusal and StoreError. Describing costs nothing."""

    _store: Store
    _images: Images
    _access: Access
    _visibility: Visibility
    _planner: Planner
    _max_source_bytes: int
    _drawings: Describer
    _captions: Describer | None = None
    _asked: Attempts = field(default_factory=lambda: Attempts(OFTEN))
    _asking: set[asyncio.Task[list[str]]] = field(default_factory=set)  # that nobody waits for any more

    async def command(self, options: Mapping[str, Any], origin: Origin) -> Card:
        """Answer `/describe`, about bytes or about a job's picture: "1a2b3c4d5e6f:2", or its first."""
        named = options.get("picture") or options.get("message")
        if not named:
            raise Refusal(_("Give an image, or a message or job that shows one."), code="no_picture")
        self._count(origin)
        if isinstance(named, bytes):
            png = await pictures.open_source(named, max_bytes=self._max_source_bytes)
            return await self._described(png, origin)
        id, _colon, number = str(named).strip().partition(":")
        job = await self._visibility.job(id, origin.member, origin.here)
        first = min((each.index for each in job.singles), default=0)
        wanted = (int(number) - 1 if number.isdecimal() else -1) if number else first
        return await self._stored(actions.picture(job, wanted), origin)

    async def press(self, action: Action, job: Job, origin: Origin) -> Card:
        """Answer about the picture of a job that a button names."""
        self._count(origin)
        return await self._stored(actions.picture(job, action.index or 0), origin)

    async def close(self) -> None:
        """Stop the processes."""
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)
        await self._drawings.close()
        if self._captions:
            await self._captions.close()

    def _count(self, origin: Origin) -> None:
        if self._asked.exhausted(origin.member.id):
            raise Refusal(_("You asked about many images. Wait a minute, then ask again."), code="busy")
        self._asked.note(origin.member.id)

    async def _stored(self, picture: StoredPicture, origin: Origin) -> Card:
        return await self._described(await self._images.shown(picture), origin, adult=picture.adult)

    async def _described(self, picture: bytes, origin: Origin, *, adult: bool = False) -> Card:
        found, late = await self._looked_at(picture)
        prompts = await self._allowed([each[:LONGEST] for each in found], origin)
        lines = [join(". ", (str(number), each)) for number, each in enumerate(prompts, start=1)] or [NOTHING]
        buttons = [await self._button(number, each, origin) for number, each in enumerate(prompts, start=1)]
        row = tuple(each for each in buttons if each)
        return Card(
            kind="text",
            title=_("What this image shows"),
            body=(*lines, *((_LATE,) if late else ())),
            rows=(row,) if row else (),
            private=True,
            adult=adult,
        )

    async def _looked_at(self, picture: bytes) -> tuple[list[str], bool]:
        """Return prompts, and whether the captioning model was too late to say them."""
        late = False
        if self._captions:
            if found := await self._caption(self._captions, picture):
                return found, False
            late = bool(self._asking)
        try:
            return await self._drawings.describe(picture), late
        except Unanswered as error:
            log.warning("a picture was not described", cause=str(error))
            return [], late

    async def _caption(self, captions: Describer, picture: bytes) -> list[str]:
        """Return captions; none where the model fails, or is still being loaded after some seconds."""
        if self._asking:
            return []
        task = asyncio.create_task(captions.describe(picture))
        task.add_done_callback(_tell)
        try:
            return await asyncio.wait_for(asyncio.shield(task), PATIENCE)
        except Unanswered:
            return []
        except (TimeoutError, asyncio.CancelledError) as error:
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
            if isinstance(error, TimeoutError):
                return []
            raise

    async def _allowed(self, prompts: Sequence[str], origin: Origin) -> list[str]:
        """Return the prompts that moderation lets be painted where the person is."""
        rules = (await self._access.rules(origin.member)).moderation(adult=origin.adult)
        judge = partial(moderation.judge, rules=rules)
        return [each for each in prompts if not (await asyncio.to_thread(judge, (each,))).category]

    async def _button(self, number: int, prompt: str, origin: Origin) -> Button | None:
        """Return the button that paints a prompt; None where /imagine would refuse it now."""
        try:
            await self._planner.accepts({"prompt": prompt}, origin)
        except Refusal:
            return None
        label = _("Paint {number}", number=number)
        keep = partial(self._store.keep_offer, origin.member.id)
        offer = await offers.pressable(Offer(label, prompt), keep)
        name = _("Paint “{text}”", text=clip(prompt, MAX_NAME))
        return Button(id=offers.press_of(offer), label=label, name=name, style="primary")


def _tell(task: asyncio.Task[list[str]]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.warning("the captioning model did not describe a picture", cause=str(error))

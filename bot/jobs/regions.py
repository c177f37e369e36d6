"""Finds the part of a picture that somebody means; what is only guessed is shown before it is painted."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from bot import prompts
from bot.actions import Action
from bot.errors import Refusal
from bot.i18n import _
from bot.images import regions
from bot.images.blobs import BlobStore
from bot.images.segmenting import Segmenter
from bot.images.service import Images
from bot.messages.job_cards import button
from bot.messages.types import Button, Card, CardPicture
from bot.models import Origin, StoredPicture
from bot.options import clip
from bot.prompts import Draft, Source
from bot.prompts.areas import Area, Box, box_text, read_area
from bot.store import Store
from engine.types import BlobRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A mask, and the box it was guessed as, which the person has not seen yet; empty where it is sure."""

    png: bytes
    guess: str = ""


@dataclass(eq=False)
class Regions:
    """Methods raise Refusal and StoreError."""

    _store: Store
    _images: Images
    _blobs: BlobStore
    _segmenter: Segmenter | None

    async def found(self, draft: Draft, source: Source) -> Found:
        """Return the mask of the draft's region of its source."""
        area, size = read_area(draft.region), (source.width, source.height)
        if area.boxes:
            png = await asyncio.to_thread(regions.drawn, area.boxes, size, outside=area.outside)
            return await self.checked(png)
        picture = await self.content(source)
        if self._segmenter:
            return await self._segmented(self._segmenter, area, picture)
        return await self._guessed(area, draft, size, picture)

    async def checked(self, mask: bytes) -> Found:
        """Return a mask that marks something."""
        if await asyncio.to_thread(regions.is_blank, mask):
            raise Refusal(_("The mask marks nothing. Mark what is to change."), code="mask")
        return Found(png=mask)

    async def content(self, source: Source) -> bytes:
        """Return a source as PNG."""
        if not source.blob:
            return source.png
        try:
            return await self._images.get(source.blob)
        except KeyError as error:
            raise Refusal(_("The source image is gone. Choose another."), code="no_picture") from error

    async def close(self) -> None:
        """End the process that finds things."""
        if self._segmenter:
            await self._segmenter.close()

    async def _segmented(self, segmenter: Segmenter, area: Area, picture: bytes) -> Found:
        mask = await segmenter.mask(picture, area.thing, outside=area.outside)
        if mask is None:
            raise _unmatched(area.thing)
        return Found(png=mask)

    async def _guessed(self, area: Area, draft: Draft, size: tuple[int, int], picture: bytes) -> Found:
        if isinstance(draft.source, bytes):  # no button can carry the file
            raise Refusal(
                _("Easel cannot tell where that is. Say it by a position, as in “top right”, or by a box."),
                code="region",
            )
        box = await asyncio.to_thread(regions.guessed, picture)
        if box is None:
            raise _unmatched(area.thing)
        png = await asyncio.to_thread(regions.drawn, [box], size, outside=area.outside)
        return Found(png=png, guess=_said(box, outside=area.outside))

    async def ask(self, draft: Draft, source: Source, found: Found, origin: Origin) -> Card:
        """Return a card that shows a guess over its picture, with a button that paints it."""
        seen = await asyncio.to_thread(regions.shown, await self.content(source), found.png)
        text = prompts.render(replace(draft, region=found.guess))
        key = await self._store.keep_offer(origin.member.id, text)
        return Card(
            kind="text",
            title=draft.prompt,
            body=(
                _(
                    "Is this what “{words}” means? Nothing is charged until you say so.",
                    words=clip(draft.region),
                ),
            ),
            pictures=(await self.over(seen, source, _("The guessed region, marked in the image")),),
            rows=((_paint(key), *_another(draft)),),
            private=True,
        )

    async def keep(self, png: bytes) -> BlobRef:
        """Store a picture that a job needs."""
        return await self._blobs.put(png, ".png")

    async def over(self, png: bytes, source: Source, alt: str) -> CardPicture:
        """Return a picture for a card that is shown for minutes: what no job needs is swept away."""
        return CardPicture(alt=alt, width=source.width, height=source.height, blob=await self.keep(png))

    async def grid(self, picture: StoredPicture) -> CardPicture:
        """Return a job's picture with numbered cells over it."""
        source = Source(blob=picture.blob, width=picture.width, height=picture.height)
        seen = await asyncio.to_thread(regions.numbered, await self.content(source))
        return await self.over(seen, source, _("The image with cells, numbered from 1 by rows"))


def _unmatched(thing: str) -> Refusal:
    return Refusal(
        _(
            "Nothing in the image matches “{words}”, so nothing was charged. Say it by a position, as in "
            "“top right”, or by a box.",
            words=clip(thing),
        ),
        code="region",
    )


def _said(box: Box, *, outside: bool) -> str:
    return f"outside {box_text(box)}" if outside else box_text(box)


def _paint(key: str) -> Button:
    return Button(
        id=Action(name="paint", job=key).id,
        label=_("Paint it"),
        name=_("Change the region that is shown"),
        style="primary",
    )


def _another(draft: Draft) -> tuple[Button, ...]:
    """Return a button that asks for another region; none where the source is no finished picture."""
    job, _colon, number = str(draft.source).partition(":")
    if number and not number.isdecimal():
        return ()
    return (button("region_form", job, int(number or 1) - 1, label=_("Another region")),)

"""The pictures that a request names or brings: images of jobs, saved references, files."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bot import actions
from bot.errors import Refusal
from bot.i18n import _
from bot.images import palette, pictures
from bot.images.blobs import BlobStore
from bot.jobs.visibility import Visibility
from bot.models import Job, Member, Origin, SavedReference, StoredPicture
from bot.options import clip
from bot.prompts import Draft, Given, Source, references
from bot.prompts.draft import MOST_IMAGES
from bot.store import Store
from engine.types import Edit, Inpaint, ModelInfo, Outpaint

Files = Mapping[str, Sequence[bytes]]
"""Pictures that came as files, by the option that they are for: "images", "sref", "cref"."""


@dataclass(eq=False)
class Pictures:
    """Finds pictures for members. Methods raise Refusal and StoreError."""

    _store: Store
    _blobs: BlobStore
    _visibility: Visibility

    async def given(self, draft: Draft, files: Files, origin: Origin, model: ModelInfo) -> Given:
        """Return all pictures that a draft names, and those that came with it as PNG files.

        Only a model without references needs to be told of colours in words.
        """
        first = [draft.source] if draft.source else []
        found = Given(
            pictures=await self._each([*first, *draft.images, *files.get("images", ())], origin),
            style=await self._each([*draft.sref, *files.get("sref", ())], origin),
            subject=await self._each([*draft.cref, *files.get("cref", ())], origin),
        )
        references.check(draft, found)
        if model.references or not (found.style or found.subject):
            return found
        style = tuple([await self._coloured(each) for each in found.style])
        subject = tuple([await self._coloured(each) for each in found.subject])
        return replace(found, style=style, subject=subject)

    async def _each(self, names: Sequence[str | bytes], origin: Origin) -> tuple[Source, ...]:
        if len(names) > 2 * MOST_IMAGES:  # refused below, without looking at them all
            names = names[: 2 * MOST_IMAGES]
        return tuple([await self.source(each, origin) for each in names])

    async def source(self, named: str | bytes, origin: Origin) -> Source:
        """Return a picture by the name of a job's image or of a saved reference, or from a PNG file."""
        if isinstance(named, bytes):
            width, height = pictures.png_size(named)
            return Source(blob="", width=width, height=height, png=named)
        if saved := await self._saved(named, origin.member):
            private = await self._is_closed(saved.job, origin.member, origin.here)
            return _picture(saved, private=private, prompt=saved.prompt, job=saved.job)
        id, _colon, which = named.partition(":")
        job = await self._visibility.job(id, origin.member, origin.here)
        private = not job.is_open(origin.here)
        if which.startswith("source"):
            found = replace(_source_of(job, int(which.removeprefix("source") or 1)), private=private)
            if isinstance(job.request.task, Inpaint | Outpaint):  # of another size than the job's images
                width, height = pictures.png_size(await self._read(found))
                found = replace(found, width=width, height=height)
            return found
        if blob := job.request.guide_named(which):
            guided = Source(blob=blob, width=0, height=0, private=private)
            width, height = pictures.png_size(await self._read(guided))
            return replace(guided, width=width, height=height)
        if which and not which.isdecimal():
            raise Refusal(_("Job {id} did not start from an image.", id=clip(job.id)), code="no_picture")
        chosen = actions.picture(job, int(which or 1) - 1)
        return _picture(chosen, private=private, prompt=job.prompt, job=job.id)

    async def is_private(self, named: str, member: Member, here: Collection[str]) -> bool:
        """Return whether only the member may see what is made of a picture."""
        saved = await self._saved(named, member)
        return await self._is_closed(saved.job if saved else named.partition(":")[0], member, here)

    async def _is_closed(self, id: str, member: Member, here: Collection[str]) -> bool:
        """Return whether a job is private or of a closed place. Raises Refusal."""
        return bool(id) and not (await self._visibility.job(id, member, here)).is_open(here)

    async def _saved(self, name: str, member: Member) -> SavedReference | None:
        """Return the reference that the member, or else the place, has saved under a name."""
        return None if ":" in name else await self._store.reference(name.casefold(), member)

    async def _coloured(self, source: Source) -> Source:
        png = source.png or await self._read(source)
        return replace(source, palette=await asyncio.to_thread(palette.words, png))

    async def _read(self, source: Source) -> bytes:
        try:
            return await self._blobs.get(source.blob)
        except KeyError as error:
            raise Refusal(_("The source image is gone. Choose another."), code="deleted") from error


def _picture(stored: StoredPicture | SavedReference, **more: Any) -> Source:
    blob = stored.unlettered if isinstance(stored, StoredPicture) else stored.blob
    return Source(blob=blob, width=stored.width, height=stored.height, **more)


def _source_of(job: Job, number: int) -> Source:
    """Return a picture that a job was made of. Raises Refusal where there is none."""
    blobs = job.request.sources
    if number > len(blobs):
        raise Refusal(_("Job {id} did not start from an image.", id=clip(job.id)), code="no_picture")
    task = job.request.task
    shows = task.shows if isinstance(task, Edit) and number == 1 else ""
    width, height = job.request.width, job.request.height
    return Source(blob=blobs[number - 1], width=width, height=height, prompt=shows)


async def opened_files(files: Files, most: int) -> dict[str, tuple[bytes, ...]]:
    """Return files as PNG. Raises Refusal for what is no picture, and for more than `most` bytes."""
    found = {}
    for name, several in files.items():
        _check_count(several)
        found[name] = tuple([await pictures.open_source(each, max_bytes=most) for each in several])
    return found


def _check_count(files: Sequence[bytes]) -> None:
    if len(files) > MOST_IMAGES:
        raise references.too_many(len(files))

"""Stamps what a job has painted, before it is stored: with its mark and its credentials.

The prompt goes into the file only if whoever asked wants that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from bot.i18n import _
from bot.images.blobs import BlobStore
from bot.messages.types import GRID
from bot.models import Job
from bot.prompts.draft import PARAMS
from bot.provenance import signing
from bot.provenance.keys import Keys
from bot.provenance.signing import FileFacts, Made
from bot.provenance.stamp import Kept, Stamped, stamp
from bot.store import Store
from engine.errors import EngineError
from engine.types import Blend, BlobRef, Edit, GenerationRequest, Inpaint, Letter, Outpaint, TaskKind

_MADE: dict[TaskKind, Made] = {
    "text_to_image": "created",
    "image_to_image": "edited",
    "edit": "edited",
    "blend": "edited",
    "inpaint": "edited",
    "outpaint": "edited",
    "upscale": "upscaled",
    "creative_upscale": "upscaled",
    "cut_out": "edited",
    "letter": "edited",
}
_UNSIGNED = _(
    "Images cannot be signed at the moment, so none are shown. Whoever runs this "
    "Easel finds the cause with `python -m bot doctor`."
)


class Stamper:
    """Knows what a picture may say of itself, and where it comes from."""

    def __init__(
        self, store: Store, blobs: BlobStore, keys: Keys, labelled: Callable[[Job], Awaitable[bool]]
    ) -> None:
        """`labelled` tells whether a job's pictures visibly say "AI"."""
        self._store = store
        self._blobs = blobs
        self._keys = keys
        self._labelled = labelled

    async def stamp(self, job: Job, png: bytes, index: int, seed: int) -> Stamped:
        """Return picture `index` of the job as it is delivered; −1 is the grid.

        Raises EngineError when it cannot be signed, KeyError when its source is gone, StoreError.
        """
        request = job.request
        made = _MADE[request.kind]
        size = request.size_at(index)
        painted = 0 if size else max(index, 0)
        of = request.sources[painted] if isinstance(request.task, Letter) else request.source
        parent = await self._blobs.get(of) if of and made != "created" else None
        source = await self._facts_of(parent) if parent is not None else None
        others = [await self._blobs.get(each) for each in _others(request)] if parent is not None else []
        inputs = [await self._blobs.get(each) for each in _inputs(request)]
        wanted = (await self._store.preferences(job.origin.member.id)).tells_prompt
        facts = FileFacts(
            job=job.id,
            index=index,
            model=request.model,
            seed=seed,
            made=made,
            foreign=parent is not None
            and (await self._is_foreign(job, source) or await self._any_foreign(others)),
            prompt=job.prompt if wanted else "",
            label=source.label if source else None,
            parent=source.title if source else "",
            mark=(source.mark or source.job) if source and isinstance(request.task, Inpaint) else "",
        )
        kept = _kept(request, parent) if parent is not None and index != GRID and not size else None
        notes = _notes(job, seed) if wanted else {}
        labelled = index != GRID and await self._labelled(job)  # a grid is made of labelled pictures
        try:
            return await asyncio.to_thread(
                stamp,
                png,
                facts,
                self._keys,
                parent,
                notes,
                labelled=labelled,
                kept=kept,
                others=others,
                inputs=inputs,
            )
        except signing.Unsigned as error:
            raise EngineError(f"a picture cannot be signed: {error}", advice=_UNSIGNED) from error

    async def _facts_of(self, source: bytes) -> FileFacts | None:
        """Return what a source says of itself; None where it was not signed here."""
        claim = await asyncio.to_thread(signing.read, source, "image/png", self._keys)
        return claim.facts if claim else None

    async def _any_foreign(self, others: Sequence[bytes]) -> bool:
        """Return whether any of these pictures was not made here, or goes back to one that was not."""
        told = [await self._facts_of(each) for each in others]
        return any(facts is None or facts.foreign for facts in told)

    async def _is_foreign(self, job: Job, source: FileFacts | None) -> bool:
        """Return whether the job's source goes back to a picture that a person brought.

        It says so itself where it was signed here; else the rows tell, as far as there are any.
        """
        if source:
            return source.foreign
        child: Job | None = job
        blob = job.request.source
        while child and blob:
            child = await self._store.job(child.parent) if child.parent else None
            if child and blob in {each.blob for each in child.pictures}:
                blob = child.request.source
            elif child and blob != child.request.source:
                return True
        return blob is not None


def _kept(request: GenerationRequest, source: bytes) -> Kept | None:
    """Return where the source lies in the picture, for tasks that leave it as it is."""
    match request.task:
        case Inpaint():
            return Kept(source, 0, 0, request.width, request.height)
        case Outpaint(left=left, top=top, width=width, height=height):
            return Kept(source, left, top, width, height)
        case _:
            return None


def _others(request: GenerationRequest) -> tuple[BlobRef, ...]:
    """Return the pictures beside the first that a picture is made of."""
    return request.task_sources[1:] if isinstance(request.task, Edit | Blend) else ()


def _inputs(request: GenerationRequest) -> tuple[BlobRef, ...]:
    """Return the pictures that only guided a picture: what was given, not what was made of it."""
    found = (each.of or each.picture for each in request.guides) if request.paints else ()
    return tuple(dict.fromkeys(found))


def _notes(job: Job, seed: int) -> dict[str, str]:
    """Return what a picture says of itself to programs that read text chunks."""
    request = job.request
    notes = {
        "Software": "Easel",
        "Description": job.prompt,
        "prompt": request.prompt,
        "seed": str(seed),
        "model": request.model,
    }
    return notes | {name: text for each in PARAMS.values() for name, text in each.note(request).items()}

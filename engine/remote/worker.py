"""A worker whose device is a server with OpenAI's images API: it is asked for whole pictures, in this loop.

It stands behind the same `Worker` as a process with a card: the fair queue decides whose job comes next, and
no more jobs are let in than the server bears. What the server has too much of waits here, and is not failed.
"""

from __future__ import annotations

import asyncio
import io
import logging
import random
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from PIL import Image, ImageOps

from engine import changes, regions, weights
from engine.catalog import Entry
from engine.errors import Cancelled, EngineError, InvalidRequest
from engine.framing import by_lanczos, framed
from engine.lettering.setting import lettered
from engine.pipelines import references
from engine.remote.client import RemoteBusy, RemoteClient, RemoteError, RemoteSlow, RemoteTrouble
from engine.remote.concurrency import Concurrency
from engine.remote.dialects import Ask
from engine.remote.models import Remote
from engine.remote.sizes import asked
from engine.text import _
from engine.types import (
    TRANSPARENT,
    Blend,
    CreativeUpscale,
    CutOut,
    Edit,
    EngineJob,
    Failed,
    Finished,
    ImageToImage,
    Inpaint,
    Letter,
    Outpaint,
    Picture,
    Progress,
    Started,
    TextToImage,
    Upscale,
)
from engine.workers.messages import Capacity, ModelLoaded, Pulse, Ready, Report, Start

_log = logging.getLogger(__name__)

TRIES = 4  # of one picture that the server fails at
WAITED = 3600.0  # seconds that a picture waits in all for a server that has too much to do
PAUSE = 1.0  # seconds before the second try; twice as many before each further one
_UNUSABLE = (OSError, ValueError, SyntaxError)  # what Pillow raises for files of all kinds
FORMATS = ("PNG", "JPEG", "WEBP")
MOST_PIXELS = 40_000_000  # of an answer
NEAR = 64  # pixels by which a side may differ from what was asked for: servers round in their own ways
PREVIEW_SIDE = 384  # pixels


@dataclass(eq=False)
class _Inside:
    """A job inside, and what became of it so far."""

    order: Start
    done: int = 0  # pictures
    partial: int = 0  # previews of pictures that are not done
    spent: float = 0.0  # seconds of requests
    task: asyncio.Task[None] | None = None
    cancelled: bool = False

    @property
    def job(self) -> EngineJob:
        return self.order.job


@dataclass(eq=False)
class RemoteWorker:
    """Asks one server. Implements Worker."""

    entry: Entry
    remote: Remote
    key: str = field(default="", repr=False)
    pause: float = PAUSE

    def __post_init__(self) -> None:
        """Open no connection yet."""
        self._client = RemoteClient(self.remote, self.key)
        self._outbox: asyncio.Queue[Report] = asyncio.Queue()
        self._places = Concurrency(self._tell_capacity, most=self.remote.most)
        self._inside: dict[str, _Inside] = {}
        self._previews: set[asyncio.Task[None]] = set()

    async def send(self, order: Start) -> None:
        inside = self._inside[order.job.id] = _Inside(order)
        inside.task = asyncio.create_task(self._run(inside), name=f"remote-{order.job.id}")

    async def cancel(self, job_id: str) -> None:
        """Close the connections of a job."""
        if (inside := self._inside.get(job_id)) and inside.task:
            inside.cancelled = True
            inside.task.cancel()

    def suspects(self) -> frozenset[str]:
        return frozenset()

    async def close(self) -> None:
        tasks = [*self._previews, *(each.task for each in self._inside.values() if each.task)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.close()

    async def events(self) -> AsyncGenerator[Report, None]:
        name = self.entry.info.name
        yield Capacity(jobs=self._places.limit)  # before the first job is let in
        yield Ready()
        yield ModelLoaded(model=name, seconds=0.0)
        yield Pulse(models=(name,))
        while True:
            yield await self._outbox.get()

    def _tell_capacity(self, limit: int) -> None:
        self._outbox.put_nowait(Capacity(jobs=limit))

    async def _run(self, inside: _Inside) -> None:
        """Make all pictures of a job at the same time, as far as the server bears it, and report its end."""
        job = inside.job
        self._outbox.put_nowait(Started(job=job.id))
        end: Failed | Finished
        try:
            async with asyncio.TaskGroup() as pictures:
                for index in _lacking(job):
                    pictures.create_task(self._one(inside, index))
            end = Finished(job=job.id, device_seconds=inside.spent)
        except asyncio.CancelledError:
            if not inside.cancelled:  # the worker is closed: the job is queued again
                raise
            error: EngineError = Cancelled(f"job {job.id} was cancelled")
            end = Failed(job=job.id, error=error, device_seconds=inside.spent)
        except BaseExceptionGroup as group:
            end = Failed(job=job.id, error=_first(group, job.id), device_seconds=inside.spent)
        del self._inside[job.id]
        self._outbox.put_nowait(end)

    async def _one(self, inside: _Inside, index: int) -> None:
        request = inside.job.request
        if request.paints:
            made = await self._painted(inside, index)
        else:
            made = await asyncio.to_thread(_unpainted, inside.order, index)
        await self._deliver(inside, index, made)
        for number, size in enumerate(request.sizes, request.count) if index == 0 else ():
            sized = await asyncio.to_thread(framed, made, (size.width, size.height), by_lanczos)
            await self._deliver(inside, number, sized)

    async def _deliver(self, inside: _Inside, index: int, made: Image.Image) -> None:
        request = inside.job.request
        plain = await asyncio.to_thread(regions.as_png, made) if request.lettering else b""
        shown = await asyncio.to_thread(lettered, made, request, index) if request.lettering else made
        picture = Picture(
            job=inside.job.id,
            index=index,
            seed=request.seed_of(0 if request.size_at(index) else index),
            width=shown.width,
            height=shown.height,
            png=await asyncio.to_thread(regions.as_png, shown),
            plain=plain,
        )
        inside.done += index < request.count
        self._tell_progress(inside)
        self._outbox.put_nowait(picture)

    # ---- asking

    async def _painted(self, inside: _Inside, index: int) -> Image.Image:
        work = await asyncio.to_thread(_Work.of, self.entry, self.remote, inside.order, index)
        answer = await self._answer(inside, work.ask, f"{inside.job.id}-{index}")
        return await asyncio.to_thread(work.finished, answer)

    async def _answer(self, inside: _Inside, ask: Ask, name: str) -> bytes:
        """Ask for a picture until there is one, within bounds. Raises RemoteError."""
        tries, began = 0, time.monotonic()
        while True:
            try:
                return await self._asked(inside, ask, name)
            except RemoteBusy as error:
                if time.monotonic() - began > WAITED:
                    raise
                _log.info(
                    "the server is busy: the job waits", extra={"job_id": inside.job.id}, exc_info=error
                )
            except RemoteTrouble as error:
                tries += 1
                if tries == TRIES:
                    raise
                _log.warning("the server has failed", extra={"job_id": inside.job.id}, exc_info=error)
                await asyncio.sleep(self.pause * 2 ** (tries - 1) * random.uniform(0.75, 1.25))

    async def _asked(self, inside: _Inside, ask: Ask, name: str) -> bytes:
        """Ask once, when there is a place; learn how many there are from how it goes."""

        def previewed(picture: bytes) -> None:
            inside.partial += 1
            task = asyncio.create_task(self._preview(inside, picture))
            self._previews.add(task)
            task.add_done_callback(self._previews.discard)

        async with self._places.place() as place:
            began = time.monotonic()
            try:
                answer = await self._client.picture(ask, name, previewed)
            except RemoteBusy as error:
                self._places.overrun(place, error.pause or self.pause)
                raise
            except RemoteSlow:
                self._places.overrun(place)
                raise
            finally:
                spent = time.monotonic() - began
                inside.spent += spent
                self._outbox.put_nowait(
                    Pulse(models=(self.entry.info.name,), passes=1, rows=1, seconds=spent)
                )
            self._places.went_well()
            return answer

    async def _preview(self, inside: _Inside, picture: bytes) -> None:
        try:
            shown = await asyncio.to_thread(_small, picture)
        except RemoteError as error:
            _log.info("a preview cannot be read", extra={"job_id": inside.job.id}, exc_info=error)
            return
        self._tell_progress(inside, shown)

    def _tell_progress(self, inside: _Inside, preview: bytes | None = None) -> None:
        each = self.remote.partial_images + 1 if self.remote.dialect.streams else 1
        steps = each * inside.job.request.count
        done = (inside.done + len(inside.job.done)) * each
        step = min(max(done, done + inside.partial % each), steps)
        event = Progress(
            job=inside.job.id, step=step, steps=steps, device_seconds=inside.spent, preview=preview
        )
        self._outbox.put_nowait(event)


def _lacking(job: EngineJob) -> list[int]:
    """Return which pictures are asked for; the first where sizes of it are lacking."""
    count = job.request.count
    lacking = set(range(job.request.delivered)) - job.done
    return sorted({index if index < count else 0 for index in lacking})


def _first(group: BaseExceptionGroup[BaseException], job: str) -> EngineError:
    """Return the error that ended a job: one of people's making before any of the program's."""
    errors = [each for each in group.exceptions if isinstance(each, EngineError)]
    if errors:
        return errors[0]
    _log.error("a job failed", extra={"job_id": job}, exc_info=group.exceptions[0])
    return RemoteError(f"an error of the program: {type(group.exceptions[0]).__name__}")


# ---- the work around a request: what is sent, and what is made of the answer


@dataclass(frozen=True, kw_only=True)
class _Work:
    """One picture to ask for, and what becomes of it."""

    ask: Ask
    size: tuple[int, int]  # as delivered
    background: str = ""  # laid behind what is transparent
    part: regions.Region | None = None  # of a picture that stays as it is around it
    before: Image.Image | None = None  # the picture that was changed: what the edit left alone is kept of it

    @classmethod
    def of(cls, entry: Entry, remote: Remote, order: Start, index: int) -> _Work:
        """Return the work for picture `index` of a job. Raises InvalidRequest."""
        request, to = order.job.request, remote.dialect
        task, size, part = request.effective_task, (request.width, request.height), None
        images: list[Image.Image] = []
        before: Image.Image | None = None
        match task:
            case TextToImage():
                pass
            case ImageToImage():
                images = [ImageOps.fit(regions.opened(order.sources[0]), size)]
            case (Edit() | Blend()) as task:
                given = [regions.opened(each) for each in order.sources]
                images = references.references(task, given, remote.family, asked(size, to))
                before = images[0] if isinstance(task, Edit) and task.keep else None
            case (Inpaint() | Outpaint()) as task:
                part = regions.region(task, order.sources, size, entry.info)
            case CreativeUpscale() | Upscale() | CutOut() | Letter():
                raise InvalidRequest(f"no {task.kind} by an API", advice=_CANNOT)
        wanted = asked(part.size if part else size, to)
        if part:
            images = [part.image.resize(wanted, Image.Resampling.LANCZOS)]
        if request.cuts_out and not to.backgrounds:
            raise InvalidRequest("no backgrounds by this API", advice=_NO_CUT)
        weighed = weights.read(remote.family.words(task, request.prompt))
        ask = Ask(
            prompt=weighed.plain,
            negative=", ".join(filter(None, (request.negative_prompt, *weighed.negative))),
            model=remote.model,
            size=wanted,
            seed=request.seed_of(index),
            steps=request.steps_taken,
            guidance=request.guidance,
            quality=remote.quality,
            transparent=request.cuts_out,
            partial_images=remote.partial_images,
            images=tuple(regions.as_png(each) for each in images),
            mask=_mask(part.mask(wanted), white=to.white) if part else b"",
        )
        return cls(ask=ask, size=size, background=request.background, part=part, before=before)

    def finished(self, answer: bytes) -> Image.Image:
        """Return the picture as it is delivered. Raises RemoteError."""
        made = opened(answer)
        if any(abs(side - wanted) > NEAR for side, wanted in zip(made.size, self.ask.size, strict=True)):
            raise RemoteError(f"a picture of {made.size}, asked for {self.ask.size}", advice=_SIZE)
        if self.part:
            return self.part.composed(regions.on_white(made).convert("RGB"))
        if self.ask.transparent:
            fitted = ImageOps.fit(made.convert("RGBA"), self.size, Image.Resampling.LANCZOS)
            return fitted if self.background == TRANSPARENT else _laid(fitted, self.background)
        made = regions.on_white(made).convert("RGB")
        if self.before:
            made = changes.kept(self.before.resize(made.size, Image.Resampling.LANCZOS), made)
        return made if made.size == self.size else ImageOps.fit(made, self.size, Image.Resampling.LANCZOS)


_CANNOT = _("This needs a model that runs here, and there is none. An administrator can add one to MODEL.")
_NO_CUT = _("This model paints no transparent background. Leave --background out.")
_SIZE = _("The server of this model sent an image of another size. Try a size that the model knows.")
_UNREADABLE = _("The server of this model sent no image that can be used. Try again.")


def opened(answer: bytes) -> Image.Image:
    """Return a server's picture in RGB or RGBA, of a few formats and no more than so many pixels.

    Raises RemoteError.
    """
    try:
        with Image.open(io.BytesIO(answer), formats=FORMATS) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise RemoteError(f"a picture of {picture.size} pixels", advice=_UNREADABLE)
            return picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    except (*_UNUSABLE, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise RemoteError(
            f"a picture that cannot be read: {type(error).__name__}", advice=_UNREADABLE
        ) from error


def _small(picture: bytes) -> bytes:
    shown = regions.on_white(opened(picture))
    shown.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    out = io.BytesIO()
    shown.convert("RGB").save(out, "WEBP", quality=70)
    return out.getvalue()


def _laid(picture: Image.Image, colour: str) -> Image.Image:
    ground = Image.new("RGB", picture.size, colour)
    ground.paste(picture, mask=picture.getchannel("A"))
    return ground


def _mask(mask: Image.Image, *, white: bool) -> bytes:
    """Return a mask as a server reads it: white, or transparent, where it is painted."""
    if white:
        return regions.as_png(mask)
    whole = Image.new("RGBA", mask.size, "black")
    whole.putalpha(ImageOps.invert(mask))
    return regions.as_png(whole)


def _unpainted(order: Start, index: int) -> Image.Image:
    """Return what is made without a painting model. Raises InvalidRequest."""
    match order.job.request.task:
        case Upscale():
            size = order.job.request.width, order.job.request.height
            return regions.opened_as_is(order.sources[0]).resize(size, Image.Resampling.LANCZOS)
        case Letter():
            return regions.opened_as_is(order.sources[index])
    raise InvalidRequest("nothing here cuts out", advice=_CANNOT)

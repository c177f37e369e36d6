"""An engine without a device: it paints deterministic little pictures with Pillow, one job at a time.

For demonstrations (`MODEL=memory`) and for tests of everything around an engine: queue and dispatcher are the
real ones, only the worker is not, and it can be told to fail, to die or to hang.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import math
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import assert_never

from PIL import Image, ImageDraw, ImageFilter

from engine import regions
from engine.catalog import Catalog, Entry
from engine.errors import Cancelled, EngineError
from engine.framing import by_lanczos, framed
from engine.lettering.setting import lettered
from engine.scheduling.job_queue import FairQueue
from engine.types import (
    TRANSPARENT,
    Blend,
    BlobRef,
    CreativeUpscale,
    CutOut,
    Edit,
    EngineJob,
    Failed,
    Finished,
    GenerationRequest,
    ImageToImage,
    Inpaint,
    Letter,
    ModelInfo,
    Outpaint,
    Picture,
    Progress,
    Started,
    TextToImage,
    Upscale,
)
from engine.workers.dispatcher import Dispatcher
from engine.workers.messages import ModelLoaded, Pulse, Ready, Report, Start

MEMORY = ModelInfo(
    name="memory",
    title="Shapes in memory",
    licence="MIT",
    width=512,
    height=512,
    steps=20,
    guidance=5.0,
    judge="drawings",
    tasks=frozenset(
        ("text_to_image", "image_to_image", "edit", "blend", "inpaint", "outpaint", "creative_upscale")
    ),
)

GUIDED = 0.2  # how much of a picture is each that guides it
PREVIEWS = 4  # for each job
PREVIEW_SIDE = 96  # pixels

Fault = Callable[[EngineJob], Exception | None]
"""Asked when a job starts. An EngineError makes it fail, TimeoutError makes it hang until it is cancelled,
any other exception takes its worker down."""


class FakeEngine(Dispatcher):
    """An Engine in the event loop.

    A step takes `step_seconds` of real time and costs `cost` device-seconds. `read` returns the bytes of a
    source picture. Each of the `devices` holds so many models (`slots`), and loads one in `loading` seconds.
    """

    def __init__(
        self,
        read: Callable[[BlobRef], bytes],
        *,
        models: Sequence[ModelInfo] = (MEMORY,),
        step_seconds: float = 0.0,
        cost: float = 0.05,
        fault: Fault | None = None,
        may_start: Callable[[], Awaitable[bool]] | None = None,
        devices: int = 1,
        slots: float = math.inf,
        loading: float = 0.0,
    ) -> None:
        async def spawn() -> MemoryWorker:
            return MemoryWorker(step_seconds, cost, fault, loading)

        self._cost = cost
        catalog = Catalog([Entry(info=model, source="") for model in models])
        queue = FairQueue(per_user=1, soft_limit=devices, hard_limit=devices, relaxed_limit=1)
        names = ["memory", *(f"memory:{number}" for number in range(1, devices))]
        super().__init__(
            catalog,
            [(name, spawn) for name in names],
            read,
            queue=queue,
            may_start=may_start,
            memory=[slots] * devices,
            size=lambda entry: 1.0,
            jobs_each=1 if devices > 1 else math.inf,
        )
        for model in models:
            self._models.observe(model.name, loading, 1.0)

    def estimate(self, request: GenerationRequest) -> float:
        """Return the exact device-seconds, since a step's cost is a constant. Raises UnknownModel."""
        self._catalog.entry(request.model)
        return _steps(request) * self._cost


class MemoryWorker:
    """Paints while its events are followed; between the steps of a relaxed job, fast ones that have come."""

    def __init__(self, step_seconds: float, cost: float, fault: Fault | None, loading: float = 0.0) -> None:
        self._step_seconds = step_seconds
        self._loading = loading
        self._models: dict[str, None] = {}  # loaded, the one used last at the end
        self._cost = cost
        self._fault = fault
        self._waiting: list[Start] = []
        self._arrival = asyncio.Event()
        self._running: EngineJob | None = None
        self._unwanted: dict[str, asyncio.Event] = {}  # set once someone has cancelled the job

    async def send(self, order: Start) -> None:
        self._unwanted[order.job.id] = asyncio.Event()
        self._waiting.append(order)
        self._arrival.set()

    async def cancel(self, job_id: str) -> None:
        if unwanted := self._unwanted.get(job_id):
            unwanted.set()

    def suspects(self) -> frozenset[str]:
        return frozenset([self._running.id] if self._running else [])

    async def close(self) -> None:
        """Do nothing: there is nothing to stop."""

    async def events(self) -> AsyncGenerator[Report, None]:
        yield Ready()
        try:
            while True:
                await self._arrival.wait()
                while order := self._next() or self._next(relaxed=True):
                    async for event in self._serve(order):
                        yield event
                self._arrival.clear()
        except Exception:  # its death, whatever it was
            return

    def _next(self, *, relaxed: bool = False) -> Start | None:
        order = next((order for order in self._waiting if order.job.relaxed is relaxed), None)
        if order is not None:
            self._waiting.remove(order)
        return order

    async def _serve(self, order: Start) -> AsyncGenerator[Report, None]:
        """Yield the reports of one job, from its start to its end."""
        before, self._running, job = self._running, order.job, order.job
        yield Started(job=job.id)
        spent = 0.0
        try:
            if loaded := await self._load(order):
                yield loaded
            async for event in self._paint(order):
                if isinstance(event, Progress) and event.job == job.id:
                    spent = event.device_seconds
                    yield Pulse(models=tuple(self._models), passes=1, rows=1, seconds=self._cost)
                yield event
        except EngineError as error:
            yield Failed(job=job.id, error=error, device_seconds=spent)
        else:
            yield Finished(job=job.id, device_seconds=spent)
        del self._unwanted[job.id]
        self._running = before

    async def _load(self, order: Start) -> ModelLoaded | None:
        """Load a job's model in the place of those that leave, unless it is here."""
        name = order.job.request.model
        for each in order.leave:
            self._models.pop(each, None)
        here = name in self._models
        self._models.pop(name, None)
        self._models[name] = None
        if here:
            return None
        await asyncio.sleep(self._loading)
        return ModelLoaded(model=name, seconds=self._loading, size=1)

    async def _paint(self, order: Start) -> AsyncGenerator[Report, None]:
        job, request = order.job, order.job.request
        await self._suffer(job)
        steps = _steps(request)
        every = max(1, steps // PREVIEWS)
        for step in range(1, steps + 1):
            while job.relaxed and (urgent := self._next()):
                async for event in self._serve(urgent):
                    yield event
            await asyncio.sleep(self._step_seconds)
            if self._unwanted[job.id].is_set():
                raise Cancelled()
            shows = step % every == 0 and step < steps
            preview = (
                await asyncio.to_thread(_preview, request, order.sources, step / steps) if shows else None
            )
            spent = step * self._cost
            yield Progress(job=job.id, step=step, steps=steps, device_seconds=spent, preview=preview)
        for index in range(request.count):
            png = await asyncio.to_thread(_png, request, index, order.sources)
            plain = png if request.lettering else b""
            yield Picture(
                job=job.id,
                index=index,
                seed=request.seed_of(index),
                width=request.width,
                height=request.height,
                png=await asyncio.to_thread(_lettered, png, request, index) if plain else png,
                plain=plain,
            )
            for number, size in enumerate(request.sizes, request.count):
                made = await asyncio.to_thread(_sized, png, (size.width, size.height))
                yield Picture(
                    job=job.id,
                    index=number,
                    seed=request.seed,
                    width=size.width,
                    height=size.height,
                    png=await asyncio.to_thread(_lettered, made, request, number) if plain else made,
                    plain=made if plain else b"",
                )

    async def _suffer(self, job: EngineJob) -> None:
        match self._fault(job) if self._fault else None:
            case None:
                return
            case TimeoutError():
                await self._unwanted[job.id].wait()
                raise Cancelled()
            case error:
                raise error


def _steps(request: GenerationRequest) -> int:
    return request.steps_taken * request.count if request.paints else 1


def _png(request: GenerationRequest, index: int, sources: Sequence[bytes]) -> bytes:
    return regions.as_png(paint(request, index, (request.width, request.height), sources))


def _sized(png: bytes, size: tuple[int, int]) -> bytes:
    return regions.as_png(framed(regions.opened_as_is(png), size, by_lanczos))


def _lettered(png: bytes, request: GenerationRequest, index: int) -> bytes:
    return regions.as_png(lettered(regions.opened_as_is(png), request, index))


def _preview(request: GenerationRequest, sources: Sequence[bytes], done: float) -> bytes:
    out = io.BytesIO()
    picture = paint(request, 0, (PREVIEW_SIDE, PREVIEW_SIDE), sources)
    picture.filter(ImageFilter.GaussianBlur(12 * (1 - done))).save(out, "WEBP", quality=60, method=0)
    return out.getvalue()


def paint(
    request: GenerationRequest, index: int, size: tuple[int, int], sources: Sequence[bytes] = ()
) -> Image.Image:
    """Paint picture `index` of a request in `size` pixels: shapes and colours by its words and seed."""
    made = _made(request, index, size, sources[: len(request.task_sources)])
    for number in range(len(request.task_sources), len(sources)):  # what guides it shows through
        made = Image.blend(made, _resized(sources[number], size), GUIDED)
    return _over(made, request.background or TRANSPARENT) if request.cuts_out else made


def _made(
    request: GenerationRequest, index: int, size: tuple[int, int], sources: Sequence[bytes]
) -> Image.Image:
    match request.task:
        case TextToImage():
            return _shapes(request, index, size)
        case ImageToImage(strength=strength) | CreativeUpscale(strength=strength):
            return Image.blend(_resized(sources[0], size), _shapes(request, index, size), strength)
        case Edit():
            return Image.blend(_mixed(sources, size), _shapes(request, index, size), 0.5)
        case Blend(strength=strength):
            return Image.blend(_mixed(sources, size), _shapes(request, index, size), strength)
        case (Inpaint() | Outpaint()) as task:
            whole = request.width, request.height
            part = regions.region(task, sources, whole, MEMORY)
            return part.composed(_shapes(request, index, part.size)).resize(size)
        case Upscale():
            return regions.opened_as_is(sources[0]).resize(size, Image.Resampling.LANCZOS)
        case CutOut():
            return regions.opened_as_is(sources[0]).resize(size, Image.Resampling.LANCZOS)
        case Letter():
            return regions.opened_as_is(sources[index]).resize(size, Image.Resampling.LANCZOS)
        case unknown:
            assert_never(unknown)


def _over(picture: Image.Image, background: str) -> Image.Image:
    """Return an oval of the picture over a background, as if that were what it shows."""
    alpha = Image.new("L", picture.size)
    ImageDraw.Draw(alpha).ellipse((0, 0, picture.width - 1, picture.height - 1), fill=255)
    if picture.mode == "RGBA":
        alpha = picture.getchannel("A")
    whole = (
        Image.new("RGBA", picture.size)
        if background == TRANSPARENT
        else Image.new("RGB", picture.size, background)
    )
    whole.paste(picture.convert("RGB"), mask=alpha)
    return whole


def _mixed(sources: Sequence[bytes], size: tuple[int, int]) -> Image.Image:
    mixed = _resized(sources[0], size)
    for number, each in enumerate(sources[1:], 2):
        mixed = Image.blend(mixed, _resized(each, size), 1 / number)
    return mixed


def _resized(source: bytes, size: tuple[int, int]) -> Image.Image:
    return regions.opened(source).resize(size, Image.Resampling.LANCZOS)


def _shapes(request: GenerationRequest, index: int, size: tuple[int, int]) -> Image.Image:
    words = f"{request.prompt}\n{request.negative_prompt}\n{request.guidance}\n{request.seed_of(index)}"
    dice = random.Random(hashlib.sha256(words.encode("utf-8", "surrogatepass")).digest())
    picture = Image.new("RGB", size, _colour(dice))
    draw = ImageDraw.Draw(picture)
    for _ in range(dice.randint(3, 7)):
        radius = dice.uniform(0.1, 0.4) * min(size)
        x, y = dice.uniform(0, size[0]), dice.uniform(0, size[1])
        box = (x - radius, y - radius, x + radius, y + radius)
        shape = dice.choice((draw.ellipse, draw.rectangle))
        shape(box, fill=_colour(dice))
    return picture


def _colour(dice: random.Random) -> tuple[int, int, int]:
    return dice.randrange(256), dice.randrange(256), dice.randrange(256)

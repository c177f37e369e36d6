"""An engine without a device: it paints deterministic little pictures with Pillow, one job at a time.

For demonstrations (`MODEL=memory`) and for tests of everything around an engine: the order is the real
queue's, the events are the real ones, and it can be told to fail, to die or to hang.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

from PIL import Image, ImageDraw, ImageFilter

from engine.errors import Cancelled, EngineError, InvalidRequest, UnknownModel, WorkerLost
from engine.fair_queue import FairQueue
from engine.types import (
    BlobRef,
    EngineEvent,
    EngineJob,
    Failed,
    Finished,
    GenerationRequest,
    Lane,
    ModelInfo,
    Picture,
    Place,
    Progress,
    Restarted,
    Started,
)

MEMORY = ModelInfo(
    name="memory",
    title="Shapes in memory",
    licence="MIT",
    width=512,
    height=512,
    steps=20,
    guidance=5.0,
)

DEATHS = 2  # a job that was running when so many workers died is set aside
PREVIEWS = 4  # for each job
PREVIEW_SIDE = 96  # pixels

Fault = Callable[[EngineJob], Exception | None]
"""Asked when a job starts. An EngineError makes it fail, TimeoutError makes it hang until it is cancelled,
any other exception takes its worker down."""


class MemoryEngine:
    """An Engine in one task of the event loop.

    A step takes `step_seconds` of real time and costs `cost` device-seconds. `read` returns the bytes of a
    source picture.
    """

    def __init__(
        self,
        read: Callable[[BlobRef], bytes],
        *,
        models: Sequence[ModelInfo] = (MEMORY,),
        step_seconds: float = 0.0,
        cost: float = 0.05,
        fault: Fault | None = None,
    ) -> None:
        self._read = read
        self._models = tuple(models)
        self._step_seconds = step_seconds
        self._cost = cost
        self._fault = fault
        self._queue = FairQueue()
        self._events: asyncio.Queue[EngineEvent | None] = asyncio.Queue()
        self._running: EngineJob | None = None
        self._spent = 0.0  # device-seconds of the running job
        self._stop = asyncio.Event()  # someone cancelled the running job
        self._idle = asyncio.Event()
        self._idle.set()
        self._open = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._open = True
        self._task = asyncio.create_task(self._work(), name="memory-engine")

    def models(self) -> tuple[ModelInfo, ...]:
        return self._models

    def estimate(self, request: GenerationRequest) -> float:
        if request.model not in {model.name for model in self._models}:
            raise UnknownModel(f"no model {request.model}")
        return _steps(request) * self._cost

    def learn(self, request: GenerationRequest, seconds: float) -> None:
        """Its costs are a constant: there is nothing to learn."""

    def submit(self, job: EngineJob) -> Place:
        self._queue.put(job if job.cost else replace(job, cost=self.estimate(job.request)))
        place = self.place(job.id)
        assert place is not None
        return place

    def cancel(self, job: str) -> bool:
        if self._queue.remove(job):
            self._emit(Failed(job=job, error=Cancelled(), device_seconds=0.0))
            return True
        if self._running is None or self._running.id != job:
            return False
        self._stop.set()
        return True

    def place(self, job: str) -> Place | None:
        busy = max(0.0, self._running.cost - self._spent) if self._running else 0.0
        return self._queue.place(job, busy=busy)

    def line(self) -> tuple[Lane, ...]:
        return self._queue.line()

    async def events(self) -> AsyncIterator[EngineEvent]:
        while (event := await self._events.get()) is not None:
            yield event

    async def close(self, drain: float = 0.0) -> None:
        self._open = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain):
                await self._idle.wait()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._events.put_nowait(None)

    def _emit(self, event: EngineEvent) -> None:
        self._events.put_nowait(event)

    async def _work(self) -> None:
        while self._open:
            job = await self._queue.get()
            self._running, self._spent = job, 0.0
            self._stop.clear()
            self._idle.clear()
            outcome = await self._outcome(job)
            self._queue.settle(job.id, self._spent)
            self._running = None
            if isinstance(outcome, Restarted):
                self._queue.put(replace(job, deaths=outcome.deaths), first=True)
            self._emit(outcome)
            self._idle.set()

    async def _outcome(self, job: EngineJob) -> EngineEvent:
        self._emit(Started(job=job.id))
        try:
            await self._suffer(job)
            await self._paint(job)
        except EngineError as error:
            return Failed(job=job.id, error=error, device_seconds=self._spent)
        except Exception as error:  # the worker's death, whatever it was
            deaths = job.deaths + 1
            if deaths < DEATHS:
                return Restarted(job=job.id, deaths=deaths)
            return Failed(job=job.id, error=WorkerLost(repr(error)), device_seconds=self._spent)
        return Finished(job=job.id, device_seconds=self._spent)

    async def _suffer(self, job: EngineJob) -> None:
        match self._fault(job) if self._fault else None:
            case None:
                return
            case TimeoutError():
                await self._stop.wait()
                raise Cancelled()
            case error:
                raise error

    async def _paint(self, job: EngineJob) -> None:
        request = job.request
        source = await self._source(request)
        steps = _steps(request)
        every = max(1, steps // PREVIEWS)
        for step in range(1, steps + 1):
            await asyncio.sleep(self._step_seconds)
            if self._stop.is_set():
                raise Cancelled()
            self._spent = step * self._cost
            shows = step % every == 0 and step < steps
            preview = await asyncio.to_thread(_preview, request, source, step / steps) if shows else None
            self._emit(
                Progress(job=job.id, step=step, steps=steps, device_seconds=self._spent, preview=preview)
            )
        for index in range(request.count):
            png = await asyncio.to_thread(_png, request, index, source)
            seed = request.seed_of(index)
            self._emit(
                Picture(
                    job=job.id,
                    index=index,
                    seed=seed,
                    width=request.width,
                    height=request.height,
                    png=png,
                )
            )

    async def _source(self, request: GenerationRequest) -> bytes | None:
        if request.source is None:
            return None
        try:
            return await asyncio.to_thread(self._read, request.source)
        except Exception as error:  # whatever the store of pictures raises
            raise InvalidRequest(repr(error), advice="The source picture is gone. Choose another.") from error


def _steps(request: GenerationRequest) -> int:
    return 1 if request.upscale > 1 else request.steps * request.count


def _png(request: GenerationRequest, index: int, source: bytes | None) -> bytes:
    out = io.BytesIO()
    picture = paint(request, index, (request.width, request.height), source)
    picture.save(out, "PNG", compress_level=1)
    return out.getvalue()


def _preview(request: GenerationRequest, source: bytes | None, done: float) -> bytes:
    out = io.BytesIO()
    picture = paint(request, 0, (PREVIEW_SIDE, PREVIEW_SIDE), source)
    picture.filter(ImageFilter.GaussianBlur(12 * (1 - done))).save(out, "WEBP", quality=60)
    return out.getvalue()


def paint(
    request: GenerationRequest, index: int, size: tuple[int, int], source: bytes | None = None
) -> Image.Image:
    """Picture `index` of a request in `size` pixels: shapes and colours that its words and seed decide."""
    if source is None:
        return _shapes(request, index, size)
    with Image.open(io.BytesIO(source)) as given:
        base = given.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    return base if request.upscale > 1 else Image.blend(base, _shapes(request, index, size), request.strength)


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

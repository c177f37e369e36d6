"""What crosses the engine's door: requests and jobs go in, events come out."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Protocol, Self

from engine.errors import EngineError

SEED_LIMIT = 2**32
"""Seeds are 0 … SEED_LIMIT − 1."""

BlobRef = str
"""The name of a picture at rest. The engine only hands it to the `read` function it was given."""

TaskKind = Literal["text_to_image", "image_to_image", "upscale"]
"""What is done for a request. Enlarging needs no painting model; what else a model does, its `tasks` say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """What to paint. Nothing here says who asked, or where."""

    prompt: str
    seed: int
    negative_prompt: str = ""
    model: str = "easel-tiny"
    width: int = 512  # pixels, as delivered
    height: int = 512  # pixels, as delivered
    steps: int = 20  # denoising steps
    guidance: float = 5.0  # classifier-free guidance scale
    count: int = 4
    source: BlobRef | None = None  # picture to start from
    strength: float = 1.0  # img2img strength; 1.0 ignores the source
    upscale: int = 1  # 4: no painting, super-resolution of the source

    @property
    def task(self) -> TaskKind:
        """What the request asks for; a strength of 1 ignores the source."""
        if self.upscale > 1:
            return "upscale"
        return "text_to_image" if self.source is None or self.strength >= 1 else "image_to_image"

    def seed_of(self, index: int) -> int:
        """The seed of picture `index` (0-based); each picture can be painted again alone with it."""
        return (self.seed + index) % SEED_LIMIT

    def variation(self, of: BlobRef, seed: int, strength: float) -> GenerationRequest:
        return replace(self, source=of, seed=seed, strength=strength, upscale=1)

    def enlarged(self, of: BlobRef, width: int, height: int) -> GenerationRequest:
        """The request that upscales one picture of `width` × `height` pixels by 4."""
        return replace(self, source=of, count=1, upscale=4, strength=1.0, width=width * 4, height=height * 4)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        return cls(**data)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineJob:
    """A request with its place in the fair order."""

    id: str
    request: GenerationRequest
    tenant: str
    user: str
    tenant_weight: float = 1.0
    user_weight: float = 1.0
    cost: float = 0.0  # estimated device-seconds; 0 asks the engine to estimate
    deaths: int = 0  # workers that died while they ran this job
    relaxed: bool = False  # runs only while no fast job wants the device
    running: int | None = None  # jobs of this user inside the engine at once; None: the queue's bound

    def __post_init__(self) -> None:
        """Raises ValueError for numbers that would spoil the order for everybody."""
        heavy = 0 < self.tenant_weight < math.inf and 0 < self.user_weight < math.inf
        if not heavy or not 0 <= self.cost < math.inf:
            weights = self.tenant_weight, self.user_weight
            raise ValueError(f"job {self.id} has weights {weights} and cost {self.cost}")
        if self.running is not None and self.running < 1:
            raise ValueError(f"job {self.id} could never run: running is {self.running}")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a waiting job stands."""

    position: int  # 1 is next
    wait: float  # seconds until it starts, expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One person's line, for the page that shows whose turn is next."""

    tenant: str
    user: str
    waiting: tuple[str, ...]  # job ids, in order
    running: tuple[str, ...]
    virtual_time: float  # weighted device-seconds; the least goes next
    weight: float
    served: float  # device-seconds since start
    relaxed: bool = False
    held: tuple[str, ...] = ()  # job ids, in order; they wait, but are not let in


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What one model of the catalog can do, and its defaults."""

    name: str
    title: str
    licence: str
    width: int
    height: int
    steps: int
    guidance: float
    multiple: int = 8  # sizes are rounded to this many pixels
    min_side: int = 64
    max_side: int = 2048
    max_steps: int = 100
    tasks: frozenset[TaskKind] = frozenset(("text_to_image", "image_to_image"))
    negative_prompt: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A worker took the job; it may still wait for its first step."""

    job: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Steps done of all the job's pictures together, and now and then a preview."""

    job: str
    step: int
    steps: int
    device_seconds: float
    preview: bytes | None = None  # WebP, small


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One finished picture."""

    job: str
    index: int
    seed: int
    width: int
    height: int
    png: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """All pictures were handed over; nothing follows."""

    job: str
    device_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The job ended without its pictures (`errors.Cancelled` when someone asked for that)."""

    job: str
    error: EngineError
    device_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarted:
    """The job waits again and will run with the same seed: its worker was lost, or needed the memory."""

    job: str
    deaths: int


EngineEvent = Started | Progress | Picture | Finished | Failed | Restarted


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """One device's worker."""

    device: str
    ready: bool  # else it starts, or is being replaced
    models: tuple[str, ...]  # loaded, the one used last at the end
    jobs: int  # inside it
    restarts: int  # times it was lost since start
    out: str = ""  # why its device is out of service; empty while it is in service


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatus:
    """What there is to say about an engine that is slow."""

    workers: tuple[WorkerStatus, ...]
    inside: int  # jobs; relaxed ones, too
    waiting: int  # jobs; relaxed ones, too
    held: int  # jobs
    relaxed: int  # jobs that wait, are held or are inside in the relaxed class
    last_minute: float  # device-seconds used
    last_five_minutes: float  # device-seconds used
    rows: float  # mean batch rows of the last five minutes' forward passes; 0 without any
    stalled: float = 0.0  # seconds since a device did anything, while there was work for it

    @property
    def restarts(self) -> int:
        """Workers lost since start."""
        return sum(worker.restarts for worker in self.workers)

    @property
    def ready(self) -> int:
        """Workers that take jobs."""
        return sum(worker.ready for worker in self.workers)

    @property
    def out(self) -> tuple[WorkerStatus, ...]:
        """Those whose device is out of service."""
        return tuple(worker for worker in self.workers if worker.out)


class Engine(Protocol):
    """From jobs to events. One implementation runs worker processes, one paints in memory."""

    async def start(self) -> None: ...

    def models(self) -> tuple[ModelInfo, ...]:
        """The models that may be asked for, the default first."""
        ...

    def estimate(self, request: GenerationRequest) -> float:
        """Expected device-seconds. Raises UnknownModel."""
        ...

    def learn(self, request: GenerationRequest, seconds: float) -> None:
        """What a request cost at an earlier time, to estimate by. Raises UnknownModel."""
        ...

    def submit(self, job: EngineJob) -> Place: ...

    def resume(self, jobs: Iterable[EngineJob]) -> dict[str, EngineError]:
        """Line up jobs from before this process, in this order, before all that came since.

        Return why it cannot take those that it does not take, by id.
        """
        ...

    def cancel(self, job: str) -> bool:
        """Ask for a waiting or running job to end. False when the engine does not know it."""
        ...

    def hold(self, job: str) -> bool:
        """Let a waiting job pass over its turns until `unhold`. False when it does not wait.

        Called right after `submit`, it comes before the job could start. One that is inside goes on there,
        and is held when it comes to wait again.
        """
        ...

    def unhold(self, job: str) -> bool:
        """Let a job take its turn again, among its owner's others as before. False when it does not wait."""
        ...

    def relax(self, job: str) -> bool:
        """Move a job that waits or is held to the relaxed class. False when it does neither."""
        ...

    def move(self, job: str, tenant: str, user: str) -> bool:
        """Let a job that waits or is held stand in another lane. False when it does neither."""
        ...

    def place(self, job: str) -> Place | None:
        """None when the job is held or does not wait."""
        ...

    def line(self) -> tuple[Lane, ...]:
        """Everybody who waits or paints, in the order of their turns.

        The relaxed come behind all others, and last who has nothing but held jobs.
        """
        ...

    def status(self) -> EngineStatus: ...

    def events(self) -> AsyncIterator[EngineEvent]:
        """Everything that happens, in order, for the one tracker there is."""
        ...

    async def close(self, drain: float = 0.0) -> None:
        """Stop taking jobs at once, let running ones end for `drain` seconds, stop the workers."""
        ...

"""What crosses the engine's door: requests and jobs go in, events come out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol, Self

from engine.errors import EngineError

SEED_LIMIT = 2**32
"""Seeds are 0 … SEED_LIMIT − 1."""

BlobRef = str
"""The name of a picture at rest. The engine only hands it to the `read` function it was given."""


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
    image_to_image: bool = True
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
    """The job's worker was lost: the job waits again and will run with the same seed."""

    job: str
    deaths: int


EngineEvent = Started | Progress | Picture | Finished | Failed | Restarted


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

    def cancel(self, job: str) -> bool:
        """Ask for a waiting or running job to end. False when the engine does not know it."""
        ...

    def place(self, job: str) -> Place | None:
        """None when the job does not wait."""
        ...

    def line(self) -> tuple[Lane, ...]:
        """Everybody who waits or paints, in the order of their turns."""
        ...

    def events(self) -> AsyncIterator[EngineEvent]:
        """Everything that happens, in order, for the one follower there is."""
        ...

    async def close(self, drain: float = 0.0) -> None:
        """Stop taking jobs at once, let running ones end for `drain` seconds, stop the workers."""
        ...

"""What a worker process and its parent say to each other. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import EngineError
from engine.types import EngineEvent, EngineJob, Loading


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a worker is told once."""

    device: str
    models: tuple[str, ...]  # the default first
    hang_seconds: float  # a forward pass that takes longer counts as hung
    pinned: float = 0.0  # bytes of host memory that may be pinned
    loras: str = ""  # folder with LoRAs; empty: there are none
    controlnets: str = ""  # folder with ControlNets; empty: there are none
    ip_adapters: str = ""  # folder with IP-Adapters; empty: there are none
    state: str = ""  # folder for what is learned of models; empty: it is forgotten at the end
    cutout: str = ""  # segmentation model that cuts out; empty: the one that ships


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Begin a job."""

    job: EngineJob
    sources: tuple[bytes, ...] = ()  # the pictures of the request's `sources`, as PNG
    used: float = 0.0  # device-seconds that its owner has used in its class, fast or relaxed
    leave: tuple[str, ...] = ()  # models that are unloaded first, to make room for the job's


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop a job at its next step."""

    job: str


@dataclass(frozen=True, slots=True)
class Ready:
    """The default model is loaded, or why not: what a worker sends first."""

    error: EngineError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLoaded:
    """A model has been loaded, or could not be."""

    model: str
    seconds: float
    size: int = 0  # bytes; 0 where it was not loaded


@dataclass(slots=True, kw_only=True)
class Pulse:
    """What a worker has done since its last one, and what it has loaded. Counted up until it is sent."""

    models: tuple[str, ...]  # the one used last at the end
    passes: int = 0  # forward passes
    rows: int = 0  # batch rows of them all
    seconds: float = 0.0  # device-seconds used
    loading: Loading | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """How many jobs a worker may have inside from now on."""

    jobs: int


Report = EngineEvent | Ready | ModelLoaded | Pulse | Capacity
"""What a worker sends."""

Order = Start | Cancel | None
"""What the parent sends; None asks the worker to stop."""

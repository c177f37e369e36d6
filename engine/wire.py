"""What a worker process and its parent say to each other. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import EngineError
from engine.types import EngineJob


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a worker is told once."""

    device: str
    models: tuple[str, ...]  # the default first
    hang_seconds: float  # a forward pass that takes longer counts as hung


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A job on its way into a worker."""

    job: EngineJob
    source: bytes | None = None  # PNG


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop a job at its next step."""

    job: str


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker's first word: its default model is loaded, or why not."""

    error: EngineError | None = None


Order = Task | Cancel | None
"""What the parent sends; None asks the worker to stop."""

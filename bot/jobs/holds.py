"""What keeps waiting jobs from starting: places that are paused, and single jobs that are held."""

from __future__ import annotations

from collections.abc import Iterable

from bot.models import INSTANCE, Job
from engine.types import Engine


class Holds:
    """Knows what may not start, and tells the engine. A restart forgets held jobs, but no pause."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._paused: set[str] = set()
        self._jobs: set[str] = set()

    def is_held(self, job: Job) -> bool:
        paused = INSTANCE in self._paused or job.origin.member.tenant in self._paused
        return paused or job.id in self._jobs

    def is_held_itself(self, id: str) -> bool:
        """Tell whether the job is held by itself, wherever it is from."""
        return id in self._jobs

    def set_paused(self, tenants: Iterable[str]) -> None:
        """Replace the set of tenants that are paused."""
        self._paused = set(tenants)

    def set_job(self, id: str, *, held: bool) -> None:
        (self._jobs.add if held else self._jobs.discard)(id)

    def apply(self, jobs: Iterable[Job]) -> None:
        """Make the engine hold each job that must be held, and release each other one.

        A running job goes on; it is held if it has to wait again.
        """
        for job in jobs:
            (self._engine.hold if self.is_held(job) else self._engine.unhold)(job.id)

"""Whether a device can still paint, told apart from jobs that nobody could paint.

A worker whose jobs fail in a row with the engine's own errors is tried with a picture that nobody asked
for, while it gets no new job. If that fails, the worker is replaced and tried again before it gets a job;
if that fails too, its device is taken out of service. So neither one bad model nor one person's impossible
requests take a device out, and few jobs meet one that is broken. What is out of service is tried again now
and then: a driver may have come back.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.errors import EngineError
from engine.types import EngineJob, GenerationRequest, ModelInfo

FAILURES = 3  # jobs in a row that end in an engine's error before the device is tried
OUT_SECONDS = 300.0  # before a device that is out of service is tried again
TRIAL = "trial"  # the id of the picture it is tried with; no job has it
_TRIAL_STEPS = 4


@dataclass(slots=True)
class Fitness:
    """What is known of one device over all its workers."""

    failures: int = 0  # jobs in a row
    replaced: bool = False  # its worker was, for failing, and no job has succeeded since
    out: str = ""  # why the device is out of service; empty while it is in service
    trying: bool = False
    unable: set[str] = field(default_factory=set)  # models that this worker could not load
    proven: str = ""  # the model that painted last

    def begin(self) -> None:
        """Reset what is known of the former worker, since another one starts."""
        self.trying = False
        self.failures = 0
        self.unable.clear()

    def succeeded(self, model: str) -> None:
        self.failures, self.replaced, self.proven = 0, False, model
        self.unable.discard(model)

    def failed(self) -> bool:
        """Count a job that ended in an engine's error; True when it is time to try the device."""
        self.failures += 1
        return self.failures >= FAILURES and not self.trying

    def passed(self) -> None:
        """Reset the failures after a trial that succeeded: the device is in service."""
        self.trying, self.failures, self.out = False, 0, ""

    def condemn(self, error: EngineError) -> None:
        """Note a failed trial: the first has the worker replaced, the second takes the device out."""
        self.trying = False
        if self.replaced:
            self.out = str(error)
        self.replaced = True


def trial(model: ModelInfo) -> EngineJob:
    """Return a small job that every working device can paint, to test a device with."""
    request = GenerationRequest(
        prompt="a circle",
        seed=1,
        model=model.name,
        width=model.width,
        height=model.height,
        steps=min(_TRIAL_STEPS, model.steps),
        guidance=model.guidance,
        count=1,
    )
    return EngineJob(id=TRIAL, request=request, tenant=TRIAL, user=TRIAL)

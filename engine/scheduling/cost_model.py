"""What work costs in device-seconds, learned from what it did cost."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from engine.catalog import Catalog, Entry
from engine.errors import UnknownModel
from engine.types import GenerationRequest


def smoothed(before: float, measured: float, weight: float) -> float:
    """Return an exponential moving average: `measured` counts with `weight`, `before` with the rest."""
    return before + weight * (measured - before)


class RequestCosts:
    """Expected device-seconds of a request, learned from what was measured.

    A rate for each model, and for each size and number of steps it was asked for: neither is in proportion.
    """

    _WEIGHT = 0.2
    _KINDS = 1024  # remembered at most, the latest

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._rates: dict[Hashable, float] = {}

    def estimate(self, request: GenerationRequest) -> float:
        """Return the expected device-seconds of a request. Raises UnknownModel."""
        entry = self._catalog.entry(request.model)
        known = (self._rates[kind] for kind in _kinds(request, entry) if kind in self._rates)
        return next(known, entry.seconds) * entry.units(request)

    def observe(self, request: GenerationRequest, seconds: float) -> None:
        try:
            entry = self._catalog.entry(request.model)
        except UnknownModel:  # measured when it was still offered
            return
        if not (units := entry.units(request)):  # type is set in no time of a device
            return
        rate = seconds / units
        for kind in _kinds(request, entry):
            self._rates[kind] = smoothed(self._rates.pop(kind, rate), rate, self._WEIGHT)
        while len(self._rates) > self._KINDS:
            del self._rates[next(iter(self._rates))]


def _kinds(request: GenerationRequest, entry: Entry) -> tuple[Hashable, Hashable]:
    """Return the keys that a rate is learned under: the narrower kind, then the wider one."""
    model = request.model, request.paints
    return (*model, request.width, request.height, entry.steps_run(request)), model


class LoadingCosts:
    """What models take of a device's memory, and how long they take to load, learned from when they did.

    `size(entry)` returns the bytes of one that was never loaded.
    """

    PACE = 1e9  # bytes a second that are loaded, until measured

    def __init__(self, catalog: Catalog, size: Callable[[Entry], float]) -> None:
        self._catalog, self._expected = catalog, size
        self._sizes: dict[str, float] = {}
        self._seconds: dict[str, float] = {}

    def prepare(self) -> None:
        """Look at the files of all models now, since that may take a while."""
        for model in self._catalog.models():
            self.size(model.name)

    def observe(self, model: str, seconds: float, size: float) -> None:
        self._sizes[model], self._seconds[model] = size, seconds

    def size(self, model: str) -> float:
        """Return bytes. Raises UnknownModel."""
        if model not in self._sizes:
            self._sizes[model] = self._expected(self._catalog.entry(model))
        return self._sizes[model]

    def seconds(self, model: str) -> float:
        """Return the expected seconds of loading a model. Raises UnknownModel."""
        return self._seconds.get(model, self.size(model) / self.PACE)


class PassCosts:
    """Expected seconds of a forward pass, learned from the ones before. Unknown kinds cost nothing."""

    _WEIGHT = 0.3
    _KINDS = 256  # remembered at most: sizes and prompts that never come back must not pile up

    def __init__(self) -> None:
        self._seen: dict[Hashable, dict[int, float]] = {}

    def observe(self, key: Hashable, rows: int, seconds: float) -> None:
        seen = self._seen.setdefault(key, {})
        seen[rows] = smoothed(seen.get(rows, seconds), seconds, self._WEIGHT)
        if len(self._seen) > self._KINDS:
            del self._seen[next(iter(self._seen))]

    def predict(self, key: Hashable, rows: int) -> float:
        """Return the seconds by the nearest number of rows seen, in proportion; no more than by fewer rows.

        A device takes the first pass of a new shape slowly. Without the second bound, one such pass would
        keep requests of different people apart for good: what is never joined is never measured again.
        """
        seen = self._seen.get(key)
        if not seen:
            return 0.0
        nearest = min(seen, key=lambda known: abs(known - rows))
        return min(seen[known] * rows / known for known in seen if known < rows or known == nearest)

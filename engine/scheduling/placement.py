"""Which models a device holds, and which of them are unloaded for others. No torch, no I/O.

This module alone decides which model is loaded where. A device has a number of bytes for models; a job whose
model has no room waits in the queue, and never fails for that.

Jobs of models that are loaded may pass one whose turn it is while its model is not. After `patience`
device-seconds of such jobs a device is chosen to make room: of the models there, those that came first get no
more jobs, and leave when the jobs inside have ended. So a job whose turn it is waits, for each model that
waits before its own, at most for

    patience + one job + what was inside the device + the time of loading,

and a device that changes models does so at most once in `patience` device-seconds. Nobody is charged for
loading.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Generic, Protocol, TypeVar

STAY = 3.0  # times the seconds of loading a model that others may pass whoever waits for it
SHORTEST_STAY, LONGEST_STAY = 5.0, 120.0  # device-seconds


class DeviceModels:
    """The models of one device: loaded, or about to be."""

    def __init__(self, memory: float) -> None:
        self.memory = memory  # bytes
        self.sizes: dict[str, float] = {}  # bytes by model, the first to come first
        self.leaving: frozenset[str] = frozenset()  # get no more jobs, to make room
        self.coming = ""  # the model for which there is to be room

    def clear(self) -> None:
        """Forget all models: the device's worker is gone."""
        self.sizes.clear()
        self.leaving, self.coming = frozenset(), ""

    def put(self, model: str, size: float, leave: Collection[str] = ()) -> None:
        """Note that a model is loaded or about to be, in the place of those that leave."""
        for each in leave:
            self.sizes.pop(each, None)
        self.sizes[model] = size
        if model == self.coming:
            self.leaving, self.coming = frozenset(), ""

    def room_for(self, model: str, size: float, may_leave: Callable[[str], bool]) -> tuple[str, ...] | None:
        """Return the models that leave for another one; None if too few of them may.

        A model that is larger than all there is gets the device for itself.
        """
        leave: list[str] = []
        free = self.memory - sum(self.sizes.values())
        for each in self.sizes:
            if free < size and may_leave(each):
                leave.append(each)
                free += self.sizes[each]
        return tuple(leave) if free >= size or len(leave) == len(self.sizes) else None


class Device(Protocol):
    """What has to be known of a device."""

    loaded: DeviceModels

    @property
    def open(self) -> bool:
        """Whether another job may be let in."""
        ...

    def serves(self, model: str) -> bool:
        """Return whether the device is one for the model at all."""
        ...

    def able(self, model: str) -> bool:
        """Return whether the model may be loaded there."""
        ...

    def models_inside(self, *, relaxed: bool) -> Collection[str]:
        """Return the models of the fast jobs inside, and of the relaxed ones too if `relaxed`."""
        ...

    def load(self) -> tuple[float, float]:
        """Return the device-seconds left of fast, then of relaxed jobs."""
        ...


D = TypeVar("D", bound=Device)


class Placement(Generic[D]):
    """Chooses the device for each job.

    `size(model)` returns bytes, `loading(model)` the expected seconds of loading it, `waiting(model)` the
    device-seconds of the jobs that wait for it.
    """

    def __init__(
        self,
        devices: Sequence[D],
        size: Callable[[str], float],
        loading: Callable[[str], float],
        waiting: Callable[[str], float],
    ) -> None:
        self._devices = devices
        self._size, self._loading, self._waiting = size, loading, waiting
        self._passed: dict[str, float] = {}  # device-seconds let in past the turn of a model's jobs

    def patience(self, model: str) -> float:
        """Return the device-seconds of other models' jobs that may pass one of this model."""
        return min(LONGEST_STAY, max(SHORTEST_STAY, STAY * self._loading(model)))

    def has_room(self, model: str, relaxed: bool) -> bool:
        """Return whether a job may start now while every model that others wait for stays loaded."""
        return self.choose(model, relaxed) is not None

    def may_take(self, model: str, relaxed: bool) -> bool:
        """Return whether a job may start now if models without jobs on their device may be unloaded."""
        return self.choose(model, relaxed, eager=True) is not None

    def choose(
        self, model: str, relaxed: bool, *, eager: bool = False, but_for: Collection[D] = ()
    ) -> D | None:
        """Return the device where a job would end first; None while no device has room.

        `eager`: models that others wait for may be unloaded too, if no job on the device uses them.
        """
        serving = [each for each in self._devices if each.serves(model)]
        able = [each for each in serving if each.able(model) and each not in but_for] or serving
        homes = [each for each in able if self._is_home(each, model)]
        here = [each for each in homes if each.open]
        if not homes or self._waiting(model) + min(each.load()[0] for each in homes) > self._loading(model):
            here += [
                each
                for each in able
                if each.open
                and each not in homes
                and self.leave(each, model, relaxed, eager=eager) is not None
            ]
        return min(here, key=lambda each: self._end(each, model), default=None)

    def leave(self, device: D, model: str, relaxed: bool, *, eager: bool = True) -> tuple[str, ...] | None:
        """Return the models that leave a device when a job is let in there; None while it has no room."""
        loaded = device.loaded
        reserved = loaded.coming not in ("", model) and self._waiting(loaded.coming) > 0
        if model in loaded.sizes and not (reserved and model in loaded.leaving):
            return ()
        if reserved:
            return None
        inside = device.models_inside(relaxed=relaxed)

        def may_leave(other: str) -> bool:
            wanted = self._waiting(other) > 0 and other not in loaded.leaving
            return other not in inside and (eager or not wanted)

        return loaded.room_for(model, self._size(model), may_leave)

    def admit(self, device: D, model: str, relaxed: bool) -> tuple[str, ...]:
        """Note that a job enters a device; return the models that leave for it."""
        leave = self.leave(device, model, relaxed, eager=False)
        if leave is None:
            leave = self.leave(device, model, relaxed) or ()
        if model not in device.loaded.sizes:
            device.loaded.put(model, self._size(model), leave)
        self._passed.pop(model, None)
        return leave

    def pass_over(self, model: str, seconds: float) -> None:
        """Note that a job of so many device-seconds starts before one of `model` whose turn it is.

        When that has lasted for long enough, a device begins to make room.
        """
        self._passed[model] = self._passed.get(model, 0.0) + seconds
        if self._passed[model] < self.patience(model):
            return
        if any(each.loaded.coming == model for each in self._devices):
            return
        able = [each for each in self._devices if each.able(model) and not each.loaded.coming]
        if able:
            loaded = min(able, key=lambda each: each.load()).loaded
            leaving = loaded.room_for(model, self._size(model), lambda other: True)
            loaded.leaving, loaded.coming = frozenset(leaving or ()), model

    @staticmethod
    def _is_home(device: D, model: str) -> bool:
        return model in device.loaded.sizes and model not in device.loaded.leaving

    def _end(self, device: D, model: str) -> tuple[float, float]:
        fast, relaxed = device.load()
        return fast + (0.0 if model in device.loaded.sizes else self._loading(model)), relaxed

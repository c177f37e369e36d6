"""Which components of the loaded models are on a card, and which leave it for others. No torch, no I/O.

A component is one module of a model: a text encoder, the denoiser, the VAE, the upscaler. All of them live in
host memory and are brought to the card when a call needs them. Those that were used longest ago leave first,
by bytes, and only as many as have to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from engine.errors import OutOfMemory

FOR_MODELS = 0.8  # of a card's or the machine's memory; the rest is for what a forward pass needs


class Component(Protocol):
    """One module of a model."""

    @property
    def size(self) -> int:
        """Return the bytes that it takes on the card."""
        ...

    @property
    def fixed(self) -> bool:
        """Return whether it cannot leave the card."""
        ...

    def bring(self) -> None:
        """Put its weights on the card. Raises OutOfMemory, and then has none there."""
        ...

    def drop(self) -> None:
        """Take its weights off the card; they stay in host memory."""
        ...


C = TypeVar("C", bound=Component)


class Residency(Generic[C]):
    """The components that are on one card. `memory`: bytes for them; the rest is for what a pass needs."""

    def __init__(self, memory: float) -> None:
        self.memory = memory
        self._here: dict[C, None] = {}  # the one used longest ago first

    @property
    def here(self) -> Sequence[C]:
        """Return the components on the card, the one used longest ago first."""
        return tuple(self._here)

    @property
    def used(self) -> int:
        return sum(each.size for each in self._here)

    def note(self, component: C) -> None:
        """Note that a component was made on the card."""
        self._here[component] = None

    def forget(self, component: C) -> None:
        """Note that a component is no more: its model is unloaded."""
        self._here.pop(component, None)

    def leaving(self, component: C, *, alone: bool = False) -> tuple[C, ...]:
        """Return the components that leave when this one is brought. `alone`: all that can leave.

        One that is larger than all there is gets the card for itself.
        """
        if component in self._here and not alone:
            return ()
        others = [each for each in self._here if each is not component and not each.fixed]
        if alone:
            return tuple(others)
        leave: list[C] = []
        free = self.memory - self.used - component.size
        while free < 0 and len(leave) < len(others):
            leave.append(others[len(leave)])
            free += leave[-1].size
        return tuple(leave)

    def bring(self, component: C, *, alone: bool = False) -> int:
        """See that a component is on the card; return the bytes that were brought. Raises OutOfMemory."""
        self._drop(self.leaving(component, alone=alone))
        brought = 0 if component in self._here else component.size
        if brought:
            try:
                component.bring()
            except OutOfMemory:  # something else takes memory, too
                if not self.make_room(component):
                    raise
                component.bring()
        self._here.pop(component, None)
        self._here[component] = None
        return brought

    def make_room(self, component: C) -> bool:
        """Take all but this component off the card; return whether there was any."""
        leave = self.leaving(component, alone=True)
        self._drop(leave)
        return bool(leave)

    def clear(self) -> None:
        """Take all components off the card that can leave it."""
        self._drop([each for each in self._here if not each.fixed])

    def _drop(self, leave: Iterable[C]) -> None:
        for each in leave:
            each.drop()
            del self._here[each]


class Pace:
    """The bytes a second that come to the card, learned from what came."""

    ASSUMED = 12e9  # of PCIe 4.0 × 16 from memory that is not pinned

    def __init__(self) -> None:
        self._bytes = self._seconds = 0.0

    def observe(self, size: int, seconds: float) -> None:
        self._bytes, self._seconds = self._bytes + size, self._seconds + seconds

    def seconds(self, size: float) -> float:
        """Return the expected seconds of bringing so many bytes."""
        return size / (self._bytes / self._seconds if self._bytes and self._seconds else self.ASSUMED)


@dataclass(eq=False)
class _Planned:
    """A component that is only counted."""

    name: str
    size: int
    fixed: bool = False

    def bring(self) -> None: ...

    def drop(self) -> None: ...


def turns(sizes: Mapping[str, int], memory: float) -> tuple[int, tuple[str, ...]]:
    """Return what comes to the card for each prompt of a model used alone: bytes, and component names.

    `sizes`: bytes of the components by name. A prompt takes the text encoders, the denoiser, then the VAE.
    """
    residency: Residency[_Planned] = Residency(memory)
    parts = [_Planned(name, size) for name, size in sorted(sizes.items(), key=lambda each: _order(each[0]))]
    for part in parts:  # the first prompt finds the card empty
        residency.bring(part)
    came = [(part.name, size) for part in parts if (size := residency.bring(part))]
    return sum(size for _, size in came), tuple(name for name, _ in came)


def _order(name: str) -> int:
    """Return when a component is used: text encoders, the denoiser, the VAE."""
    return 0 if "encoder" in name else 2 if "vae" in name else 1

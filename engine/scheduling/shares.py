"""Fair-share order over tenant → user, paid for in device-seconds. No torch, no I/O.

Hierarchical start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996): every tenant, and every user
within a tenant, has a virtual time that advances by the device-seconds it was given ÷ its weight, and the
least virtual time goes next. Idling earns no credit: one that comes back starts at the present virtual time
of its siblings, but never below its own, so that a debt stays.

The same tree serves twice: `FairQueue` decides which waiting job enters the engine, `StepOrder` which of the
jobs inside take the next denoising step.

Relaxed jobs have a tree of their own, which is asked only while no fast job wants the device. In it people
stand side by side, whatever their tenant and weight, and nothing is forgotten: the one who has used least
goes first.
"""

from __future__ import annotations

from collections.abc import Iterator


class Share:
    """One tenant's or user's part of the device."""

    __slots__ = ("name", "now", "parent", "served", "virtual_time", "weight")

    def __init__(self, name: str, parent: Share | None = None) -> None:
        self.name = name
        self.parent = parent
        self.weight = 1.0
        self.virtual_time = 0.0  # weighted device-seconds
        self.now = 0.0  # the virtual time that service among the children has reached; never goes back
        self.served = 0.0  # device-seconds

    def path(self) -> Iterator[Share]:
        """Yield this share and its ancestors below the root."""
        share = self
        while share.parent is not None:
            yield share
            share = share.parent

    def charge(self, seconds: float) -> None:
        for share in self.path():
            share.virtual_time += seconds / share.weight

    def wake(self) -> None:
        """Raise the virtual time to the siblings' present one: idling earns no credit, and a debt stays."""
        assert self.parent is not None
        self.virtual_time = max(self.virtual_time, self.parent.now)

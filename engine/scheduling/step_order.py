"""Which of the jobs inside the engine take the next denoising step; see `shares`. No torch, no I/O."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from engine.scheduling.shares import Share


class Step(Protocol):
    """What stands ready to run: one request's next call into a shared module."""

    @property
    def tenant(self) -> tuple[str, float]: ...  # name, weight

    @property
    def user(self) -> tuple[str, float]: ...  # name, weight

    @property
    def key(self) -> Hashable: ...  # calls of equal keys can run in one forward pass

    @property
    def rows(self) -> int: ...  # batch rows it takes there

    @property
    def most_rows(self) -> int: ...  # batch rows that one forward pass may have there

    @property
    def turn(self) -> tuple[int, int]: ...  # among one user's own, the least goes first

    @property
    def relaxed(self) -> bool: ...

    @property
    def used(self) -> float: ...  # device-seconds its user had used in its class when it entered


S = TypeVar("S", bound=Step)

STAY = 3.0  # times the seconds of a change that others may pass whoever it is for


class _Branch(Share, Generic[S]):
    """A share with its children, or with its user's requests."""

    __slots__ = ("children", "served_last", "steps")

    def __init__(self, name: str, parent: Share | None = None) -> None:
        super().__init__(name, parent)
        self.served_last = 0  # number of the pass; of two that stand level, the one that waited longer leads
        self.children: dict[Hashable, _Branch[S]] = {}
        self.steps: list[S] = []

    def child(self, name: Hashable, weight: float) -> _Branch[S]:
        if name not in self.children:
            self.children[name] = _Branch(str(name), self)
        child = self.children[name]
        child.weight = weight
        return child

    def below(self) -> Iterator[_Branch[S]]:
        """Yield all descendants."""
        for child in self.children.values():
            yield child
            yield from child.below()

    def ready(self, taken: set[int], key: Hashable | None = None) -> bool:
        if self.children:
            return any(child.ready(taken, key) for child in self.children.values())
        return any(id(step) not in taken and key in (None, step.key) for step in self.steps)

    def forget_idle(self) -> None:
        """Drop children that are empty and owe nothing: coming back, they would start level anyway."""
        for name, child in list(self.children.items()):
            child.forget_idle()
            if not child.steps and not child.children and child.virtual_time <= self.now:
                del self.children[name]

    def first(self, taken: set[int], key: Hashable | None) -> S:
        ready = (step for step in self.steps if id(step) not in taken and key in (None, step.key))
        return min(ready, key=lambda step: step.turn)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one forward pass may take together.

    While more than one person waits, others join a pass only as long as it takes no more than `stretch`
    times what its leader would take alone, or `seconds`, whichever is longer. Without such a cap a light
    user finishes later than under plain round-robin.
    """

    window: float = 0.05  # Δ: weighted device-seconds that a filler may be ahead of the leader
    seconds: float = 0.02
    stretch: float = 2.0


class StepOrder(Generic[S]):
    """Chooses the requests of the next forward pass.

    The leader has the least virtual time; others of its key fill the batch, least virtual time first, only
    within Δ of the least and while the predicted tick stays short. For two siblings f and g that both want
    more than they get throughout an interval, with service W and weight w,

        |W_f/w_f − W_g/w_g| ≤ Δ + c_max (1/w_f + 1/w_g),   c_max the longest tick.

    Relaxed requests take a pass only when no fast one is inside, and never join a fast one's. Of them the one
    whose user has used least leads; others fill the rows that are free, however much they have used.

    A call may need weights that are not on the card, for which others have to leave that are in use. Then
    those who need no change may pass whoever leads, for `STAY` times the seconds that the change costs; so
    many calls share each change, such as the prompts that wait for a text encoder, and a change takes at most
    a share 1 / (1 + STAY) of the time. Whoever leads waits at most that long, and for one pass.

    `predict(key, rows)` returns the expected seconds of a forward pass; `change(step)` the seconds that a
    change for a step costs, 0 where its pass needs none.
    """

    def __init__(
        self,
        predict: Callable[[Hashable, int], float],
        limits: Limits | None = None,
        change: Callable[[S], float] = lambda step: 0.0,
    ) -> None:
        self._predict, self._change = predict, change
        self.limits = limits or Limits()
        self._passing = False  # whether the pass that was picked last needs no change, and its leader's would
        self._passed = 0.0  # seconds of such passes, since the last change
        self._fast: _Branch[S] = _Branch("")
        self._relaxed: _Branch[S] = _Branch("")
        self._relaxed.now = math.inf  # nobody need be remembered: requests tell what their users have used
        self._count = 0
        self._passes = 0

    def __len__(self) -> int:
        return self._count

    def add(self, step: S) -> None:
        branch = self._relaxed if step.relaxed else self._fast
        branch.forget_idle()
        for name, weight in _names(step):
            branch = branch.child(name, weight)
            if step.relaxed:
                branch.virtual_time = max(branch.virtual_time, step.used)
            elif not branch.ready(set()):
                self._wake(branch)
        branch.steps.append(step)
        self._count += 1

    def remove(self, step: S) -> None:
        self._branch(step).steps.remove(step)
        self._count -= 1

    def pick(self) -> list[S]:
        """Return the requests of the next forward pass, the leader first; empty when nobody is ready."""
        if self._fast.ready(set()):
            return self._pick(self._fast, self.limits.window)
        if self._relaxed.ready(set()):
            return self._pick(self._relaxed, math.inf)
        return []

    def _pick(self, root: _Branch[S], window: float) -> list[S]:
        leader, away = self._leader(root)
        batch, rows, taken = [leader], leader.rows, away | {id(leader)}
        alone = self._predict(leader.key, leader.rows)
        cap = max(self.limits.seconds, self.limits.stretch * alone)
        crowded = sum(bool(branch.steps) for branch in root.below()) > 1
        before = [(branch, branch.virtual_time) for branch in root.below()]
        self._provisional(leader)
        while (step := self._descend(root, taken, leader.key, window)) is not None:
            rows += step.rows
            # Alone, a person may use the whole device: nobody waits for the tick to end. That also makes
            # the batches of an idle engine, and so their last bits, the same every time.
            too_long = crowded and self._predict(leader.key, rows) > cap
            if rows > leader.most_rows or too_long:
                break
            batch.append(step)
            taken.add(id(step))
            self._provisional(step)
        for share, virtual_time in before:
            share.virtual_time = virtual_time
        return batch

    def _leader(self, root: _Branch[S]) -> tuple[S, set[int]]:
        """Return the request that leads the next pass, and those that may not join it."""
        first = self._descend(root, set(), None)
        assert first is not None
        stay, self._passing = STAY * self._change(first), False
        if self._passed < stay:
            away = {id(step) for branch in root.below() for step in branch.steps if self._change(step)}
            if (other := self._descend(root, away, None)) is not None:
                self._passing = True
                return other, away
        if stay:
            self._passed = 0.0
        return first, set()

    def charge(self, batch: Sequence[S], seconds: float) -> float:
        """Charge a forward pass to its rows in proportion; return the seconds for each row."""
        taken, per_row = {id(step) for step in batch}, seconds / sum(step.rows for step in batch)
        self._passed += seconds * self._passing
        touched: dict[int, _Branch[S]] = {}
        for step in batch:
            branch = self._branch(step)
            branch.charge(per_row * step.rows)
            touched |= {id(share): share for share in branch.path() if isinstance(share, _Branch)}
        self._passes += 1
        for share in touched.values():
            share.served_last = self._passes
            if not batch[0].relaxed:
                self._satisfy(share, taken)
        return per_row

    def bill(self, step: S, seconds: float) -> None:
        """Charge what one request used outside of shared calls."""
        self._branch(step).charge(seconds)

    def _branch(self, step: S) -> _Branch[S]:
        branch = self._relaxed if step.relaxed else self._fast
        for name, _ in _names(step):
            branch = branch.children[name]
        return branch

    def _provisional(self, step: S) -> None:
        """Charge a request's predicted cost while the batch is filled; the true charge follows the pass."""
        self._branch(step).charge(self._predict(step.key, step.most_rows) / step.most_rows * step.rows)

    @staticmethod
    def _descend(branch: _Branch[S], taken: set[int], key: Hashable | None, window: float = 0.0) -> S | None:
        while branch.children:
            ready = [child for child in branch.children.values() if child.ready(taken, key)]
            if key is not None:
                waiting = (c.virtual_time for c in branch.children.values() if c.ready(taken))
                latest = min(waiting, default=0.0) + window
                ready = [child for child in ready if child.virtual_time <= latest]
            if not ready:
                return None
            branch = min(ready, key=lambda child: (child.virtual_time, child.served_last))
        return branch.first(taken, key)

    def _wake(self, share: _Branch[S]) -> None:
        parent = share.parent
        assert isinstance(parent, _Branch)
        times = [c.virtual_time for c in parent.children.values() if c is not share and c.ready(set())]
        share.virtual_time = max(share.virtual_time, min(times) if times else parent.now)

    @staticmethod
    def _satisfy(share: _Branch[S], taken: set[int]) -> None:
        """Raise the virtual time of a share whose ready steps were all taken: it saves nothing for later."""
        parent = share.parent
        assert isinstance(parent, _Branch)
        siblings = parent.children.values()
        if not share.ready(taken):
            wanting = [c.virtual_time for c in siblings if c is not share and c.ready(taken)]
            share.virtual_time = max(share.virtual_time, min(wanting, default=share.virtual_time))
        parent.now = max(parent.now, min(c.virtual_time for c in siblings if c.ready(set())))


def _names(step: Step) -> tuple[tuple[Hashable, float], ...]:
    """Return names and weights from below the root to the user; relaxed users stand side by side there."""
    if step.relaxed:
        return (((step.tenant[0], step.user[0]), 1.0),)
    return step.tenant, step.user

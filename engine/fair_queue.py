"""Fair-share order over tenant → user, paid for in device-seconds. No torch, no I/O.

Hierarchical start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996): every tenant, and every user
within a tenant, has a virtual time that advances by the device-seconds it was given ÷ its weight, and the
least virtual time goes next. Idling earns no credit: whoever comes back starts at the present virtual time
of its siblings, but never below its own, so that a debt stays.

The same tree serves twice: `FairQueue` decides which waiting job enters the engine, `StepOrder` which of the
jobs inside take the next denoising step.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from engine.types import EngineJob, Lane, Place


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
        """This share and its ancestors below the root."""
        share = self
        while share.parent is not None:
            yield share
            share = share.parent

    def charge(self, seconds: float) -> None:
        for share in self.path():
            share.virtual_time += seconds / share.weight

    def wake(self) -> None:
        """Idling earns no credit, and having been idle does not cancel a debt."""
        assert self.parent is not None
        self.virtual_time = max(self.virtual_time, self.parent.now)


# --- which waiting job enters the engine ------------------------------------------------------------------


class _Waiting(Share):
    """A share that counts what waits in it."""

    __slots__ = ("cost", "jobs_waiting", "turn")

    def __init__(self, name: str, parent: Share | None = None) -> None:
        super().__init__(name, parent)
        self.jobs_waiting = 0
        self.cost = 0.0  # device-seconds waiting here
        self.turn = 0  # among siblings of the same virtual time the least goes first

    def waiting_path(self) -> Iterator[_Waiting]:
        return (share for share in self.path() if isinstance(share, _Waiting))

    def count(self, jobs: int, cost: float) -> None:
        for share in self.waiting_path():
            share.jobs_waiting += jobs
            share.cost += cost


class _Turns(_Waiting):
    """A share whose ready children stand in a heap by virtual time."""

    __slots__ = ("_heap", "_turns", "children", "ready")

    def __init__(self, name: str, parent: Share | None = None) -> None:
        super().__init__(name, parent)
        self.children: dict[str, _Waiting] = {}
        self.ready: set[_Waiting] = set()
        self._heap: list[tuple[float, int, _Waiting]] = []
        self._turns = itertools.count()

    def adopt(self, child: _Waiting) -> _Waiting:
        self.children[child.name] = child
        return child

    def enter(self, child: _Waiting) -> None:
        """Line `child` up, or line it up anew after its virtual time has changed."""
        self.ready.add(child)
        child.turn = next(self._turns)
        heapq.heappush(self._heap, (child.virtual_time, child.turn, child))

    def leave(self, child: _Waiting) -> None:
        self.ready.discard(child)

    def first(self) -> _Waiting:
        """The ready child with the least virtual time. Entries that are out of date are dropped here."""
        while True:
            virtual_time, turn, child = self._heap[0]
            if child in self.ready and child.turn == turn:
                self.now = max(self.now, virtual_time)
                return child
            heapq.heappop(self._heap)


class _UserLane(_Waiting):
    """One user's waiting jobs, first come first served."""

    __slots__ = ("jobs", "running")

    def __init__(self, name: str, parent: Share) -> None:
        super().__init__(name, parent)
        self.jobs: OrderedDict[str, EngineJob] = OrderedDict()
        self.running: dict[str, EngineJob] = {}


class FairQueue:
    """Waiting jobs in fair order. O(log n) for each put, take and settle.

    `per_user` bounds how many jobs of one person are inside the engine at once: enough to fill its batches.
    Once `places` are taken inside, only people with nothing there may enter, so that a newcomer's first step
    never waits for a flood of others, and at `most` nobody.
    """

    def __init__(self, *, per_user: int = 4, places: int = 64, most: int = 1024) -> None:
        self.per_user = per_user
        self.places = places
        self.most = most
        self._inside: dict[str, _UserLane] = {}  # job id → its lane
        self._root = _Turns("")
        self._waiting = 0
        self._where: dict[str, _UserLane] = {}  # job id → its lane, waiting or running
        self._arrival = asyncio.Event()
        self._settled = 0

    def __len__(self) -> int:
        """Waiting jobs."""
        return self._waiting

    def put(self, job: EngineJob, *, first: bool = False) -> None:
        """Line a job up; `first` puts it before its owner's others (it had run already)."""
        lane = self._lane(job)
        lane.jobs[job.id] = job
        lane.jobs.move_to_end(job.id, last=not first)
        self._waiting += 1
        lane.count(1, job.cost)
        self._where[job.id] = lane
        self._line_up(lane)

    def take(self) -> EngineJob | None:
        """The next job, charged with its estimated cost; None while nobody may enter."""
        if not self._root.ready or len(self._inside) >= self.most:
            return None
        tenant = self._root.first()
        assert isinstance(tenant, _Turns)
        lane = tenant.first()
        assert isinstance(lane, _UserLane)
        _, job = lane.jobs.popitem(last=False)
        self._waiting -= 1
        lane.count(-1, -job.cost)
        lane.running[job.id] = job
        self._inside[job.id] = lane
        self._charge(lane, job.cost)
        if len(self._inside) == self.places:
            self._line_up_those_inside()
        return job

    async def get(self) -> EngineJob:
        while (job := self.take()) is None:
            self._arrival.clear()
            await self._arrival.wait()
        return job

    def settle(self, job_id: str, seconds: float) -> None:
        """A taken job has left the engine after `seconds` device-seconds: correct the estimate."""
        lane = self._where.pop(job_id)
        job = lane.running.pop(job_id)
        del self._inside[job_id]
        for share in lane.path():
            share.served += seconds
        self._charge(lane, seconds - job.cost)
        if len(self._inside) == self.places - 1:
            self._line_up_those_inside()
        self._forget()

    def remove(self, job_id: str) -> bool:
        """Take a waiting job out. False when it does not wait."""
        lane = self._where.get(job_id)
        if lane is None or job_id not in lane.jobs:
            return False
        self._waiting -= 1
        lane.count(-1, -lane.jobs.pop(job_id).cost)
        del self._where[job_id]
        self._line_up(lane)
        return True

    def place(self, job_id: str, *, busy: float = 0.0, devices: int = 1) -> Place | None:
        """Where a waiting job stands if nobody else comes; None when it does not wait.

        `busy` is the work still inside the engine, in device-seconds. Exact while the jobs of a lane cost
        the same; else each lane counts with its mean cost. O(lanes + jobs ahead in the own lane).
        """
        lane = self._where.get(job_id)
        if lane is None or job_id not in lane.jobs:
            return None
        own = itertools.takewhile(lambda job: job.id != job_id, lane.jobs.values())
        costs = [job.cost for job in own]
        jobs, cost = len(costs), sum(costs)
        for share in lane.waiting_path():
            ahead, work = self._ahead(share, jobs, share.virtual_time + cost / share.weight)
            jobs, cost = jobs + ahead, cost + work
        return Place(1 + jobs, (cost + busy) / devices)

    def line(self) -> tuple[Lane, ...]:
        """Everybody who waits or paints, in the order of their turns."""
        lanes = [lane for lane in self._lanes() if lane.jobs or lane.running]
        lanes.sort(key=lambda lane: [(s.virtual_time, s.turn) for s in reversed(list(lane.waiting_path()))])
        return tuple(
            Lane(
                tenant=lane.parent.name if lane.parent else "",
                user=lane.name,
                waiting=tuple(lane.jobs),
                running=tuple(lane.running),
                virtual_time=lane.virtual_time,
                weight=lane.weight,
                served=lane.served,
            )
            for lane in lanes
        )

    def _lanes(self) -> Iterator[_UserLane]:
        for tenant in self._root.children.values():
            assert isinstance(tenant, _Turns)
            yield from (lane for lane in tenant.children.values() if isinstance(lane, _UserLane))

    def _lane(self, job: EngineJob) -> _UserLane:
        tenant = self._root.children.get(job.tenant) or self._root.adopt(_Turns(job.tenant, self._root))
        assert isinstance(tenant, _Turns)
        lane = tenant.children.get(job.user) or tenant.adopt(_UserLane(job.user, tenant))
        assert isinstance(lane, _UserLane)
        tenant.weight, lane.weight = job.tenant_weight, job.user_weight
        return lane

    def _charge(self, lane: _UserLane, seconds: float) -> None:
        lane.charge(seconds)
        self._line_up(lane, moved=True)

    def _line_up(self, lane: _UserLane, *, moved: bool = False) -> None:
        """Put the lane, then its tenant, where they belong among their siblings."""
        tenant = lane.parent
        assert isinstance(tenant, _Turns)
        room = self.per_user if len(self._inside) < self.places else 1
        self._place_child(tenant, lane, bool(lane.jobs) and len(lane.running) < room, moved)
        self._place_child(self._root, tenant, bool(tenant.ready), moved)
        if self._root.ready:
            self._arrival.set()

    def _line_up_those_inside(self) -> None:
        """The places have run out, or one is free again: that concerns those who have jobs inside."""
        for lane in set(self._inside.values()):
            self._line_up(lane)

    @staticmethod
    def _place_child(parent: _Turns, child: _Waiting, ready: bool, moved: bool) -> None:
        if not ready:
            parent.leave(child)
        elif child not in parent.ready:
            child.wake()
            parent.enter(child)
        elif moved:
            parent.enter(child)

    @staticmethod
    def _ahead(own: _Waiting, before: int, start: float) -> tuple[int, float]:
        """Jobs, and their cost, that the siblings of `own` start before its virtual time is `start`.

        `before` jobs of its own come first. Who takes a turn lines up anew, behind those that stand level:
        of two that meet there, the one with fewer turns until then goes first.
        """
        jobs, cost = 0, 0.0
        parent = own.parent
        assert isinstance(parent, _Turns)
        for other in parent.children.values():
            if other is own or not other.jobs_waiting:
                continue
            mean = max(other.cost / other.jobs_waiting, 1e-9)
            turns = (start - max(other.virtual_time, parent.now)) * other.weight / mean
            level = abs(turns - round(turns)) < 1e-6
            goes_first = level and (round(turns), other.turn) < (before, own.turn)
            ahead = round(turns) + goes_first if level else math.ceil(turns)
            ahead = min(other.jobs_waiting, max(0, ahead))
            jobs, cost = jobs + ahead, cost + ahead * mean
        return jobs, cost

    def _forget(self) -> None:
        """Drop who left: all when the queue falls idle, else now and then those who owe nothing.

        Coming back, they would start level anyway.
        """
        if not self._waiting and not self._inside:
            self._root = _Turns("")
            return
        self._settled += 1
        if self._settled % 1024:
            return
        for lane in list(self._lanes()):
            tenant = lane.parent
            assert isinstance(tenant, _Turns)
            if not lane.jobs and not lane.running and lane.virtual_time <= tenant.now:
                del tenant.children[lane.name]
                if not tenant.children and tenant.virtual_time <= self._root.now:
                    del self._root.children[tenant.name]


# --- which jobs inside the engine take the next step --------------------------------------------------------


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


S = TypeVar("S", bound=Step)


class _Branch(Share, Generic[S]):
    """A share with its children, or with its user's requests."""

    __slots__ = ("children", "served_last", "steps")

    def __init__(self, name: str, parent: Share | None = None) -> None:
        super().__init__(name, parent)
        self.served_last = 0  # number of the pass; of two that stand level, the one that waited longer leads
        self.children: dict[str, _Branch[S]] = {}
        self.steps: list[S] = []

    def child(self, name: str, weight: float) -> _Branch[S]:
        if name not in self.children:
            self.children[name] = _Branch(name, self)
        child = self.children[name]
        child.weight = weight
        return child

    def ready(self, taken: set[int], key: Hashable | None = None) -> bool:
        if self.children:
            return any(child.ready(taken, key) for child in self.children.values())
        return any(id(step) not in taken and key in (None, step.key) for step in self.steps)

    def forget_idle(self) -> None:
        """Drop children that are empty and owe nothing: coming back, they would start level anyway."""
        for child in list(self.children.values()):
            child.forget_idle()
            if not child.steps and not child.children and child.virtual_time <= self.now:
                del self.children[child.name]

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

    `predict(key, rows)` returns the expected seconds of a forward pass.
    """

    def __init__(self, predict: Callable[[Hashable, int], float], limits: Limits | None = None) -> None:
        self._predict = predict
        self.limits = limits or Limits()
        self._root: _Branch[S] = _Branch("")
        self._count = 0
        self._passes = 0

    def __len__(self) -> int:
        return self._count

    def add(self, step: S) -> None:
        tenant = self._root.child(*step.tenant)
        user = tenant.child(*step.user)
        for share in (tenant, user):
            if not share.ready(set()):
                self._wake(share)
        user.steps.append(step)
        tenant.forget_idle()
        self._root.forget_idle()
        self._count += 1

    def remove(self, step: S) -> None:
        self._branch(step).steps.remove(step)
        self._count -= 1

    def pick(self) -> list[S]:
        """The requests of the next forward pass, the leader first; empty when nobody is ready."""
        if not self._root.ready(set()):
            return []
        leader = self._descend(set(), None)
        assert leader is not None
        batch, rows, taken = [leader], leader.rows, {id(leader)}
        alone = self._predict(leader.key, leader.rows)
        cap = max(self.limits.seconds, self.limits.stretch * alone)
        crowded = self._crowded()
        before = self._virtual_times()
        self._provisional(leader)
        while (step := self._descend(taken, leader.key)) is not None:
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

    def charge(self, batch: Sequence[S], seconds: float) -> float:
        """Charge a forward pass to its rows in proportion. Returns the seconds for each row."""
        taken, per_row = {id(step) for step in batch}, seconds / sum(step.rows for step in batch)
        touched: dict[int, _Branch[S]] = {}
        for step in batch:
            branch = self._branch(step)
            branch.charge(per_row * step.rows)
            touched |= {id(share): share for share in branch.path() if isinstance(share, _Branch)}
        self._passes += 1
        for share in touched.values():
            share.served_last = self._passes
            self._satisfy(share, taken)
        return per_row

    def bill(self, step: S, seconds: float) -> None:
        """Charge what one request used outside of shared calls."""
        self._branch(step).charge(seconds)

    def _branch(self, step: S) -> _Branch[S]:
        return self._root.children[step.tenant[0]].children[step.user[0]]

    def _crowded(self) -> bool:
        lanes = (user for tenant in self._root.children.values() for user in tenant.children.values())
        return sum(bool(lane.steps) for lane in lanes) > 1

    def _virtual_times(self) -> list[tuple[Share, float]]:
        branches = [b for t in self._root.children.values() for b in (t, *t.children.values())]
        return [(branch, branch.virtual_time) for branch in branches]

    def _provisional(self, step: S) -> None:
        """Only orders the fill: the true charge comes when the pass has run."""
        self._branch(step).charge(self._predict(step.key, step.most_rows) / step.most_rows * step.rows)

    def _descend(self, taken: set[int], key: Hashable | None) -> S | None:
        branch = self._root
        while branch.children:
            ready = [child for child in branch.children.values() if child.ready(taken, key)]
            if key is not None:
                waiting = (c.virtual_time for c in branch.children.values() if c.ready(taken))
                latest = min(waiting, default=0.0) + self.limits.window
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
        """One whose ready steps were all taken wants no more: it banks nothing for later."""
        parent = share.parent
        assert isinstance(parent, _Branch)
        siblings = parent.children.values()
        if not share.ready(taken):
            wanting = [c.virtual_time for c in siblings if c is not share and c.ready(taken)]
            share.virtual_time = max(share.virtual_time, min(wanting, default=share.virtual_time))
        parent.now = max(parent.now, min(c.virtual_time for c in siblings if c.ready(set())))

"""Which waiting job enters the engine; see `shares` for the order. No torch, no I/O."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any

from engine.scheduling.shares import Share
from engine.types import EngineJob, Lane, QueuePosition

Suits = Callable[[str, bool], bool]
"""Tells whether a job may enter now, by its model and whether it is relaxed."""

PASS_ROWS = 8  # rows of most models' forward passes
MOST_PASSED = 64  # siblings that are passed at most to find a job that may enter
FORMER = 2**48  # jobs of a former process have lower turns
LEVEL = 1e-6  # turns that differ by less are equal


def _any(model: str, relaxed: bool) -> bool:
    return True


class _Waiting(Share):
    """A share that counts what waits in it."""

    __slots__ = ("cost", "jobs_waiting", "mean", "turn")

    def __init__(self, name: str, parent: Share | None = None) -> None:
        super().__init__(name, parent)
        self.jobs_waiting = 0
        self.cost = 0.0  # device-seconds waiting here
        self.mean = 0.0  # of the jobs waiting here
        self.turn = 0  # among siblings of the same virtual time the least goes first

    def find(self, suits: Suits) -> EngineJob | None:
        """Return the job that goes next, of those here that suit."""
        raise NotImplementedError

    def waiting_path(self) -> Iterator[_Waiting]:
        return (share for share in self.path() if isinstance(share, _Waiting))

    def count(self, jobs: int, cost: float) -> None:
        """Count jobs here and in all ancestors."""
        share: Share | None = self
        while isinstance(share, _Waiting):
            share.jobs_waiting += jobs
            share.cost += cost
            share.mean = max(share.cost / share.jobs_waiting, 1e-9) if share.jobs_waiting else 0.0
            share = share.parent


class _Turns(_Waiting):
    """A share whose ready children stand in a heap by virtual time."""

    __slots__ = ("_heap", "_turns", "children", "lifts", "ready")

    def __init__(self, name: str, parent: Share | None = None, *, lifts: bool = True) -> None:
        super().__init__(name, parent)
        self.lifts = lifts  # whether idle children wake at the present virtual time; else `now` stays 0
        self.children: dict[Hashable, _Waiting] = {}
        self.ready: set[_Waiting] = set()
        self._heap: list[tuple[float, int, _Waiting]] = []
        self._turns = itertools.count()

    def enter(self, child: _Waiting) -> None:
        """Line `child` up, or line it up anew after its virtual time has changed."""
        self.ready.add(child)
        child.turn = next(self._turns)
        heapq.heappush(self._heap, (child.virtual_time, child.turn, child))

    def leave(self, child: _Waiting) -> None:
        self.ready.discard(child)

    def find(self, suits: Suits) -> EngineJob | None:
        """Return the job that goes next, of those that suit; None if there is none near."""
        passed: list[tuple[float, int, _Waiting]] = []
        found: EngineJob | None = None
        while len(passed) < MOST_PASSED and (child := self._first()) is not None:
            if not passed and self.lifts:
                self.now = max(self.now, child.virtual_time)
            if (found := child.find(suits)) is not None:
                break
            passed.append(heapq.heappop(self._heap))
        for entry in passed:
            heapq.heappush(self._heap, entry)
        return found

    def _first(self) -> _Waiting | None:
        """Return the ready child with the least virtual time; drop entries that are out of date."""
        while self._heap:
            _, turn, child = self._heap[0]
            if child in self.ready and child.turn == turn:
                return child
            heapq.heappop(self._heap)
        return None


class _Priority(_Turns):
    """The root of one class of jobs, and which of them are inside the engine."""

    __slots__ = ("by_model", "hard_limit", "inside", "known", "soft_limit")

    def __init__(self, soft_limit: int, hard_limit: int, *, lifts: bool = True) -> None:
        super().__init__("", lifts=lifts)
        self.soft_limit = soft_limit
        self.hard_limit = hard_limit
        self.inside: dict[str, _UserLane] = {}  # job id → its lane
        self.known = 0  # jobs that wait, are held, or are inside
        self.by_model: dict[str, tuple[int, float]] = {}  # jobs that wait, and their device-seconds

    def count_model(self, model: str, jobs: int, cost: float) -> None:
        before, seconds = self.by_model.pop(model, (0, 0.0))
        if before + jobs:
            self.by_model[model] = before + jobs, seconds + cost

    @property
    def may_enter(self) -> bool:
        return bool(self.ready) and len(self.inside) < self.hard_limit


class _UserLane(_Waiting):
    """One user's jobs, first come first served."""

    __slots__ = (
        "_heaps",
        "held",
        "jobs",
        "limit",
        "priority",
        "running",
        "shown",
        "tenant",
        "turns",
    )

    def __init__(self, tenant: str, user: str, parent: _Turns, priority: _Priority) -> None:
        super().__init__(user, parent)
        self.tenant = tenant
        self.priority = priority
        self.shown: Lane | None = None  # what people see of it, until it changes
        self.limit = 1  # jobs inside at once
        self.jobs: dict[str, EngineJob] = {}  # waiting
        self.held: dict[str, EngineJob] = {}  # waiting, but not let in
        self.running: dict[str, EngineJob] = {}
        self.turns: dict[str, int] = {}  # of what waits or is held; the least goes first
        self._heaps: dict[str, list[tuple[int, str]]] = {}  # turns by model, also of jobs held or gone

    def add(self, job: EngineJob, turn: int) -> None:
        self.jobs[job.id] = job
        self.turns[job.id] = turn
        heapq.heappush(self._heaps.setdefault(job.request.model, []), (turn, job.id))
        self.count(1, job.cost)
        self.priority.count_model(job.request.model, 1, job.cost)

    def find(self, suits: Suits) -> EngineJob | None:
        relaxed = not self.priority.lifts
        best: tuple[int, str] | None = None
        for model in tuple(self._heaps):
            head = self._head(model)
            if head is not None and (best is None or head < best) and suits(model, relaxed):
                best = head
        return self.jobs[best[1]] if best is not None else None

    def _head(self, model: str) -> tuple[int, str] | None:
        """Return the turn and the id of the first job of a model that waits; drop those that do not."""
        heap = self._heaps[model]
        while heap:
            turn, job_id = heap[0]
            if job_id in self.jobs and self.turns[job_id] == turn:
                return heap[0]
            heapq.heappop(heap)
        del self._heaps[model]
        return None

    def drop(self, job_id: str) -> EngineJob:
        """Take out a job that waits or is held."""
        job = self.held.pop(job_id) if job_id in self.held else self._leave(job_id)
        del self.turns[job_id]
        self._tidy()
        return job

    def hold(self, job_id: str) -> None:
        if job_id in self.jobs:
            self.held[job_id] = self._leave(job_id)

    def unhold(self, job_id: str) -> None:
        if job_id in self.held:
            self.add(self.held.pop(job_id), self.turns[job_id])
            self._tidy()

    def show(self) -> Lane:
        if self.shown is None:
            self.shown = Lane(
                tenant=self.tenant,
                user=self.name,
                waiting=self._in_order(self.jobs),
                held=self._in_order(self.held),
                running=tuple(self.running),
                virtual_time=self.virtual_time,
                weight=self.weight,
                served=self.served,
                relaxed=not self.priority.lifts,
            )
        return self.shown

    def _in_order(self, jobs: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted(jobs, key=self.turns.__getitem__))

    def _leave(self, job_id: str) -> EngineJob:
        job = self.jobs.pop(job_id)
        self.count(-1, -job.cost)
        self.priority.count_model(job.request.model, -1, -job.cost)
        return job

    def _tidy(self) -> None:
        """Rebuild the heaps when too many of their entries mean nothing any more."""
        if sum(map(len, self._heaps.values())) <= 2 * len(self.turns) + 16:
            return
        self._heaps.clear()
        for job_id, job in self.jobs.items():
            self._heaps.setdefault(job.request.model, []).append((self.turns[job_id], job_id))
        for heap in self._heaps.values():
            heapq.heapify(heap)


class FairQueue:
    """Waiting jobs in fair order. O(log n) for each change.

    `per_user` bounds how many jobs of one person are inside the engine at once, times their weight, up to
    `PASS_ROWS`: so short jobs of a heavy weight do not run dry while others have many steps to go.
    With `soft_limit` jobs inside, only people with none there may enter, so that a newcomer's first step
    never waits for a flood of others; with `hard_limit` nobody may.

    Where `take` is told which models suit, the first job of such a model enters. `Placement` sees to it that
    the others are not passed for ever.

    Relaxed jobs enter while no fast job may and one of the `devices` has none inside. They have a limit of
    their own, `relaxed_limit`, so no fast job waits for one of them.
    """

    def __init__(
        self, *, per_user: int = 4, soft_limit: int = 64, hard_limit: int = 1024, relaxed_limit: int = 8
    ) -> None:
        self.per_user = per_user
        self._devices = 1
        self._fast = _Priority(soft_limit, hard_limit)
        self._relaxed = _Priority(relaxed_limit, relaxed_limit, lifts=False)
        self._where: dict[str, _UserLane] = {}  # job id → its lane: waiting, held or inside
        self._former = itertools.count(1)
        self._arrivals = itertools.count(FORMER)
        self._arrival = asyncio.Event()
        self._settled = 0
        self._lanes_shown: tuple[Lane, ...] | None = None  # everybody, until something changes

    def __len__(self) -> int:
        """Return the number of waiting jobs; those held are not counted."""
        return self._fast.jobs_waiting + self._relaxed.jobs_waiting

    @property
    def held(self) -> int:
        return sum(each.known - each.jobs_waiting - len(each.inside) for each in (self._fast, self._relaxed))

    @property
    def relaxed(self) -> int:
        """Return the number of relaxed jobs, wherever they are."""
        return self._relaxed.known

    @property
    def devices(self) -> int:
        """Return the number of devices that work right now."""
        return self._devices

    @devices.setter
    def devices(self, number: int) -> None:
        self._devices = number
        self._arrival.set()

    def put(self, job: EngineJob, *, first: bool = False) -> None:
        """Line a job up; `first` puts it before its owner's others (it had run already).

        Raises ValueError when it is here already.
        """
        turn = next(self._arrivals)
        self._put(job, -turn if first else turn)

    def put_former(self, jobs: Sequence[EngineJob]) -> None:
        """Line up, in this order, jobs that waited before this queue was made: before all that came since.

        Raises ValueError, and takes none, when one is here already.
        """
        ids = {job.id for job in jobs}
        if len(ids) < len(jobs) or not self._where.keys().isdisjoint(ids):
            raise ValueError("a former job is in the queue already")
        for lane in dict.fromkeys([self._add(job, next(self._former)) for job in jobs]):
            self._line_up(lane)

    def first(self) -> EngineJob | None:
        """Return the job whose turn it is; None while nobody may enter."""
        return self._find(_any)

    def take(self, suits: Suits = _any) -> EngineJob | None:
        """Take out the next job that suits, charged with its estimated cost; None while none may enter."""
        job = self._find(suits)
        if job is None:
            return None
        lane = self._where[job.id]
        priority = lane.priority
        lane.drop(job.id)
        lane.running[job.id] = job
        priority.inside[job.id] = lane
        self._charge(lane, job.cost)
        if len(priority.inside) == priority.soft_limit:
            self._line_up_those_inside(priority)
        return job

    async def ready(self, suits: Suits = _any) -> None:
        """Wait until somebody may enter whose job suits. It is asked anew after each change here."""
        while self._find(suits) is None:
            self._arrival.clear()
            await self._arrival.wait()

    def look_again(self) -> None:
        """Ask anew which jobs suit: something has changed outside."""
        self._arrival.set()

    def waiting(self, model: str) -> float:
        """Return the device-seconds of the jobs that wait for a model."""
        both = (each.by_model.get(model, (0, 0.0)) for each in (self._fast, self._relaxed))
        return sum(max(seconds, jobs * 1e-9) for jobs, seconds in both)

    def settle(self, job_id: str, seconds: float) -> None:
        """Remove a job that has left the engine; replace its estimated cost by `seconds` device-seconds."""
        lane = self._where.pop(job_id)
        priority, job = lane.priority, lane.running.pop(job_id)
        del priority.inside[job_id]
        priority.known -= 1
        for share in lane.path():
            share.served += seconds
        self._charge(lane, seconds - job.cost)
        if len(priority.inside) == priority.soft_limit - 1:
            self._line_up_those_inside(priority)
        self._forget()

    def used(self, job: EngineJob) -> float:
        """Return the device-seconds that the job's owner has used in its class, as far as remembered."""
        return self._where[job.id].served

    def remove(self, job_id: str) -> bool:
        """Take out a job that waits or is held. False when it does neither."""
        return self._withdraw(job_id) is not None

    def model(self, job_id: str) -> str:
        """Return the model of a job that waits. Raises KeyError."""
        return self._where[job_id].jobs[job_id].request.model

    def hold(self, job_id: str) -> bool:
        """Let a waiting job pass over its turns until `unhold`. False when it does not wait."""
        return self._change(job_id, _UserLane.hold)

    def unhold(self, job_id: str) -> bool:
        """Let a job take its turn again, as early in its lane as before. False when it does not wait."""
        return self._change(job_id, _UserLane.unhold)

    def relax(self, job_id: str) -> bool:
        """Move a job that waits or is held to the relaxed class. False when it does neither."""
        return self._exchange(job_id, relaxed=True)

    def move(self, job_id: str, tenant: str, user: str) -> bool:
        """Let a job that waits or is held stand in another lane. False when it does neither."""
        return self._exchange(job_id, tenant=tenant, user=user)

    def _exchange(self, job_id: str, **changes: Any) -> bool:
        """Put a changed job where a waiting one stood in the order of arrivals."""
        lane = self._lane_of_waiting(job_id)
        if lane is None:
            return False
        turn, held = lane.turns[job_id], job_id in lane.held
        job = self._withdraw(job_id)
        assert job is not None
        self._put(replace(job, **changes), turn)
        return self.hold(job_id) if held else True

    def position(
        self, job_id: str, *, busy: float = 0.0, relaxed_busy: float = 0.0, devices: int = 1
    ) -> QueuePosition | None:
        """Return where a waiting job stands if nobody else comes; None when it is held or does not wait.

        `busy` and `relaxed_busy` are the work still inside the engine, in device-seconds. Exact while the
        jobs of a lane cost the same; else each lane counts with its mean cost. A relaxed job stands behind
        all fast ones. O(lanes + jobs ahead in the own lane).
        """
        lane = self._where.get(job_id)
        if lane is None or job_id not in lane.jobs:
            return None
        turn = lane.turns[job_id]
        costs = [job.cost for job in lane.jobs.values() if lane.turns[job.id] < turn]
        jobs, cost = len(costs), sum(costs)
        for share in lane.waiting_path():
            ahead, work = self._ahead(share, jobs, share.virtual_time + cost / share.weight)
            jobs, cost = jobs + ahead, cost + work
        if lane.priority is self._relaxed:
            jobs, cost = jobs + self._fast.jobs_waiting, cost + self._fast.cost + relaxed_busy
        return QueuePosition(1 + jobs, (cost + busy) / devices)

    def lanes(self) -> tuple[Lane, ...]:
        """Return the lanes of everybody who waits or paints, in the order of their turns.

        Relaxed lanes come behind all others, and lanes with nothing but held jobs come last. Open pages ask
        all the time: the answer is kept until something changes, and then only changed lanes are made anew.
        """
        if self._lanes_shown is None:
            tenants = _in_turn(self._fast.children.values())
            groups = (*(each for each in tenants if isinstance(each, _Turns)), self._relaxed)
            lanes: list[Any] = [lane for group in groups for lane in _in_turn(group.children.values())]
            live = [lane for lane in lanes if lane.jobs or lane.running]
            held = [lane for lane in lanes if lane.held and not (lane.jobs or lane.running)]
            self._lanes_shown = tuple(lane.shown or lane.show() for lane in (*live, *held))
        return self._lanes_shown

    def _next_priority(self) -> _Priority | None:
        if self._fast.may_enter:
            return self._fast
        # With fewer fast jobs inside than devices, some device has none.
        free = not self._fast.ready and len(self._fast.inside) < self._devices
        return self._relaxed if free and self._relaxed.may_enter else None

    def _find(self, suits: Suits) -> EngineJob | None:
        priority = self._next_priority()
        return priority.find(suits) if priority is not None else None

    def _put(self, job: EngineJob, turn: int) -> None:
        if job.id in self._where:
            raise ValueError(f"job {job.id} is in the queue already")
        self._line_up(self._add(job, turn))

    def _add(self, job: EngineJob, turn: int) -> _UserLane:
        """Add a job to its lane. The caller then puts the lane into its new order (`_line_up`)."""
        lane = self._where[job.id] = self._lane(job)
        lane.add(job, turn)
        lane.priority.known += 1
        return lane

    def _withdraw(self, job_id: str) -> EngineJob | None:
        lane = self._lane_of_waiting(job_id)
        if lane is None:
            return None
        del self._where[job_id]
        job = lane.drop(job_id)
        lane.priority.known -= 1
        self._line_up(lane)
        return job

    def _change(self, job_id: str, change: Callable[[_UserLane, str], None]) -> bool:
        lane = self._lane_of_waiting(job_id)
        if lane is None:
            return False
        change(lane, job_id)
        self._line_up(lane)
        return True

    def _lane_of_waiting(self, job_id: str) -> _UserLane | None:
        """Return the lane of a job that waits or is held; None when it does neither."""
        lane = self._where.get(job_id)
        return lane if lane is not None and job_id in lane.turns else None

    def _lanes(self, *shares: _Waiting) -> Iterator[_UserLane]:
        for share in shares:
            if isinstance(share, _UserLane):
                yield share
            elif isinstance(share, _Turns):
                yield from self._lanes(*share.children.values())

    def _lane(self, job: EngineJob) -> _UserLane:
        parent = self._relaxed if job.relaxed else self._tenant(job)
        key = job.tenant, job.user
        lane = parent.children.get(key)
        if lane is None:
            priority = self._relaxed if job.relaxed else self._fast
            lane = parent.children[key] = _UserLane(job.tenant, job.user, parent, priority)
        assert isinstance(lane, _UserLane)
        most = max(self.per_user, min(PASS_ROWS, int(self.per_user * job.user_weight)))
        lane.limit = min(most, job.running or most)
        if not job.relaxed:
            lane.weight = job.user_weight
        return lane

    def _tenant(self, job: EngineJob) -> _Turns:
        tenant = self._fast.children.get(job.tenant)
        if tenant is None:
            tenant = self._fast.children[job.tenant] = _Turns(job.tenant, self._fast)
        assert isinstance(tenant, _Turns)
        tenant.weight = job.tenant_weight
        return tenant

    def _charge(self, lane: _UserLane, seconds: float) -> None:
        lane.charge(seconds)
        self._line_up(lane, moved=True)

    def _line_up(self, lane: _UserLane, *, moved: bool = False) -> None:
        """Put the lane, then its tenant, where they belong among their siblings: it has changed."""
        lane.shown = self._lanes_shown = None
        priority = lane.priority
        room = lane.limit if len(priority.inside) < priority.soft_limit else 1
        ready = bool(lane.jobs) and len(lane.running) < room
        child: _Waiting = lane
        while isinstance(parent := child.parent, _Turns):
            if not moved and ready == (child in parent.ready):
                break  # it stands where it stood, and so do those above it
            self._place_child(parent, child, ready, moved)
            child, ready = parent, bool(parent.ready)
        self._arrival.set()

    def _line_up_those_inside(self, priority: _Priority) -> None:
        """Reorder the lanes with jobs inside, since the soft limit was reached or is no longer."""
        for lane in set(priority.inside.values()):
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
        """Return the jobs, and their cost, that siblings of `own` start before its virtual time is `start`.

        `before` jobs of its own come first. A share that takes a turn goes behind those of the same virtual
        time: of two that meet there, the one with fewer turns until then goes first.
        """
        jobs, cost = 0, 0.0
        parent = own.parent
        assert isinstance(parent, _Turns)
        now = parent.now
        for other in parent.children.values():
            if other is own or not other.jobs_waiting:
                continue
            begins = other.virtual_time
            turns = (start - (begins if begins > now else now)) * other.weight / other.mean
            if turns <= -LEVEL:
                continue  # its first job comes later
            if turns >= other.jobs_waiting + LEVEL:
                ahead = other.jobs_waiting
            elif abs(turns - (whole := round(turns))) < LEVEL:
                goes_first = whole < before or (whole == before and other.turn < own.turn)
                ahead = min(other.jobs_waiting, whole + goes_first)
            else:
                ahead = math.ceil(turns)
            jobs, cost = jobs + ahead, cost + ahead * other.mean
        return jobs, cost

    def _forget(self) -> None:
        """Drop idle lanes: all when no fast job is left, else now and then those that owe nothing.

        Users who come back would start level with the others anyway.
        """
        if not self._fast.known:
            self._fast = _Priority(self._fast.soft_limit, self._fast.hard_limit)
            return
        self._settled += 1
        if self._settled % 1024:
            return
        for lane in list(self._lanes(self._fast)):
            tenant = lane.parent
            assert isinstance(tenant, _Turns)
            if not lane.turns and not lane.running and lane.virtual_time <= tenant.now:
                del tenant.children[lane.tenant, lane.name]
                if not tenant.children and tenant.virtual_time <= self._fast.now:
                    del self._fast.children[tenant.name]


def _in_turn(siblings: Iterable[_Waiting]) -> list[_Waiting]:
    """Sort by virtual time, then by turn: two sorts by numbers take a third of one by pairs."""
    found = sorted(siblings, key=attrgetter("turn"))
    found.sort(key=attrgetter("virtual_time"))
    return found

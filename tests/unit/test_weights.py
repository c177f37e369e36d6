"""Shares of the device by weight, with the real queue and the real order of steps on a modelled device.

Three people ask for more and more: one of weight 1 with jobs of 50 steps, one of weight 2 with jobs of 20,
and one of weight 5 with jobs of 5, which run dry most easily.
"""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace

import pytest

from engine.scheduling.job_queue import FairQueue
from engine.scheduling.step_order import StepOrder
from engine.types import EngineJob
from tests.unit.test_scheduling import REQUEST, Walk, job

CROWD = {"one": (1.0, 50), "two": (2.0, 20), "five": (5.0, 5)}  # weight, steps of a job
WAITING = 40  # jobs of each that wait at any time
LATENCY = 0.003  # seconds between leaving the queue and the first step

JOINED = [(0.020, 0.0020), (0.020, 0.0045), (0.012, 0.0090)]
"""Devices that gain by joining: seconds of a pass, and more for each row in it."""

DEVICES = [*JOINED, (0.001, 0.0200)]


class Simulation:
    """A device in virtual time. A job is one picture."""

    def __init__(self, people: dict[str, tuple[float, int]], device: tuple[float, float]) -> None:
        self.people, self.device = people, device
        self.now = 0.0
        self.seconds: dict[str, float] = defaultdict(float)  # of the device, by person
        self.ended: dict[str, float] = {}  # job → moment
        self._queue = FairQueue()
        self._order: StepOrder[Walk] = StepOrder(self._predict)
        self._on_their_way: list[tuple[float, int, EngineJob]] = []
        self._numbers = itertools.count()

    def ask(self, user: str) -> str:
        weight, steps = self.people[user]
        cost = steps * self._predict("unet", 1)
        asked = replace(job(user, weight=weight, cost=cost), request=replace(REQUEST, steps=steps, count=1))
        self._queue.put(asked)
        return asked.id

    def run(self) -> Iterator[None]:
        """Run one pass after the other."""
        while True:
            self._let_in()
            if not (batch := self._order.pick()):
                self.now = self._on_their_way[0][0]
                continue
            seconds = self._predict("unet", len(batch))
            self.now += seconds
            each = self._order.charge(batch, seconds)
            for walk in batch:
                self._stepped(walk, each)
            yield

    def _predict(self, key: Hashable, rows: int) -> float:
        return self.device[0] + self.device[1] * rows

    def _let_in(self) -> None:
        while entered := self._queue.take():
            heapq.heappush(self._on_their_way, (self.now + LATENCY, next(self._numbers), entered))
        while self._on_their_way and self._on_their_way[0][0] <= self.now:
            _, number, entered = heapq.heappop(self._on_their_way)
            self._order.add(
                Inside(
                    (entered.tenant, entered.tenant_weight),
                    (entered.user, entered.user_weight),
                    "unet",
                    entered.request.steps,
                    self.now,
                    turn=(number, 0),
                    job=entered.id,
                )
            )

    def _stepped(self, walk: Walk, seconds: float) -> None:
        assert isinstance(walk, Inside)
        user = walk.user[0]
        self.seconds[user] += seconds
        walk.spent += seconds
        walk.left -= 1
        self._order.remove(walk)  # as between the steps of a real request
        if walk.left:
            return self._order.add(walk)
        self._queue.settle(walk.job, walk.spent)
        self.ended[walk.job] = self.now
        if user in CROWD:
            self.ask(user)


@dataclass(eq=False)
class Inside(Walk):
    spent: float = 0.0


def crowded(people: dict[str, tuple[float, int]], device: tuple[float, float]) -> Simulation:
    simulation = Simulation(people, device)
    for user in people.keys() & CROWD.keys():
        for _ in range(WAITING):
            simulation.ask(user)
    return simulation


@pytest.mark.parametrize("device", DEVICES)
def test_short_jobs_of_a_heavy_weight_get_their_share(device: tuple[float, float]) -> None:
    simulation = crowded(CROWD, device)
    for _ in simulation.run():
        if simulation.now >= 60:
            break
    weights = sum(weight for weight, _ in CROWD.values())
    shares = {
        user: seconds / sum(simulation.seconds.values()) for user, seconds in simulation.seconds.items()
    }
    assert shares == pytest.approx({user: w / weights for user, (w, _) in CROWD.items()}, rel=0.03)
    served = [simulation.seconds[user] / weight for user, (weight, _) in CROWD.items()]
    assert sum(served) ** 2 / len(served) / sum(each**2 for each in served) >= 0.99  # Jain's index


def test_one_who_asks_all_the_time_has_no_more_than_their_share_in_the_end() -> None:
    """Whoever comes back at once has saved nothing by the moment in between."""
    simulation = crowded(CROWD, DEVICES[-1])
    simulation.people = CROWD | {"light": (1.0, 20)}
    waiting = simulation.ask("light")
    for _ in simulation.run():
        if waiting in simulation.ended:
            waiting = simulation.ask("light")
        if simulation.now >= 60:
            break
    assert simulation.seconds["light"] / 60 == pytest.approx(1 / 9, rel=0.1)

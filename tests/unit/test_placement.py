"""Models take turns where there is no room for all: in fair order, with few loads, and no end of waiting."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from typing import Any

import pytest

from engine.scheduling.placement import LONGEST_STAY, SHORTEST_STAY, STAY, DeviceModels, Placement
from engine.types import EngineJob, Failed, Finished, GenerationRequest, ModelInfo
from engine.workers.fake import MEMORY, FakeEngine
from tests.virtual import virtually

STEP = 0.05  # seconds; a step costs as many device-seconds


def models(number: int) -> list[ModelInfo]:
    return [replace(MEMORY, name=f"model{each}") for each in range(number)]


def job(id: str, model: int, user: str = "", steps: int = 20, **more: Any) -> EngineJob:
    request = GenerationRequest(
        prompt="a fox", seed=1, model=f"model{model}", width=8, height=8, steps=steps, count=1
    )
    return EngineJob(id=id, request=request, tenant="t", user=user or id, **more)


@pytest.fixture(autouse=True)
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No threads: they know nothing of virtual time."""

    async def at_once(work: Callable[..., Any], *given: Any) -> Any:
        return work(*given)

    monkeypatch.setattr(asyncio, "to_thread", at_once)


class Town:
    """An engine in virtual time, and what it let in."""

    def __init__(self, number: int, devices: int, slots: int, loading: float, inside: int = 1) -> None:
        options: Any = {"devices": devices, "slots": slots, "loading": loading}
        self.engine = FakeEngine(lambda name: b"", models=models(number), step_seconds=STEP, **options)
        queue = self.engine._queue
        queue.per_user, queue._fast.soft_limit, queue._fast.hard_limit = (
            inside,
            devices * inside,
            devices * inside,
        )
        for slot in self.engine._slots:
            slot._jobs_each = inside
        self.past: Counter[str] = Counter()  # device-seconds let in past a model's turn, until it got in
        self.worst: Counter[str] = Counter()
        take = self.engine._take

        def taken() -> EngineJob | None:
            first, job = self.engine._queue.first(), take()
            if job is not None:
                self.past.pop(job.request.model, None)
                if first is not None and first.id != job.id:
                    self.past[first.request.model] += job.cost  # type: ignore[assignment]
                    self.worst[first.request.model] = max(
                        self.worst[first.request.model], self.past[first.request.model]
                    )
            return job

        self.engine._take = taken  # type: ignore[method-assign]

    def paint(self, arrivals: list[tuple[float, EngineJob]]) -> list[Finished | Failed]:
        """Let jobs come at their times; return all ends in their order."""

        async def day() -> list[Finished | Failed]:
            await self.engine.start()
            ended: list[Finished | Failed] = []
            now = 0.0

            async def listen() -> None:
                async for event in self.engine.events():
                    if isinstance(event, Finished | Failed):
                        ended.append(event)
                        if len(ended) == len(arrivals):
                            return

            listening = asyncio.create_task(listen())
            for at, job in sorted(arrivals, key=lambda each: each[0]):
                await asyncio.sleep(at - now)
                now = at
                self.engine.submit(job)
            await listening
            await self.engine.close()
            return ended

        return virtually(day())

    @property
    def loads(self) -> int:
        return sum(slot.loads for slot in self.engine._slots)


@pytest.mark.parametrize("order", ["by turns", "at random", "one person"])
def test_two_hundred_jobs_of_four_models_need_few_loads(order: str) -> None:
    rnd, town = random.Random(7), Town(4, devices=2, slots=2, loading=5.0)
    turns = cycle(range(4))
    chosen = [rnd.randrange(4) if order == "at random" else next(turns) for _ in range(200)]
    user = "ada" if order == "one person" else ""
    ends = town.paint([(0.0, job(str(n), model, user)) for n, model in enumerate(chosen)])

    assert all(isinstance(end, Finished) for end in ends) and len(ends) == 200
    assert town.loads <= 8
    assert sum(end.device_seconds for end in ends) == pytest.approx(200.0), "nobody is charged for loading"


def test_more_models_than_there_is_room_for_take_turns() -> None:
    town = Town(3, devices=1, slots=1, loading=5.0)
    ends = town.paint([(0.0, job(f"{n}", n % 3)) for n in range(90)])

    assert len(ends) == 90 and all(isinstance(end, Finished) for end in ends)
    patience = STAY * 5.0
    assert town.loads <= 90 / patience + 3
    first = {model: next(n for n, e in enumerate(ends) if int(e.job) % 3 == model) for model in range(3)}
    assert max(first.values()) <= 2 * (patience + 3), "and none has to wait until another is done"


@pytest.mark.parametrize("seed", range(40))
def test_nobody_is_passed_for_longer_than_the_bound(seed: int) -> None:
    rnd = random.Random(seed)
    number, devices, slots = rnd.randint(2, 6), rnd.randint(1, 3), rnd.randint(1, 3)
    inside = rnd.choice([1, 1, 4])
    town = Town(number, devices, slots, rnd.choice([0.0, 1.0, 5.0, 20.0]), inside)
    longest = 40 * STEP
    arrivals = [
        (
            rnd.choice([0.0, rnd.uniform(0, 60)]),
            job(
                str(n),
                min(rnd.randrange(number), rnd.randrange(number)),
                f"u{rnd.randrange(12)}",
                rnd.randint(1, 40),
                relaxed=rnd.random() < 0.1,
                user_weight=rnd.choice([1.0, 1.0, 4.0]),
            ),
        )
        for n in range(80)
    ]
    ends = town.paint(arrivals)

    assert len(ends) == 80 and all(isinstance(end, Finished) for end in ends)
    for model, past in town.worst.items():
        patience = town.engine._placement.patience(model)
        assert past <= patience + longest + 2 * longest * inside * devices
    work = sum(end.device_seconds for end in ends)
    assert work == pytest.approx(sum(each.request.steps * STEP for _, each in arrivals))


# --- single decisions -------------------------------------------------------------------------------------


class Desk:
    def __init__(self, memory: float = 2.0, load: float = 0.0) -> None:
        self.loaded = DeviceModels(memory)
        self.open = True
        self.inside: dict[str, bool] = {}  # models, and whether their jobs are relaxed
        self.busy = load
        self.cannot: set[str] = set()

    def serves(self, model: str) -> bool:
        return True

    def able(self, model: str) -> bool:
        return model not in self.cannot

    def models_inside(self, *, relaxed: bool) -> set[str]:
        return {model for model, patient in self.inside.items() if relaxed or not patient}

    def load(self) -> tuple[float, float]:
        return self.busy, 0.0


def placement(*desks: Desk, loading: float = 5.0, **waiting: float) -> Placement[Desk]:
    return Placement(desks, lambda model: 1.0, lambda model: loading, lambda model: waiting.get(model, 0.0))


def test_a_job_goes_where_its_model_is_unless_another_device_would_end_it_sooner() -> None:
    home, empty = Desk(load=4.0), Desk()
    chosen = placement(home, empty)
    home.loaded.put("a", 1.0)
    assert chosen.choose("a", False) is home
    home.busy = 6.0
    assert chosen.choose("a", False) is empty
    empty.cannot.add("a")
    assert chosen.choose("a", False) is home


def test_a_model_leaves_only_without_jobs_and_while_nobody_waits_for_it() -> None:
    desk = Desk(memory=1.0)
    desk.loaded.put("a", 1.0)
    desk.inside["a"] = False
    assert placement(desk, b=1.0).choose("b", False, eager=True) is None
    desk.inside.clear()
    assert placement(desk, a=1.0).choose("b", False) is None
    assert placement(desk, a=1.0).choose("b", False, eager=True) is desk
    chosen = placement(desk)
    assert chosen.choose("b", False) is desk and chosen.admit(desk, "b", False) == ("a",)
    assert list(desk.loaded.sizes) == ["b"]


def test_of_two_models_without_jobs_the_one_that_nobody_waits_for_leaves() -> None:
    desk = Desk(memory=2.0)
    desk.loaded.put("wanted", 1.0)
    desk.loaded.put("unwanted", 1.0)
    chosen = placement(desk, wanted=1.0)
    assert chosen.admit(desk, "a", False) == ("unwanted",)
    assert list(desk.loaded.sizes) == ["wanted", "a"]


def test_relaxed_jobs_keep_no_model_from_a_fast_one() -> None:
    desk = Desk(memory=1.0)
    desk.loaded.put("a", 1.0)
    desk.inside["a"] = True
    assert placement(desk).choose("b", False) is desk
    assert placement(desk).choose("b", True) is None


def test_a_model_larger_than_the_memory_gets_it_for_itself() -> None:
    desk = Desk(memory=0.5)
    assert placement(desk).choose("a", False) is desk
    desk.loaded.put("a", 1.0)
    desk.inside["a"] = False
    assert placement(desk).choose("b", False, eager=True) is None


def test_a_device_makes_room_after_so_many_seconds_and_no_longer_than_somebody_waits() -> None:
    desk, waiting = Desk(memory=1.0), {"a": 100.0, "b": 1.0}
    desk.loaded.put("a", 1.0)
    desk.inside["a"] = False
    chosen = placement(desk, loading=10.0)
    chosen._waiting = lambda model: waiting.get(model, 0.0)
    chosen.pass_over("b", 29.0)
    assert chosen.has_room("a", False)
    chosen.pass_over("b", 1.0)
    assert not chosen.may_take("a", False) and not chosen.may_take("b", False)
    desk.inside.clear()
    assert chosen.choose("b", False) is desk and chosen.choose("a", False) is None
    waiting["b"] = 0.0  # cancelled
    assert chosen.choose("a", False) is desk


@pytest.mark.parametrize(("loading", "expected"), [(0.0, SHORTEST_STAY), (10.0, 30.0), (1e3, LONGEST_STAY)])
def test_patience_follows_the_cost_of_switching_and_is_bounded(loading: float, expected: float) -> None:
    assert placement(Desk(), loading=loading).patience("a") == expected

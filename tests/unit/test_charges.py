"""Every device-second is charged to whom it was spent on: a real worker, with a clock of our own."""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from multiprocessing import get_context
from typing import Any, TypeVar

import pytest
import torch

from engine.errors import Cancelled
from engine.pipelines import run as pipelines
from engine.scheduling.step_order import StepOrder
from engine.types import (
    EngineEvent,
    EngineJob,
    Failed,
    Finished,
    GenerationRequest,
    Picture,
    Progress,
    Restarted,
)
from engine.workers import loop
from engine.workers.heartbeat import Heartbeat
from engine.workers.loop import PictureRequest, WorkerLoop
from engine.workers.messages import Cancel, Pulse, Setup, Start
from tests.devices import Device, job, opened
from tests.gpu.bench import Orders
from tests.listener import Listener

T = TypeVar("T")

PASS, OWN = 2.0, 0.25  # seconds that a forward pass takes, and what a request does between two
REQUEST = GenerationRequest(prompt="a red heart", seed=7, steps=3, count=1, width=256, height=256)


class Box:
    """What the worker has sent."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def put(self, event: Any) -> None:
        self.sent.append(replace(event) if isinstance(event, Pulse) else event)

    def put_picture(self, picture: Any, pixels: torch.Tensor, request: Any) -> None:
        self.sent.append(picture)

    def put_preview(self, progress: Any, pixels: torch.Tensor) -> None:
        self.sent.append(progress)


@functools.cache
def _models() -> dict[str, Any]:
    """Loaded once: that takes longer than painting."""
    pipelines.silence_libraries()
    given: Any = Orders(), Box()
    setup = Setup(device="cpu", models=("easel-tiny",), hang_seconds=60.0)
    loader = WorkerLoop(setup, *given, Heartbeat(get_context("spawn")))
    with torch.no_grad():
        loader._model("easel-tiny")
    return loader._models


class Bench:
    """A worker in this process; it remembers every forward pass."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.orders, self.box = Orders(), Box()
        self.passes: list[Counter[str]] = []  # rows by job
        self.resumed: Counter[str] = Counter()  # times that a job's requests went on
        self.ordered: defaultdict[str, float] = defaultdict(float)  # what the order of steps was charged
        given: Any = self.orders, self.box
        setup = Setup(device="cpu", models=("easel-tiny",), hang_seconds=60.0)
        self.worker = WorkerLoop(setup, *given, Heartbeat(get_context("spawn")))
        self.worker._models = dict(_models())
        self.worker._clock = self  # type: ignore[assignment]
        run, go_on = loop.run_joined, self.worker._go_on
        charge, bill = self.worker._turns.charge, self.worker._turns.bill
        self._in_pass = False
        self.breaks_at = 0  # the pass that raises

        def joined(batch: Sequence[PictureRequest]) -> list[Any]:
            self._in_pass = True
            rows: Counter[str] = Counter()
            for request in batch:
                rows[request.resident.job.id] += request.rows
            self.passes.append(rows)
            broken = len(self.passes) == self.breaks_at
            return [ValueError("broken")] * len(batch) if broken else run(batch)

        def resume(request: PictureRequest, result: Any) -> None:
            self.resumed[request.resident.job.id] += 1
            go_on(request, result)

        def charged(batch: Sequence[PictureRequest], seconds: float) -> float:
            for request in batch:
                share = seconds * request.rows / sum(each.rows for each in batch)
                self.ordered[request.resident.job.id] += share
            return charge(batch, seconds)

        def billed(request: PictureRequest, seconds: float) -> None:
            self.ordered[request.resident.job.id] += seconds
            bill(request, seconds)

        monkeypatch.setattr(loop, "run_joined", joined)
        monkeypatch.setattr(self.worker, "_go_on", resume)
        monkeypatch.setattr(self.worker._turns, "charge", charged)
        monkeypatch.setattr(self.worker._turns, "bill", billed)

    def measure(self, work: Callable[[], T]) -> tuple[T, float]:
        """The worker's clock."""
        self._in_pass = False
        result = work()
        return result, PASS if self._in_pass else OWN

    def spent(self, id: str) -> float:
        """What a job has cost so far: its rows' part of each pass, and what it did between them."""
        shares = (rows[id] / rows.total() for rows in self.passes)
        return PASS * sum(shares) + OWN * self.resumed[id]

    def give(self, id: str, user: str = "", **changes: Any) -> None:
        asked = replace(REQUEST, **changes)
        order = EngineJob(id=id, request=asked, tenant="t", user=user or id)
        self.orders.waiting.append(Start(job=order))

    def turn(self, turns: int = 1) -> None:
        with torch.no_grad():
            for _ in range(turns):
                self.worker.turn()

    def finish(self) -> None:
        self.turn()
        for _ in range(1000):
            if not len(self.worker._turns):
                break
            self.turn()
        self.turn()  # the last pulse

    def of(self, id: str) -> list[EngineEvent]:
        return [event for event in self.box.sent if getattr(event, "job", None) == id]

    def pulses(self) -> list[Pulse]:
        return [event for event in self.box.sent if isinstance(event, Pulse)]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Bench(monkeypatch)
    torch.set_num_threads(threads)


def seconds(bench: Bench, id: str) -> float:
    end = bench.of(id)[-1]
    assert isinstance(end, Finished), end
    return end.device_seconds


def test_one_alone_pays_for_every_second(bench: Bench) -> None:
    bench.give("a")
    bench.finish()

    passes = len(bench.passes)
    assert passes >= REQUEST.steps + 3, "words, steps, pixels, enlargement"
    assert seconds(bench, "a") == pytest.approx(passes * PASS + (passes + 1) * OWN)
    assert bench.resumed["a"] == passes + 1
    total = sum(pulse.seconds for pulse in bench.pulses())
    assert total == pytest.approx(seconds(bench, "a"))
    assert sum(pulse.passes for pulse in bench.pulses()) == passes
    assert sum(pulse.rows for pulse in bench.pulses()) == sum(rows.total() for rows in bench.passes)


def test_those_who_share_a_pass_pay_by_their_rows(bench: Bench) -> None:
    bench.give("a", count=2)
    bench.give("b", steps=5)
    bench.finish()

    together = [rows for rows in bench.passes if rows["a"] and rows["b"]]
    assert any(rows["a"] == 2 * rows["b"] for rows in together), bench.passes
    for id in ("a", "b"):
        assert seconds(bench, id) == pytest.approx(bench.spent(id)), id
    total = PASS * len(bench.passes) + OWN * bench.resumed.total()
    assert seconds(bench, "a") + seconds(bench, "b") == pytest.approx(total)
    assert sum(pulse.seconds for pulse in bench.pulses()) == pytest.approx(total)


def test_a_picture_without_guidance_pays_less_of_a_pass_that_it_shares(bench: Bench) -> None:
    bench.give("guided", guidance=4.0)
    bench.give("unguided", guidance=1.0)
    bench.finish()

    together = [rows for rows in bench.passes if rows["guided"] and rows["unguided"]]
    assert any(rows["guided"] == 2 * rows["unguided"] for rows in together), bench.passes
    for id in ("guided", "unguided"):
        assert seconds(bench, id) == pytest.approx(bench.spent(id)), id


def test_a_job_that_has_ended_a_worker_takes_nobody_along(bench: Bench) -> None:
    suspect = EngineJob(id="a", request=REQUEST, tenant="t", user="a", deaths=1)
    bench.orders.waiting.append(Start(job=suspect))
    bench.give("b")
    bench.finish()

    assert all(len(rows) == 1 for rows in bench.passes), bench.passes
    assert {id for rows in bench.passes for id in rows} == {"a", "b"}


def test_a_reproducible_picture_joins_no_pass_not_even_with_its_siblings(bench: Bench) -> None:
    bench.give("a", count=2, reproducible=True)
    bench.give("b", count=2)
    bench.finish()

    alone = [rows for rows in bench.passes if rows["a"]]
    assert alone and all(rows.keys() == {"a"} for rows in alone), bench.passes
    words, steps = 2, 2 * REQUEST.steps
    assert sum(rows["a"] == 2 for rows in alone) >= steps and max(rows["a"] for rows in alone) == 2
    assert len(alone) >= words + steps
    pictures = [event for event in bench.box.sent if isinstance(event, Picture)]
    assert {each.job: each.joined for each in pictures} == {"a": False, "b": True}


def test_requests_of_a_model_that_is_apart_run_one_after_another(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipelines.Loaded, "apart", property(lambda _: True))
    bench.give("a", count=2)
    bench.give("cancelled")
    bench.give("b")
    bench.turn(2)
    bench.orders.waiting.append(Cancel("cancelled"))
    bench.finish()

    order = [id for rows in bench.passes for id in rows]
    assert all(len(rows) == 1 for rows in bench.passes)
    assert order == sorted(order) and set(order) == {"a", "b"}
    assert [type(bench.of(id)[-1]) for id in ("a", "cancelled", "b")] == [Finished, Failed, Finished]


def test_the_next_request_begins_when_the_one_before_it_is_cancelled_or_fails(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipelines.Loaded, "apart", property(lambda _: True))
    bench.give("cancelled")
    bench.give("broken", count=2)
    bench.give("b")
    bench.turn(2)
    bench.orders.waiting.append(Cancel("cancelled"))
    bench.breaks_at = len(bench.passes) + 2
    bench.finish()

    ends = [type(bench.of(id)[-1]) for id in ("cancelled", "broken", "b")]
    assert ends == [Failed, Failed, Finished]


def test_the_order_of_steps_is_charged_the_same_as_the_jobs(bench: Bench) -> None:
    bench.give("a", count=2)
    bench.give("b", steps=5)
    bench.finish()

    for id in ("a", "b"):
        # What a request does after its last pass is no turn of its own, but is billed while it is known.
        assert bench.ordered[id] == pytest.approx(seconds(bench, id)), id


@pytest.mark.parametrize("turns", [1, 4, -1])
def test_a_cancelled_job_has_cost_what_it_took_until_then(bench: Bench, turns: int) -> None:
    bench.give("whole")
    bench.finish()
    last = len(bench.passes) - 1  # one pass before the end
    bench.passes.clear()

    bench.give("a")
    bench.turn(turns if turns > 0 else last)
    spent = bench.spent("a")
    assert spent >= PASS
    bench.orders.waiting.append(Cancel("a"))
    bench.turn()

    end = bench.of("a")[-1]
    assert isinstance(end, Failed) and isinstance(end.error, Cancelled)
    assert end.device_seconds == pytest.approx(spent)
    assert bench.worker._residents == {} and len(bench.worker._turns) == 0


def test_a_job_that_is_sent_back_tells_what_it_took(bench: Bench) -> None:
    bench.give("a")
    bench.turn(4)
    spent = bench.spent("a")
    with torch.no_grad():
        bench.worker._send_back(bench.worker._residents["a"])

    progress, restarted = bench.of("a")[-2:]
    assert isinstance(progress, Progress) and progress.device_seconds == pytest.approx(spent) and spent > PASS
    assert restarted == Restarted(job="a", deaths=0)


def test_a_pass_that_raises_is_paid_for_and_blames_the_engine(bench: Bench) -> None:
    bench.breaks_at = 3
    bench.give("a")
    bench.finish()
    end = bench.of("a")[-1]
    assert isinstance(end, Failed) and end.error.of_engine, "a forward pass does not judge requests"
    assert end.device_seconds == pytest.approx(bench.spent("a")) and len(bench.passes) == 3


# --- the same in the queue --------------------------------------------------------------------------------


async def test_the_queue_is_settled_at_what_was_measured() -> None:
    device = Device()
    device.seconds = 3.5  # the estimate was 1
    async with opened(device) as engine:
        ear = Listener(engine)
        engine.submit(job("a", user="ada"))
        engine.submit(job("held", user="ada"))
        engine.hold("held")  # else the queue falls idle, and forgets
        await ear.end("a")

        (lane,) = engine.lanes()
        assert (lane.served, lane.virtual_time) == (3.5, 3.5)
        before = engine.estimate(job("x").request)
        assert before == pytest.approx(3.5), "the first measurement replaces the guess"


async def test_a_cancelled_job_is_settled_at_what_it_took() -> None:
    device = Device()
    device.slow = {"a"}
    async with opened(device) as engine:
        ear = Listener(engine)
        engine.submit(job("a", user="ada"))
        engine.submit(job("held", user="ada"))
        engine.hold("held")
        await ear.running("a")
        engine.cancel("a")
        await ear.end("a")

        (lane,) = engine.lanes()
        assert (lane.served, lane.virtual_time) == (0.5, 0.5)
        assert engine.estimate(job("x").request) != pytest.approx(0.5), "an unfinished job teaches no cost"


async def test_a_job_that_loses_its_worker_is_settled_at_what_it_took() -> None:
    device = Device()
    device.slow = {"a"}
    async with opened(device) as engine:
        ear = Listener(engine)
        engine.submit(job("a", user="ada"))
        await ear.running("a")
        device.slow.clear()
        device.judge = lambda each: RuntimeError() if each.id == "poison" else None
        device.left = [frozenset({"poison"})] * 2
        engine.submit(job("poison"))
        engine.submit(job("held", user="ada"))
        engine.hold("held")
        await ear.end("a")

        lost = sum(isinstance(event, Restarted) for event in ear.of("a"))
        (lane,) = [lane for lane in engine.lanes() if lane.user == "ada"]
        assert lane.served == pytest.approx(0.5 + 1.0) and lost >= 1


class Walk:
    """A step that stands ready."""

    def __init__(self, user: str, rows: int, tenant: str = "t", weight: float = 1.0) -> None:
        self.tenant, self.user = (tenant, 1.0), (user, weight)
        self.key, self.rows, self.most_rows = "unet", rows, 8
        self.turn, self.relaxed, self.used = (0, 0), False, 0.0


def test_a_forward_pass_is_charged_to_those_in_it_by_their_rows() -> None:
    order: StepOrder[Walk] = StepOrder(lambda key, rows: 0.0)
    ada, bob, eve = Walk("ada", 1), Walk("bob", 3, weight=2.0), Walk("eve", 1, tenant="other")
    for each in (ada, bob, eve):
        order.add(each)

    assert order.charge([ada, bob], 8.0) == 2.0

    tenant = order._branch(ada).parent
    assert tenant is not None
    assert order._branch(ada).virtual_time == pytest.approx(2.0)
    assert order._branch(bob).virtual_time == pytest.approx(6.0 / 2.0)
    assert tenant.virtual_time == pytest.approx(8.0)
    order.bill(eve, 1.5)
    assert order._branch(eve).virtual_time == pytest.approx(1.5)
    assert order.pick()[0] is eve

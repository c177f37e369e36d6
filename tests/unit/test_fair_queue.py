"""The order is fair to the bound, at both doors, and cheap."""

from __future__ import annotations

import asyncio
import itertools
import math
import random
import time
from collections.abc import Hashable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.fair_queue import FairQueue, Limits, Share, StepOrder
from engine.types import EngineJob, GenerationRequest

REQUEST = GenerationRequest(prompt="a fox", seed=1)
_numbers = itertools.count()


def job(user: str, *, cost: float = 1.0, tenant: str = "t", weight: float = 1.0, id: str = "") -> EngineJob:
    return EngineJob(
        id=id or f"{user}-{next(_numbers)}",
        request=REQUEST,
        tenant=tenant,
        user=user,
        user_weight=weight,
        cost=cost,
    )


def drain(queue: FairQueue) -> list[EngineJob]:
    """Take all, each leaving the engine before the next one enters."""
    taken = []
    while (taken_job := queue.take()) is not None:
        taken.append(taken_job)
        queue.settle(taken_job.id, taken_job.cost)
    return taken


async def test_a_light_user_is_served_after_one_job_of_a_flooder() -> None:
    queue = FairQueue()
    for _ in range(50):
        queue.put(job("flooder"))
    assert (await queue.get()).user == "flooder"

    queue.put(job("light"))

    assert (await queue.get()).user == "light"


async def test_emptying_a_lane_does_not_cancel_its_debt() -> None:
    queue = FairQueue()
    queue.put(job("sprinter"))
    queue.put(job("steady"))
    queue.put(job("steady"))
    assert (await queue.get()).user == "sprinter"

    queue.put(job("sprinter"))

    assert (await queue.get()).user == "steady"


def test_idling_earns_no_credit() -> None:
    queue = FairQueue(per_user=100)
    queue.put(job("late"))
    queue.take()
    for _ in range(40):
        queue.put(job("busy"))
    for _ in range(20):
        queue.take()
    for _ in range(10):
        queue.put(job("late"))

    users = [taken.user for _ in range(10) if (taken := queue.take())]

    assert users.count("busy") == 5


def test_weights_share_the_device() -> None:
    queue = FairQueue(per_user=1000, places=1000)
    for _ in range(300):
        queue.put(job("gold", weight=2.0))
        queue.put(job("plain"))

    users = [taken.user for _ in range(150) if (taken := queue.take())]

    assert users.count("gold") == 100


def test_tenants_share_before_their_users_do() -> None:
    queue = FairQueue(per_user=1000, places=1000)
    for number in range(200):
        queue.put(job(f"member-{number % 20}", tenant="crowd"))
        queue.put(job("hermit", tenant="alone"))

    tenants = [taken.tenant for _ in range(100) if (taken := queue.take())]

    assert tenants.count("alone") == 50


def test_a_wrong_estimate_is_made_up_for() -> None:
    queue = FairQueue(per_user=1)
    for _ in range(20):
        queue.put(job("honest", cost=1.0))
        queue.put(job("lucky", cost=1.0))
    served = {"honest": 0.0, "lucky": 0.0}
    for _ in range(20):
        taken = queue.take()
        assert taken is not None
        seconds = 4.0 if taken.user == "lucky" else 1.0
        queue.settle(taken.id, seconds)
        served[taken.user] += seconds

    assert abs(served["lucky"] - served["honest"]) <= 4.0


def test_one_person_holds_only_so_many_places_inside() -> None:
    queue = FairQueue(per_user=2)
    jobs = [job("flooder") for _ in range(5)]
    for each in jobs:
        queue.put(each)

    first, second = queue.take(), queue.take()

    assert first is not None and second is not None
    assert queue.take() is None
    queue.settle(first.id, 1.0)
    assert queue.take() is jobs[2]


def test_a_job_that_ran_before_goes_before_its_owners_others() -> None:
    queue = FairQueue()
    queue.put(job("ada", id="first"))
    queue.put(job("ada", id="second"))
    queue.put(job("ada", id="again"), first=True)

    assert [taken.id for taken in drain(queue)] == ["again", "first", "second"]


def test_a_removed_job_is_gone() -> None:
    queue = FairQueue()
    queue.put(job("ada", id="a"))
    queue.put(job("ada", id="b"))

    assert queue.remove("a")

    assert not queue.remove("a")
    assert queue.place("a") is None
    assert len(queue) == 1
    assert [taken.id for taken in drain(queue)] == ["b"]


async def test_get_waits_for_an_arrival() -> None:
    queue = FairQueue()
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    assert not waiting.done()

    queue.put(job("ada", id="a"))

    assert (await asyncio.wait_for(waiting, 5)).id == "a"


@given(
    st.lists(st.tuples(st.sampled_from("tu"), st.sampled_from("abcd")), min_size=1, max_size=40),
    st.integers(0, 8),
)
@settings(max_examples=100, deadline=None)
def test_position_foretells_the_order(arrivals: list[tuple[str, str]], taken_before: int) -> None:
    """Exact among users of one tenant; across tenants whose lanes differ it may err by a place for each."""
    queue = FairQueue(per_user=10**6, places=10**6, most=10**6)
    for tenant, user in arrivals:
        queue.put(job(f"{tenant}{user}", tenant=tenant))
    for _ in range(taken_before):
        queue.take()
    tenants = len({tenant for tenant, _ in arrivals})
    places = {id: place for lane in queue.line() for id in lane.waiting if (place := queue.place(id))}
    assert len(places) == len(queue)

    for position, taken in enumerate(iter(queue.take, None), start=1):
        assert abs(places[taken.id].position - position) <= tenants - 1
        assert places[taken.id].wait == pytest.approx(places[taken.id].position - 1)


def test_the_line_shows_everybody_in_the_order_of_their_turns() -> None:
    queue = FairQueue()
    queue.put(job("ada", id="a1"))
    queue.put(job("ada", id="a2"))
    queue.put(job("bob", id="b1"))
    queue.take()

    line = queue.line()

    assert [lane.user for lane in line] == ["bob", "ada"]
    assert (line[1].running, line[1].waiting) == (("a1",), ("a2",))


def test_a_hundred_thousand_jobs_of_ten_thousand_users_are_quick() -> None:
    jobs = [job(f"u{n % 10_000}", tenant=f"t{n % 50}", cost=random.random()) for n in range(100_000)]
    queue = FairQueue(per_user=10**6, places=10**6, most=10**6)
    start = time.perf_counter()

    for each in jobs:
        queue.put(each)
    taken = sum(1 for _ in iter(queue.take, None))

    rate = 2 * len(jobs) / (time.perf_counter() - start)
    assert taken == len(jobs)
    assert rate >= 12_000, f"{rate:.0f} operations/s, where 120,000 were seen on two cores"


# --- steps --------------------------------------------------------------------------------------------------


@dataclass(eq=False)
class Walk:
    """A request that needs so many steps; `rows` of a batch each."""

    tenant: tuple[str, float]
    user: tuple[str, float]
    key: Hashable
    left: int
    arrives: float
    rows: int = 1
    most_rows: int = 8
    turn: tuple[int, int] = (0, 0)


@dataclass
class Device:
    """A modelled device: a pass takes a + b × rows seconds, by kind."""

    kinds: dict[Hashable, tuple[float, float]]

    def seconds(self, key: Hashable, rows: int) -> float:
        fixed, each = self.kinds[key]
        return fixed + each * rows


Pair = tuple[str, str]


class Audit:
    """Checks the bound over every interval in which two siblings both want more than they get."""

    def __init__(self, window: float, longest: float) -> None:
        self.window, self.longest = window, longest
        self.extremes: dict[Pair, tuple[float, float]] = {}
        self.worst = 0.0

    def after(self, service: dict[str, float], weight: dict[str, float], wanting: set[str]) -> None:
        for pair in itertools.combinations(sorted(weight), 2):
            one, other = pair
            if one not in wanting or other not in wanting:
                self.extremes.pop(pair, None)
                continue
            ahead = service[one] / weight[one] - service[other] / weight[other]
            low, high = self.extremes.get(pair, self._before.get(pair, (ahead, ahead)))
            low, high = min(low, ahead), max(high, ahead)
            self.extremes[pair] = low, high
            bound = self.window + self.longest * (1 / weight[one] + 1 / weight[other])
            self.worst = max(self.worst, (high - low) / bound)
        self._before = {
            (a, b): (service[a] / weight[a] - service[b] / weight[b],) * 2
            for a, b in itertools.combinations(sorted(weight), 2)
        }

    _before: dict[Pair, tuple[float, float]] = {}  # noqa: RUF012 - replaced, never changed


def simulate(seed: int) -> tuple[float, int]:
    """One random trial: the worst ratio of observed difference to bound, and the passes run."""
    rnd = random.Random(seed)
    kinds: dict[Hashable, tuple[float, float]] = {
        k: (rnd.uniform(0.005, 0.1), rnd.uniform(0.01, 0.15)) for k in range(rnd.randint(1, 3))
    }
    device, most_rows = Device(kinds), rnd.choice([2, 4, 8])
    limits = Limits(
        window=rnd.choice([0.0, 0.0, 0.2, 1.0]),
        seconds=rnd.choice([math.inf, 0.2, 0.0]),
        stretch=rnd.choice([1.0, 1.5, 2.0]),
    )
    order: StepOrder[Walk] = StepOrder(device.seconds, limits)
    tenants = {f"t{n}": rnd.choice([1.0, 1.0, 2.0, 4.0]) for n in range(rnd.randint(1, 3))}
    users = {
        f"{t}/u{n}": (t, rnd.choice([1.0, 1.0, 2.0, 5.0])) for t in tenants for n in range(rnd.randint(1, 4))
    }
    walks = sorted(
        (
            Walk(
                tenant=(users[u][0], tenants[users[u][0]]),
                user=(u, users[u][1]),
                key=rnd.choice(list(kinds)),
                left=rnd.randint(1, 30),
                arrives=rnd.uniform(0, 20) * rnd.choice([0, 1]),
                rows=rnd.choice([1, 1, 2]),
                most_rows=most_rows,
            )
            for u in rnd.choices(list(users), k=rnd.randint(15, 50))
        ),
        key=lambda walk: walk.arrives,
    )
    longest = max(device.seconds(kind, most_rows) for kind in kinds)
    of_tenant = {t: Audit(limits.window, longest) for t in tenants}
    of_root = Audit(limits.window, longest)
    service = dict.fromkeys([*users, *tenants], 0.0)
    inside: list[Walk] = []
    clock, passes, todo = 0.0, 0, list(walks)
    while todo or inside:
        while todo and (todo[0].arrives <= clock or not inside):
            walk = todo.pop(0)
            clock = max(clock, walk.arrives)
            inside.append(walk)
            order.add(walk)
        batch = order.pick()
        seconds = device.seconds(batch[0].key, sum(walk.rows for walk in batch))
        assert len({walk.key for walk in batch}) == 1
        assert sum(walk.rows for walk in batch) <= most_rows
        per_row = order.charge(batch, seconds)
        assert per_row * sum(walk.rows for walk in batch) == pytest.approx(seconds)
        left_out = {walk.user[0] for walk in inside if walk not in batch}
        left_tenants = {users[u][0] for u in left_out}
        clock, passes = clock + seconds, passes + 1
        for walk in batch:
            service[walk.user[0]] += per_row * walk.rows
            service[walk.tenant[0]] += per_row * walk.rows
            walk.left -= 1
            if not walk.left:
                order.remove(walk)
                inside.remove(walk)
        of_root.after(service, tenants, left_tenants)
        for tenant, audit in of_tenant.items():
            mine = {u: weight for u, (t, weight) in users.items() if t == tenant}
            audit.after(service, mine, left_out & mine.keys())
    return max(of_root.worst, *(audit.worst for audit in of_tenant.values())), passes


def test_the_fairness_bound_holds_in_420_random_trials() -> None:
    ratios, passes = zip(*(simulate(seed) for seed in range(420)), strict=True)

    assert max(ratios) <= 1 + 1e-9, f"bound broken: {max(ratios):.3f}"
    assert max(ratios) > 0.5, "the trials never came near the bound: they prove nothing"
    assert min(passes) > 10


def test_the_audit_notices_unfairness(monkeypatch: pytest.MonkeyPatch) -> None:
    """First come, first served breaks the bound, so the trial above can fail."""

    def charge_nothing(self: Share, seconds: float) -> None:
        return

    monkeypatch.setattr(Share, "charge", charge_nothing)

    assert max(simulate(seed)[0] for seed in range(10)) > 1


def walk(user: str, *, key: str = "unet", rows: int = 1, most_rows: int = 8) -> Walk:
    return Walk(("t", 1.0), (user, 1.0), key, 10, 0.0, rows, most_rows)


def test_a_newcomer_leads_the_next_pass() -> None:
    order: StepOrder[Walk] = StepOrder(lambda _key, rows: 0.1 * rows, Limits(stretch=1.5))
    for _ in range(20):
        order.add(walk("flooder"))
    for _ in range(5):
        order.charge(order.pick(), 0.8)
    newcomer = walk("light")

    order.add(newcomer)

    assert order.pick()[0] is newcomer


def test_the_tick_cap_binds_only_while_somebody_else_waits() -> None:
    order: StepOrder[Walk] = StepOrder(lambda _key, rows: 0.1 * rows, Limits(window=9, stretch=2.5))
    flood = [walk("flooder") for _ in range(6)]
    for each in flood:
        order.add(each)
    assert order.pick() == flood

    order.add(walk("light"))

    assert len(order.pick()) == 2


def test_calls_of_different_kinds_never_share_a_pass() -> None:
    order: StepOrder[Walk] = StepOrder(lambda _key, _rows: 0.0)
    order.add(walk("ada", key="unet"))
    order.add(walk("bob", key="vae"))

    assert len(order.pick()) == 1


def test_users_who_left_are_forgotten_without_debt() -> None:
    order: StepOrder[Walk] = StepOrder(lambda _key, rows: 0.1 * rows)
    for number in range(200):
        each = walk(f"u{number}")
        order.add(each)
        order.charge(order.pick(), 0.1)
        order.remove(each)

    assert len(order._root.children["t"].children) < 10


def test_a_newcomer_enters_however_many_flood() -> None:
    queue = FairQueue(per_user=4, places=8)
    for number in range(40):
        queue.put(job(f"flooder-{number % 10}"))
    inside = list(iter(queue.take, None))
    assert len({each.user for each in inside}) == len(inside) == 10

    queue.put(job("newcomer"))

    taken = queue.take()
    assert taken is not None and taken.user == "newcomer"
    assert queue.take() is None


def test_places_that_are_free_again_are_used() -> None:
    queue = FairQueue(per_user=4, places=4)
    for _ in range(12):
        queue.put(job("ada"))
        queue.put(job("bob"))
    inside = list(iter(queue.take, None))
    assert [each.user for each in inside] == ["ada", "bob"] * 2

    queue.settle(inside[0].id, 1.0)

    assert (after := queue.take()) is not None and after.user == "ada"
    assert queue.take() is None


def test_nobody_enters_when_all_is_taken() -> None:
    queue = FairQueue(per_user=1, places=1, most=1)
    queue.put(job("ada", id="a"))
    queue.put(job("bob", id="b"))
    assert queue.take() is not None

    assert queue.take() is None

    queue.settle("a", 1.0)
    assert (after := queue.take()) is not None and after.id == "b"


def test_tenants_who_left_are_forgotten_without_debt() -> None:
    order: StepOrder[Walk] = StepOrder(lambda _key, rows: 0.1 * rows)
    queue = FairQueue()
    for number in range(2100):
        each = Walk((f"dm-{number}", 1.0), ("u", 1.0), "unet", 1, 0.0)
        order.add(each)
        order.charge(order.pick(), 0.1)
        order.remove(each)
        queue.put(job("u", tenant=f"dm-{number}", id=f"j{number}"))
        assert queue.take() is not None
        queue.settle(f"j{number}", 1.0)

    assert len(order._root.children) < 10
    assert len(queue._root.children) < 10

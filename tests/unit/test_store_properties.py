"""Whatever happens to jobs, in whatever order: nobody overspends, and the books always add up."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import bindparam, update
from sqlmodel import Session, select

from bot.accounts import periods
from bot.accounts.tiers import Tiers
from bot.errors import StoreError
from bot.models import Allowance, Balance, Budget, Job, State
from bot.store import LinkRefused, OverQuota, Store, ledger
from bot.store.tables import AllowanceRow, JobRow, LedgerRow
from tests.databases import Cluster, fresh_sqlite, unfinished
from tests.examples import a_job, a_line, a_member, a_tier

T = TypeVar("T")

ENDS = (State.RENDERED, State.FAILED, State.CANCELLED)
PEOPLE = ("ada", "ben", "eve")
TIERS = (
    a_tier(20),
    a_tier(10),
    a_tier(
        allowances=(
            Allowance(seconds=15, per="day", zone="Europe/Berlin"),
            Allowance(seconds=25, per="week", rolling=True),
            Allowance(seconds=60, per="month"),
        )
    ),
    a_tier(allowances=(Allowance(seconds=9, per="hour", rolling=True),)),
    a_tier(allowances=()),
)
BUDGETS = (
    Budget(account="budget:house", name="House", allowance=Allowance(seconds=40, per="day")),
    Budget(account="budget:hall", name="Hall", allowance=Allowance(seconds=30, per="day", rolling=True)),
)
PERIODS = Tiers(TIERS).periods
people = st.sampled_from(PEOPLE)
seconds = st.floats(0, 12, allow_subnormal=False)
keys = st.integers(0, 5).map(str)
numbers = st.integers(
    0, 2**16
)  # of a job, whatever there are: at once, who is admitted is for the threads to say


class Books(RuleBasedStateMachine):
    """Three people's jobs are admitted, run, end and are deleted in any order, on a clock that jumps.

    They have other tiers from one request to the next, are given seconds, forgiven some, and share accounts
    and leave them. Whatever the tier, what is used counts in the periods of all.
    """

    def __init__(self, fresh: Callable[[], str], drop: Callable[[str], None]) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.fresh, self.drop = fresh, drop
        self.now = datetime(2028, 2, 28, 22, tzinfo=UTC)  # before a leap day
        self.jobs: list[Job] = []
        self.ended: dict[str, State] = {}
        self.given: set[str] = set()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize()
    def open(self) -> None:
        self.url = self.fresh()
        self.store = self.run(Store.open(self.url, clock=lambda: self.now))

    @rule(
        user=people,
        estimate=seconds,
        tier=st.sampled_from(TIERS),
        budgets=st.sets(st.sampled_from(BUDGETS)),
        relaxed=st.booleans(),
    )
    def admit(self, user: str, estimate: float, relaxed: bool, tier: Any, budgets: set[Budget]) -> None:
        job = a_job(user=user, estimate=estimate, relaxed=relaxed)
        account = self.run(self.store.account_of(a_member(user).id))
        before = self.run(self.store.balances(account, tier, tuple(budgets)))
        used, given = self.counted(account)
        try:
            admitted, new = self.run(
                self.store.admit(job, tier=tier, budgets=tuple(budgets), periods=PERIODS)
            )
        except OverQuota as error:
            assert not fits(before, estimate) and not relaxed
            assert error.balance in before
        else:
            assert (admitted, new) == (replace(job, account=account), True)
            assert relaxed or fits(before, estimate)
            cost = 0 if relaxed else periods.held_ms(estimate)
            assert self.counted(account) in (([each + cost for each in used], given), (used, given + cost))
            self.jobs.append(admitted)

    @rule(estimates=st.lists(seconds, min_size=2, max_size=6), data=st.data())
    def admit_at_once(self, estimates: list[float], data: st.DataObject) -> None:
        jobs = [a_job(user=data.draw(people), estimate=estimate) for estimate in estimates]

        async def all_together() -> list[Any]:
            asked = (self.store.admit(job, tier=TIERS[0], budgets=BUDGETS, periods=PERIODS) for job in jobs)
            return await asyncio.gather(*asked, return_exceptions=True)

        for job, result in zip(jobs, self.run(all_together()), strict=True):
            if isinstance(result, StoreError):
                raise result
            if not isinstance(result, OverQuota):
                assert result == (replace(job, account=result[0].account), True)
                self.jobs.append(result[0])

    @precondition(lambda self: self.jobs)
    @rule(which=numbers)
    def repeat_an_event(self, which: int) -> None:
        job = self.jobs[which % len(self.jobs)]
        again = a_job(user="ben", event=job.origin.event, estimate=1.0)
        found, new = self.run(self.store.admit(again, tier=TIERS[0]))
        assert (found.id, new) == (job.id, False)

    @precondition(lambda self: self.jobs)
    @rule(which=numbers)
    def start(self, which: int) -> None:
        self.run(self.store.started(self.jobs[which % len(self.jobs)].id))

    @precondition(lambda self: self.jobs)
    @rule(which=numbers)
    def die(self, which: int) -> None:
        self.run(self.store.died(self.jobs[which % len(self.jobs)].id, 1))

    @precondition(lambda self: self.jobs)
    @rule(which=numbers, state=st.sampled_from(ENDS), measured=seconds)
    def end(self, which: int, state: State, measured: float) -> None:
        job = self.jobs[which % len(self.jobs)]
        found, first = self.run(self.store.end(job.id, state, device_seconds=measured))
        assert first is (job.id not in self.ended)
        assert found.state is self.ended.setdefault(job.id, state)
        if first:
            free = job.relaxed or state is not State.RENDERED
            charged = 0.0 if free else min(measured, job.estimate)
            assert found.device_seconds == pytest.approx(charged, abs=0.0011)

    @precondition(lambda self: self.jobs)
    @rule(which=numbers)
    def delete(self, which: int) -> None:
        job = self.jobs[which % len(self.jobs)]
        assert self.run(self.store.delete(job.id)).state is State.DELETED
        self.ended[job.id] = State.DELETED

    @rule(user=people, amount=st.floats(0.01, 20), key=keys)
    def gift(self, user: str, amount: float, key: str) -> None:
        new = self.run(self.store.gift(a_member(user).id, amount, a_line("op"), key))
        assert new is (f"gift {key}" not in self.given)
        self.given.add(f"gift {key}")

    @rule(user=people, key=keys)
    def reset(self, user: str, key: str) -> None:
        new = self.run(self.store.reset(a_member(user).id, a_line("op"), key))
        assert new is (f"reset {key}" not in self.given)
        self.given.add(f"reset {key}")

    @rule(maker=people, typist=people)
    def link(self, maker: str, typist: str) -> None:
        code = self.run(self.store.link_code(a_member(maker).id))
        one, two = (self.run(self.store.account_of(a_member(each).id)) for each in (maker, typist))
        before = self.used(one) + self.used(two)
        try:
            account = self.run(self.store.link(code, a_member(typist).id))
        except LinkRefused as error:
            assert error.why == ("own" if maker == typist else "linked") and one == two
        else:
            assert account == one != two
            assert self.used(one) == before and self.used(two) == 0

    @rule(user=people)
    def unlink(self, user: str) -> None:
        shared = self.run(self.store.account_of(a_member(user).id))
        before = [each for each in self.balances(shared) if each.name != "gift"]
        try:
            own = self.run(self.store.unlink(a_member(user).id))
        except LinkRefused as error:
            assert error.why == "alone"
        else:
            assert self.balances(own) == before

    @rule(hours=st.sampled_from([-1, 1, 23, 24 * 7, 24 * 30]))
    def move_the_clock(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule()
    def restart(self) -> None:
        self.run(self.store.close())
        self.store = self.run(Store.open(self.url, clock=lambda: self.now))

    @invariant()
    def the_books_add_up(self) -> None:
        if hasattr(self, "store"):
            assert self.run(self.store.check()) == "ok"
            living = {job.id for job in self.run(unfinished(self.store))}
            assert living == {job.id for job in self.jobs} - self.ended.keys()
            before = self.run(self.store._read(self.audit))
            self.run(self.store.rebuild())
            assert self.run(self.store._read(self.audit)) == before

    def audit(self, session: Session) -> list[Any]:
        """Everything from the ledger's lines alone, beside what the other tables say."""
        lines = session.exec(select(LedgerRow)).all()
        used: dict[tuple[str, str], int] = defaultdict(int)
        of_job: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for line in lines:
            sign = {"hold": 1, "release": -1, "reset": -1, "merge": 1}.get(line.kind, 0)
            used[line.account, line.bucket] += sign * line.amount_ms
            if line.job:
                of_job[line.job][line.kind] += line.amount_ms
                of_job[line.job][f"{line.kind} lines"] += 1
        for job in session.exec(select(JobRow)):
            amounts = of_job.pop(job.id)
            assert (amounts["charge lines"] > 0) is (job.id in self.ended)
            if job.id in self.ended:
                assert amounts["hold"] == amounts["charge"] + amounts["release"]
            elif not job.relaxed:
                places = amounts["hold lines"] - amounts["release lines"]
                assert amounts["hold"] - amounts["release"] == places * periods.held_ms(job.estimate)
        assert not of_job
        rows = session.exec(select(AllowanceRow)).all()
        for row in rows:
            assert row.used_ms == used.pop((row.account, row.bucket))
            assert 0 <= row.used_ms <= row.cap_ms
        assert not any(used.values())
        return sorted(((row.account, row.bucket), row.used_ms, row.cap_ms, row.ends) for row in rows)

    def used(self, account: str) -> int:
        """Everything that counts against an account at present, in device-milliseconds."""

        def work(session: Session) -> int:
            rows = session.exec(select(AllowanceRow).where(AllowanceRow.account == account))
            return sum(row.used_ms for row in rows if row.ends is None or row.ends > self.now)

        return self.run(self.store._read(work))

    def counted(self, account: str) -> tuple[list[int], int]:
        """What the account used in the period of every tier there is, and of its gifts, in milliseconds."""
        found = self.run(self.store.balances(account, a_tier(allowances=PERIODS)))
        used = [round(each.used * 1000) for each in found]
        return used[: len(PERIODS)], sum(used[len(PERIODS) :])

    def balances(self, account: str) -> list[Balance]:
        return [each for tier in TIERS for each in self.run(self.store.balances(account, tier)) if each.used]

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.run(self.store.close())
            self.drop(self.url)
        self.runner.close()


def fits(balances: list[Balance], estimate: float) -> bool:
    """Whether a job of this estimate may be admitted."""
    cost = periods.held_ms(estimate)
    # More than the cap may be used: it counts in the periods of all tiers, whichever it was used in.
    limits = [each for each in balances if each.name != "gift"]
    small = [each for each in limits if round((each.cap - each.used) * 1000) < cost]
    given = any(each.name == "gift" and cost <= round(each.left * 1000) for each in balances)
    return not small or (given and not any(each.name for each in small))


def machine(
    fresh: Callable[[], str], drop: Callable[[str], None], examples: int, phases: Collection[Phase] = Phase
) -> None:
    run_state_machine_as_test(
        lambda: Books(fresh, drop),
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=phases,
            report_multiple_bugs=False,
        ),
    )


@pytest.mark.parametrize("examples", [12, pytest.param(2000, marks=pytest.mark.soak)])
def test_the_books_add_up_in_sqlite(tmp_path: Path, examples: int) -> None:
    machine(lambda: fresh_sqlite(tmp_path / "easel.db"), lambda url: None, examples)


@pytest.mark.parametrize("examples", [6, pytest.param(500, marks=pytest.mark.soak)])
def test_the_books_add_up_in_postgres(postgres: Cluster, examples: int) -> None:
    machine(postgres.fresh, postgres.drop, examples)


# ---- the proof that the condition matters


def take_without_a_look() -> Any:
    """The statement that holds, without its condition."""
    allowances = ledger._allowances
    this = (allowances.c.account == bindparam("of"), allowances.c.bucket == bindparam("at"))
    more = allowances.c.used_ms + bindparam("amount")
    taking = update(allowances).where(*this).values(used_ms=more, cap_ms=bindparam("limit"))
    return taking.returning(allowances.c.ends)


def test_without_its_condition_the_machine_fails_in_sqlite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "_TAKE", take_without_a_look())
    with pytest.raises(StoreError, match="within_cap"):
        machine(lambda: fresh_sqlite(tmp_path / "easel.db"), lambda url: None, 100, [Phase.generate])


@pytest.mark.slow  # a proof of the test above
def test_without_its_condition_and_the_database_s_own_the_machine_fails_in_postgres(
    postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unbounded() -> str:
        url = postgres.fresh()
        postgres.ask("ALTER TABLE allowances DROP CONSTRAINT within_cap", postgres.name_of(url))
        return url

    monkeypatch.setattr(ledger, "_TAKE", take_without_a_look())
    with pytest.raises(AssertionError):
        machine(unbounded, postgres.drop, 100, [Phase.generate])


async def test_without_its_condition_a_hold_is_stopped_by_the_database_alone(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it nobody is refused, and only the CHECK holds the cap."""
    monkeypatch.setattr(ledger, "_TAKE", take_without_a_look())
    store = await Store.open(database_url)
    await store.admit(a_job(), tier=a_tier(10))
    with pytest.raises(StoreError, match="within_cap"):
        await store.admit(a_job(), tier=a_tier(10))
    assert (await store.balances(a_member().id, a_tier(10)))[0].used == 8.0
    await store.close()


async def test_who_comes_second_to_a_new_window_counts_in_it_as_it_was_begun(database_url: str) -> None:
    """Two processes may begin the same rolling window, each with an end of its own."""
    begun = datetime(2028, 2, 28, 22, tzinfo=UTC)
    store = await Store.open(database_url)
    first, second = (
        ledger.Bucket("budget:*", "rolling day 000001", 10_000, begun + timedelta(hours=24, seconds=late))
        for late in (0, 1)
    )
    assert await store._write(lambda session: ledger.take(session, first, 1)) == first
    assert await store._write(lambda session: ledger.take(session, second, 1)) == first
    assert await store._write(lambda session: ledger.take(session, second, 10_000)) is None
    await store.close()

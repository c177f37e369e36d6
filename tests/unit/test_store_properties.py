"""Whatever happens to jobs, in whatever order: nobody overspends, and the books always add up."""

from __future__ import annotations

import asyncio
import tempfile
from collections import defaultdict
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import bindparam, update
from sqlmodel import Session, select

from bot.errors import StoreError
from bot.models import Job, State
from bot.store import OverQuota, Store, ledger
from bot.store.tables import AllowanceRow, JobRow, LedgerRow
from tests.examples import a_job

T = TypeVar("T")

ENDS = (State.RENDERED, State.FAILED, State.CANCELLED)
CAP = 20.0  # device-seconds
seconds = st.floats(0, 12, allow_subnormal=False)


@cache
def empty_database() -> bytes:
    """The file that machines start from: the migrations take longer than a whole run of one."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_create(f"sqlite:///{folder}/empty.db"))
        return (Path(folder) / "empty.db").read_bytes()


async def _create(url: str) -> None:
    await (await Store.open(url)).close()


class Books(RuleBasedStateMachine):
    """Two people's jobs are admitted, run, end and are deleted in any order, on a clock that jumps."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.now = datetime(2028, 2, 28, 22, tzinfo=UTC)  # before a leap day
        self.jobs: list[Job] = []
        self.ended: dict[str, State] = {}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize()
    def open(self) -> None:
        self.path = Path(self.folder.name) / "easel.db"
        self.path.write_bytes(empty_database())
        self.store = self.run(Store.open(f"sqlite:///{self.path}", clock=lambda: self.now))

    @rule(user=st.sampled_from(["ada", "bob"]), estimate=seconds, cap=st.sampled_from([CAP, CAP / 2]))
    def admit(self, user: str, estimate: float, cap: float) -> None:
        job = a_job(user=user, estimate=estimate)
        before = self.run(self.store.balance(user, cap=cap))
        try:
            _, new = self.run(self.store.admit(job, account=user, cap=cap))
        except OverQuota:
            assert before.used + estimate > cap - 0.001
        else:
            assert new
            assert before.used + estimate <= cap
            self.jobs.append(job)

    @rule(estimates=st.lists(seconds, min_size=2, max_size=6))
    def admit_at_once(self, estimates: list[float]) -> None:
        jobs = [a_job(estimate=estimate) for estimate in estimates]

        async def all_together() -> list[Any]:
            asked = (self.store.admit(job, account="ada", cap=CAP) for job in jobs)
            return await asyncio.gather(*asked, return_exceptions=True)

        for job, result in zip(jobs, self.run(all_together()), strict=True):
            if not isinstance(result, OverQuota):
                assert result == (job, True)
                self.jobs.append(job)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def repeat_an_event(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.jobs))
        again = a_job(event=job.origin.event, estimate=1.0)
        found, new = self.run(self.store.admit(again, account="bob", cap=CAP))
        assert (found.id, new) == (job.id, False)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def start(self, data: st.DataObject) -> None:
        self.run(self.store.started(data.draw(st.sampled_from(self.jobs)).id))

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        self.run(self.store.died(data.draw(st.sampled_from(self.jobs)).id, 1))

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), state=st.sampled_from(ENDS), measured=seconds)
    def end(self, data: st.DataObject, state: State, measured: float) -> None:
        job = data.draw(st.sampled_from(self.jobs))
        found, first = self.run(self.store.end(job.id, state, device_seconds=measured))
        assert first is (job.id not in self.ended)
        assert found.state is self.ended.setdefault(job.id, state)
        if first:
            charged = min(measured, job.estimate) if state is State.RENDERED else 0.0
            assert found.device_seconds == pytest.approx(charged, abs=0.0011)

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.jobs))
        assert self.run(self.store.delete(job.id)).state is State.DELETED
        self.ended[job.id] = State.DELETED

    @rule(hours=st.sampled_from([-1, 1, 23]))
    def move_the_clock(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule()
    def restart(self) -> None:
        self.run(self.store.close())
        self.store = self.run(Store.open(f"sqlite:///{self.path}", clock=lambda: self.now))

    @invariant()
    def the_books_add_up(self) -> None:
        if hasattr(self, "store"):
            self.run(self.store._read(self.audit))
            assert self.run(self.store.check()) == "ok"
            unfinished = {job.id for job in self.run(self.store.unfinished())}
            assert unfinished == {job.id for job in self.jobs} - self.ended.keys()

    def audit(self, session: Session) -> None:
        """Everything from the ledger's lines alone, beside what the other tables say."""
        spent: dict[tuple[str, object], int] = defaultdict(int)
        for job in session.exec(select(JobRow)):
            lines = session.exec(select(LedgerRow).where(LedgerRow.job == job.id)).all()
            amounts = {line.kind: line.amount_ms for line in lines}
            assert len({(line.account, line.day) for line in lines}) == 1
            if job.id in self.ended:
                assert amounts["hold"] == amounts["charge"] + amounts["release"]
            else:
                assert set(amounts) == {"hold"}
            spent[lines[0].account, lines[0].day] += amounts.get("charge", amounts["hold"])
        for row in session.exec(select(AllowanceRow)):
            assert row.used_ms == spent.pop((row.account, row.day), 0)
            assert row.used_ms <= row.cap_ms <= CAP * 1000
        assert not spent

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.run(self.store.close())
        self.runner.close()
        self.folder.cleanup()


TestBooks = Books.TestCase
TestBooks.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)


async def test_without_its_condition_a_hold_is_stopped_by_the_database_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proof that the condition works: without it nobody is refused, and only the CHECK holds the cap."""
    allowances = ledger._allowances
    take = update(allowances).values(used_ms=allowances.c.used_ms + bindparam("amount"))
    monkeypatch.setattr(ledger, "_TAKE", take)
    store = await Store.open(f"sqlite:///{tmp_path}/easel.db")
    await store.admit(a_job(), account="ada", cap=10.0)
    with pytest.raises(StoreError, match="within_cap"):
        await store.admit(a_job(), account="ada", cap=10.0)
    assert (await store.balance("ada", cap=10.0)).used == 8.0
    await store.close()

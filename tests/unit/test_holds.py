from __future__ import annotations

from dataclasses import replace

from bot.jobs.holds import Holds
from bot.models import INSTANCE, State
from engine.workers.fake import FakeEngine
from tests.examples import a_job


class Engine(FakeEngine):
    """Notes what it is told."""

    def __init__(self) -> None:
        super().__init__(lambda name: b"")
        self.held: set[str] = set()

    def hold(self, job: str) -> bool:
        self.held.add(job)
        return True

    def unhold(self, job: str) -> bool:
        self.held.discard(job)
        return True


def test_it_holds_paused_places_and_single_jobs() -> None:
    engine = Engine()
    holds = Holds(engine)
    here, there = a_job(tenant="a"), a_job(tenant="b")
    running = replace(a_job(tenant="a"), state=State.RUNNING)  # held when it loses its worker
    jobs = [here, there, running]

    def held() -> set[str]:
        holds.apply(jobs)
        return engine.held

    assert held() == set()
    holds.set_paused(["a"])
    assert held() == {here.id, running.id}
    holds.set_job(there.id, held=True)
    assert held() == {here.id, running.id, there.id}
    holds.set_paused([])
    assert held() == {there.id}
    holds.set_job(there.id, held=False)
    holds.set_paused([INSTANCE])
    assert held() == {here.id, running.id, there.id}

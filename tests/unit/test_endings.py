"""A job ends in its row first: the engine's own word of the end must not come before the audit's line."""

from __future__ import annotations

from typing import Any

import pytest

from bot.errors import StoreError
from bot.jobs.endings import Endings
from bot.models import Job, State
from tests.examples import a_job


class Recorder:
    """Stands for the store, the engine and the tracker, and notes who was told what, in order."""

    def __init__(self, *, first: bool = True, broken: bool = False) -> None:
        self.told: list[tuple[str, Any]] = []
        self._first = first
        self._broken = broken

    def _write(self, what: str, id: str) -> None:
        if self._broken:
            raise StoreError("the disk is full")
        self.told.append((what, id))

    async def end(self, id: str, state: State, line: Any = None) -> tuple[Job, bool]:
        self._write("row", id)
        return a_job(id=id, state=state), self._first

    async def delete(self, id: str, line: Any = None) -> Job:
        self._write("row", id)
        return a_job(id=id, state=State.DELETED)

    def cancel(self, id: str) -> None:
        self.told.append(("engine", id))

    def finish(self, job: Job) -> None:
        self.told.append(("shown", job.state))


def endings(recorder: Any) -> Endings:
    return Endings(recorder, recorder, recorder)


async def test_a_cancelled_job_ends_in_its_row_before_the_engine_knows() -> None:
    recorder = Recorder()
    ended = await endings(recorder).cancel(a_job(id="abc"))
    assert recorder.told == [("row", "abc"), ("engine", "abc"), ("shown", State.CANCELLED)]
    assert ended.state is State.CANCELLED


async def test_a_job_that_had_ended_already_is_not_shown_again() -> None:
    recorder = Recorder(first=False)
    await endings(recorder).cancel(a_job(id="abc"))
    assert recorder.told == [("row", "abc"), ("engine", "abc")]


async def test_a_deleted_job_leaves_the_engine_and_shows_that() -> None:
    recorder = Recorder()
    await endings(recorder).delete(a_job(id="abc"))
    assert recorder.told == [("row", "abc"), ("engine", "abc"), ("shown", State.DELETED)]


@pytest.mark.parametrize("way", ["cancel", "delete"])
async def test_a_job_paints_on_where_its_end_cannot_be_written_down(way: str) -> None:
    recorder = Recorder(broken=True)
    with pytest.raises(StoreError):
        await getattr(endings(recorder), way)(a_job(id="abc"))
    assert recorder.told == []

from __future__ import annotations

from multiprocessing import get_context

import pytest

from engine.workers import process
from engine.workers.heartbeat import Vitals
from engine.workers.process import Silence


def test_what_is_running_can_be_read_until_it_ends() -> None:
    vitals = Vitals(get_context("spawn"))
    assert vitals.activity() is None

    vitals.begin(60.0, ["a1", "b2"])

    activity = vitals.activity()
    assert activity is not None
    assert activity.jobs == {"a1", "b2"}
    assert not activity.overdue
    vitals.begin(-1.0, [])
    assert (late := vitals.activity()) is not None and late.overdue
    vitals.end()
    assert vitals.activity() is None


def test_more_jobs_than_fit_are_cut_at_a_whole_id() -> None:
    vitals = Vitals(get_context("spawn"))

    vitals.begin(1.0, [f"{number:012x}" for number in range(1000)])

    activity = vitals.activity()
    assert activity is not None
    assert len(activity.jobs) > 250 and {len(id) for id in activity.jobs} == {12}


def test_a_process_that_stands_still_is_noticed_in_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "SILENT_BEATS", 3)
    monkeypatch.setattr(process, "BUSY_SILENT_BEATS", 5)
    vitals = Vitals(get_context("spawn"))
    silence = Silence(vitals)
    for _ in range(20):
        vitals.beat()
        assert silence.trouble(vitals.activity(), 0) == ""

    assert [bool(silence.trouble(None, 0)) for _ in range(3)] == [False, False, True]
    vitals.beat()
    assert silence.trouble(None, 0) == ""
    vitals.begin(60.0, ["a"])
    busy = vitals.activity()
    assert [bool(silence.trouble(busy, 0)) for _ in range(5)] == [False] * 4 + [True]


def test_an_order_that_an_idle_worker_leaves_alone_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "SILENT_BEATS", 3)
    vitals = Vitals(get_context("spawn"))
    silence = Silence(vitals)

    def look(sent: int) -> bool:
        vitals.beat()
        return bool(silence.trouble(vitals.activity(), sent))

    vitals.begin(60.0, ["a"])
    assert [look(1) for _ in range(10)] == [False] * 10, "it works, and takes orders after the pass"
    vitals.end()
    assert [look(1) for _ in range(3)] == [False, False, True]
    vitals.take()
    assert not look(1)
    assert [look(2) for _ in range(2)] == [False, False]
    vitals.take()
    assert not look(2)

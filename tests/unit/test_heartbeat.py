from __future__ import annotations

from multiprocessing import get_context

import pytest

from engine.workers import process
from engine.workers.heartbeat import Heartbeat
from engine.workers.process import Silence


def test_what_is_running_can_be_read_until_it_ends() -> None:
    heartbeat = Heartbeat(get_context("spawn"))
    assert heartbeat.activity() is None

    heartbeat.begin(60.0, ["a1", "b2"])

    activity = heartbeat.activity()
    assert activity is not None
    assert activity.jobs == {"a1", "b2"}
    assert not activity.overdue
    heartbeat.begin(-1.0, [])
    assert (late := heartbeat.activity()) is not None and late.overdue
    heartbeat.end()
    assert heartbeat.activity() is None


def test_more_jobs_than_fit_are_cut_at_a_whole_id() -> None:
    heartbeat = Heartbeat(get_context("spawn"))

    heartbeat.begin(1.0, [f"{number:012x}" for number in range(1000)])

    activity = heartbeat.activity()
    assert activity is not None
    assert len(activity.jobs) > 250 and {len(id) for id in activity.jobs} == {12}


def test_a_process_that_stands_still_is_noticed_in_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "SILENT_BEATS", 3)
    monkeypatch.setattr(process, "BUSY_SILENT_BEATS", 5)
    heartbeat = Heartbeat(get_context("spawn"))
    silence = Silence(heartbeat)
    for _ in range(20):
        heartbeat.beat()
        assert silence.trouble(heartbeat.activity(), 0) == ""

    assert [bool(silence.trouble(None, 0)) for _ in range(3)] == [False, False, True]
    heartbeat.beat()
    assert silence.trouble(None, 0) == ""
    heartbeat.begin(60.0, ["a"])
    busy = heartbeat.activity()
    assert [bool(silence.trouble(busy, 0)) for _ in range(5)] == [False] * 4 + [True]


def test_an_order_that_an_idle_worker_leaves_alone_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "SILENT_BEATS", 3)
    heartbeat = Heartbeat(get_context("spawn"))
    silence = Silence(heartbeat)

    def look(sent: int) -> bool:
        heartbeat.beat()
        return bool(silence.trouble(heartbeat.activity(), sent))

    heartbeat.begin(60.0, ["a"])
    assert [look(1) for _ in range(10)] == [False] * 10, "it works, and takes orders after the pass"
    heartbeat.end()
    assert [look(1) for _ in range(3)] == [False, False, True]
    heartbeat.take()
    assert not look(1)
    assert [look(2) for _ in range(2)] == [False, False]
    heartbeat.take()
    assert not look(2)

from __future__ import annotations

from multiprocessing import get_context

from engine.vitals import Vitals


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

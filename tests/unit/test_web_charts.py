"""Use over time as series."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bot.adapters.web.charts import SERIES, charts
from bot.admin.dashboard import Spell
from bot.models import Use, Wait

HOUR = timedelta(hours=1)


def now() -> datetime:
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


def a_spell(people: int = 1) -> Spell:
    at = now() - HOUR
    uses = tuple(
        Use(at=at, key=f"web:{n}", name=f"Person {n}", jobs=1, seconds=float(100 - n)) for n in range(people)
    )
    states = (
        Use(at=at, key="rendered", name="", jobs=3, seconds=9),
        Use(at=at, key="deleted", name="", jobs=1, seconds=1),
        Use(at=at, key="failed", name="", jobs=2, seconds=0),
    )
    models = (Use(at=at, key="tiny", name="tiny", jobs=6, seconds=10.0),)
    waits = (Wait(at=at, jobs=4, median=2.0, p90=30.0),)
    return Spell(since=now() - 3 * HOUR, bucket=HOUR, models=models, people=uses, states=states, waits=waits)


def test_each_hour_has_a_value_and_empty_ones_are_nothing() -> None:
    model, _, jobs, waits = charts(a_spell())

    assert len(model.starts) in (4, 5)  # an hour may begin meanwhile
    assert model.series[0].values[:4] == (0, 0, 10.0, 0)
    assert {one.label: sum(v or 0 for v in one.values) for one in jobs.series} == {"done": 4, "failed": 2}
    assert waits.series[0].values[:4] == (None, None, 2.0, None)
    assert [row[1] for row in waits.rows] == [("2", "30")]
    assert model.summary == "tiny: 10 s"


def test_a_crowd_is_the_largest_and_all_others_together() -> None:
    _, people, *_ = charts(a_spell(people=8))
    labels = [one.label for one in people.series]

    assert labels == [*(f"Person {n}" for n in range(SERIES)), "3 others"]
    assert sum(v or 0 for one in people.series for v in one.values) == sum(100 - n for n in range(8))


def test_nothing_used_is_said_so() -> None:
    empty = Spell(since=now() - HOUR, bucket=HOUR, models=(), people=(), states=(), waits=())

    assert {chart.summary for chart in charts(empty)} == {"Nothing yet."}

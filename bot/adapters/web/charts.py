"""Use over time as series to draw. The page's script draws them; without it they are tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from bot import formats
from bot.admin.dashboard import SERIES, Spell
from bot.i18n import _, join
from bot.models import Use

SPANS: Mapping[str, tuple[str, timedelta, timedelta]] = {
    "day": (_("24 hours"), timedelta(days=1), timedelta(hours=1)),
    "week": (_("7 days"), timedelta(days=7), timedelta(hours=1)),
    "month": (_("30 days"), timedelta(days=30), timedelta(days=1)),
    "quarter": (_("90 days"), timedelta(days=90), timedelta(days=1)),
}
"""Name → title, length, and what each bar sums up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    label: str
    values: tuple[float | None, ...]  # one for each moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """`kind` "bars" are stacked, "lines" are not."""

    title: str
    unit: str
    kind: Literal["bars", "lines"]
    starts: tuple[datetime, ...]
    daily: bool
    series: tuple[Series, ...]

    @property
    def summary(self) -> str:
        """Return the chart in one sentence."""
        if not self.series:
            return _("Nothing yet.")
        of = max if self.kind == "lines" else sum
        totals = [of([each or 0.0 for each in one.values] or [0.0]) for one in self.series]
        parts = [
            _("{label}: {amount} {unit}", label=one.label, amount=formats.amount(total), unit=self.unit)
            for one, total in zip(self.series, totals, strict=True)
        ]
        return join(", ", parts)

    @property
    def rows(self) -> list[tuple[str, tuple[str, ...]]]:
        """Return the numbers as a table, the newest first; moments without any are left out."""
        found = []
        for number, start in reversed(list(enumerate(self.starts))):
            values = [one.values[number] for one in self.series]
            if any(each is not None for each in values) and (self.kind == "lines" or any(values)):
                when = f"{start.astimezone(UTC):{'%d %b' if self.daily else '%d %b %H:%M'}} UTC"
                found.append((when, tuple("" if each is None else formats.amount(each) for each in values)))
        return found

    @property
    def data(self) -> dict[str, object]:
        """Return the data that the page's script draws."""
        return {
            "kind": self.kind,
            "unit": self.unit,
            "daily": self.daily,
            "bucket": 86_400 if self.daily else 3_600,
            "x": [round(start.timestamp()) for start in self.starts],
            "series": [{"label": one.label, "values": one.values} for one in self.series],
        }


_DAILY = (_("GPU seconds per day, by model"), _("GPU seconds per day, by person"), _("Jobs per day"))
_HOURLY = (_("GPU seconds per hour, by model"), _("GPU seconds per hour, by person"), _("Jobs per hour"))


def charts(spell: Spell) -> tuple[Chart, ...]:
    starts = spell.starts
    daily = spell.bucket >= timedelta(days=1)
    waits = {each.at: each for each in spell.waits}

    def chart(title: str, unit: str, kind: Literal["bars", "lines"], series: Iterable[Series]) -> Chart:
        return Chart(
            title=title, unit=unit, kind=kind, starts=tuple(starts), daily=daily, series=tuple(series)
        )

    by_model, by_person, jobs = _DAILY if daily else _HOURLY
    waited = (
        Series(label=_("median"), values=tuple(_of(waits.get(at), "median") for at in starts)),
        Series(label=_("90th percentile"), values=tuple(_of(waits.get(at), "p90") for at in starts)),
    )
    return (
        chart(by_model, "s", "bars", _seconds(spell.models, starts)),
        chart(by_person, "s", "bars", _seconds(spell.people, starts)),
        chart(jobs, _("jobs"), "bars", _jobs(spell.states, starts)),
        chart(_("Wait from request to start"), "s", "lines", waited if waits else ()),
    )


def _of(wait: object, name: str) -> float | None:
    return None if wait is None else round(getattr(wait, name), 3)


def _seconds(uses: Sequence[Use], starts: Sequence[datetime]) -> list[Series]:
    """Chart the seconds of those that used most, then of all others together."""
    totals: defaultdict[str, float] = defaultdict(float)
    names = {use.key: use.name for use in uses}
    for use in uses:
        if use.key:
            totals[use.key] += use.seconds
    more = max((use.others for use in uses), default=0)
    most = sorted(totals, key=lambda key: (-totals[key], key))[:SERIES]
    series = [_sum(names[key], [use for use in uses if use.key == key], starts) for key in most]
    others = [use for use in uses if use.key not in most]
    return (
        [*series, _sum(_("{count} others", count=len(totals) - len(most) + more), others, starts)]
        if others
        else series
    )


def _sum(label: str, uses: Iterable[Use], starts: Sequence[datetime]) -> Series:
    values: defaultdict[datetime, float] = defaultdict(float)
    for use in uses:
        values[use.at] += use.seconds
    return Series(label=label, values=tuple(round(values[start], 3) for start in starts))


_STATES = {
    _("done"): ("rendered", "deleted"),
    _("failed"): ("failed",),
    _("cancelled"): ("cancelled",),
    _("unfinished"): ("queued", "running"),
}


def _jobs(uses: Sequence[Use], starts: Sequence[datetime]) -> list[Series]:
    found = []
    for label, states in _STATES.items():
        counts: defaultdict[datetime, int] = defaultdict(int)
        for use in uses:
            if use.key in states:
                counts[use.at] += use.jobs
        if counts:
            found.append(Series(label=label, values=tuple(counts[start] for start in starts)))
    return found

"""The line, in words that show why the next is next."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bot.i18n import _
from bot.models import Job, Member
from engine.types import Lane

SHOWN = 6
"""Waiting jobs shown per lane."""

LANES = 20
"""Lanes shown besides those that paint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneView:
    """One person's lane, ready to show. Prompts that the reader may not see are left out."""

    name: str
    running: tuple[str, ...]
    waiting: tuple[str, ...]
    held: int  # how many of them, the last ones, are on hold
    more: int  # jobs that wait beyond those shown
    share: str
    ahead: float  # 0 … 1 of the lane that is furthest ahead
    ahead_label: str
    next: bool


def shown_lanes(lanes: Sequence[Lane]) -> Sequence[Lane]:
    """Return the lanes that paint and the first of the others, so that the next one is among them."""
    turn = itertools.count()
    return [lane for lane in lanes if lane.running or next(turn) < LANES]


def shown_jobs(lanes: Sequence[Lane]) -> Iterator[str]:
    """Yield the ids of the jobs that `describe` needs."""
    for lane in shown_lanes(lanes):
        yield from lane.running
        yield from _queued(lane)[:SHOWN]


def _queued(lane: Lane) -> tuple[str, ...]:
    """Return the jobs that wait for their turn, then those that are held back."""
    return (*lane.waiting, *lane.held)


def describe(
    lanes: Sequence[Lane], jobs: Mapping[str, Job], reader: Member
) -> tuple[str, tuple[LaneView, ...]]:
    """Return the sentence above the lanes, and the lanes that are shown, in the order of their turns."""
    chosen = next((lane for lane in lanes if lane.waiting), None)
    shown = shown_lanes(lanes)
    peers = _peers(lanes, shown, jobs)
    views = tuple(_view(lane, peers[_group(lane)], jobs, reader, is_next=lane is chosen) for lane in shown)
    return _why(views), views


def _group(lane: Lane) -> tuple[str, bool]:
    """Return the group in which virtual times compare: a tenant and a class."""
    return lane.tenant, lane.relaxed


@dataclass(frozen=True, slots=True)
class _Peers:
    """The lanes that one compares with."""

    name: str  # of whoever has used least
    least: float  # virtual time
    most: float
    weight: float  # of all together


def _peers(
    lanes: Sequence[Lane], shown: Sequence[Lane], jobs: Mapping[str, Job]
) -> dict[tuple[str, bool], _Peers]:
    """Return the peers of the shown lanes by group; all lanes, perhaps 10,000, are read only once."""
    groups: dict[tuple[str, bool], list[Lane]] = {_group(lane): [] for lane in shown}
    for lane in lanes:
        if (group := groups.get((lane.tenant, lane.relaxed))) is not None:
            group.append(lane)
    found = {}
    for key, peers in groups.items():
        times = [lane.virtual_time for lane in peers]
        least = min(peers, key=lambda lane: lane.virtual_time)
        weight = sum(lane.weight for lane in peers)
        found[key] = _Peers(_name(least, jobs), min(times), max(times), weight)
    return found


def _view(lane: Lane, peers: _Peers, jobs: Mapping[str, Job], reader: Member, *, is_next: bool) -> LaneView:
    share = f"{lane.weight / peers.weight:.0%}"
    ahead, spread = lane.virtual_time - peers.least, peers.most - peers.least
    return LaneView(
        name=_name(lane, jobs),
        running=tuple(_prompt(jobs.get(id), reader) for id in lane.running),
        waiting=tuple(_prompt(jobs.get(id), reader) for id in _queued(lane)[:SHOWN]),
        held=min(len(lane.held), max(0, SHOWN - len(lane.waiting))),
        more=max(0, len(_queued(lane)) - SHOWN),
        share=_("relaxed: in idle time") if lane.relaxed else _("{percent} share", percent=share),
        ahead=ahead / spread if spread else 0.0,
        ahead_label=_("{seconds} s more than {name}", seconds=f"{ahead:.1f}", name=peers.name)
        if ahead >= 0.05
        else _("least used"),
        next=is_next,
    )


def _why(lanes: Sequence[LaneView]) -> str:
    chosen = next((lane for lane in lanes if lane.next), None)
    if chosen is None:
        if any(lane.held for lane in lanes):
            return _("Waiting jobs are on hold until an administrator releases them.")
        return _("No one is waiting.")
    if len(lanes) == 1:
        return _("{name} is alone in the queue, so the prompts run one after the other.", name=chosen.name)
    return _("{name} is next: least GPU time used so far.", name=chosen.name)


def _name(lane: Lane, jobs: Mapping[str, Job]) -> str:
    known = (jobs[id] for id in (*lane.running, *_queued(lane)[:SHOWN]) if id in jobs)
    job = next(known, None)
    return job.origin.member.name if job else _("Someone elsewhere")


def _prompt(job: Job | None, reader: Member) -> str:
    visible = job is not None and job.is_seen_by(reader)
    return " ".join(job.prompt.split())[:120] if job and visible else _("a private image")

"""The line in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from bot.adapters.web.queue_view import LANES, SHOWN, describe, shown_jobs
from bot.models import Job, Member, Origin
from engine.types import GenerationRequest, Lane

ANA = Member(tenant="web:local", id="web:ana", name="Ana")
BEN = Member(tenant="web:local", id="web:ben", name="Ben")


def job(id: str, member: Member, *, private: bool = False) -> Job:
    origin = Origin(surface="web", member=member, channel="studio", event=id, private=private)
    request = GenerationRequest(prompt=id, seed=7)
    return Job(id=id, origin=origin, request=request, prompt=f"a {id}", created=datetime.now(UTC))


def lane(
    member: Member, *waiting: str, running: tuple[str, ...] = (), time: float = 0.0, weight: float = 1
) -> Lane:
    return Lane(
        tenant=member.tenant,
        user=member.id,
        waiting=waiting,
        running=running,
        virtual_time=time,
        weight=weight,
        served=time,
    )


def test_the_first_lane_that_waits_is_next_and_the_sentence_says_why() -> None:
    lanes = [lane(BEN, running=("cat",), time=1), lane(ANA, "fox", time=3, weight=3)]
    jobs = {"cat": job("cat", BEN), "fox": job("fox", ANA)}

    why, (ben, ana) = describe(lanes, jobs, ANA)

    assert why.startswith("Ana is next")
    assert (ben.next, ana.next) == (False, True)
    assert (ben.running, ana.waiting) == (("a cat",), ("a fox",))
    assert (ben.share, ana.share) == ("25% share", "75% share")
    assert (ben.ahead, ben.ahead_label) == (0.0, "least used")
    assert (ana.ahead, ana.ahead_label) == (1.0, "2.0 s more than Ben")


def test_private_prompts_of_others_are_not_told() -> None:
    jobs = {"secret": job("secret", BEN, private=True)}

    for reader, prompt in ((ANA, "a private image"), (BEN, "a secret")):
        _, (view,) = describe([lane(BEN, "secret")], jobs, reader)
        assert (view.name, view.waiting) == ("Ben", (prompt,))


def test_people_of_other_places_stay_nameless() -> None:
    elsewhere = Member(tenant="discord:1", id="discord:2", name="Eve")

    _, (view,) = describe([lane(elsewhere, "x")], {}, ANA)

    assert view.name == "Someone elsewhere"


def test_a_flood_is_cut_short() -> None:
    ids = [f"job{n}" for n in range(50)]
    lanes = [lane(ANA, *ids)]

    _, (view,) = describe(lanes, {id: job(id, ANA) for id in ids}, ANA)

    assert (len(view.waiting), view.more) == (SHOWN, 50 - SHOWN)
    assert list(shown_jobs(lanes)) == ids[:SHOWN]


def test_of_a_crowd_the_first_lanes_are_shown() -> None:
    people = [replace(ANA, id=f"web:{n}") for n in range(200)]
    lanes = [lane(person, f"job{n}", time=n) for n, person in enumerate(people)]

    _, views = describe(lanes, {}, ANA)

    assert len(views) == LANES and views[0].next
    assert list(shown_jobs(lanes)) == [f"job{n}" for n in range(LANES)]


def test_those_that_paint_are_shown_wherever_they_stand_and_so_is_the_next() -> None:
    painting = [lane(ANA, running=(f"job{n}",)) for n in range(LANES + 5)]
    waiting = [lane(BEN, f"cat{n}") for n in range(LANES + 5)]

    for lanes in ([*painting, *waiting], [*waiting, *painting]):
        why, views = describe(lanes, {"cat0": job("cat0", BEN)}, ANA)
        assert why.startswith("Ben is next")
        assert sum(bool(view.running) for view in views) == len(painting)
        assert len(views) == len(painting) + LANES and any(view.next for view in views)


def test_when_nobody_waits_the_sentence_says_so() -> None:
    assert describe([lane(ANA, running=("x",))], {}, ANA)[0].startswith("No one is waiting")
    assert describe([], {}, ANA) == ("No one is waiting.", ())


def test_relaxed_lanes_and_jobs_on_hold_are_told_apart() -> None:
    relaxed = replace(lane(ANA, "whale", time=90), relaxed=True)
    lanes = [lane(BEN, running=("cat",), time=1), replace(lane(ANA), held=("fox",)), relaxed]
    jobs = {"cat": job("cat", BEN), "fox": job("fox", ANA), "whale": job("whale", ANA)}

    why, (painting, held, idle) = describe(lanes, jobs, ANA)

    assert why == "Ana is next: least GPU time used so far."
    assert (held.waiting, held.held, held.next) == (("a fox",), 1, False)
    assert (idle.share, idle.ahead_label, idle.next) == ("relaxed: in idle time", "least used", True)
    assert painting.share == "50% share"
    assert (
        describe(lanes[:2], jobs, ANA)[0] == "Waiting jobs are on hold until an administrator releases them."
    )

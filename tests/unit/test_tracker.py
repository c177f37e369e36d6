from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

from bot import telemetry
from bot.jobs.cards import JobCards
from bot.jobs.live import LiveJob
from bot.jobs.tracker import engine_job, moved
from bot.messages import answers
from bot.models import Job, Member, Origin, State
from bot.moderation import Scores
from engine.types import (
    EngineEvent,
    EngineJob,
    GenerationRequest,
    Lane,
    Loading,
    Progress,
    QueuePosition,
    Restarted,
    Started,
    WorkerStatus,
)
from engine.workers.fake import FakeEngine
from tests.examples import a_tracker
from tests.listener import Listener

JOB = Job(
    id="abc",
    origin=Origin(
        surface="s",
        member=Member(tenant="guild", id="ada", name="Ada"),
        channel="c",
        event="e",
        reply={"token": "x"},
    ),
    request=GenerationRequest(prompt="a fox, 3d", seed=1),
    prompt="a fox",
    estimate=2.5,
    deaths=1,
    created=datetime.now(UTC),
)


def step(number: int, preview: bytes | None = None) -> Progress:
    return Progress(job="abc", step=number, steps=20, device_seconds=0.0, preview=preview)


@pytest.mark.parametrize(
    ("before", "now", "worth"),
    [
        (QueuePosition(10, 60), QueuePosition(9, 55), False),
        (QueuePosition(10, 60), QueuePosition(7, 60), True),
        (QueuePosition(10, 60), QueuePosition(10, 47), True),
        (QueuePosition(2, 0.5), QueuePosition(1, 0.1), True),
        (QueuePosition(1, 1.0), QueuePosition(1, 0.2), False),
        (QueuePosition(1, 60), QueuePosition(3, 60), True),
    ],
)
def test_a_place_is_shown_anew_when_it_moved_by_more_than_a_fifth(
    before: QueuePosition, now: QueuePosition, worth: bool
) -> None:
    assert moved(before, now) is worth


def test_the_engine_is_told_no_names() -> None:
    told = engine_job(JOB)
    assert (told.id, told.tenant, told.user, told.cost, told.deaths) == ("abc", "guild", "ada", 2.5, 1)
    assert engine_job(JOB, home="elsewhere").tenant == "elsewhere"
    assert "Ada" not in repr(told) and "token" not in repr(told)


def test_a_preview_stays_until_the_next_one() -> None:
    life = LiveJob(JOB)
    life.advance(step(1, b"first"))
    life.advance(step(2))
    assert life.progress == step(2, b"first")
    life.advance(step(3, b"second"))
    assert life.progress == step(3, b"second")
    life.restart()
    assert life.progress is None and life.left is None


def test_the_time_left_needs_two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 104.0, 104.0])
    monkeypatch.setattr("bot.jobs.live.time.monotonic", lambda: next(clock))
    life = LiveJob(JOB)
    life.advance(step(2))
    assert life.left is None
    life.advance(step(10))
    assert life.left == pytest.approx(5.0)  # 8 steps in 4 s, 10 to go


class Slow:
    """A store, and classifier, that answer when they are told to."""

    busy = False

    def __init__(self) -> None:
        self.asked, self.told = asyncio.Event(), asyncio.Event()

    async def _answer(self, *_: object) -> Scores:
        self.asked.set()
        await self.told.wait()
        return Scores()

    started = died = look = _answer


@pytest.mark.parametrize(
    "event",
    [Started(job="abc"), Restarted(job="abc", deaths=1), step(1, b"a preview")],
    ids=lambda event: type(event).__name__,
)
async def test_what_was_begun_before_a_job_s_end_is_not_shown_after_it(event: EngineEvent) -> None:
    slow: Any = Slow()
    shown: list[Job] = []
    engine = FakeEngine(lambda name: b"")
    tracker = a_tracker(engine, store=slow, show=shown.append, classifier=slow)
    life = tracker.lives["abc"] = LiveJob(JOB)
    if isinstance(event, Progress):
        tracker._progress(life, event)
    else:
        tracker._put(life, event)
    await slow.asked.wait()

    tracker.finish(ended := replace(JOB, state=State.CANCELLED))
    slow.told.set()
    work = [task for task in (life.writer, tracker._preview_check) if task]
    await asyncio.gather(*work)

    assert shown[-1] is ended


async def test_a_lost_worker_is_counted_once_however_many_jobs_it_had() -> None:
    def fault(job: EngineJob) -> Exception | None:
        return OSError() if job.id == "poison" else None

    engine = FakeEngine(lambda name: b"", step_seconds=0.01, fault=fault)
    tracker = a_tracker(engine)
    before = telemetry.DEATHS._value.get()
    await engine.start()
    request = GenerationRequest(prompt="a fox", seed=1, model="memory", width=64, height=64, steps=8, count=1)
    ear = Listener(engine)
    for id in ("bystander", "poison"):
        engine.submit(EngineJob(id=id, request=request, tenant="t", user=id, relaxed=id == "bystander"))
    await ear.ends(2)
    for _ in range(3):
        tracker._count_losses()
    await engine.close()

    assert sum(isinstance(event, Restarted) for event in ear.said) >= 1
    assert telemetry.DEATHS._value.get() - before == 2


async def test_people_are_told_how_much_of_their_model_is_here() -> None:
    shown: list[str] = []
    engine = FakeEngine(lambda name: b"")
    tracker = a_tracker(engine, show=lambda job: shown.append(job.id))
    no = SimpleNamespace(is_held=lambda job: False, covered=lambda job: False, takes=lambda job: False)
    cards = JobCards(tracker.lives, *[no] * 6)
    inside = tracker.lives["inside"] = LiveJob(replace(JOB, id="inside", state=State.RUNNING))
    waiting = tracker.lives["waiting"] = LiveJob(replace(JOB, id="waiting", state=State.QUEUED))
    other = replace(JOB.request, model="other")
    tracker.lives["other"] = LiveJob(replace(JOB, id="other", state=State.RUNNING, request=other))
    engine.position = lambda job: QueuePosition(1, 2.0)  # type: ignore[method-assign]

    async def second(coming: Loading | None) -> list[str]:
        worker = WorkerStatus(device="cuda:0", ready=True, models=(), jobs=1, restarts=0, loading=coming)
        status = replace(engine.status(), workers=(worker,))
        with patch.object(engine, "status", lambda: status):
            await tracker._follow_loading()
            tracker._look_up("waiting")
        shown_now = shown.copy()
        shown.clear()
        return shown_now

    model = JOB.request.model
    assert await second(Loading(model, 3_100_000_000, 20_500_000_000)) == ["inside", "waiting"]
    words = f"downloading {model}: 3.1 of 20.5 GB"
    card = cards.present(inside.job)
    assert card.bar is not None and card.bar.label == words
    assert words in cards.present(waiting.job).facts
    assert await second(Loading(model, 3_100_000_000, 20_500_000_000)) == []
    assert await second(Loading(model)) == ["inside", "waiting"]
    card = cards.present(inside.job)
    assert card.bar is not None and card.bar.label == f"loading {model}"
    inside.advance(step(1))
    assert await second(None) == ["waiting"]
    assert len(cards.present(waiting.job).facts) == 2
    assert await second(None) == []


def test_the_queue_says_what_is_being_downloaded() -> None:
    lane = Lane(
        tenant="guild", user="ada", running=("abc",), waiting=(), virtual_time=0.0, weight=1.0, served=0.0
    )
    coming = Loading("z-image-turbo", 3_100_000_000, 20_500_000_000)
    card = answers.queue([lane], {}, JOB.origin.member, "ada", [coming, coming])
    assert card.facts[-1] == "downloading z-image-turbo: 3.1 of 20.5 GB"
    assert len(card.facts) == 3, "two devices that load it are one download"

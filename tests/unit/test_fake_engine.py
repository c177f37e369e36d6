from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from engine.errors import Cancelled, InvalidRequest, OutOfMemory, UnknownModel, WorkerLost
from engine.types import (
    EngineJob,
    Failed,
    Finished,
    GenerationRequest,
    ImageToImage,
    Picture,
    Progress,
    Restarted,
    Started,
)
from engine.workers.fake import FakeEngine, paint
from tests.listener import Listener


def request(prompt: str = "a fox", **changes: Any) -> GenerationRequest:
    values = {"seed": 7, "model": "memory", "width": 64, "height": 48, "steps": 4, "count": 2}
    return GenerationRequest(prompt=prompt, **{**values, **changes})


def job(id: str = "a", **changes: Any) -> EngineJob:
    return EngineJob(id=id, request=request(**changes), tenant="t", user=f"user of {id}")


def unread(name: str) -> bytes:
    raise KeyError(name)


@asynccontextmanager
async def started(read: Callable[[str], bytes] = unread, **options: Any) -> AsyncIterator[FakeEngine]:
    engine = FakeEngine(read, **options)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


def png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


async def test_a_job_s_events_in_their_order() -> None:
    async with started() as engine:
        engine.submit(job())
        events = await Listener(engine).ends(1)

    assert [type(event) for event in events] == [Started, *[Progress] * 8, Picture, Picture, Finished]
    steps = [event for event in events if isinstance(event, Progress)]
    assert [event.step for event in steps] == list(range(1, 9))
    previews = [event.preview for event in steps if event.preview]
    assert previews and Image.open(io.BytesIO(previews[0])).format == "WEBP"
    pictures = [event for event in events if isinstance(event, Picture)]
    assert [(each.index, each.seed) for each in pictures] == [(0, 7), (1, 8)]
    assert Image.open(io.BytesIO(pictures[0].png)).size == (64, 48)
    assert events[-1] == Finished(job="a", device_seconds=pytest.approx(engine.estimate(request())))


def test_words_and_seed_decide_the_picture() -> None:
    first = png(paint(request(), 0, (64, 64)))
    assert png(paint(request(), 0, (64, 64))) == first
    assert png(paint(request(seed=6), 1, (64, 64))) == first
    assert png(paint(request(), 1, (64, 64))) != first
    assert png(paint(request("a wolf"), 0, (64, 64))) != first


def test_a_source_is_kept_by_as_much_as_strength_says() -> None:
    red = png(Image.new("RGB", (32, 32), "red"))
    kept, left = (request(task=ImageToImage(source="x", strength=each)) for each in (0.0, 1.0))
    assert paint(kept, 0, (64, 48), [red]).getcolors() == [(64 * 48, (255, 0, 0))]
    assert png(paint(left, 0, (64, 48), [red])) == png(paint(request(), 0, (64, 48)))
    enlarged = request().enlarged("x", 32, 32)
    assert paint(enlarged, 0, (128, 128), [red]).getcolors() == [(128 * 128, (255, 0, 0))]


async def test_everybody_gets_a_turn() -> None:
    async with started(step_seconds=0.005) as engine:
        for number in range(4):
            engine.submit(EngineJob(id=f"a{number}", request=request(), tenant="t", user="a"))
        await asyncio.sleep(0.01)
        engine.submit(EngineJob(id="b", request=request(), tenant="t", user="b"))
        assert [lane.user for lane in engine.lanes()]
        events = await Listener(engine).ends(5)

    ends = [event.job for event in events if isinstance(event, Finished)]
    assert ends.index("b") <= 2


async def test_a_waiting_job_is_cancelled_at_once_and_a_running_one_at_its_next_step() -> None:
    async with started(step_seconds=0.02) as engine:
        ear = Listener(engine)
        engine.submit(job("a"))
        engine.submit(job("b"))
        await ear.started("a")
        place = engine.position("b")
        assert place is not None and place.number == 1 and place.wait > 0
        assert engine.cancel("b") and engine.cancel("a")
        assert not engine.cancel("c")
        events = await ear.ends(2)

    failures = [event for event in events if isinstance(event, Failed)]
    assert [event.job for event in failures] == ["b", "a"]
    assert all(isinstance(event.error, Cancelled) for event in failures)
    assert not any(isinstance(event, Picture) for event in events)


async def test_a_relaxed_job_lets_a_fast_one_pass_between_its_steps() -> None:
    async with started(step_seconds=0.01) as engine:
        ear = Listener(engine)
        engine.submit(replace(job("patient", steps=50), relaxed=True))
        await ear.running("patient")
        engine.submit(job("fast"))
        engine.submit(job("unwanted"))
        await ear.started("fast")
        engine.cancel("unwanted")
        events = await ear.ends(3)

    ends = {event.job: type(event) for event in ear.ended()}
    assert ends == {"unwanted": Failed, "fast": Finished, "patient": Finished}
    of_fast = [number for number, event in enumerate(events) if event.job == "fast"]
    between = events[of_fast[0] : of_fast[-1]]
    assert not any(event.job == "patient" for event in between)
    assert events[-1].job == "patient"
    assert [e.step for e in ear.of("patient") if isinstance(e, Progress)] == list(range(1, 101))


async def test_a_fast_job_that_kills_the_worker_casts_no_suspicion_on_a_relaxed_one() -> None:
    def fault(job: EngineJob) -> Exception | None:
        return OSError() if job.id == "poison" else None

    async with started(step_seconds=0.01, fault=fault) as engine:
        ear = Listener(engine)
        engine.submit(replace(job("patient", steps=20), relaxed=True))
        await ear.running("patient")
        engine.submit(job("poison"))
        await ear.ends(2)

        assert engine.status().restarts == 2
    assert {event.job: type(event) for event in ear.ended()} == {"poison": Failed, "patient": Finished}
    assert {event.deaths for event in ear.of("patient") if isinstance(event, Restarted)} == {0}


async def test_the_status_counts_steps_and_device_seconds() -> None:
    async with started() as engine:
        engine.submit(job())
        await Listener(engine).ends(1)
        status = engine.status()

    assert (status.workers[0].device, status.workers[0].models) == ("memory", ("memory",))
    assert status.last_minute == pytest.approx(8 * 0.05)
    assert status.rows == 1 and status.inside == 0


async def test_faults() -> None:
    faults = {
        "a": lambda job: OutOfMemory(),
        "b": lambda job: OSError() if job.deaths == 0 else None,
        "c": lambda job: OSError(),
        "d": lambda job: None,
    }
    async with started(fault=lambda job: faults[job.id](job)) as engine:
        for id in faults:
            engine.submit(job(id))
        events = await Listener(engine).ends(4)

    ends = {event.job: event for event in events if isinstance(event, Finished | Failed)}
    assert isinstance(ends["b"], Finished) and isinstance(ends["d"], Finished)
    failed = {id: type(end.error) for id, end in ends.items() if isinstance(end, Failed)}
    assert failed == {"a": OutOfMemory, "c": WorkerLost}
    assert [e.job for e in events if isinstance(e, Restarted)].count("b") == 1


async def test_a_hanging_job_ends_when_it_is_cancelled() -> None:
    async with started(fault=lambda job: TimeoutError()) as engine:
        engine.submit(job())
        await asyncio.sleep(0.05)
        assert engine.position("a") is None
        engine.cancel("a")
        events = await Listener(engine).ends(1)
    assert [type(event) for event in events] == [Started, Failed]


async def test_a_source_that_is_gone_fails_the_job_alone() -> None:
    async with started() as engine:
        engine.submit(job("a", task=ImageToImage(source="gone.png", strength=0.5)))
        engine.submit(job("b"))
        events = await Listener(engine).ends(2)
    [failure] = [event for event in events if isinstance(event, Failed)]
    assert failure.job == "a" and isinstance(failure.error, InvalidRequest)


async def test_an_unknown_model_has_no_cost() -> None:
    with pytest.raises(UnknownModel):
        FakeEngine(unread).estimate(request(model="other"))


async def test_closing_drains_what_runs_and_says_nothing_of_the_rest() -> None:
    engine = FakeEngine(unread, step_seconds=0.01)
    await engine.start()
    ear = Listener(engine)
    engine.submit(job("a"))
    engine.submit(job("b"))
    await ear.started("a")
    await engine.close(drain=30)
    await ear.over()
    events = ear.said

    assert isinstance(events[-1], Finished) and events[-1].job == "a"
    assert all(event.job == "a" for event in events)

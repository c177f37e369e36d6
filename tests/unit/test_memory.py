from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from PIL import Image

from engine.errors import Cancelled, InvalidRequest, OutOfMemory, UnknownModel, WorkerLost
from engine.memory import MemoryEngine, paint
from engine.types import (
    EngineEvent,
    EngineJob,
    Failed,
    Finished,
    GenerationRequest,
    Picture,
    Progress,
    Restarted,
    Started,
)


def request(prompt: str = "a fox", **changes: Any) -> GenerationRequest:
    values = {"seed": 7, "model": "memory", "width": 64, "height": 48, "steps": 4, "count": 2}
    return GenerationRequest(prompt=prompt, **{**values, **changes})


def job(id: str = "a", **changes: Any) -> EngineJob:
    return EngineJob(id=id, request=request(**changes), tenant="t", user=f"user of {id}")


def unread(name: str) -> bytes:
    raise KeyError(name)


@asynccontextmanager
async def started(read: Callable[[str], bytes] = unread, **options: Any) -> AsyncIterator[MemoryEngine]:
    engine = MemoryEngine(read, **options)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


async def story(engine: MemoryEngine, ends: int = 1) -> list[EngineEvent]:
    """The events until so many jobs have ended."""
    seen: list[EngineEvent] = []
    async with asyncio.timeout(30):
        async for event in engine.events():
            seen.append(event)
            ends -= isinstance(event, Finished | Failed)
            if not ends:
                break
    return seen


async def running(engine: MemoryEngine, id: str) -> None:
    async with asyncio.timeout(30):
        while engine.place(id) is not None:  # noqa: ASYNC110 its events belong to the test
            await asyncio.sleep(0.005)


def png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


async def test_a_job_s_events_in_their_order() -> None:
    async with started() as engine:
        engine.submit(job())
        events = await story(engine)

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
    assert paint(request(strength=0.0), 0, (64, 48), red).getcolors() == [(64 * 48, (255, 0, 0))]
    assert png(paint(request(strength=1.0), 0, (64, 48), red)) == png(paint(request(), 0, (64, 48)))
    enlarged = request().enlarged("x", 32, 32)
    assert paint(enlarged, 0, (128, 128), red).getcolors() == [(128 * 128, (255, 0, 0))]


async def test_everybody_gets_a_turn() -> None:
    async with started(step_seconds=0.005) as engine:
        for number in range(4):
            engine.submit(EngineJob(id=f"a{number}", request=request(), tenant="t", user="a"))
        await asyncio.sleep(0.01)
        engine.submit(EngineJob(id="b", request=request(), tenant="t", user="b"))
        assert [lane.user for lane in engine.line()]
        events = await story(engine, ends=5)

    ends = [event.job for event in events if isinstance(event, Finished)]
    assert ends.index("b") <= 2


async def test_a_waiting_job_is_cancelled_at_once_and_a_running_one_at_its_next_step() -> None:
    async with started(step_seconds=0.02) as engine:
        engine.submit(job("a"))
        engine.submit(job("b"))
        await running(engine, "a")
        place = engine.place("b")
        assert place is not None and place.position == 1 and place.wait > 0
        assert engine.cancel("b") and engine.cancel("a")
        assert not engine.cancel("c")
        events = await story(engine, ends=2)

    failures = [event for event in events if isinstance(event, Failed)]
    assert [event.job for event in failures] == ["b", "a"]
    assert all(isinstance(event.error, Cancelled) for event in failures)
    assert not any(isinstance(event, Picture) for event in events)


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
        events = await story(engine, ends=4)

    ends = {event.job: event for event in events if isinstance(event, Finished | Failed)}
    assert isinstance(ends["b"], Finished) and isinstance(ends["d"], Finished)
    failed = {id: type(end.error) for id, end in ends.items() if isinstance(end, Failed)}
    assert failed == {"a": OutOfMemory, "c": WorkerLost}
    assert [e.job for e in events if isinstance(e, Restarted)].count("b") == 1


async def test_a_hanging_job_ends_when_it_is_cancelled() -> None:
    async with started(fault=lambda job: TimeoutError()) as engine:
        engine.submit(job())
        await asyncio.sleep(0.05)
        assert engine.place("a") is None
        engine.cancel("a")
        events = await story(engine)
    assert [type(event) for event in events] == [Started, Failed]


async def test_a_source_that_is_gone_fails_the_job_alone() -> None:
    async with started() as engine:
        engine.submit(job("a", source="gone.png", strength=0.5))
        engine.submit(job("b"))
        events = await story(engine, ends=2)
    [failure] = [event for event in events if isinstance(event, Failed)]
    assert failure.job == "a" and isinstance(failure.error, InvalidRequest)


async def test_an_unknown_model_has_no_cost() -> None:
    with pytest.raises(UnknownModel):
        MemoryEngine(unread).estimate(request(model="other"))


async def test_closing_drains_what_runs_and_says_nothing_of_the_rest() -> None:
    engine = MemoryEngine(unread, step_seconds=0.01)
    await engine.start()
    engine.submit(job("a"))
    engine.submit(job("b"))
    await running(engine, "a")
    await engine.close(drain=30)
    events = [event async for event in engine.events()]

    assert isinstance(events[-1], Finished) and events[-1].job == "a"
    assert all(event.job == "a" for event in events)

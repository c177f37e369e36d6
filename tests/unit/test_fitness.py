"""A device that is broken goes out of service, and neither a model nor a person can send one there."""

from __future__ import annotations

import asyncio

import pytest

from engine.errors import (
    Cancelled,
    EngineError,
    InvalidPicture,
    InvalidRequest,
    ModelNotLoaded,
    OutOfMemory,
    UnknownModel,
    WorkerLost,
)
from engine.fitness import FAILURES, TRIAL
from engine.types import Failed, Finished, Restarted
from engine.workers import dispatcher
from tests.devices import Device, Judge, fails, job, opened, out, until, well
from tests.listener import Listener


async def test_a_device_that_always_fails_is_replaced_once_then_taken_out_and_the_rest_waits() -> None:
    device = Device(fails(EngineError("the kernel is gone")))
    async with opened(device) as engine:
        ear = Listener(engine)
        for number in range(FAILURES + 13):
            engine.submit(job(f"j{number}", user="ada"))
        await until(lambda: bool(out(engine)))
        taken = [id for id in device.took if id != TRIAL]

        assert out(engine) == {"gpu:0": "the kernel is gone"}
        assert device.hired == 2 and device.took.count(TRIAL) == 2
        assert engine.status().ready == 0
        assert {event.job for event in ear.ended()} <= set(taken)
        assert engine.status().waiting == FAILURES + 13 - len(ear.ended()) >= 1


async def test_what_was_inside_a_worker_that_is_let_go_waits_again_without_a_death() -> None:
    device = Device()
    device.slow = {"slow"}
    device.left = [frozenset({"slow"})]
    device.judge = lambda job: None if job.id == "slow" else EngineError("broken")
    async with opened(device) as engine:
        ear = Listener(engine)
        engine.submit(job("slow"))
        await ear.running("slow")
        for number in range(FAILURES):
            engine.submit(job(f"j{number}"))
        await until(lambda: bool(out(engine)))
        await ear.until(lambda: any(isinstance(event, Restarted) for event in ear.of("slow")))

        assert [event.deaths for event in ear.of("slow") if isinstance(event, Restarted)] == [0]
        assert engine.status().waiting == 1


async def test_a_device_that_is_out_is_tried_again_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "OUT_SECONDS", 0.05)
    device = Device(fails(EngineError("broken")))
    async with opened(device) as engine:
        ear = Listener(engine)
        for number in range(FAILURES + 1):
            engine.submit(job(f"j{number}", user="ada"))
        await until(lambda: device.hired > 3)
        assert len([id for id in device.took if id != TRIAL]) == FAILURES + 1 or engine.status().waiting

        device.judge = well
        engine.submit(job("late"))

        assert isinstance(await ear.end("late"), Finished)
        assert out(engine) == {} and engine.status().ready == 1


async def test_a_worker_that_dies_over_its_trial_has_not_passed_it() -> None:
    device = Device(lambda job: RuntimeError() if job.id == TRIAL else EngineError("broken"))
    async with opened(device) as engine:
        for number in range(FAILURES):
            engine.submit(job(f"j{number}"))
        await until(lambda: bool(out(engine)))
        assert device.hired == 2


@pytest.mark.parametrize(
    "error", [InvalidRequest("no"), Cancelled("no"), UnknownModel("no"), WorkerLost("no")]
)
async def test_what_is_the_request_s_own_fault_says_nothing_of_the_device(error: EngineError) -> None:
    one, two = Device(fails(error)), Device(fails(error))
    async with opened(one, two) as engine:
        ear = Listener(engine)
        for number in range(4 * FAILURES):
            engine.submit(job(f"j{number}"))
        await ear.ends(4 * FAILURES)

        assert TRIAL not in one.took + two.took
        assert sorted(one.took + two.took) == sorted(f"j{number}" for number in range(4 * FAILURES))
        assert (one.hired, two.hired) == (1, 1)


@pytest.mark.parametrize("error", [OutOfMemory("no"), InvalidPicture("no"), EngineError("no")])
async def test_one_person_s_impossible_requests_take_no_device_out(error: EngineError) -> None:
    device = Device(lambda job: error if job.user == "mallory" else None)
    async with opened(device) as engine:
        ear = Listener(engine)
        for number in range(5 * FAILURES):
            engine.submit(job(f"bad{number}", user="mallory"))
        await ear.ends(5 * FAILURES)
        engine.submit(job("good", user="ada"))

        assert isinstance(await ear.end("good"), Finished)
        assert device.hired == 1 and device.took.count(TRIAL) >= 1
        assert out(engine) == {}


async def test_a_success_between_failures_begins_the_count_anew() -> None:
    device = Device(lambda job: EngineError("no") if job.id.startswith("bad") else None)
    async with opened(device) as engine:
        ear = Listener(engine)
        for number in range(3):
            for name in [f"bad{number}.{n}" for n in range(FAILURES - 1)] + [f"good{number}"]:
                engine.submit(job(name))
                await ear.end(name)
        assert TRIAL not in device.took


async def test_a_model_that_always_fails_is_not_what_the_device_is_tried_with() -> None:
    device = Device(lambda job: EngineError("no") if job.request.model == "sdxl" else None)
    async with opened(device, models=("sdxl", "easel-tiny")) as engine:
        ear = Listener(engine)
        engine.submit(job("proves it"))
        await ear.end("proves it")
        for number in range(3 * FAILURES):
            engine.submit(job(f"j{number}", model="sdxl"))
        await ear.ends(1 + 3 * FAILURES)
        engine.submit(job("good"))

        assert isinstance(await ear.end("good"), Finished)
        assert out(engine) == {} and device.hired == 1


async def test_a_device_that_cannot_load_its_model_swallows_no_job() -> None:
    bad, good = Device(loads=ModelNotLoaded("no memory")), Device()
    good.starts.clear()  # it takes longer to start
    async with opened(bad, good) as engine:
        ear = Listener(engine)
        for number in range(24):
            engine.submit(job(f"j{number}"))
        await until(lambda: bool(out(engine)))
        assert ear.said == []
        good.starts.set()
        await ear.ends(24)

        assert all(isinstance(event, Finished) for event in ear.ended())
        assert bad.hired == 2 and [id for id in bad.took if id != TRIAL] == []
        assert out(engine) == {"gpu:0": "no memory"}


async def test_a_model_that_one_device_cannot_load_goes_to_the_other() -> None:
    judge: Judge = lambda job: ModelNotLoaded("too large") if job.request.model == "sdxl" else None  # noqa: E731
    small, large = Device(judge), Device()
    async with opened(small, large, models=("easel-tiny", "sdxl")) as engine:
        ear = Listener(engine)
        await until(lambda: engine.status().ready == 2)
        engine.submit(job("first", model="sdxl"))
        assert isinstance(await ear.end("first"), Finished)
        assert (small.took, large.took) == (["first"], ["first"])
        for number in range(24):
            engine.submit(job(f"j{number}", model=("sdxl", "easel-tiny", "easel-tiny")[number % 3]))
        await ear.ends(25)

        assert all(isinstance(event, Finished) for event in ear.ended())
        assert out(engine) == {} and small.hired == 1
        assert {f"j{number}" for number in range(0, 24, 3)} <= set(large.took) - set(small.took)


async def test_a_job_waits_for_a_device_that_starts_where_the_others_lack_its_model() -> None:
    small, large = Device(fails(ModelNotLoaded("too large")), loads=ModelNotLoaded("too large")), Device()
    large.starts.clear()
    async with opened(small, large, models=("sdxl", "easel-tiny")) as engine:
        ear = Listener(engine)
        await until(lambda: engine.status().ready == 1)
        engine.submit(job("a", model="sdxl"))
        for _ in range(20):
            await asyncio.sleep(0)
        large.starts.set()

        assert isinstance(await ear.end("a"), Finished)
        assert (small.took, large.took) == ([], ["a"])


async def test_who_is_inside_is_blamed_where_a_dead_worker_names_nobody() -> None:
    deaths = iter([RuntimeError()])
    device = Device(lambda job: next(deaths, None))
    async with opened(device) as engine:
        ear = Listener(engine)
        engine.submit(job("a"))
        assert isinstance(await ear.end("a"), Finished)
        assert [event.deaths for event in ear.of("a") if isinstance(event, Restarted)] == [1]


async def test_a_model_that_no_device_can_load_fails_with_its_own_error() -> None:
    judge = fails(ModelNotLoaded("weights missing"))
    one, two = Device(judge), Device(judge)
    async with opened(one, two, models=("easel-tiny", "sdxl")) as engine:
        ear = Listener(engine)
        engine.submit(job("a", model="sdxl"))
        end = await ear.end("a")

        assert isinstance(end, Failed) and isinstance(end.error, ModelNotLoaded)
        assert one.took == two.took == ["a"]
        assert sum(isinstance(event, Restarted) for event in ear.of("a")) == 1


async def test_a_job_that_fails_everywhere_is_tried_on_two_devices() -> None:
    devices = [Device(fails(EngineError("no"))) for _ in range(4)]
    async with opened(*devices) as engine:
        ear = Listener(engine)
        await until(lambda: engine.status().ready == 4)
        engine.submit(job("a"))
        assert isinstance(await ear.end("a"), Failed)
        assert sum(device.took.count("a") for device in devices) == dispatcher.TRIES == 2
        assert engine._failed_on == {}


async def test_a_job_that_failed_elsewhere_is_charged_for_both() -> None:
    bad, good = Device(fails(EngineError("no"))), Device()
    async with opened(bad, good) as engine:
        ear = Listener(engine)
        await until(lambda: engine.status().ready == 2)
        engine.submit(job("a", user="ada"))
        engine.submit(job("held", user="ada"))
        engine.hold("held")  # else the queue falls idle, and forgets
        assert isinstance(await ear.end("a"), Finished)

        assert (bad.took, good.took) == (["a"], ["a"])
        (lane,) = engine.lanes()
        assert lane.served == lane.virtual_time == pytest.approx(0.25 + 1.0)


async def test_a_default_model_that_cannot_be_loaded_leaves_the_others_in_service() -> None:
    device = Device(
        lambda job: ModelNotLoaded("no") if job.request.model == "sdxl" else None, loads=ModelNotLoaded("no")
    )
    async with opened(device, models=("sdxl", "easel-tiny")) as engine:
        ear = Listener(engine)
        engine.submit(job("good"))
        assert isinstance(await ear.end("good"), Finished)
        engine.submit(job("bad", model="sdxl"))
        end = await ear.end("bad")
        assert isinstance(end, Failed) and isinstance(end.error, ModelNotLoaded)
        assert device.hired == 1


async def test_the_devices_are_counted_again_when_one_is_lost() -> None:
    dies, lives = Device(lambda job: RuntimeError()), Device()
    lives.starts.clear()
    lives.slow = {"fast"}
    async with opened(dies, lives) as engine:
        ear = Listener(engine)
        await until(lambda: engine.status().ready == 1)
        assert engine._queue.devices == 1
        lives.starts.set()
        await until(lambda: engine.status().ready == 2)
        assert engine._queue.devices == 2

        dies.starts.clear()
        engine.submit(job("fast"))
        await ear.running("fast")
        engine.submit(job("relaxed", relaxed=True))
        await until(lambda: engine._queue.devices == 1)

        assert lives.took == ["fast"], "no device is without a fast job"


async def test_an_engine_that_does_nothing_while_work_waits_says_for_how_long() -> None:
    now = [100.0]
    device = Device()
    device.slow = {"slow"}
    async with opened(device, clock=lambda: now[0]) as engine:
        ear = Listener(engine)
        await until(lambda: engine.status().ready == 1)
        now[0] += 500
        assert engine.status().stalled == 0.0, "nobody waits"
        engine.submit(job("slow"))
        assert engine.status().stalled == 0.0, "it has just come"
        await ear.running("slow")
        now[0] += 70
        assert engine.status().stalled == 70.0
        engine.submit(job("next"))
        await ear.end("next")
        assert engine.status().stalled == 0.0


async def test_only_the_job_that_was_running_is_blamed_for_its_worker_s_death() -> None:
    device = Device(lambda job: RuntimeError() if job.id == "poison" else None)
    device.slow = {"innocent"}
    device.left = [frozenset({"poison"})] * 2
    async with opened(device) as engine:
        ear = Listener(engine)
        engine.submit(job("innocent"))
        await ear.running("innocent")
        engine.submit(job("poison"))
        end = await ear.end("poison")

        assert isinstance(end, Failed) and isinstance(end.error, WorkerLost)
        deaths = [event.deaths for event in ear.of("innocent") if isinstance(event, Restarted)]
        assert deaths == [0] * len(deaths) and deaths
        assert [event.deaths for event in ear.of("poison") if isinstance(event, Restarted)] == [1]


async def test_a_job_that_the_dead_worker_never_began_gets_no_death() -> None:
    device = Device(lambda job: RuntimeError() if job.id == "first" else None)
    async with opened(device) as engine:
        ear = Listener(engine)
        for id in ("first", "second"):
            engine.submit(job(id, user="ada"))
        assert isinstance(await ear.end("first"), Failed)
        assert isinstance(await ear.end("second"), Finished)

        assert [event.deaths for event in ear.of("second") if isinstance(event, Restarted)] in ([0], [0, 0])


async def test_the_line_is_told_when_no_worker_starts_and_the_other_device_is_out() -> None:
    broken, dead = Device(loads=ModelNotLoaded("no")), Device()
    dead.hirable = False
    async with opened(broken, dead) as engine:
        ear = Listener(engine)
        engine.submit(job("a"))
        end = await ear.end("a")
        assert isinstance(end, Failed) and isinstance(end.error, ModelNotLoaded)
        assert "no worker has started" in str(end.error)

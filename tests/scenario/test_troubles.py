"""What goes wrong: quotas, failures of the engine, of deliveries and of the disk, restarts."""

from __future__ import annotations

import asyncio

import pytest

from bot.errors import Refusal, StoreError, StoreInUse, TryLater, Unreachable
from bot.jobs import tracker
from bot.models import State
from bot.store import Store
from engine.errors import OutOfMemory
from engine.types import EngineJob, QueuePosition
from tests.examples import a_tier
from tests.scenario.conftest import ADA, BEN, House, Opens, RecordingAdapter, button


async def used(house: House) -> float:
    rules = await house.easel.access.rules(ADA)
    return (await house.store.balances(ADA.id, rules.tier))[0].used


# ---- the allowance


async def test_what_exceeds_the_allowance_is_refused_with_what_fits(opened: Opens) -> None:
    async with opened(tiers=[a_tier(1.0)]) as house:  # a picture costs 0.2
        await house.painted("a fox --count 3")
        with pytest.raises(Refusal) as caught:
            await house.ask("a wolf --count 4 --style photo")

        assert caught.value.code == "quota"
        offer = caught.value.offers[0]
        assert [each.label for each in caught.value.offers] == ["Make 2 images", "Relaxed: free, later"]
        wolf = await house.painted(offer.text)
        assert (wolf.prompt, wolf.request.count, wolf.style) == ("a wolf", 2, "photo")
        assert await used(house) == pytest.approx(1.0)
        with pytest.raises(Refusal):
            await house.ask("a cat --count 1")
        await house.painted("another's allowance", BEN)


async def test_one_person_waits_with_so_many_jobs(opened: Opens) -> None:
    async with opened(tiers=[a_tier(waiting=2)], step_seconds=0.05) as house:
        await house.ask("one")
        await house.ask("two")
        with pytest.raises(Refusal, match="You have 2 jobs waiting or running"):
            await house.ask("three")
        await house.ask("of another", BEN)


# ---- the engine


async def test_a_failure_is_told_and_costs_nothing(opened: Opens) -> None:
    def broken(job: EngineJob) -> Exception | None:
        return OutOfMemory("3 GB wanted") if "huge" in job.request.prompt else None

    async with opened(fault=broken) as house:
        job = await house.ask("a huge fox")
        card = await house.surface.until(job.id, "failed")

        assert card.title == "a huge fox"
        assert card.body == (
            "The engine ran out of memory on this size. Try a smaller one. Nothing was charged.",
        )
        assert "3 GB" not in repr(card)
        assert await used(house) == 0
        answer = await house.press(button(card, "Try again"))
        await house.surface.until(answer.job.id, "failed")
        await house.painted("a small fox")


async def test_a_lost_worker_is_not_noticed(opened: Opens) -> None:
    async with opened(fault=lambda job: OSError("gone") if job.deaths == 0 else None) as house:
        job = await house.painted("a fox --seed 7")

        assert job.deaths == 1
        assert house.surface.posts == 1
        assert job.request.seed == 7


async def test_what_kills_its_worker_twice_is_set_aside(opened: Opens) -> None:
    async with opened(fault=lambda job: OSError("gone") if "poison" in job.request.prompt else None) as house:
        job = await house.ask("poison")
        card = await house.surface.until(job.id, "failed")

        assert "stopped the engine twice" in card.body[0]
        assert await used(house) == 0
        await house.painted("a fox")


async def test_a_hanging_job_can_be_cancelled(opened: Opens) -> None:
    async with opened(fault=lambda job: TimeoutError() if "stuck" in job.request.prompt else None) as house:
        job = await house.ask("stuck")
        await house.surface.until(job.id, "painting")
        await house.press(f"v1:cancel:{job.id}")
        await house.painted("a fox")

        assert (await house.row(job.id)).state is State.CANCELLED


# ---- deliveries


async def test_a_delivery_is_tried_again_without_painting_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.surface.troubles = [TryLater("busy", after=0.01) for _ in range(3)]
    started: list[str] = []
    submit = house.engine.submit

    def watched(job: EngineJob) -> QueuePosition:
        started.append(job.id)
        return submit(job)

    monkeypatch.setattr(house.engine, "submit", watched)
    job = await house.painted("a fox")
    house.surface.troubles = []
    await house.delivered(job.id)

    assert started == [job.id]
    assert house.surface.posts == 1


async def test_the_end_is_delivered_after_troubles(opened: Opens) -> None:
    async with opened(step_seconds=0.02) as house:
        job = await house.ask("a fox --count 1")
        await house.surface.until(job.id, "painting")
        house.surface.troubles = [TryLater("busy", after=0.01), TryLater("busy", after=0.01)]
        await house.surface.until(job.id, "done")

        assert (await house.delivered(job.id)).reason == ""
        assert house.surface.posts == 1


async def test_what_can_never_be_delivered_is_painted_and_the_row_says_why(house: House) -> None:
    house.surface.troubles = [Unreachable("the channel is gone")]
    job = await house.ask("a fox")
    job = await house.delivered(job.id)

    assert job.state is State.RENDERED
    assert job.reason == "It could not be delivered: the channel is gone"
    assert [each.id for each in await house.easel.visibility.jobs(ADA)] == [job.id]
    await house.painted("the next one is delivered")


async def test_a_surface_that_breaks_harms_nobody_else(house: House) -> None:
    broken: list[Exception] = [RuntimeError("a bug")]
    house.surface.troubles = broken  # type: ignore[assignment]
    job = await house.painted("a fox")

    assert (await house.delivered(job.id)).state is State.RENDERED


async def test_edits_never_queue(opened: Opens) -> None:
    surface = RecordingAdapter(edit_interval=3600)
    async with opened(surface=surface) as house:
        job = await house.ask("a fox")
        await surface.until(job.id, "done")

        assert len(surface.messages[job.id]) <= 3  # the first, perhaps one on the way, and the end at once


# ---- the disk


async def test_a_disk_that_fails_for_a_while_loses_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter(range(3))
    put = house.blobs.put

    async def unsteady(data: bytes, suffix: str) -> str:
        if next(failures, None) is not None:
            raise StoreError("The disk is full.")
        return await put(data, suffix)

    monkeypatch.setattr(house.blobs, "put", unsteady)
    job = await house.ask("a fox")
    other = await house.ask("a wolf", BEN)

    for each in (job, other):
        await house.surface.until(each.id, "done")
        assert len((await house.row(each.id)).pictures) == 5


async def test_what_cannot_be_saved_is_refused_politely(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*args: object, **options: object) -> None:
        raise StoreError("The disk is full: free some space in /secret/folder.")

    with monkeypatch.context() as broken:
        broken.setattr(house.store, "admit_all", full)
        with pytest.raises(Refusal) as caught:
            await house.ask("a fox")
    assert caught.value.code == "store" and "/secret" not in caught.value.notice
    await house.painted("a fox")


# ---- restarts


async def test_a_crash_loses_nothing_and_posts_nothing_twice(opened: Opens) -> None:
    surface = RecordingAdapter()
    async with opened(crash=True, step_seconds=0.05, surface=surface) as house:
        before = await house.painted("before")
        await house.delivered(before.id)
        running = await house.ask("running --seed 7")
        waiting = await house.ask("waiting --seed 8", BEN)
        await surface.until(running.id, "painting")
        await surface.until(waiting.id, "waiting")

    async with opened(surface=surface) as house:
        for job in (running, waiting):
            await surface.until(job.id, "done")
            row = await house.delivered(job.id)
            assert (row.state, row.request) == (State.RENDERED, job.request)
        assert surface.posts == 3
        assert surface.kinds(before.id)[-1] == "done"
        assert await house.store.check() == "ok"
        old = await house.press(button(surface.messages[before.id][-1], "U1"))
        await surface.until(old.job.id, "upscaled")


async def test_pictures_from_before_a_crash_are_kept(opened: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    surface = RecordingAdapter()
    async with opened(crash=True, surface=surface) as house:
        end = asyncio.Event()

        async def never(*args: object, **options: object) -> None:
            end.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(house.store, "end", never)
        job = await house.ask("a fox")
        await asyncio.wait_for(end.wait(), 30)
        stored = (await house.row(job.id)).pictures

    async with opened(surface=surface) as house:
        await surface.until(job.id, "done")
        assert (await house.row(job.id)).pictures == stored
        assert len(stored) == 5


async def test_an_end_that_was_not_shown_is_shown_after_the_restart(opened: Opens) -> None:
    surface = RecordingAdapter()
    async with opened(crash=True, surface=surface) as house:
        job = await house.ask("a fox")
        await surface.until(job.id, "waiting", "painting", "done")
        surface.troubles = [TryLater("down", after=60)] * 100
        assert (await house.ended(job.id)).delivered is None

    surface.troubles = []
    painted: list[str] = []

    def watch(job: EngineJob) -> Exception | None:
        painted.append(job.id)
        return None

    async with opened(surface=surface, fault=watch) as house:
        await surface.until(job.id, "done")
        await house.delivered(job.id)
        assert painted == []
        assert surface.posts == 1


async def test_a_deletion_that_was_not_shown_is_shown_after_the_restart(opened: Opens) -> None:
    surface = RecordingAdapter()
    async with opened(crash=True, surface=surface) as house:
        job = await house.painted("a fox")
        await house.delivered(job.id)
        surface.troubles = [TryLater("down", after=60)] * 100
        await house.press(f"v1:delete:{job.id}")
        assert (await house.row(job.id)).delivered is None

    surface.troubles = []
    async with opened(surface=surface) as house:
        await surface.until(job.id, "deleted")
        await house.delivered(job.id)
        assert surface.posts == 1
        assert await house.store.undelivered() == []


async def test_a_clean_stop_drains_what_runs(opened: Opens) -> None:
    surface = RecordingAdapter()
    async with opened(step_seconds=0.02, surface=surface) as house:
        running = await house.ask("running --count 1")
        waiting = await house.ask("waiting --count 1", BEN)
        await surface.until(running.id, "painting")
        await house.easel.lifecycle.close(drain=30)

        assert (await house.row(running.id)).delivered is not None
        row = await house.row(waiting.id)
        assert row.state is State.QUEUED and row.device_seconds == 0
        with pytest.raises(Refusal, match="stopping"):
            await house.ask("too late")

    async with opened(surface=surface) as house:
        await surface.until(waiting.id, "done")
        assert surface.posts == 2


async def test_messages_of_a_surface_that_is_off_wait_for_it(opened: Opens) -> None:
    absent = RecordingAdapter()
    absent.name = "elsewhere"
    surface = RecordingAdapter()
    async with opened(surface=absent) as house:
        job = await house.ask("a fox")
        await house.ended(job.id)
    async with opened(surface=surface) as house:
        await surface.until(job.id, "done")
        assert (await house.delivered(job.id)).message == {"message": job.id}


async def test_many_waiting_jobs_are_looked_at_a_few_at_a_time(
    opened: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(step_seconds=5) as house:
        jobs = [await house.ask(f"fox {number} --count 1") for number in range(60)]
        await house.surface.until(jobs[-1].id, "waiting")
        asked: list[str] = []
        position = house.engine.position

        def watched(id: str) -> QueuePosition | None:
            asked.append(id)
            return position(id)

        monkeypatch.setattr(house.engine, "position", watched)
        await asyncio.sleep(1.2)

        assert 0 < len(asked) <= 3 * tracker.LOOKS


async def test_waiting_cards_move_up(opened: Opens) -> None:
    async with opened(step_seconds=0.03) as house:
        first, second = await house.ask("first"), await house.ask("second", BEN)
        third = await house.ask("third", BEN)
        await house.surface.until(third.id, "done")

        facts = {card.facts[1] for card in house.surface.messages[third.id] if card.kind == "waiting"}
        assert len(facts) > 1
        assert {(await house.row(job.id)).state for job in (first, second)} == {State.RENDERED}


async def test_a_second_process_is_told_so(house: House) -> None:
    with pytest.raises(StoreInUse):
        await Store.open(house.settings.database_url)

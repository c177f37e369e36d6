"""Message sync alone, on a real store: what is sent, when, and what the row says afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bot.adapters.base import MessageRef
from bot.errors import MessageGone, StoreError, TryLater, Unreachable
from bot.jobs import message_sync as module
from bot.jobs.message_sync import MessageSync
from bot.messages.types import Card, CardPicture
from bot.models import Job, Member, Origin, State
from bot.store import Store
from engine.types import GenerationRequest
from tests.examples import a_tier


class Surface:
    """Keeps what is sent; `plan` holds what the next sends raise."""

    name = "test"
    edit_interval = 0.0

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.cards: list[Card] = []
        self.plan: list[Exception | None] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.tries = 0
        self._changed = asyncio.Condition()

    async def run(self) -> None:
        raise NotImplementedError

    async def post(self, job: Job, card: Card) -> MessageRef:
        return await self._send("post", job, card)

    async def edit(self, job: Job, ref: MessageRef, card: Card) -> MessageRef:
        assert ref["key"] == job.id
        return await self._send("edit", job, card)

    async def adult(self, job: Job) -> bool:
        return False

    async def tried(self, times: int) -> None:
        """Wait until so many sendings have begun."""
        await self._until(lambda: self.tries >= times)

    async def shown(self, title: str) -> None:
        """Wait until the newest card is this one."""
        await self._until(lambda: bool(self.sent) and self.sent[-1][1] == title)

    async def _until(self, there: Callable[[], bool]) -> None:
        async with asyncio.timeout(30), self._changed:
            await self._changed.wait_for(there)

    async def _told(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _send(self, how: str, job: Job, card: Card) -> MessageRef:
        self.tries += 1
        await self._told()
        await self.gate.wait()
        if self.plan and (error := self.plan.pop(0)):
            raise error
        self.sent.append((how, card.title))
        self.cards.append(card)
        await self._told()
        return {"key": job.id}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(f"sqlite:///{tmp_path}/easel.db")
    yield store
    await store.close()


@pytest.fixture
async def job(store: Store) -> Job:
    member = Member(tenant="t", id="m", name="M")
    origin = Origin(surface="test", member=member, channel="c", event="e")
    request = GenerationRequest(prompt="a fox", seed=1)
    job = Job(id="abc", origin=origin, request=request, prompt="a fox", created=datetime.now(UTC))
    admitted, _ = await store.admit(job, tier=a_tier())
    return admitted


async def draw(job: Job) -> Card:
    return Card(kind="text", title=f"{job.state.value} {job.deaths}")


@pytest.fixture
async def surface() -> Surface:
    return Surface()


@pytest.fixture
async def sync(store: Store, surface: Surface) -> AsyncIterator[MessageSync]:
    sync = MessageSync(store, draw, {surface.name: surface})
    yield sync
    await sync.close()


async def ended(store: Store, job: Job) -> Job:
    end, _ = await store.end(job.id, State.FAILED, reason="Broken.")
    return end


async def delivered(store: Store, id: str) -> Job:
    async with asyncio.timeout(30):
        while True:
            row = await store.job(id)
            if row and row.delivered:
                return row
            await asyncio.sleep(0.01)


async def test_posted_once_then_edited(sync: MessageSync, store: Store, job: Job, surface: Surface) -> None:
    sync.show(job)
    await surface.shown("queued 0")
    sync.show(await ended(store, job))
    row = await delivered(store, job.id)

    assert surface.sent == [("post", "queued 0"), ("edit", "failed 0")]
    assert row.message == {"key": "abc"}


async def test_only_the_newest_card_is_sent(
    sync: MessageSync, store: Store, job: Job, surface: Surface
) -> None:
    surface.gate.clear()
    for deaths in range(50):
        sync.show(replace(job, deaths=deaths))
        await asyncio.sleep(0)
    surface.gate.set()
    await surface.shown("queued 49")

    assert len(surface.sent) <= 2
    assert surface.sent[-1][1] == "queued 49"


async def test_the_end_does_not_wait_for_the_interval(
    sync: MessageSync, store: Store, job: Job, surface: Surface
) -> None:
    surface.edit_interval = 3600
    sync.show(job)
    await surface.shown("queued 0")
    sync.show(replace(job, deaths=1))
    sync.show(await ended(store, job))
    await delivered(store, job.id)

    assert surface.sent == [("post", "queued 0"), ("edit", "failed 0")]


@pytest.mark.parametrize("error", [TryLater("busy", after=0.01), StoreError("full"), RuntimeError("a bug")])
async def test_what_fails_is_sent_again(
    sync: MessageSync, store: Store, job: Job, surface: Surface, error: Exception
) -> None:
    surface.plan = [error]
    sync.show(await ended(store, job))
    await delivered(store, job.id)

    assert surface.sent == [("post", "failed 0")]


async def test_delays_grow_and_have_an_end(sync: MessageSync, job: Job) -> None:
    parcel = module._Parcel(replace(job, state=State.FAILED), None, None)
    delays = [sync._later(parcel, parcel.job, TryLater("busy")) for _ in range(12)]

    assert delays == sorted(delays)
    assert delays[0] < 1 and delays[-1] == module.LONGEST_DELAY
    assert sync._later(parcel, parcel.job, TryLater("busy"), least=300) == 300


async def test_unreachable_is_written_down_and_not_tried_again(
    sync: MessageSync, store: Store, job: Job, surface: Surface
) -> None:
    surface.plan = [Unreachable("the channel is gone")]
    sync.show(job)
    await surface.tried(1)
    sync.show(replace(job, deaths=1))
    sync.show(await ended(store, job))
    row = await delivered(store, job.id)

    assert surface.sent == [] and surface.tries == 1
    assert row.reason == "It could not be delivered: the channel is gone"


async def test_a_known_message_is_edited_after_a_restart(
    sync: MessageSync, store: Store, job: Job, surface: Surface
) -> None:
    await store.message(job.id, {"key": "abc"})
    sync.show(await ended(store, job))
    await delivered(store, job.id)

    assert surface.sent == [("edit", "failed 0")]


async def test_a_reference_that_could_not_be_saved_is_not_posted_again(
    sync: MessageSync, store: Store, job: Job, surface: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = store.message
    failures = [StoreError("full")]

    async def unsteady(id: str, ref: dict[str, Any]) -> None:
        if failures:
            raise failures.pop()
        await message(id, ref)

    monkeypatch.setattr(store, "message", unsteady)
    sync.show(await ended(store, job))
    row = await delivered(store, job.id)

    assert surface.sent == [("post", "failed 0")]
    assert row.message == {"key": "abc"}


async def test_a_message_that_somebody_deleted_hides_its_job(
    sync: MessageSync, store: Store, job: Job, surface: Surface
) -> None:
    sync.show(job)
    await surface.shown("queued 0")
    surface.plan = [MessageGone("its message was deleted.")]
    sync.show(await ended(store, job))
    row = await delivered(store, job.id)

    assert row.hidden and row.reason == "It could not be delivered: its message was deleted."


async def test_a_deleted_job_is_shown_deleted(
    sync: MessageSync, store: Store, job: Job, surface: Surface
) -> None:
    sync.show(await ended(store, job))
    await delivered(store, job.id)
    sync.show(await store.delete(job.id))
    await delivered(store, job.id)

    assert surface.sent == [("post", "failed 0"), ("edit", "deleted 0")]


async def test_a_deletion_during_the_delivery_of_the_end_is_shown_too(
    sync: MessageSync, store: Store, job: Job, surface: Surface
) -> None:
    sync.show(job)
    await surface.shown("queued 0")
    surface.gate.clear()
    sync.show(await ended(store, job))
    await surface.tried(2)
    gone = await store.delete(job.id)
    surface.gate.set()
    await surface.shown("failed 0")
    assert [each.id for each in await store.undelivered()] == [job.id]  # as a killed process leaves it
    sync.show(gone)
    await delivered(store, job.id)

    assert surface.sent == [("post", "queued 0"), ("edit", "failed 0"), ("edit", "deleted 0")]


async def test_a_surface_that_is_off_is_owed(sync: MessageSync, store: Store, job: Job) -> None:
    elsewhere = replace(await ended(store, job), origin=replace(job.origin, surface="off"))
    sync.show(elsewhere)

    assert sync._tasks == {}
    assert [each.id for each in await store.undelivered()] == [job.id]


async def test_what_a_place_does_not_show_is_told_in_the_card_s_language(
    store: Store, job: Job, surface: Surface
) -> None:
    picture = CardPicture(alt="a fox", width=8, height=8, blob="b")
    shown = Card(kind="done", title="a fox", pictures=(picture,), adult=True, language="de")

    async def draw(job: Job) -> Card:
        return shown

    sync = MessageSync(store, draw, {surface.name: surface})
    sync.show(await ended(store, job))
    await delivered(store, job.id)
    await sync.close()

    card = surface.cards[-1]
    assert not card.pictures and card.body[0].startswith("Diese Bilder werden nur")

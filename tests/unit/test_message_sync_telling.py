"""A result as a new message: whatever fails or is killed between two steps, it stands once, alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from hypothesis import example, given
from hypothesis import strategies as st

from bot.adapters.base import MessageRef
from bot.errors import MessageGone, StoreError, TryLater
from bot.jobs.message_sync import MessageSync
from bot.messages.types import Card
from bot.models import Job, State
from tests.examples import a_job
from tests.virtual import virtually

JOB = replace(a_job(), id="abc", origin=replace(a_job().origin, surface="test"))
RENDERED = replace(JOB, state=State.RENDERED)

Trouble = Literal["", "refused", "answer lost", "killed before", "killed after"]
TROUBLES: tuple[Trouble, ...] = ("", "refused", "answer lost", "killed before", "killed after")


@dataclass
class World:
    """A platform with its messages, and a row: both outlive the process. `plan` befalls the next calls."""

    plan: list[Trouble]
    standing: dict[str, str] = field(default_factory=dict)  # message → what it shows
    made: list[str] = field(default_factory=list)
    ref: MessageRef | None = None
    delivered: bool = False
    gone: bool = False  # it was taken for a message that somebody deleted
    dead: asyncio.Event = field(default_factory=asyncio.Event)

    async def does(self, work: Callable[[], None], error: type[Exception]) -> None:
        trouble = self.plan.pop(0) if self.plan else ""
        if trouble == "refused":
            raise error("no")
        if trouble != "killed before":
            work()
        if trouble == "answer lost":
            raise error("no answer")
        if trouble.startswith("killed"):
            self.dead.set()
            await asyncio.Event().wait()

    def make(self, key: str, shown: str) -> None:
        """Make a message, once for a key."""
        if key not in self.made:
            self.made.append(key)
            self.standing[key] = shown


class Surface:
    """A surface that tells of results by new messages."""

    name = "test"
    edit_interval = 0.0

    def __init__(self, world: World) -> None:
        self._world = world

    async def run(self) -> None:
        raise NotImplementedError

    async def adult(self, job: Job) -> bool:
        return False

    async def post(self, job: Job, card: Card) -> MessageRef:
        await self._world.does(lambda: self._world.make("status", card.title), TryLater)
        return {"key": "status"}

    async def edit(self, job: Job, ref: MessageRef, card: Card) -> MessageRef:
        await self._world.does(lambda: self._world.standing.update({ref["key"]: card.title}), TryLater)
        return ref

    async def tell(self, job: Job, ref: MessageRef | None, card: Card) -> MessageRef:
        ref = ref or await self.post(job, card)
        if "former" in ref:
            return await self.edit(job, ref, card)
        if ref["key"] not in self._world.standing:
            raise MessageGone("somebody deleted it.")
        await self._world.does(lambda: self._world.make("result", card.title), TryLater)
        return {"key": "result", "former": ref["key"]}

    async def clear(self, job: Job, ref: MessageRef, card: Card) -> None:
        if former := ref.get("former"):
            await self._world.does(lambda: self._world.standing.pop(former, None) and None, TryLater)


class Books:
    """The row."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def message(self, id: str, ref: MessageRef) -> None:
        await self._world.does(lambda: setattr(self._world, "ref", ref), StoreError)

    async def delivered(self, id: str, state: State, *, reason: str = "") -> None:
        assert not reason or self._world.gone
        await self._world.does(lambda: setattr(self._world, "delivered", True), StoreError)

    async def hide_jobs(self, ids: list[str]) -> list[str]:
        self._world.gone = True
        return ids


async def draw(job: Job) -> Card:
    news = job.state is State.RENDERED
    return Card(kind="done" if news else "waiting", title=job.state.value, asker="Ada" if news else "")


async def life(world: World, *jobs: Job) -> None:
    """One process's life: shows the job as it is at first and later, until it is killed or all is done."""
    world.dead.clear()
    books: Any = Books(world)
    sync = MessageSync(books, draw, {"test": Surface(world)})
    for job in jobs:
        sync.show(replace(job, message=world.ref))
        waiting = [asyncio.ensure_future(each) for each in (world.dead.wait(), asyncio.sleep(1e4))]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for each in waiting:
            each.cancel()
        if world.dead.is_set():
            break
    await sync.close()


def lived(plan: list[Trouble], *, first: bool) -> World:
    """The world after all troubles; `first`: the job is shown while it waits, before its end."""

    async def whole() -> World:
        world = World(list(plan))
        await life(world, *((JOB, RENDERED) if first else (RENDERED,)))
        while not world.delivered:
            await life(world, RENDERED)
        return world

    return virtually(whole())


@given(st.lists(st.sampled_from(TROUBLES), max_size=14), st.booleans())
@example(["", "", "killed after"], True)  # the result stands, its row does not know
@example(["", "", "", "killed after"], True)  # the row knows, the status message still stands
@example(["", "", "", "answer lost", "answer lost"], True)
def test_the_result_stands_once_and_the_status_message_goes(plan: list[Trouble], first: bool) -> None:
    world = lived(plan, first=first)

    assert world.made.count("result") == 1 and not world.gone
    assert world.standing == {"result": "rendered"}
    assert world.ref == {"key": "result", "former": "status"}


def test_an_end_that_is_no_news_is_edited() -> None:
    async def whole() -> World:
        world = World([])
        await life(world, JOB, replace(JOB, state=State.CANCELLED))
        return world

    world = virtually(whole())
    assert world.standing == {"status": "cancelled"} and world.delivered


def test_a_result_that_is_deleted_before_the_status_message_went_leaves_neither_s_words() -> None:
    async def whole() -> World:
        world = World(["", "", "", "killed before"])  # at the deletion of the status message
        await life(world, RENDERED)
        await life(world, replace(JOB, state=State.DELETED))
        return world

    world = virtually(whole())
    assert world.standing == {"result": "deleted"} and world.delivered

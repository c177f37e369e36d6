"""What people put on results' messages (⭐, ✉️, ❌), done one by one for each of them.

Reactions come in floods and cost a click, so what is not on a message of ours costs one look into the
database, only a person's last word about a message counts, and one person gets one a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from functools import partial

import structlog

from bot.actions import REACTIONS, ActionSpec
from bot.adapters.base import Answer
from bot.easel import Easel
from bot.models import Job, Origin, State

log = structlog.stdlib.get_logger(__name__)

GATHER = 0.3  # seconds in which a person changes their mind without anything being done
PAUSE = 1.0  # seconds between two things that are done for one person
AGAIN = 60.0  # seconds in which the same is not done again
AT_ONCE = 4  # that are being done on a surface
MOST_OF_ONE = 50  # of one person's that wait
MOST = 1000  # of all that wait on a surface

Work = Callable[[], Awaitable[None]]
Reply = Callable[[Job, Callable[[Origin], Awaitable[Answer]]], Awaitable[None]]
"""Asks for what a reaction on a job's message comes to, as whoever put it there, and shows the answer."""
Finds = Callable[[], Awaitable[Job | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """An emoji that somebody put on a message, or took away."""

    emoji: str  # as Unicode has it
    person: str  # the member's id
    message: str  # "<channel>:<message>", as references name it
    added: bool

    @property
    def spec(self) -> ActionSpec | None:
        """Return what it stands for; None where it stands for nothing."""
        spec = REACTIONS.get(self.emoji.removesuffix("\ufe0f"))
        return spec if spec and (self.added or spec.undone) else None


class Reactions:
    """The reactions of one surface."""

    def __init__(self, easel: Easel, surface: str) -> None:
        self._easel = easel
        self._surface = surface
        self._turns = PersonQueue()

    def heard(self, reaction: Reaction, reply: Reply, find: Finds | None = None) -> None:
        """Do what a reaction stands for, in the background.

        `find` looks for the job of a message that no row names.
        """
        if spec := reaction.spec:
            what = (reaction.message, spec.name)
            self._turns.put(reaction.person, what, partial(self._do, spec, reaction, reply, find))

    async def close(self) -> None:
        """Leave what is not done yet."""
        await self._turns.close()

    async def _do(self, spec: ActionSpec, reaction: Reaction, reply: Reply, find: Finds | None) -> None:
        if not spec.undone and self._turns.lately(reaction.person, (reaction.message, spec.name)):
            return
        job = await self._easel.messages.shown_at(self._surface, reaction.message)
        if job is None and find:
            job = await find()
        if job is None or job.state is not State.RENDERED:
            return
        if reaction.added:
            await reply(job, partial(self._easel.router.react, spec.name, job.id))
        else:
            await self._easel.router.unreact(spec.name, job.id, reaction.person)


class PersonQueue:
    """What waits to be done, by person: one after the other, and of a thing only the last word."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[Hashable, Work]] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._done: set[Hashable] = set()

    def put(self, person: str, what: Hashable, work: Work) -> None:
        """Do it when it is the person's turn; pass it over where too much waits."""
        mine = self._waiting.setdefault(person, {})
        full = len(mine) >= MOST_OF_ONE or sum(map(len, self._waiting.values())) >= MOST
        if full and what not in mine:
            log.info("a reaction was passed over: too many wait", person=person)
            return
        mine[what] = work
        if person not in self._running:
            self._running[person] = asyncio.create_task(self._serve(person), name="reactions")

    def lately(self, person: str, what: Hashable) -> bool:
        """Tell whether this was asked about in the last minute."""
        key = (person, what)
        if key in self._done:
            return True
        self._done.add(key)
        asyncio.get_running_loop().call_later(AGAIN, self._done.discard, key)
        return False

    async def close(self) -> None:
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, person: str) -> None:
        try:
            await asyncio.sleep(GATHER)
            while mine := self._waiting.get(person):
                work = mine.pop(next(iter(mine)))
                async with self._gate:
                    await _logged(work)
                await asyncio.sleep(PAUSE)
        finally:
            self._running.pop(person, None)
            self._waiting.pop(person, None)


async def _logged(work: Work) -> None:
    """Do it; log any exception, so that it ends only this."""
    try:
        await work()
    except Exception:
        log.exception("a reaction was not answered")

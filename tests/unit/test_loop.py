"""What takes long is not done by the event loop: measured is its thread's CPU, whatever else is running."""

from __future__ import annotations

import asyncio
import functools
import io
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from bot import moderation, pictures
from bot.accounts.privacy import Privacy
from bot.adapters.web import assets
from bot.adapters.web.views import Views
from bot.admin.dashboard import Dashboard
from bot.errors import Refusal
from bot.jobs.holds import Holds
from bot.jobs.live import LiveJob
from bot.jobs.tracker import AT_ONCE, JobTracker
from bot.moderation import Rules, Seen
from bot.moderation.reviews import Reviews
from bot.settings import Settings
from engine.memory import MemoryEngine
from engine.types import Lane, Place
from tests import adversary
from tests.examples import a_job

MOST = 0.1  # seconds in one go

WORST = adversary.texts()["any of '0134578@$!|abc '"]
JOB = a_job(prompt=WORST)
JOB = replace(JOB, request=replace(JOB.request, prompt=WORST, negative_prompt=WORST))
NOBODY: Any = None
MANY = 100_000  # jobs in line


class Store:
    """One with a job whose words are long, ten thousand times."""

    def __init__(self, jobs: int = 0) -> None:
        self._pages = [[JOB] * 500 for _ in range(jobs // 500)]

    async def untold(self, *_: object) -> None:
        return None

    async def sharing(self, member: str) -> list[str]:
        return [member]

    async def jobs_of(self, *_: object) -> list[Any]:
        return self._pages.pop() if self._pages else []

    async def rows(self, *_: object) -> list[Any]:
        return []

    persons_of = strikes_of = reports_of = sessions_of = rows

    async def account_of(self, member: str) -> str:
        return member

    async def preferences(self, member: str) -> Any:
        return moderation.Rules()

    async def lines(self, **_: object) -> Any:
        for _ in ():
            yield


class Seeing:
    """Eyes that see what is worth a look at the words."""

    busy = False

    async def look(self, picture: bytes) -> Seen:
        return Seen(explicit=0.3, suggestive=0.2)

    async def close(self) -> None:
        return None


async def a_picture_is_judged() -> None:
    async def rules(job: object) -> Rules:
        return Rules()

    engine, idle = MemoryEngine(lambda name: b""), NOBODY
    tracker = JobTracker(
        lives={}, engine=engine, store=idle, blobs=idle, show=idle, eyes=Seeing(), rules=rules, stamp=idle
    )
    await tracker._inspect(JOB, b"a picture")


async def words_are_judged() -> None:
    store: Any = Store()
    rules = Rules(blocked=("broccoli",), allowed=("a b",))
    try:
        await Reviews(Settings(), store, NOBODY).check(JOB.request, WORST, JOB.origin, rules)
    except Refusal:
        return


@functools.cache
def noise() -> bytes:
    file = io.BytesIO()
    Image.effect_noise((768, 768), 90).convert("RGB").save(file, "PNG")
    return file.getvalue()


async def a_grid_is_made() -> None:
    await pictures.grid([noise()] * 16)


async def a_copy_of_many_jobs_is_made() -> None:
    store: Any = Store(jobs=2000)
    await Privacy(store, NOBODY, NOBODY, 0).export(JOB.origin)


class Line(MemoryEngine):
    """An engine where nothing moves, with many people's jobs in line."""

    lanes: tuple[Lane, ...] = ()

    def line(self) -> tuple[Lane, ...]:
        return self.lanes


@functools.cache
def crowd() -> tuple[JobTracker, Line]:
    """MANY waiting jobs of 1,000 people."""
    engine, idle = Line(lambda name: b""), NOBODY
    tracker = JobTracker(
        lives={}, engine=engine, store=idle, blobs=idle, show=idle, eyes=idle, rules=idle, stamp=idle
    )
    job = a_job()
    for number in range(MANY):
        tracker.lives[str(number)] = LiveJob(replace(job, id=str(number)), place=Place(number + 1, 1.0))
    more: Any = {"running": (), "virtual_time": 0.0, "weight": 1.0, "served": 0.0}
    engine.lanes = tuple(
        Lane(tenant="t", user=str(first), waiting=tuple(map(str, range(first, MANY, 1000))), **more)
        for first in range(1000)
    )
    return tracker, engine


async def the_queue_is_looked_at() -> None:
    tracker, engine = crowd()
    holds = Holds(engine)
    idle = NOBODY
    overview = Dashboard(
        settings=idle, store=idle, engine=engine, tiers=idle, lives=tracker.lives, holds=holds
    )
    shown, more = await overview.queue()
    assert [each.job.id for each in shown] == [str(number) for number in range(200)]
    assert more == MANY - 200


async def longest_turn(action: Callable[[], Awaitable[None]]) -> float:
    """The most CPU, in seconds, that the loop's thread took at once while the action went on."""
    worst, task = 0.0, asyncio.ensure_future(action())
    while not task.done():
        start = time.thread_time()
        await asyncio.sleep(0.001)
        worst = max(worst, time.thread_time() - start)
    await task
    return worst


@pytest.mark.parametrize(
    "action",
    [
        a_picture_is_judged,
        words_are_judged,
        a_grid_is_made,
        a_copy_of_many_jobs_is_made,
        the_queue_is_looked_at,
    ],
    ids=lambda action: action.__name__,
)
async def test_the_loop_turns_meanwhile(action: Callable[[], Awaitable[None]]) -> None:
    moderation.judge(["warm"])
    noise()
    crowd()
    assert await longest_turn(action) < MOST


async def test_what_the_loop_does_itself_is_measured() -> None:
    async def on_the_loop() -> None:
        moderation.judge([WORST, WORST])

    moderation.judge(["warm"])
    assert await longest_turn(on_the_loop) > MOST


def test_no_template_is_compiled_for_a_page() -> None:
    views = Views(assets.load())
    views.compile()
    templates = {name for _, name in views._environment.cache or {}}
    assert templates == set(views._environment.list_templates())


async def test_the_loop_turns_while_waiting_jobs_are_gone_through() -> None:
    tracker, _ = crowd()
    found, turns = asyncio.ensure_future(tracker._waiting()), 0
    while not found.done():
        await asyncio.sleep(0)
        turns += 1
    assert len(await found) == MANY and turns >= MANY // AT_ONCE

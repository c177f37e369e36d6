"""A running studio that is connected to a loopback Slack, for tests and the benchmark."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from bot import app
from bot.accounts.tiers import Tiers
from bot.adapters.slack.adapter import SlackAdapter
from bot.adapters.slack.manifest import manifest
from bot.easel import Easel
from bot.images.blobs import DirectoryBlobs
from bot.models import Job, State
from bot.settings import Secret
from bot.store import Store
from bot.surfaces import Settings
from engine.types import Engine
from engine.workers.fake import FakeEngine, Fault
from tests.contract.slack.api import PATIENCE
from tests.contract.slack.people import Person
from tests.contract.slack.state import (
    ADA,
    APP_TOKEN,
    BEN,
    BOSS,
    BOT_TOKEN,
    GENERAL,
    GUEST,
    SIGNING_SECRET,
    Message,
    Sent,
)
from tests.contract.slack.wire import Wire
from tests.databases import ended, found
from tests.examples import CONTROLS, unhurried
from tests.web import SMALL

DONE = "seed"  # what only the card of a result says


@dataclass(repr=False)  # asyncio writes down what a fixture returns, four times a test
class House:
    """A running studio that is connected to the loopback Slack, and people there."""

    wire: Wire
    easel: Easel
    store: Store
    adapter: SlackAdapter
    settings: Settings

    def __post_init__(self) -> None:
        self.ada, self.ben = Person(self.wire, ADA), Person(self.wire, BEN)
        self.boss, self.guest = Person(self.wire, BOSS), Person(self.wire, GUEST)

    async def jobs(self) -> list[Job]:
        """All there are, the newest first."""
        return await self.store._jobs(newest_first=True)

    async def newest(self) -> Job:
        return (await self.jobs())[0]

    async def until(self, id: str, *states: State) -> Job:
        """The job's row once it has ended so, and that was shown or given up."""
        return await self._told(ended(self.store, id, *states, patience=PATIENCE))

    async def opened_up(self, id: str) -> Job:
        """The job's row once others may see it: a moment after it was shown to them."""

        async def there() -> Job | None:
            job = await self.store.job(id)
            return job if job and not job.origin.private else None

        return await self._told(found(there, PATIENCE))

    async def ended(self, *states: State, count: int = 1) -> Job:
        """The newest job once there are so many, and its end was shown."""

        async def there() -> Job | None:
            jobs = await self.jobs()
            return jobs[0] if len(jobs) >= count else None

        return await self.until((await self._told(found(there, PATIENCE))).id, *(states or (State.RENDERED,)))

    async def _told(self, waiting: Awaitable[Job]) -> Job:
        """What is waited for, or an account of what there is instead."""
        try:
            return await waiting
        except TimeoutError:
            rows = [
                (job.state.value, job.prompt[:40], job.delivered, job.reason) for job in await self.jobs()
            ]
            raise AssertionError(f"the rows stay {rows}; {self.wire.account()}") from None

    async def painted(
        self,
        line: str = "/imagine a red fox in snow",
        person: Person | None = None,
        channel: str = GENERAL,
    ) -> Message:
        """A slash command, and the message that shows its pictures."""
        before = len(await self.jobs())
        await (person or self.ada).slash(line, channel)
        job = await self.ended(count=before + 1)
        return self.message(job)

    def message(self, job: Job) -> Message:
        """The message that shows a job, by the reference in its row."""
        assert job.message, "its row names no message"
        values = {str(value) for value in job.message.values()}
        return next(m for m in self.wire.messages.values() if m.ts in values and m.channel in values)

    def picture(self, file: str) -> Image.Image:
        """A file of Slack's, decoded."""
        picture = Image.open(io.BytesIO(self.wire.files[file].content))
        picture.load()
        return picture

    async def acked(self, *sent: Sent) -> None:
        for each in sent:
            await self.wire.taken(each)


@asynccontextmanager
async def rooms(
    folder: Path,
    wire: Wire | None,
    *,
    step_seconds: float = 0.0,
    fault: Fault | None = None,
    make_engine: Callable[[DirectoryBlobs], Engine] | None = None,
    tiers: Tiers | None = None,
    edit_interval: float | None = 0.05,
    base_url: str = "",
    **changes: Any,
) -> AsyncIterator[House]:
    """The studio and its adapter on a folder, which may have been used before.

    `base_url` is where Slack is when it runs in another process.
    """
    tokens = {
        "slack_bot_token": Secret(BOT_TOKEN),
        "slack_app_token": Secret(APP_TOKEN),
        "slack_signing_secret": Secret(SIGNING_SECRET),
    }
    more: dict[str, Any] = {"model": ("memory",), "picture_check": False}
    settings = Settings(data_dir=folder, **(more | tokens | changes))
    store = await Store.open(settings.database_url)
    blobs = DirectoryBlobs(folder / "pictures")
    engine: Engine = FakeEngine(
        blobs.read, models=(replace(SMALL, **CONTROLS),), fault=fault, step_seconds=step_seconds
    )
    if make_engine is not None:
        engine = make_engine(blobs)
    easel = app.build(settings=settings, store=store, engine=engine, blobs=blobs, tiers=tiers or unhurried())
    wire = wire or Wire(manifest())
    adapter = SlackAdapter(easel, settings, base_url=base_url or f"{wire.url}/api/")
    if edit_interval is not None:
        adapter.edit_interval = edit_interval
    easel.adapters[adapter.name] = adapter
    await easel.lifecycle.start()
    running = asyncio.create_task(adapter.run())
    try:
        yield House(wire, easel, store, adapter, settings)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await easel.lifecycle.close()
        await store.close()


def png(width: int = 32, height: int = 32, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(out, kind)
    return out.getvalue()

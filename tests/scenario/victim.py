"""A process that runs a studio until it is killed: `python -m tests.scenario.victim <folder> <jobs>`.

It asks for the same jobs at every start, as a platform that repeats its events would, and ends by itself
when all were delivered. Its surface keeps its messages in a file, one line for each post.

FAILPOINT=after:end:3 kills it right after the third return of `Store.end`, before:… right before that call.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from bot import app
from bot.adapters.base import MessageRef
from bot.images.blobs import DirectoryBlobs
from bot.messages.types import Card
from bot.models import Job, Member, Origin
from bot.store import Store
from bot.surfaces import Settings
from engine.workers.fake import MEMORY, FakeEngine
from tests.databases import unfinished
from tests.examples import unhurried

PEOPLE = ("ada", "ben", "eve")


class FileAdapter:
    """A surface that knows a repeated post by the job's id, and tells of results by further posts."""

    name = "file"
    edit_interval = 0.01

    def __init__(self, log: Path) -> None:
        self._log = log

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def post(self, job: Job, card: Card) -> MessageRef:
        return self._write(job.id)

    async def edit(self, job: Job, ref: MessageRef, card: Card) -> MessageRef:
        assert ref["line"] in (job.id, f"{job.id}-end")
        return ref

    async def tell(self, job: Job, ref: MessageRef | None, card: Card) -> MessageRef:
        former = ref or await self.post(job, card)
        return ref if ref and "former" in ref else self._write(f"{job.id}-end") | {"former": former["line"]}

    async def clear(self, job: Job, ref: MessageRef, card: Card) -> None:
        self._write(f"{ref['former']}-gone")

    def _write(self, line: str) -> MessageRef:
        """Write a line, once."""
        if line not in (self._log.read_text().split() if self._log.exists() else []):
            with self._log.open("a") as file:
                file.write(f"{line}\n")
        return {"line": line}

    async def adult(self, job: Job) -> bool:
        return False


def arm(store: Store, failpoint: str) -> None:
    """Kill this process at the named moment."""
    when, name, number = failpoint.split(":")
    call, calls = getattr(store, name), itertools.count(1)

    async def deadly(*arguments: Any, **named: Any) -> Any:
        fatal = next(calls) == int(number)
        if fatal and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = await call(*arguments, **named)
        if fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(store, name, deadly)


async def main(folder: Path, jobs: int) -> None:
    settings = Settings(data_dir=folder, model=("memory",), picture_check=False)
    store = await Store.open(settings.database_url)
    if failpoint := os.environ.get("FAILPOINT"):
        arm(store, failpoint)
    blobs = DirectoryBlobs(folder / "pictures")
    small = replace(MEMORY, width=64, height=64, steps=4)
    engine = FakeEngine(blobs.read, models=(small,), step_seconds=0.005)
    easel = app.build(settings=settings, store=store, engine=engine, blobs=blobs, tiers=unhurried())
    adapter = FileAdapter(folder / "posts")
    easel.adapters[adapter.name] = adapter
    await easel.lifecycle.start()
    sys.stdout.write("started\n")
    sys.stdout.flush()
    for number in range(jobs):
        person = PEOPLE[number % len(PEOPLE)]
        member = Member(tenant="file:house", id=f"file:{person}", name=person)
        origin = Origin(surface="file", member=member, channel="lobby", event=f"event-{number}")
        await easel.router.handle("imagine", {"prompt": f"fox {number} --seed {number}"}, origin)
    while await unfinished(store) or await store.undelivered():  # noqa: ASYNC110 only the rows know
        await asyncio.sleep(0.05)
    await easel.lifecycle.close()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))

"""A whole Easel on a Postgres database: `python -m tests.faults.leader URL FOLDER NAME`.

It starts as soon as no other one paints from the database. After FREE jobs it waits until FOLDER/go is there,
so that it is still painting when another one has started. FOLDER/NAME gets a line for each job that it
starts ("start ID") or whose end it writes ("end ID"). It ends when nothing is left, or with code 2 when it
has lost the database.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from bot import app, engines
from bot.errors import EaselError, StoreInUse
from bot.models import Job, State
from bot.store import Store
from bot.surfaces import Settings
from engine.types import EngineJob
from engine.workers.fake import MEMORY, MemoryWorker
from tests.databases import unfinished
from tests.examples import a_job, a_tier

STEP = 0.05  # seconds
STEPS = 4
FREE = 5


async def ask(url: str, jobs: int) -> None:
    """Let jobs wait in the database."""
    store = await Store.open(url, shared=True)
    for number in range(jobs):
        job = a_job(user=str(number % 3), estimate=0.2)
        small = replace(job.request, model=MEMORY.name, width=64, height=64, steps=STEPS, count=1)
        await store.admit(replace(job, request=small), tier=a_tier())
    await store.close()


def listen(file: Path) -> None:
    """Write down what this process starts and ends."""
    suffer, end = MemoryWorker._suffer, Store.end
    begun = itertools.count(1)

    def say(line: str) -> None:
        with file.open("a") as out:
            out.write(line + "\n")

    async def started(worker: MemoryWorker, job: EngineJob) -> None:
        say(f"start {job.id}")
        while next(begun) > FREE and not (file.parent / "go").exists():  # noqa: ASYNC110 another process
            await asyncio.sleep(0.02)
        await suffer(worker, job)

    async def ended(store: Store, id: str, state: State, **more: Any) -> tuple[Job, bool]:
        job, first = await end(store, id, state, **more)
        if first:
            say(f"end {id}")
        return job, first

    MemoryWorker._suffer, Store.end = started, ended  # type: ignore[method-assign]


async def lead(settings: Settings) -> None:
    async with app.opened(settings) as easel, app.stop_signal(easel.guard.failed) as stopped:
        await easel.lifecycle.start()
        while await unfinished(easel.lifecycle._store) and not stopped.is_set():  # noqa: ASYNC110 the rows tell
            await asyncio.sleep(0.1)
        if easel.guard.reason:
            raise EaselError(easel.guard.reason)


async def main(url: str, folder: Path, name: str) -> int:
    engines.MEMORY_STEP = STEP
    settings = Settings(
        data_dir=folder / f"{name}-data", database_url=url, model=("memory",), picture_check=False
    )
    listen(folder / name)
    sys.stdout.write("here\n")
    sys.stdout.flush()
    while True:
        try:
            await lead(settings)
            return 0
        except StoreInUse:
            continue
        except EaselError as error:
            sys.stdout.write(f"{error}\n")
            return 2


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])))

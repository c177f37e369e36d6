"""SIGKILL of the whole product with its real engine: what was accepted is painted once and charged once."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import sys
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import pytest
from aiohttp import ClientError

from bot.images.blobs import DirectoryBlobs
from bot.models import State
from bot.store import Store
from bot.surfaces import Settings
from tests.examples import unhurried_file
from tests.web import Person

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PATIENCE = 180.0  # seconds; only a broken product needs them
LONGEST_LIFE = 9.0  # seconds: long enough to load the model and paint
SMALL = "--size 256x256 --steps 3 --count 1"


class Easel:
    """One life of `python -m bot run` on a data folder."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.url = ""

    @classmethod
    async def begin(cls, folder: Path) -> Easel:
        """Start a process; it need not be open yet."""
        settings = {"DATA_DIR": str(folder), "WEB_PORT": "0", "MODEL": "easel-tiny", "DEVICE": "cpu"}
        settings["TIERS_FILE"] = str(unhurried_file(folder.parent))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bot",
            "run",
            cwd=ROOT,
            env={**os.environ, **settings},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        return cls(process)

    async def opened(self) -> str:
        """Wait until the studio is open; return its address."""
        assert self.process.stdout is not None
        said = []
        async for line in self.process.stdout:
            said.append(line.decode())
            if line.startswith(b"Easel is open at "):
                self.url = line.decode().split()[-1]
                return self.url
        raise AssertionError("".join(said))

    async def kill(self) -> None:
        """Kill it, and wait until everything that it started has gone too."""
        children = _children(self.process.pid)
        self.process.kill()
        await self.process.communicate()
        async with asyncio.timeout(PATIENCE):
            while any(map(_lives, children)):  # noqa: ASYNC110 only the system knows
                await asyncio.sleep(0.05)


def _children(process: int) -> list[int]:
    """Return the ids of the processes that a process started."""
    try:
        return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def _lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def ask(url: str, number: int, accepted: set[str]) -> None:
    """Ask for jobs until the process is gone, and note which of them were accepted."""
    person = Person(url, f"Person {number % 3}")
    try:
        for part in range(2):
            prompt = f"fox {number} of {part}"
            answer = await person.send(f"{prompt} --seed {number} {SMALL}", event=f"event-{number:04}-{part}")
            assert answer.status == 200, await answer.text()
            accepted.add(prompt)
    except (ClientError, ConnectionError):
        pass  # killed before it answered: accepted or not, nobody was told so
    finally:
        await person.session.close()


async def life(folder: Path, number: int, seconds: float, accepted: set[str]) -> None:
    """Start, ask, and kill after so many seconds, wherever it is by then."""
    easel = await Easel.begin(folder)

    async def live() -> None:
        await ask(await easel.opened(), number, accepted)
        await asyncio.Event().wait()

    try:
        with suppress(TimeoutError):
            await asyncio.wait_for(live(), seconds)
    finally:
        await easel.kill()


def unfinished(folder: Path) -> int:
    """Return how many jobs wait or run, or were not shown, by the database of a running Easel."""
    with closing(sqlite3.connect(f"file:{folder}/easel.db?mode=ro", uri=True)) as database:
        query = "SELECT count(*) FROM jobs WHERE state IN ('queued', 'running') OR NOT delivered"
        return int(database.execute(query).fetchone()[0])


async def drained(folder: Path) -> None:
    """Let a last life paint what is left, and stop it in order."""
    easel = await Easel.begin(folder)
    try:
        await easel.opened()
        async with asyncio.timeout(PATIENCE * 5):
            while unfinished(folder):  # noqa: ASYNC110 only the rows know
                await asyncio.sleep(0.5)
        easel.process.terminate()
        await asyncio.wait_for(easel.process.communicate(), PATIENCE)
        assert easel.process.returncode == 0
    finally:
        if easel.process.returncode is None:
            await easel.kill()


async def killed_so_often(folder: Path, moments: list[float]) -> None:
    """Live and be killed after so many seconds each time, then drain, and look at what all came to."""
    accepted = set[str]()
    for number, seconds in enumerate(moments):
        await life(folder, number, seconds, accepted)
    await drained(folder)
    await look(folder, len(moments), accepted)


async def test_killed_with_the_real_engine_nothing_is_lost_or_charged_twice(tmp_path: Path) -> None:
    await killed_so_often(tmp_path, [LONGEST_LIFE, LONGEST_LIFE / 2])


@pytest.mark.soak
async def test_killed_two_hundred_times_nothing_is_lost_or_charged_twice(tmp_path: Path) -> None:
    dice = random.Random(200)
    await killed_so_often(tmp_path, [dice.uniform(0.0, LONGEST_LIFE) for _ in range(200)])


async def look(folder: Path, kills: int, accepted: set[str]) -> None:
    """Check the database and the files, and print the figures."""
    store = await Store.open(Settings(data_dir=folder).database_url)
    try:
        jobs = await store._jobs()
        charges = Counter([(line.job, line.bucket) async for line in store.lines() if line.kind == "charge"])
        blobs = DirectoryBlobs(folder / "pictures")
        whole = [await blobs.get(picture.blob) for job in jobs for picture in job.pictures]
        books = await store.check()
    finally:
        await store.close()
    found = Counter(job.prompt for job in jobs)
    figures = {
        "kills": kills,
        "accepted": len(accepted),
        "found": len(jobs),
        "lost": len(accepted - found.keys()),
        "twice": sum(times > 1 for times in found.values()),
        "charged twice": sum(times > 1 for times in charges.values()),
        "pictures": len(whole),
        "states": dict(Counter(str(job.state) for job in jobs)),
        "books": books,
    }
    print(figures)  # noqa: T201 for whoever runs the long one
    assert accepted
    assert (figures["lost"], figures["twice"], figures["charged twice"], books) == (0, 0, 0, "ok")
    assert {job.state for job in jobs} == {State.RENDERED}
    assert all(job.delivered and len(job.pictures) == 1 for job in jobs) and all(whole)
    assert {job for job, _ in charges} == {job.id for job in jobs}

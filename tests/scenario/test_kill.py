from __future__ import annotations

import asyncio
import os
import random
import signal
from pathlib import Path

import pytest

from bot.images.blobs import DirectoryBlobs
from bot.models import State
from bot.store import Store
from bot.surfaces import Settings
from tests.processes import Process

JOBS = 9


def victim(folder: Path, failpoint: str = "") -> Process:
    """A process with a running studio on the folder."""
    told = {**os.environ, "FAILPOINT": failpoint}
    process = Process("tests.scenario.victim", str(folder), str(JOBS), env=told)
    assert "started\n" in process.stdout, "the victim ended before it started"  # log lines come first
    return process


LONGER = [pytest.param(seed, marks=pytest.mark.soak) for seed in range(3, 43)]
STEPS = ("admit_all", "started", "add_picture", "end", "message", "delivered")
POINTS = [f"{when}:{step}:{number}" for step in STEPS for when in ("before", "after") for number in (1, 4)]
SHORT = ("after:admit_all:4", "before:end:1", "after:end:1", "after:message:1", "before:delivered:4")


@pytest.mark.parametrize("seed", [1, 2, *LONGER])
async def test_killed_at_any_moment_every_job_ends_once(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(3):
        process = victim(tmp_path)
        await asyncio.sleep(dice.uniform(0.0, 0.5))
        process.kill()
        process.communicate()
    await every_job_ends_once(tmp_path)


@pytest.mark.parametrize(
    "failpoint",
    [*SHORT, *(pytest.param(each, marks=pytest.mark.soak) for each in POINTS if each not in SHORT)],
)
async def test_killed_between_two_steps_every_job_ends_once(tmp_path: Path, failpoint: str) -> None:
    process = victim(tmp_path, failpoint)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    await every_job_ends_once(tmp_path)


async def every_job_ends_once(folder: Path) -> None:
    """Let a last process do what is left, and look at what it all came to."""
    process = victim(folder)
    process.communicate()
    assert process.returncode == 0

    settings = Settings(data_dir=folder)
    store = await Store.open(settings.database_url)
    try:
        jobs = await store.jobs("file:house")
        assert sorted(job.prompt for job in jobs) == [f"fox {number}" for number in range(JOBS)]
        assert {job.state for job in jobs} == {State.RENDERED}
        assert all(job.delivered and len(job.pictures) == 5 for job in jobs)
        posts = (folder / "posts").read_text().split()
        assert sorted(posts) == sorted(f"{job.id}{part}" for job in jobs for part in ("", "-end", "-gone"))
        assert all(job.message == {"line": f"{job.id}-end", "former": job.id} for job in jobs)
        blobs = DirectoryBlobs(folder / "pictures")
        assert all([await blobs.get(picture.blob) for job in jobs for picture in job.pictures])
        # By the ledger, since midnight may have begun other periods meanwhile.
        charges = [
            (line.job, line.bucket, line.seconds) async for line in store.lines() if line.kind == "charge"
        ]
        assert len({charge[:2] for charge in charges}) == len(charges)
        measured = {job.id: job.device_seconds for job in jobs}
        assert {job: seconds for job, _, seconds in charges} == pytest.approx(measured)
        assert await store.check() == "ok"
    finally:
        await store.close()

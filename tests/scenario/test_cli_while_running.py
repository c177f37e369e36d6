"""`python -m bot imagine` while another Easel has the database: that one paints."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bot.adapters import cli
from bot.admin import admin_socket
from bot.admin.painting import Terminals
from bot.models import State
from bot.surfaces import Settings
from engine.types import ImageToImage
from tests.databases import unfinished
from tests.web import PATIENCE, WebHouse, web_house


@pytest.fixture(autouse=True)
def near(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the socket's name is short enough there
    monkeypatch.setattr("bot.telemetry.set_up", lambda settings: None)


@asynccontextmanager
async def running(folder: Path, **more: Any) -> AsyncIterator[WebHouse]:
    async with web_house(folder, **more) as house:
        terminals = Terminals()
        house.easel.adapters[terminals.name] = terminals
        async with admin_socket.listening(house.easel, folder):
            yield house


async def imagine(folder: Path, prompt: str, **options: Any) -> int:
    settings = Settings(data_dir=folder, model=("memory",))
    return await cli.imagine(settings, {"prompt": prompt, **options}, out=Path("out"), as_json=True)


async def test_the_running_easel_paints_and_the_pictures_come_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(tmp_path / "data", step_seconds=0.05) as house:
        capsys.readouterr()
        assert await imagine(tmp_path / "data", "a red fox", count="2", seed="7") == 0
        said = json.loads(capsys.readouterr().out.splitlines()[-1])
        job = await house.store.job(said["job"])
        assert job and job.delivered and job.origin.surface == "cli" and job.request.seed == 7
        assert said["state"] == "rendered" and said["seed"] == 7 and said["seconds"] > 0
        files = [await asyncio.to_thread(Path(file).read_bytes) for file in said["pictures"]]
        assert files == [await house.easel.images.get(each.blob) for each in job.singles] and len(files) == 2


async def test_a_picture_to_start_from_goes_along(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "white").save(tmp_path / "start.png")
    async with running(tmp_path / "data") as house:
        assert await imagine(tmp_path / "data", "a red fox", source="start.png") == 0
        (job,) = await house.store.jobs("cli:local", viewer=cli_user(), limit=5)
        assert isinstance(job.request.task, ImageToImage)
        assert await house.easel.images.get(job.request.task.source)


async def begun(house: WebHouse) -> str:
    """Wait until the one job runs; return its id."""
    async with asyncio.timeout(PATIENCE):
        while True:
            for job in await unfinished(house.store):
                if job.state is State.RUNNING:
                    return job.id
            await asyncio.sleep(0.02)


def cli_user() -> str:
    return f"cli:{cli._user()}"


async def test_a_refusal_is_said_as_ever(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with running(tmp_path / "data"):
        assert await imagine(tmp_path / "data", "a red fox --steps many") == 1
    assert "Steps takes a whole number" in capsys.readouterr().err


async def test_ctrl_c_cancels_the_job_and_not_the_easel(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(tmp_path / "data", step_seconds=0.5) as house:
        asked = asyncio.create_task(imagine(tmp_path / "data", "a red fox"))
        id = await begun(house)
        os.kill(os.getpid(), signal.SIGINT)
        assert await asyncio.wait_for(asked, PATIENCE) == 1
        job = await house.store.job(id)
        assert job and job.state is State.CANCELLED
        await house.painted(house.person("Ada"), "an owl")
    assert "nothing charged" in capsys.readouterr().err


async def test_an_easel_that_stops_meanwhile_is_told_of(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with running(data, step_seconds=0.5) as house:
        asked = asyncio.create_task(imagine(data, "a red fox"))
        await begun(house)
    with pytest.raises(Exception, match="it goes on with the job after its next start"):
        await asked

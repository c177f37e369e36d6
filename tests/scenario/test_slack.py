"""The whole way in Slack: /imagine over Socket Mode → the model that ships → an uploaded picture."""

from __future__ import annotations

from pathlib import Path

from bot.adapters.slack.manifest import manifest
from bot.images.blobs import BlobStore
from bot.models import State
from engine.types import Engine
from engine.workers.process import ProcessEngine
from tests.contract.slack.house import rooms
from tests.contract.slack.wire import served


def shipped(blobs: BlobStore) -> Engine:
    return ProcessEngine(models=["easel-tiny"], device="cpu", read=blobs.read)


async def test_a_command_over_socket_mode_becomes_an_uploaded_picture(tmp_path: Path) -> None:
    async with (
        served(manifest()) as slack,
        rooms(tmp_path, slack, make_engine=shipped, model=("easel-tiny",)) as house,
    ):
        await house.ada.slash("/imagine a red heart --size 256x256 --steps 4 --seed 7 --count 2")

        job = await house.ended(State.RENDERED)
        message = house.message(job)
        (grid,) = message.pictures
        assert house.picture(grid).size[0] > 256
        assert "seed 7" in message.shown and house.ben.sees("seed 7") is message
        assert [picture.seed for picture in job.pictures if picture.index >= 0] == [7, 8]
        assert slack.problems == []

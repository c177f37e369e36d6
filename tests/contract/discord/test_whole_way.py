"""The whole way with the model that ships: a slash command over the gateway → a picture that decodes."""

from __future__ import annotations

import io

from PIL import Image

from bot.images.blobs import DirectoryBlobs
from engine.types import Engine
from engine.workers.process import ProcessEngine
from tests.contract.discord.line import DONE, Connects

PATIENCE = 240.0  # seconds; a process must load the model first


def shipped(blobs: DirectoryBlobs) -> Engine:
    return ProcessEngine(models=["easel-tiny"], device="cpu", read=blobs.read)


async def test_a_command_becomes_pictures_of_the_shipped_model(connected: Connects) -> None:
    async with connected(make_engine=shipped) as line:
        token = await line.wire.slash(
            "imagine", prompt="a red heart", size="256x256", steps=4, seed=7, count=2
        )

        message = await line.wire.answered(token, DONE, patience=PATIENCE)

        assert [each["description"] for each in message.attachments] == [
            "a red heart, image 1",
            "a red heart, image 2",
        ]
        pictures = [Image.open(io.BytesIO(line.wire.files[each["id"]])) for each in message.attachments]
        assert {picture.size for picture in pictures} == {(256, 256)}
        assert len({picture.tobytes() for picture in pictures}) == 2
        assert list(message.buttons)[:2] == ["U1", "U2"]
        job = await line.ended()
        assert 0 < job.device_seconds <= job.estimate
        assert {each.seed for each in job.pictures} == {7, 8}

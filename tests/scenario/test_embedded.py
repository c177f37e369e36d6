"""The whole way with the model that ships: typed words → a worker process → a message with pictures."""

from __future__ import annotations

import asyncio

import pytest
from PIL import ImageChops, ImageStat

from bot.images.blobs import BlobStore
from bot.messages.types import GRID
from engine.types import Engine
from engine.workers.process import ProcessEngine
from tests.scenario.conftest import ADA, BEN, Opens, button


def shipped(blobs: BlobStore) -> Engine:
    return ProcessEngine(models=["easel-tiny"], device="cpu", read=blobs.read)


@pytest.fixture
def small() -> str:
    return "a red heart --size 256x256 --steps 4 --seed 7"


async def test_words_become_pictures_that_decode_and_enlarge(opened: Opens, small: str) -> None:
    async with opened(make_engine=shipped) as house:
        job = await house.painted(small)

        pictures = {picture.index: picture for picture in job.pictures}
        assert set(pictures) == {GRID, 0, 1, 2, 3}
        assert [pictures[index].seed for index in range(4)] == [7, 8, 9, 10]
        images = [await house.image(pictures[index].blob) for index in range(4)]
        assert {image.size for image in images} == {(256, 256)}
        assert len({image.tobytes() for image in images}) == 4
        assert "prompt" not in images[0].info and "easel-tiny" in str(images[0].info["xmp"])
        assert house.surface.kinds(job.id)[-1] == "done"
        assert 0 < job.device_seconds <= job.estimate

        receipt = await house.press(button(house.surface.messages[job.id][-1], "U2"), BEN)
        await house.surface.until(receipt.job.id, "upscaled")
        enlarged = await house.row(receipt.job.id)
        assert (await house.image(enlarged.pictures[0].blob)).size == (1024, 1024)
        assert enlarged.parent == job.id


async def test_what_was_painting_is_painted_after_a_crash_with_the_same_seed(
    opened: Opens, small: str
) -> None:
    async with opened(make_engine=shipped) as house:
        calm = await house.painted(small)
        seen = await house.image(calm.pictures[0].blob)

    async with opened(make_engine=shipped, crash=True) as house:
        job = await house.ask(small)
        await house.surface.until(job.id, "painting")

    async with opened(make_engine=shipped, surface=house.surface) as house:
        await house.surface.until(job.id, "done")
        again = await house.delivered(job.id)
        assert house.surface.posts == 1
        first = next(picture for picture in again.pictures if picture.index == calm.pictures[0].index)
        painted = await house.image(first.blob)
        # Each carries the mark of its own job, of a few levels; another seed differs by tens.
        assert max(ImageStat.Stat(ImageChops.difference(painted, seen)).mean) < 3.0


async def test_a_light_user_overtakes_a_flood(opened: Opens) -> None:
    async with opened(make_engine=shipped) as house:
        flood = [await house.ask("a star --steps 8 --count 1 --size 256x256", ADA) for _ in range(30)]
        await house.surface.until(flood[0].id, "painting", "done")

        await house.painted("a heart --steps 8 --count 1 --size 256x256", BEN)

        finished = await asyncio.gather(*(house.row(job.id) for job in flood))
        assert sum(job.state.ended for job in finished) < 15

"""/verify tells everybody the same of a picture, and nothing of the prompt or the person."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from bot.errors import Refusal
from bot.messages.types import Card
from bot.models import Member
from bot.provenance.service import OFTEN
from tests.scenario.conftest import ADA, BEN, EVE, House


def jpeg(picture: Image.Image, quality: int = 90) -> bytes:
    out = io.BytesIO()
    picture.convert("RGB").save(out, "JPEG", quality=quality)
    return out.getvalue()


async def verified(house: House, member: Member = ADA, **options: object) -> Card:
    answer: Any = await house.easel.router.handle("verify", options, house.origin(member))
    assert isinstance(answer, Card) and answer.private
    return answer


async def test_a_stranger_is_told_the_model_and_the_day_and_nothing_else(house: House) -> None:
    job = await house.painted("a secret campaign --count 1 --size 512x512")
    data = await house.easel.images.get(job.pictures[0].blob)
    facts = ("Model: memory", f"Made on {job.created:%Y-%m-%d}")

    mine, theirs = await verified(house, picture=data), await verified(house, EVE, picture=data)

    assert theirs == Card(
        kind="text", body=("Made by this Easel, and unchanged since.", *facts), private=True
    )
    assert mine.body == theirs.body
    ((info,),) = mine.rows
    assert "a secret campaign" in (await house.press(info.id)).title


async def test_what_became_of_a_picture_is_told(house: House) -> None:
    job = await house.painted("a fox --count 1 --size 512x512")
    picture = await house.image(job.pictures[0].blob)
    w, h = picture.size
    cropped = picture.crop((w // 12, h // 12, w - w // 12, h - h // 12))

    saved, cut = await verified(house, picture=jpeg(picture)), await verified(house, picture=jpeg(cropped))

    assert saved.body[0] == "Made by this Easel, then changed: probably saved again or resized."
    assert cut.body[0] == "Made by this Easel, then changed: probably cropped."


async def test_a_job_names_its_pictures_to_those_who_see_it(house: House) -> None:
    job = await house.painted("a fox --count 2")
    hidden = await house.painted("a fox --count 1 --private")

    for option in ("picture", "message"):
        for named in (job.id, f"{job.id}:2"):
            assert "unchanged" in (await verified(house, BEN, **{option: named})).body[0]
    for member, named, why in (
        (BEN, hidden.id, "There is no job"),
        (EVE, job.id, "There is no job"),
        (ADA, f"{job.id}:3", "There is no image 3"),
        (ADA, f"{job.id}:x", "There is no image"),
        (ADA, "https://example.org/1", "There is no job"),
    ):
        with pytest.raises(Refusal, match=why):
            await verified(house, member, picture=named)


async def test_bad_input_gets_one_sentence(house: House) -> None:
    tiny = await verified(house, picture=jpeg(Image.new("RGB", (1, 1))))
    assert tiny.body == ("Nothing in it says that this Easel made it. That is no proof that it did not.",)
    with pytest.raises(Refusal, match="Give an image, or a message or job that shows one"):
        await verified(house)
    with pytest.raises(Refusal, match=r"Only a PNG.* can be checked"):
        await verified(house, picture=b"no picture")


async def test_a_picture_of_a_job_that_is_not_painted_is_not_there(house: House) -> None:
    (job,) = [await house.ask("a fox --count 1")]
    await house.surface.until(job.id, "done")
    blob = (await house.row(job.id)).pictures[0].blob
    await house.easel.images._blobs.sweep(set(), older_than=-1)

    with pytest.raises(KeyError):
        await house.easel.images.get(blob)
    with pytest.raises(Refusal, match="An image of this job is gone"):
        await verified(house, picture=job.id)


async def test_nobody_asks_without_end(house: House) -> None:
    for _ in range(OFTEN):
        with pytest.raises(Refusal, match="Give an image"):
            await verified(house)

    with pytest.raises(Refusal, match="You asked about many images"):
        await verified(house)
    with pytest.raises(Refusal, match="Give an image"):
        await verified(house, BEN)

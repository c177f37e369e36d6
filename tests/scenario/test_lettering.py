"""Words on images: set as type, changed without painting, set anew when the image is enlarged."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from PIL import Image, ImageChops

from bot.adapters.base import Receipt
from bot.errors import Refusal
from bot.messages.types import Form
from bot.models import Job, State
from engine.types import Letter, TextToImage, Upscale
from engine.workers.fake import MEMORY, FakeEngine
from tests.scenario.conftest import House, Opens


@pytest.fixture
async def easel(opened: Opens) -> AsyncIterator[House]:
    async with opened(make_engine=lambda blobs: FakeEngine(blobs.read, models=(MEMORY,))) as house:
        yield house


async def image(house: House, blob: str) -> Image.Image:
    return (await house.image(blob)).convert("RGB")


async def done(house: House, answer: object) -> Job:
    assert isinstance(answer, Receipt)
    return await house.ended(answer.job.id)


def differ(one: Image.Image, other: Image.Image) -> tuple[int, int, int, int] | None:
    """Return the box of what differs by more than an invisible mark does."""
    return ImageChops.difference(one, other).convert("L").point(lambda value: 255 * (value > 24)).getbbox()


async def test_the_words_stand_on_the_image_and_the_one_without_them_is_kept(easel: House) -> None:
    job = await easel.painted("a poster --text SALE --text-place bottom --count 1 --seed 3")

    (picture,) = job.singles
    box = differ(await image(easel, picture.blob), await image(easel, picture.plain))
    assert job.request.lettering == "SALE" and job.prompt == "a poster"
    assert box and box[1] > 256
    card = easel.surface.messages[job.id][-1]
    assert card.pictures[0].alt == "a poster, with the words “SALE”"


async def test_words_in_quotation_marks_are_set_as_type(easel: House) -> None:
    job = await easel.painted("a poster that says “SUMMER SALE” --count 1")

    assert (job.prompt, job.request.lettering) == ("a poster", "SUMMER SALE")


async def test_other_words_cost_no_painting(easel: House) -> None:
    job = await easel.painted("a poster --text SALE --count 2 --seed 3")
    form = await easel.press(f"v1:edit:{job.id}")
    assert isinstance(form, Form)
    values = {**form.values, "text": "SOLD OUT"}

    child = await done(
        easel, await easel.easel.router.handle("imagine", values, easel.origin(), parent=job.id)
    )

    assert child.request.task == Letter(sources=tuple(each.plain for each in job.singles))
    assert child.request.lettering == "SOLD OUT"
    assert child.device_seconds < job.device_seconds / 10
    assert child.state is State.RENDERED, child.reason
    for before, after in zip(job.singles, child.singles, strict=True):
        assert differ(await image(easel, before.plain), await image(easel, after.plain)) is None
        assert differ(await image(easel, before.blob), await image(easel, after.blob)) is not None


async def test_an_enlarged_image_has_its_words_set_anew(easel: House) -> None:
    job = await easel.painted("a poster --text SALE --count 1 --seed 3")

    child = await done(easel, await easel.press(f"v1:upscale:{job.id}:0"))

    (picture,) = child.singles
    assert child.request.task == Upscale(source=job.singles[0].plain)
    assert child.request.lettering == "SALE" and picture.plain
    large = await image(easel, picture.blob)
    box = differ(large, await image(easel, picture.plain))
    small = differ(await image(easel, job.singles[0].blob), await image(easel, job.singles[0].plain))
    assert box and small
    assert box == pytest.approx([4 * each for each in small], abs=90)


async def test_a_variation_starts_without_the_words(easel: House) -> None:
    job = await easel.painted("a poster --text SALE --count 1 --seed 3")

    child = await done(easel, await easel.press(f"v1:vary_subtle:{job.id}:0"))

    assert child.request.source == job.singles[0].plain
    assert child.request.lettering == "SALE"


async def test_download_gives_the_image_without_words_too(easel: House) -> None:
    job = await easel.painted("a poster --text SALE --count 1")

    card = await easel.press(f"v1:download:{job.id}")

    assert [name.endswith("-plain.png") for name, _ in card.files] == [False, True]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cake 🎂", "There is no font here for 🎂. Leave them out of the text."),
        ("w" * 299, "“" + "w" * 39),
        ("a|b|c|d|e", "Give one to 4 texts, with | between them."),
    ],
)
async def test_what_cannot_be_set_is_said_before_anything_is_painted(
    easel: House, text: str, said: str
) -> None:
    with pytest.raises(Refusal) as refused:
        await easel.ask(f'a poster --text "{text}"')

    assert str(refused.value.notice).startswith(said)


async def test_words_are_moderated_as_prompts_are(easel: House) -> None:
    with pytest.raises(Refusal) as refused:
        await easel.ask('a poster --text "child porn"')

    assert refused.value.code == "moderation"


async def test_again_paints_anew_with_the_same_words(easel: House) -> None:
    job = await easel.painted("a poster --text SALE --count 1")

    child = await done(easel, await easel.press(f"v1:again:{job.id}"))

    assert child.request.task == TextToImage() and child.request.lettering == "SALE"
    assert child.request.seed != job.request.seed

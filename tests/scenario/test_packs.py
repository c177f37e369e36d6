"""Size packs: one image in all sizes of a pack, from a prompt or from a finished image."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from PIL import Image

from bot.adapters.base import Receipt
from bot.errors import Refusal
from bot.messages.types import Card
from bot.models import Job
from bot.prompts import packs
from bot.provenance import signing
from engine.types import Letter, Outpaint, TextToImage
from engine.workers.fake import MEMORY, FakeEngine
from tests.scenario.conftest import House, Opens


@pytest.fixture
async def easel(opened: Opens) -> AsyncIterator[House]:
    info = replace(MEMORY, tasks=MEMORY.tasks | {"outpaint"})
    async with opened(make_engine=lambda blobs: FakeEngine(blobs.read, models=(info,))) as house:
        yield house


async def done(house: House, answer: object) -> Job:
    assert isinstance(answer, Receipt)
    return await house.ended(answer.job.id)


def sizes(name: str) -> list[tuple[int, int]]:
    return [(each.width, each.height) for each in packs.known()[name].sizes]


async def test_a_prompt_with_a_pack_paints_one_image_and_makes_all_sizes_of_it(easel: House) -> None:
    job = await easel.painted("a fox --pack social --count 4")

    _painted, *made = job.singles
    assert job.request.task == TextToImage() and job.request.count == 1
    assert [(each.width, each.height) for each in made] == sizes("social")
    for each in made:
        assert (await easel.image(each.blob)).size == (each.width, each.height)
    assert "One image is painted; the sizes are made of it for free." in job.note
    assert "A size pack is made of one image." in job.note
    alone = await easel.painted("a fox --count 1 --ar 0.95:1")
    assert job.estimate == pytest.approx(alone.estimate, rel=0.2)
    card = easel.surface.messages[job.id][-1]
    names = [each.name for each in card.pictures if each.size]
    assert names[:3] == ["fox_post-1080x1080", "fox_portrait-1080x1350", "fox_story-1080x1920"]


async def test_a_press_leads_to_the_sizes_of_a_finished_image_for_free(easel: House) -> None:
    job = await easel.painted("a fox --count 2 --seed 3")
    which = await easel.press(f"v1:sizes:{job.id}")
    card = await easel.press(which.rows[0][1].id)

    assert [each.label for each in card.rows[0]] == ["Social media", "Web page", "Display ads", "Print"]
    child = await done(easel, await easel.press(card.rows[0][1].id))

    assert child.request.task == Letter(sources=(job.singles[1].blob,)) and child.parent == job.id
    assert [(each.width, each.height) for each in child.singles[1:]] == sizes("web")
    assert child.device_seconds <= child.estimate < 0.1 * job.estimate
    assert "The sizes are made of the finished image, for free." in child.note


async def test_what_the_crop_would_lose_is_painted_on_for_a_cost_that_is_said_before(easel: House) -> None:
    job = await easel.painted("a fox --count 1")
    card = await easel.press(f"v1:sizes:{job.id}")

    told = card.rows[1][0].label
    child = await done(easel, await easel.press(card.rows[1][0].id))

    assert isinstance(child.request.task, Outpaint)
    assert told == f"Social media, {max(1, round(child.estimate))} s"
    assert child.device_seconds <= child.estimate
    assert f"Painting around the image costs about {max(1, round(child.estimate))} GPU second" in child.note
    assert [(each.width, each.height) for each in child.singles[1:]] == sizes("social")


async def test_words_are_set_anew_in_each_size(easel: House) -> None:
    job = await easel.painted('a poster --pack ads --text "SUMMER SALE" --text-place top --seed 3')

    for each in job.singles:
        assert each.plain and each.plain != each.blob
    assert easel.surface.messages[job.id][-1].pictures[2].alt == (
        "a poster, with the words “SUMMER SALE”, medium-rectangle 300 × 250"
    )


async def test_sizes_without_room_for_the_words_are_named(easel: House) -> None:
    words = "Winter sale of everything in the shop " * 4
    job = await easel.painted(f'a poster --pack ads --text "{words}"')

    assert "The words do not fit on leaderboard" in job.note
    assert len(job.singles) == 1 + len(sizes("ads"))


async def test_other_words_cost_no_painting_and_are_set_on_all_sizes(easel: House) -> None:
    job = await easel.painted("a poster --pack web --text SALE --seed 3")
    form = await easel.press(f"v1:edit:{job.id}")

    child = await done(
        easel,
        await easel.easel.router.handle(
            "imagine", {**form.values, "text": "SOLD OUT"}, easel.origin(), parent=job.id
        ),
    )

    assert child.request.task == Letter(sources=(job.singles[0].plain,))
    assert child.request.sizes == job.request.sizes and len(child.singles) == len(job.singles)


async def test_files_are_named_by_size_in_their_format_and_under_their_limit(easel: House) -> None:
    job = await easel.painted("a fox --pack web")
    card = await easel.press(f"v1:download:{job.id}")

    files = dict(card.files)
    for size in packs.known()["web"].sizes:
        data = files[f"fox_{size.name}-{size.width}x{size.height}.{size.format}"]
        assert len(data) <= size.limit
        with Image.open(io.BytesIO(data)) as opened:
            assert (opened.size, opened.format) == ((size.width, size.height), size.format.upper())
        claim = signing.read(data, f"image/{size.format}", easel.easel.images._keys)
        assert claim and claim.whole and claim.facts and claim.facts.job == job.id


async def test_the_studio_gives_one_archive(easel: House) -> None:
    job = await easel.painted("a fox --pack web")
    origin = replace(easel.origin(), surface="web")

    card = await easel.easel.router.press(f"v1:download:{job.id}", origin)

    assert isinstance(card, Card)
    name, data = card.files[-1]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert name.endswith(".zip") and archive.namelist() == [name for name, _ in card.files[:-1]]


async def test_what_is_made_of_one_size_is_no_pack(easel: House) -> None:
    job = await easel.painted("a fox --pack web")

    for press in (f"v1:upscale:{job.id}:5", f"v1:vary_subtle:{job.id}:1"):
        child = await done(easel, await easel.press(press))
        assert child.request.sizes == () and child.request.pack == ""
    again = await done(easel, await easel.press(f"v1:again:{job.id}"))
    assert again.request.sizes == job.request.sizes


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("a fox --pack sozial", "There is no size pack “sozial”. There are social, web, ads and print."),
        (
            "a fox --extend fit --source {job}:1",
            "--extend fit goes with a size pack. Add one, as in --pack social.",
        ),
    ],
)
async def test_what_makes_no_pack_is_refused(easel: House, typed: str, said: str) -> None:
    job = await easel.painted("a fox --count 1")

    with pytest.raises(Refusal) as refused:
        await easel.ask(typed.format(job=job.id))

    assert str(refused.value.notice).startswith(said)


async def test_which_aspect_ratio_wins_is_said(easel: House) -> None:
    wide = await easel.painted("a fox --pack web --ar 16:9")
    assert "Your aspect ratio is that of the image itself; the sizes have their own." in wide.note
    assert wide.singles[0].width > wide.singles[0].height

    same = await easel.painted(f"a fox --pack web --ar 9:16 --source {wide.id}:1")
    assert "A size pack has its own aspect ratios, so yours was left out." in same.note
    assert (same.singles[0].width, same.singles[0].height) == (wide.singles[0].width, wide.singles[0].height)


async def test_a_tiny_file_has_all_sizes_too(easel: House) -> None:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "navy").save(out, "PNG")

    answer = await easel.easel.router.handle(
        "imagine", {"prompt": "a logo --pack ads", "source": out.getvalue()}, easel.origin()
    )

    job = await done(easel, answer)
    assert [(each.width, each.height) for each in job.singles] == [(64, 64), *sizes("ads")]

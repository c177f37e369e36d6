"""Cutting out and upscaling, from what is said to the files that people get."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from bot.adapters.base import Receipt
from bot.errors import Refusal
from bot.messages.types import Card, Form
from bot.models import Job
from bot.provenance import mark, signing
from engine.types import TRANSPARENT, CreativeUpscale, CutOut, ImageToImage
from engine.workers.fake import MEMORY, FakeEngine
from tests.scenario.conftest import House, Opens, button

PAINTER = replace(
    MEMORY,
    name="painter",
    width=64,
    height=64,
    tasks=frozenset(("text_to_image", "image_to_image", "creative_upscale")),
)
WORDS = replace(PAINTER, name="words", tasks=frozenset(("text_to_image",)), cuts_out=True)


@pytest.fixture
async def house(opened: Opens) -> AsyncIterator[House]:
    async with opened(make_engine=lambda blobs: FakeEngine(blobs.read, models=(PAINTER, WORDS))) as house:
        yield house


async def finished(house: House, answer: Any) -> tuple[Job, Card]:
    assert isinstance(answer, Receipt)
    end = await house.surface.until(answer.job.id, "done", "upscaled", "failed")
    assert end.kind != "failed", end.body
    return await house.row(answer.job.id), end


async def command(house: House, name: str, **options: Any) -> tuple[Job, Card]:
    return await finished(house, await house.easel.router.handle(name, options, house.origin()))


async def file_of(house: House, job: Job) -> Image.Image:
    """What a press on Download hands over."""
    card = await house.press(f"v1:download:{job.id}")
    ((_name, png), *_more) = card.files
    picture = Image.open(io.BytesIO(png))
    picture.load()
    return picture


async def test_an_image_is_painted_on_what_was_asked_for(house: House) -> None:
    job = await house.painted("a fox --background hellblau --count 2")
    assert job.request.background == "#a5d8ff"
    assert (await house.image(job.singles[0].blob)).mode == "RGB"

    clear = await house.painted("a fox --background transparent --count 2")
    picture = await file_of(house, clear)
    assert picture.mode == "RGBA" and picture.getpixel((0, 0)) == (0, 0, 0, 0)
    grid = next(each for each in clear.pictures if each.index == -1)
    assert (await house.image(grid.blob)).getpixel((0, 0)) == (0, 0, 0, 0)
    card = house.surface.messages[clear.id][-1]
    assert "background: transparent" in card.facts and all(each.transparent for each in card.pictures)


async def test_a_result_is_cut_out_by_a_press_and_by_a_command(house: House) -> None:
    first = await house.painted("a fox --count 1")
    job, card = await finished(house, await house.press(f"v1:cut_out:{first.id}:0"))

    assert job.request.task == CutOut(source=first.singles[0].blob)
    assert (await house.image(job.singles[0].blob)).mode == "RGBA"
    assert "Again" not in [each.label for row in card.rows for each in row], "it would be the same"
    told = await house.press(f"v1:info:{job.id}")
    assert any(line.startswith("Origin: cut out of") for line in told.body)
    assert "Background: transparent" in told.body

    blue, _card = await command(house, "cutout", job=first.id, background="#00f")
    assert (await house.image(blue.singles[0].blob)).getpixel((1, 1))[2] > 240  # type: ignore[index]
    with pytest.raises(Refusal, match="Background can be transparent"):
        await command(house, "cutout", job=first.id, background="sunset")


async def test_a_cut_out_is_varied_edited_and_upscaled_as_one(house: House) -> None:
    first = await house.painted("a fox --count 1")
    cut, card = await finished(house, await house.press(f"v1:cut_out:{first.id}:0"))

    varied, _card = await finished(house, await house.press(button(card, "Vary (subtle)")))
    assert varied.request.task == ImageToImage(source=cut.singles[0].blob, strength=0.4)
    assert (await house.image(varied.singles[0].blob)).mode == "RGBA"

    large, end = await finished(house, await house.press(button(card, "Upscale")))
    assert end.kind == "upscaled"
    picture = await house.image(large.singles[0].blob)
    assert (picture.mode, picture.size) == ("RGBA", (256, 256)) and picture.getpixel((0, 0))[3] == 0  # type: ignore[index]

    form = await house.press(f"v1:edit:{cut.id}")
    assert isinstance(form, Form) and form.values["background"] == TRANSPARENT
    again = await house.painted("a fox", **{k: v for k, v in form.values.items() if k != "prompt"})
    assert again.request.kind == "text_to_image" and again.request.background == TRANSPARENT


async def test_a_cut_out_is_signed_and_marked_in_what_is_seen(house: House) -> None:
    job = await house.painted("a fox --background transparent --count 1 --size 512x512")

    keys, blob = house.easel.images._keys, job.singles[0].blob
    claim = signing.read(await house.easel.images.get(blob), "image/png", keys)
    assert claim is not None and claim.ours and claim.facts is not None and claim.facts.job == job.id
    picture = await file_of(house, job)
    found = mark.detect(picture, keys.mark)
    assert found is not None and f"{found.number:012x}" == job.id
    assert picture.getpixel((0, 0)) == (0, 0, 0, 0), "what is hidden is not marked"


async def test_an_image_to_start_from_lies_on_white(house: House) -> None:
    clear = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    out = io.BytesIO()
    clear.save(out, "PNG")
    job = await house.painted("a fox --count 1 --strength 0", source=out.getvalue())
    assert min((await house.image(job.singles[0].blob)).getpixel((5, 5))) > 240  # type: ignore[arg-type]

    cut = await house.painted("a fox --count 1 --background transparent")
    again = await house.painted(f"a fox --count 1 --strength 0 --source {cut.id}:1")
    assert min((await house.image(again.singles[0].blob)).getpixel((0, 0))) > 240  # type: ignore[arg-type]


# ---- upscaling


async def test_it_is_upscaled_to_what_was_asked_for(house: House) -> None:
    first = await house.painted("a fox --count 1")

    half, card = await command(house, "upscale", job=first.id, to="2.5x")
    assert (await house.image(half.singles[0].blob)).size == (160, 160)
    assert card.facts[0] == "image 1, 2.5× (160 × 160)"
    paper, _card = await command(house, "upscale", job=first.id, to="10x15 cm at 100 dpi")
    assert (await house.image(paper.singles[0].blob)).size == (394, 394)
    assert (await house.press(f"v1:edit:{paper.id}")).values.get("size") is None, "the size before"
    with pytest.raises(Refusal, match="million pixels"):
        await command(house, "upscale", job=first.id, to="A2 at 1200 dpi")
    with pytest.raises(Refusal, match="Size can be 2x"):
        await command(house, "upscale", job=first.id, to="very large")


async def test_what_is_upscaled_is_upscaled_again(house: House) -> None:
    first = await house.painted("a fox --count 1")
    large, card = await finished(house, await house.press(f"v1:upscale:{first.id}:0"))
    larger, _card = await finished(house, await house.press(button(card, "Upscale")))

    assert (await house.image(larger.singles[0].blob)).size == (1024, 1024)
    assert larger.request.source == large.singles[0].blob


async def test_finer_detail_is_painted_by_a_model_that_can(house: House) -> None:
    first = await house.painted("a fox --count 1")
    job, card = await command(house, "upscale", job=first.id, kind="creative")

    assert job.request.task == CreativeUpscale(source=first.singles[0].blob, factor=2)
    assert (job.request.width, job.request.height) == (128, 128)
    assert card.kind == "upscaled" and "creative" in card.facts
    more = [each.label for each in (await house.press(f"v1:more:{first.id}")).rows[0]]
    assert "Upscale (creative)" in more
    assert "count" not in (await house.press(f"v1:edit:{job.id}")).values


async def test_a_model_that_only_takes_words_paints_no_detail(opened: Opens) -> None:
    async with opened(make_engine=lambda blobs: FakeEngine(blobs.read, models=(WORDS,))) as house:
        first = await house.painted("a fox --count 1")
        more = await house.press(f"v1:more:{first.id}")
        labels = [each.label for row in more.rows for each in row]
        assert "Upscale (creative)" not in labels and "Cut out" in labels
        with pytest.raises(Refusal):
            await house.press(f"v1:upscale_creative:{first.id}:0")


# ---- what cuts out


async def test_a_network_that_does_not_know_the_pictures_says_so(house: House) -> None:
    first = await house.painted("a fox --count 1 --background transparent")
    assert "learned from drawings alone" in first.note
    known = await house.painted("a fox --count 1 --model words --background transparent")
    assert known.note == ""

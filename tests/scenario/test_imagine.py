from __future__ import annotations

import asyncio
import io
from dataclasses import replace

import pytest
from PIL import Image

from bot.adapters.base import Receipt
from bot.errors import Refusal
from bot.messages import job_cards
from bot.messages.types import Card
from bot.models import State
from tests.examples import a_tier
from tests.scenario.conftest import ADA, BEN, House, Opens, button


async def test_a_prompt_becomes_one_message_that_ends_as_pictures(house: House) -> None:
    job = await house.ask("a red fox in snow --seed 7")
    card = await house.surface.until(job.id, "done")

    assert house.surface.kinds(job.id) == ["waiting", "painting", "done"]
    assert house.surface.posts == 1
    assert card.title == "a red fox in snow"
    assert "seed 7" in card.facts
    assert [(picture.width, picture.height) for picture in card.pictures] == [(136, 136)] + [(64, 64)] * 4
    for picture in card.pictures:
        assert (await house.image(picture.blob)).size == (picture.width, picture.height)
    assert [[button.label for button in row] for row in card.rows] == [
        ["U1", "U2", "U3", "U4"],
        ["V1 subtle", "V2 subtle", "V3 subtle", "V4 subtle"],
        ["Again", "Edit"],
    ]
    assert [button.label for button in card.more] == [
        *("V1 strong", "V2 strong", "V3 strong", "V4 strong"),
        *("Image 1 …", "Image 2 …", "Image 3 …", "Image 4 …"),
        *("Change a region", "Extend", "Sizes"),
        *("Info", "Favourite", "Download", "Download as …", "Alt text", "Delete", "Report"),
    ]


async def test_flags_that_mean_nothing_here_are_left_out_and_it_is_said(house: House) -> None:
    job = await house.ask("a red fox in snow --v 6.1 --s 250 --ar 16:9")
    card = await house.surface.until(job.id, "done")

    assert card.title == "a red fox in snow" and job.request.width > job.request.height
    assert card.body == ("Nothing here does the same, so it was left out: --v, --s",)


async def test_the_row_tells_the_whole_story(house: House) -> None:
    job = await house.painted("a red fox --seed 7 --count 2")
    job = await house.delivered(job.id)

    assert job.state is State.RENDERED
    assert job.message == {"message": job.id}
    assert [picture.seed for picture in job.pictures if picture.index >= 0] == [7, 8]
    assert job.device_seconds == pytest.approx(job.estimate)
    assert job.started and job.finished and job.created <= job.started <= job.finished


async def test_a_picture_says_what_it_is(house: House) -> None:
    job = await house.painted("a red fox --seed 7 --count 1")

    picture = await house.image(job.pictures[0].blob)

    assert not {"prompt", "seed"} & picture.info.keys(), "only where the person asks for it"
    assert "Easel" in str(picture.info["xmp"]) and "memory" in str(picture.info["xmp"])


async def test_the_waiting_card_says_place_and_cost(opened: Opens) -> None:
    async with opened(step_seconds=0.05, tiers=[a_tier(600)]) as house:
        await house.ask("first --count 1")
        second = await house.ask("second --count 1", BEN)
        card = await house.surface.until(second.id, "waiting")

        assert card.facts == (
            "for @Ben",
            "next in queue",
        )
        await house.surface.until(second.id, "done")


async def test_previews_are_shown_while_it_paints(opened: Opens) -> None:
    async with opened(step_seconds=0.03) as house:
        job = await house.ask("a fox")
        await house.surface.until(job.id, "done")

        painting = [card for card in house.surface.messages[job.id] if card.kind == "painting"]
        bars = [card.bar.done for card in painting if card.bar]
        assert bars == sorted(bars) and len(set(bars)) > 2
        previews = [picture.preview for card in painting for picture in card.pictures]
        assert previews and Image.open(io.BytesIO(previews[-1])).format == "WEBP"


async def test_the_same_event_twice_is_one_job(house: House) -> None:
    origin = house.origin(event="delivered-twice")
    answers = await asyncio.gather(
        *(house.easel.router.handle("imagine", {"prompt": "a fox"}, origin) for _ in range(3))
    )

    [id] = {answer.job.id for answer in answers if isinstance(answer, Receipt)}
    await house.surface.until(id, "done")
    assert len(await house.easel.visibility.jobs(ADA)) == 1
    assert house.surface.posts == 1


async def test_a_style_dresses_the_prompt_but_not_the_card(house: House) -> None:
    job = await house.painted("a fox as pixel art --count 1 --no trees")

    assert job.prompt == "a fox"
    assert job.style == "pixel-art"
    assert "16-bit" in job.request.prompt
    assert job.request.negative_prompt.startswith("trees, ")
    assert "Pixel art" in house.surface.messages[job.id][-1].facts


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "The prompt is empty"),
        ("\u200b\u200d", "The prompt is empty"),
        ("x" * 10_000, "4,000 characters"),
        ("fox --aspct 16:9", "Did you mean --aspect?"),
        ("fox --size 0", "64 to 2048"),
        ("fox --size=-1", "64 to 2048"),
        ("fox --size 1000000000", "64 to 2048"),
        ("fox --size 63x64", "64 to 2048"),
        ("fox --seed -1", "0 to 4294967295"),
        ("fox --seed 4294967296", "0 to 4294967295"),
        ("fox --steps 101", "1 to 100 steps"),
        ("fox --count 5", "4 at once"),
        ("fox --guidance inf", "0 to 30"),
        ("fox --model nothing", "There is memory"),
        ("fox --source 1a2b3c4d5e6f:2", "There is no job"),
    ],
)
async def test_what_is_not_possible_is_said_and_costs_nothing(house: House, text: str, said: str) -> None:
    with pytest.raises(Refusal) as caught:
        await house.ask(text)

    assert said in caught.value.notice
    assert await house.easel.visibility.jobs(ADA) == []
    for offer in caught.value.offers:
        await house.painted(offer.text)


@pytest.mark.parametrize(
    "text", ["🦊🌲❄️", "ثعلب أحمر في الثلج", "\x00a \x07fox\u202e", "@everyone <!channel>"]
)
async def test_every_script_paints(house: House, text: str) -> None:
    job = await house.painted(text, count=1)

    assert job.pictures
    assert "\x00" not in job.prompt and "\u202e" not in job.prompt


async def test_a_new_picture_is_a_source(house: House) -> None:
    file = io.BytesIO()
    Image.new("RGB", (300, 100), "red").save(file, "JPEG")

    job = await house.painted("a fox --strength 0 --count 1", source=file.getvalue())

    assert job.request.width > job.request.height  # the source's shape
    picture = await house.image(job.pictures[0].blob)
    red, green, blue = picture.convert("RGB").getpixel((10, 10))  # type: ignore[misc]
    assert red > 240 and green < 20 and blue < 20


async def test_a_painted_picture_is_a_source(house: House) -> None:
    first = await house.painted("a fox --count 2")
    second = await house.painted(f"a wolf --source {first.id}:2")

    assert second.request.source == next(each.blob for each in first.pictures if each.index == 1)
    assert second.request.task.strength == 0.6


async def test_a_text_file_is_no_source(house: House) -> None:
    with pytest.raises(Refusal, match="PNG, JPEG or WebP"):
        await house.ask("a fox", source=b"this is text")


async def test_an_offer_is_a_button_that_works(opened: Opens) -> None:
    async with opened(tiers=[a_tier(max_count=2)]) as house:
        with pytest.raises(Refusal) as caught:
            await house.ask("a fox --count 4")
        refused = job_cards.refused(caught.value)
        answer = await house.press(button(refused, "Make 2 images"))

        assert isinstance(answer, Receipt)
        assert answer.job.request.count == 2


async def test_defaults_that_no_longer_hold_refuse_nothing(opened: Opens) -> None:
    async with opened(tiers=[a_tier(max_count=4)]) as house:
        await house.easel.router.handle("settings", {"count": 4}, house.origin())
        before = await house.store.preferences(ADA.id)
        await house.store.save_preferences(ADA.id, replace(before, model="gone", style="gone"))
    async with opened(tiers=[a_tier(max_count=2)]) as house:
        job = await house.painted("a fox")
        assert (job.request.count, job.request.model, job.style) == (2, "memory", "")


async def test_defaults_of_a_person_stand_in_for_what_is_not_said(house: House) -> None:
    card = await house.easel.router.handle(
        "settings", {"style": "Oil painting", "count": 1, "aspect": "wide"}, house.origin()
    )
    assert isinstance(card, Card) and "Style: Oil painting" in card.body

    mine = await house.painted("a fox")
    plain = await house.painted("a fox --style none --ar 1:1")
    theirs = await house.painted("a fox", BEN)

    assert (mine.style, mine.request.count) == ("oil-painting", 1)
    assert mine.request.width > mine.request.height
    assert (plain.style, plain.request.width) == ("", plain.request.height)
    assert (theirs.style, theirs.request.count) == ("", 4)

    await house.easel.router.handle("settings", {"reset": True}, house.origin())
    assert (await house.painted("a fox")).style == ""

"""LoRAs as people meet them: typed in every way, allowed here or not, refused in a sentence that helps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bot import prompts
from bot.accounts import tiers
from bot.adapters.base import Receipt
from bot.errors import Refusal
from bot.images.blobs import BlobStore
from bot.prompts import Draft
from bot.prompts.readers import MOST_LORAS
from engine.types import LoraInfo, LoraWeight
from engine.workers.fake import FakeEngine
from tests.scenario.conftest import ADA, BOSS, SMALL, House, Opens

INK = LoraInfo(name="ink", title="Ink wash")
PIXEL = LoraInfo(name="pixel-art", title="Pixel art", terms="non-commercial")
OTHERS = LoraInfo(name="watercolour", title="Watercolour")
FIRST = replace(SMALL, name="first", loras=(INK, PIXEL))
SECOND = replace(SMALL, name="second", loras=(OTHERS,))


@pytest.fixture
async def easel(opened: Opens) -> AsyncIterator[House]:
    async with opened(make_engine=lambda blobs: FakeEngine(blobs.read, models=(FIRST, SECOND))) as house:
        yield house


def read(text: str, **options: object) -> Draft:
    return prompts.parse(text, options)


@pytest.mark.parametrize(
    "text",
    [
        "a fox --lora ink:0.8 --lora pixel-art",
        "a fox --lora ink:.8, pixel-art:1",
        'a fox --loras "ink:0.8, Pixel Art"',
        "a fox <lora:ink:0.8> <lora:pixel-art:1>",
        "<lora:INK:0.8:0.5> a fox <lora:Pixel Art:1>",
        "a --lora ink:0.8 fox <lora:pixel-art:1>",
    ],
)
def test_loras_are_read_as_people_type_them(text: str) -> None:
    draft = read(text)

    assert draft.prompt == "a fox"
    assert set(draft.loras or ()) == {LoraWeight("ink", 0.8), LoraWeight("pixel-art")}
    assert read(prompts.render(draft)) == draft


def test_what_follows_a_lora_stays_in_the_prompt() -> None:
    assert read("--lora ink, a fox: red").prompt == "a fox: red"
    assert read("a fox <lora:ink>").prompt == "a fox <lora:ink>", "other tools write a weight"
    assert read("a fox", loras="ink:-0.5").loras == (LoraWeight("ink", -0.5),)
    assert read("a fox --lora pixel", loras="ink").loras == (LoraWeight("ink"), LoraWeight("pixel"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "a fox --lora ink:lots",
            "LoRAs are names with weights, for example ink:0.8; “ink:lots” is not that.",
        ),
        ("a fox --lora ink:9", "The weight of a LoRA can be -4 to 4; you asked for 9."),
        ("a fox --lora ink --lora ink:0.5", "The LoRA ink is given twice. Keep one."),
        (
            "a fox " + " ".join(f"--lora l{number}" for number in range(MOST_LORAS + 1)),
            "A request may have 8 LoRAs. Leave some out.",
        ),
    ],
)
def test_what_cannot_be_read_is_said(text: str, told: str) -> None:
    with pytest.raises(Refusal) as refused:
        read(text)
    assert refused.value.notice == told


@pytest.mark.parametrize(
    ("text", "told", "offered"),
    [
        (
            "a fox --lora watercolour",
            "The LoRA watercolour is not for first, but for second.",
            ["a fox --lora watercolour --model second", "a fox"],
        ),
        (
            "a fox --lora inc:0.5 --lora pixel-art",
            "There is no LoRA inc that you can use with first. There is: ink, pixel-art.",
            ['a fox --lora "pixel-art, ink:0.5"', "a fox --lora pixel-art"],
        ),
    ],
)
async def test_a_lora_that_the_model_does_not_take_is_refused_with_what_would_do(
    text: str, told: str, offered: list[str], easel: House
) -> None:
    with pytest.raises(Refusal) as refused:
        await easel.ask(text)

    assert refused.value.notice == told
    assert [each.text for each in refused.value.offers] == offered


async def told(house: House, text: str, command: str = "imagine", **options: object) -> str:
    """What somebody is told whose request is refused."""
    origin = house.origin(BOSS if command.startswith("admin") else ADA)
    given = {"prompt": text, **options} if text else options
    with pytest.raises(Refusal) as refused:
        await house.easel.router.handle(command, given, origin)
    return refused.value.notice


async def test_models_without_loras_say_so(opened: Opens) -> None:
    async with opened(make_engine=lambda blobs: FakeEngine(blobs.read, models=(SMALL,))) as house:
        without = f"{SMALL.name} takes no LoRAs here. Leave them out."
        assert await told(house, "a fox <lora:ink:1>") == without


async def test_a_place_allows_loras_as_it_allows_models(easel: House) -> None:
    async def offered() -> list[str]:
        return [name for name, _ in await easel.easel.vocabulary.complete("loras", "", ADA)]

    async def set_here(command: str, **options: object) -> None:
        await easel.easel.router.handle(command, options, easel.origin(BOSS))

    assert await offered() == ["ink", "pixel-art", "watercolour"]
    await set_here("admin set loras", lora="ink", rule="refuse")
    assert await offered() == ["pixel-art", "watercolour"]
    refused = "There is no LoRA ink that you can use with first. There is: pixel-art."
    assert await told(easel, "a fox --lora ink") == refused

    await set_here("admin licence", use="commercial")
    assert await offered() == ["watercolour"], "of a licence that forbids business"
    unknown = "There is no LoRA dust. There are ink, pixel-art, watercolour."
    assert await told(easel, "", "admin set loras", lora="dust", rule="refuse") == unknown

    shown = await easel.easel.router.handle("admin show", {}, easel.origin(BOSS))
    assert "LoRAs refused: ink" in shown.body
    await set_here("admin set loras", lora="watercolour", rule="refuse")
    assert await offered() == [], "a place may go without any"


async def test_a_tier_allows_loras_as_it_allows_models(opened: Opens) -> None:
    rules = tiers.read('[everyone]\nloras = ["ink"]\n', "tiers.toml").all

    def engine(blobs: BlobStore) -> FakeEngine:
        return FakeEngine(blobs.read, models=(FIRST, SECOND))

    async with opened(make_engine=engine, tiers=rules) as house:
        assert await house.easel.vocabulary.complete("loras", "", ADA) == [("ink", "Ink wash")]
        await house.ask("a fox --lora ink")
        refused = "There is no LoRA pixel-art that you can use with first. There is: ink."
        assert await told(house, "a fox --lora pixel-art") == refused


async def test_the_last_of_several_is_completed(easel: House) -> None:
    complete = easel.easel.vocabulary.complete

    assert await complete("loras", "pix", ADA) == [("pixel-art", "Pixel art")]
    assert await complete("loras", "ink:0.8, pix", ADA) == [("ink:0.8, pixel-art", "Pixel art")]


async def test_an_old_job_is_painted_with_the_loras_that_are_left(easel: House) -> None:
    job = await easel.painted("a fox --lora ink:0.5 --lora pixel-art --count 1")
    options = {"lora": "ink", "rule": "refuse"}
    await easel.easel.router.handle("admin set loras", options, easel.origin(BOSS))

    answer = await easel.press(f"v1:again:{job.id}")

    assert isinstance(answer, Receipt)
    assert answer.job.request.loras == (LoraWeight("pixel-art"),)
    assert "LoRAs that cannot be used here were left out." in answer.job.note

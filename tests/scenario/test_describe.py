"""/describe, /shorten and /expand: words with buttons, which cost nothing and paint only when pressed."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from PIL import Image

from bot import actions
from bot.adapters import cli
from bot.adapters.base import Receipt
from bot.describing import service
from bot.describing.service import OFTEN, DescribeService
from bot.errors import Refusal
from bot.images.picture_process import Unanswered
from bot.messages.types import Button, Card, Form
from bot.models import Member
from bot.rewriting.service import RewriteService
from bot.rewriting.text_model import TextModel
from tests.scenario.conftest import ADA, BEN, EVE, House


class Said:
    """A describer that says what it is told to, or nothing."""

    def __init__(self, *prompts: str) -> None:
        self.prompts = list(prompts)
        self.pictures: list[bytes] = []
        self.free = asyncio.Event()
        self.free.set()
        self.fails = False

    async def describe(self, picture: bytes) -> list[str]:
        self.pictures.append(picture)
        await self.free.wait()
        if self.fails:
            raise Unanswered("broken")
        return self.prompts

    async def close(self) -> None:
        self.free.set()


def png(picture: Image.Image, format: str = "PNG") -> bytes:
    out = io.BytesIO()
    picture.save(out, format)
    return out.getvalue()


PICTURE = png(Image.new("RGB", (64, 64), "red"))


def describing(house: House) -> DescribeService:
    return house.easel.router._describe


def rewriting(house: House) -> RewriteService:
    return house.easel.router._rewriting


@pytest.fixture
def said(house: House) -> Said:
    """In place of the classifier that ships."""
    describer = Said("a red fox, 3d, on a blue background", "a dog")
    describing(house)._drawings = describer
    return describer


async def asked(house: House, command: str, member: Member = ADA, **options: object) -> Card:
    answer: Any = await house.easel.router.handle(command, options, house.origin(member))
    assert isinstance(answer, Card) and answer.private
    return answer


def buttons(card: Card) -> list[Button]:
    return [each for row in card.rows for each in row]


# ---- what a picture shows


async def test_each_suggestion_has_a_button_that_paints_it(house: House, said: Said) -> None:
    card = await asked(house, "describe", picture=PICTURE)

    assert card.body == ("1. a red fox, 3d, on a blue background", "2. a dog")
    assert [each.label for each in buttons(card)] == ["Paint 1", "Paint 2"]
    assert await house.easel.visibility.jobs(ADA) == []
    for button, prompt in zip(buttons(card), said.prompts, strict=True):
        receipt: Any = await house.easel.router.press(button.id, house.origin(ADA))
        assert isinstance(receipt, Receipt) and receipt.job.prompt == prompt


async def test_describing_costs_nothing(house: House, said: Said) -> None:
    before = await asked(house, "quota")
    await asked(house, "describe", picture=PICTURE)
    assert await asked(house, "quota") == before


async def test_a_job_s_picture_is_named_or_pressed(house: House, said: Said) -> None:
    job = await house.painted("a fox --count 2")
    files = [await house.easel.images.get(each.blob) for each in job.singles]

    await asked(house, "describe", picture=f"{job.id}:2")
    await asked(house, "describe", message=job.id)
    pressed = await house.press(f"v1:describe:{job.id}:1")

    assert said.pictures == [files[1], files[0], files[1]]
    assert isinstance(pressed, Card) and pressed.private and len(buttons(pressed)) == 2
    rows = (await house.press(f"v1:pick:{job.id}:0")).rows
    behind = [actions.parse(each.id) for row in rows for each in row]
    assert ("describe", 0) in [(each.name, each.index) for each in behind]


async def test_private_pictures_of_others_stay_closed(house: House, said: Said) -> None:
    hidden = await house.painted("a fox --count 1 --private")
    open_one = await house.painted("a fox --count 1")
    for member, named in ((BEN, hidden.id), (EVE, open_one.id), (BEN, f"{hidden.id}:1")):
        with pytest.raises(Refusal, match="There is no job"):
            await asked(house, "describe", member, picture=named)
        with pytest.raises(Refusal, match="There is no job"):
            job = named.partition(":")[0]
            await house.easel.router.press(f"v1:describe:{job}:0", house.origin(member))
    with pytest.raises(Refusal, match="There is no image 3"):
        await asked(house, "describe", picture=f"{open_one.id}:3")
    assert said.pictures == []


async def test_what_moderation_refuses_is_not_suggested(house: House, said: Said) -> None:
    said.prompts = ["a naked woman having sex", "a dog"]
    card = await asked(house, "describe", picture=PICTURE)
    assert card.body == ("1. a dog",)
    assert await house.easel.router._store.strikes(ADA.id, ADA.tenant) == []


async def test_where_nothing_may_be_painted_there_are_words_and_no_buttons(house: House, said: Said) -> None:
    said.prompts = ["a dog --count 400"]
    card = await asked(house, "describe", picture=PICTURE)
    assert card.body == ("1. a dog --count 400",) and card.rows == ()


async def test_what_nobody_recognises_is_said_in_one_sentence(house: House, said: Said) -> None:
    said.prompts = []
    card = await asked(house, "describe", picture=PICTURE)
    assert card.body == (service.NOTHING,) and card.rows == ()
    said.fails = True
    assert (await asked(house, "describe", picture=PICTURE)).body == (service.NOTHING,)


@pytest.mark.parametrize(
    ("picture", "why"),
    [
        (b"no picture", "isn't a PNG"),
        (b"", "Give an image"),
        (PICTURE[:60], "damaged"),
    ],
)
async def test_bad_pictures_get_one_sentence(house: House, said: Said, picture: bytes, why: str) -> None:
    with pytest.raises(Refusal, match=why):
        await asked(house, "describe", picture=picture)


@pytest.mark.parametrize(
    "picture", [Image.new("RGB", (1, 1)), Image.new("CMYK", (9, 9)), Image.new("I;16", (9, 9))]
)
async def test_odd_pictures_are_looked_at(house: House, said: Said, picture: Image.Image) -> None:
    format = "JPEG" if picture.mode == "CMYK" else "PNG"
    assert buttons(await asked(house, "describe", picture=png(picture, format)))


async def test_nobody_asks_without_end(house: House, said: Said) -> None:
    for _ in range(OFTEN):
        await asked(house, "describe", picture=PICTURE)
    with pytest.raises(Refusal, match="You asked about many images"):
        await asked(house, "describe", picture=PICTURE)
    await asked(house, "describe", BEN, picture=PICTURE)


async def test_a_captioning_model_comes_first_and_the_classifier_stands_in(
    house: House, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    captions = Said("a cat on a sofa")
    describing(house)._captions = captions
    assert (await asked(house, "describe", picture=PICTURE)).body == ("1. a cat on a sofa",)

    captions.fails = True
    assert (await asked(house, "describe", picture=PICTURE)).body[-1] == "2. a dog"

    monkeypatch.setattr(service, "PATIENCE", 0.01)
    captions.fails = False
    captions.free.clear()
    late = (await asked(house, "describe", picture=PICTURE)).body
    assert late[-1].startswith("The captioning model is not ready yet") and "2. a dog" in late
    count = len(captions.pictures)
    assert (await asked(house, "describe", picture=PICTURE)).body == late
    assert len(captions.pictures) == count  # it is not asked again meanwhile
    captions.free.set()
    await asyncio.gather(*describing(house)._asking)
    assert (await asked(house, "describe", picture=PICTURE)).body == ("1. a cat on a sofa",)


# ---- shorter and longer


async def test_new_words_are_shown_beside_the_old_and_nothing_is_painted(house: House) -> None:
    text = "please paint a very red fox, masterpiece --ar 16:9 --seed 7"
    card = await asked(house, "shorten", prompt=text)

    assert card.body == ("a red fox", "Before: please paint a very red fox, masterpiece")
    paint, edit, undo = buttons(card)
    assert (paint.label, edit.label, undo.label) == ("Paint this", "Edit", "Undo")
    assert await house.easel.visibility.jobs(ADA) == []

    form: Any = await house.easel.router.press(edit.id, house.origin(ADA))
    assert isinstance(form, Form) and form.command == "imagine"
    assert (form.values["prompt"], form.values["aspect"], form.values["seed"]) == ("a red fox", "16:9", "7")

    former: Any = await house.easel.router.press(undo.id, house.origin(ADA))
    assert former.body == ("please paint a very red fox, masterpiece",)
    for card_now, prompt in ((card, "a red fox"), (former, "please paint a very red fox, masterpiece")):
        receipt: Any = await house.easel.router.press(buttons(card_now)[0].id, house.origin(ADA))
        assert (receipt.job.prompt, receipt.job.request.seed) == (prompt, 7)


async def test_a_prompt_is_made_longer(house: House) -> None:
    card = await asked(house, "expand", prompt="a red fox --count 1")
    assert card.body[0].startswith("a red fox, on a plain, light background")
    receipt: Any = await house.easel.router.press(buttons(card)[0].id, house.origin(ADA))
    assert receipt.job.prompt == card.body[0] and receipt.job.request.count == 1


@pytest.mark.parametrize("command", ["shorten", "expand"])
async def test_where_nothing_is_to_be_changed_it_says_so(house: House, command: str) -> None:
    settled = "a closeup of fine fur at night in a forest"
    card = await asked(house, command, prompt=settled if command == "expand" else "a fox")
    assert card.body[0].startswith("There is nothing to") and card.rows == ()


@pytest.mark.parametrize("command", ["shorten", "expand"])
async def test_what_may_not_be_painted_is_refused_as_by_imagine(house: House, command: str) -> None:
    for text, why in (
        ("", "needs a prompt"),
        ("--count 4", "Describe"),
        ("a {red, blue} fox", "one prompt at a time"),
        ("a fox --count 400", "400"),
    ):
        with pytest.raises(Refusal, match=why):
            await asked(house, command, prompt=text)
    with pytest.raises(Refusal) as caught:
        await asked(house, command, prompt="a naked woman having sex")
    assert caught.value.code == "moderation"


async def test_a_button_is_one_person_s(house: House) -> None:
    card = await asked(house, "shorten", prompt="please, a very red fox")
    for button in buttons(card)[1:]:
        with pytest.raises(Refusal, match="This offer has expired"):
            await house.easel.router.press(button.id, house.origin(BEN))


@pytest.fixture
async def chat(house: House) -> AsyncIterator[dict[str, Any]]:
    """A chat model that says `words`; its address is the service's."""
    state: dict[str, Any] = {"words": "a vivid red fox, autumn light, in a birch forest, seen from below"}

    async def complete(request: web.Request) -> web.Response:
        state["asked"] = await request.json()
        return web.json_response({"choices": [{"message": {"content": state["words"]}}]})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    async with TestServer(app, host="127.0.0.1") as server:
        model = rewriting(house)._model = TextModel(str(server.make_url("/v1")), "tiny", patience=20.0)
        yield state
        await model.close()


async def test_a_text_model_s_words_come_in_place_of_the_rules(house: House, chat: dict[str, Any]) -> None:
    card = await asked(house, "expand", prompt="a red fox --ar 1:1")
    assert card.body == (chat["words"], "Before: a red fox")
    assert chat["asked"]["messages"][1]["content"] == "a red fox"
    receipt: Any = await house.easel.router.press(buttons(card)[0].id, house.origin(ADA))
    assert receipt.job.prompt == chat["words"]


async def test_what_a_text_model_says_is_read_by_moderation(house: House, chat: dict[str, Any]) -> None:
    chat["words"] = "a naked woman having sex with a red fox in a birch forest"
    card = await asked(house, "expand", prompt="a red fox")
    assert card.body[0].startswith("a red fox, on a plain") and card.body[-1].startswith("By rules")
    assert await house.easel.router._store.strikes(ADA.id, ADA.tenant) == []


async def test_a_text_model_that_is_down_is_said(house: House, unused_tcp_port: int) -> None:
    model = rewriting(house)._model = TextModel(f"http://127.0.0.1:{unused_tcp_port}/v1", "tiny")
    card = await asked(house, "shorten", prompt="please, a very red fox")
    assert card.body[-1] == "By rules: the text model gives no answer now."
    await model.close()


async def test_the_classifier_that_ships_answers_for_a_real_picture(house: House, tmp_path: Path) -> None:
    """Its process, its weights, its words: nothing stands in for any of them."""
    card = await asked(house, "describe", picture=PICTURE)
    assert card.body and card.title == "What this image shows"


async def test_the_command_line_describes_files(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "good.png", tmp_path / "bad.png"
    good.write_bytes(PICTURE)
    bad.write_bytes(b"no picture")

    assert await cli.describe(house.settings, [good, bad], as_json=False) == 1
    assert await cli.describe(house.settings, [good], as_json=True) == 0

    heard = capsys.readouterr()
    plain, told = heard.out.rstrip("\n").rsplit("\n", maxsplit=1)
    (found,) = json.loads(told)
    assert found["file"] == str(good)
    assert plain.splitlines() == [f"{good}: {each}" for each in found["prompts"] or [service.NOTHING]]
    assert f"{bad}: That isn't a PNG" in heard.err

"""Which picture is closest to a prompt, as the classifier that ships and configured models tell it."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageDraw

from bot.describing import judging
from bot.describing.judging import Choice, DrawingScorer, Judging, ModelScorer, wanted_of
from bot.images.picture_process import Unanswered
from engine.embedded import CLASSIFIER
from engine.embedded.training import captions, style

NAMES: list[str] = json.loads((CLASSIFIER / "concepts.json").read_text())
BESIDE = [["left", "right"], ["right", "left"], ["top", "bottom"], ["bottom", "top"]]


def png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def disc(colour: str, ground: tuple[int, int, int], at: Sequence[int] = (64, 64, 192, 192)) -> bytes:
    picture = Image.new("RGB", (256, 256), ground)
    ImageDraw.Draw(picture).ellipse(list(at), fill=colour)
    return png(picture)


# ---- what a prompt asks for


@pytest.mark.parametrize(
    ("prompt", "things", "places", "colour", "ground"),
    [
        ("a red heart on a blue background", ["red heart"], [], "red", "blue"),
        ("A Rocket, please", ["rocket"], [], "", ""),
        ("an owl on a light green background", ["owl"], [], "", "light green"),
        ("three cars", ["automobile"], [], "", ""),
        ("a blue car", ["automobile"], [], "blue", ""),
        ("a star above a house", ["star", "house"], [["top", "bottom"]], "", ""),
        ("a fox under an umbrella", ["fox", "umbrella"], [["bottom", "top"]], "", ""),
        ("an owl to the right of a rocket", ["owl", "rocket"], [["right", "left"]], "", ""),
        ("an owl on the left and a rocket on the right", ["owl", "rocket"], [["left", "right"]], "", ""),
        ("a pizza next to a red fox", ["pizza", "fox"], BESIDE, "", ""),
        ("ein roter Fuchs auf hellblauem Hintergrund", ["fox"], [], "red", "light blue"),
        ("eine Eule über einem Pferd", ["owl", "horse"], [["top", "bottom"]], "", ""),
        ("my uncle at work", [], [], "", ""),
    ],
)
def test_a_prompt_is_read(
    prompt: str, things: list[str], places: list[list[str]], colour: str, ground: str
) -> None:
    wanted = wanted_of(prompt)

    read = [[NAMES[number] for number in each] for each in wanted["things"]]
    assert len(read) == len(things)
    assert all(thing in each for thing, each in zip(things, read, strict=True)), read
    assert (wanted["places"], wanted["colour"], wanted["ground"]) == (places, colour, ground)


def test_a_thing_may_be_any_of_the_concepts_that_are_called_so() -> None:
    (things,) = wanted_of("a heart")["things"]
    assert {"red heart", "blue heart", "green heart"} <= {NAMES[number] for number in things}
    (things,) = wanted_of("a dog")["things"]
    assert {NAMES[number] for number in things} == {"dog", "dog face"}


def test_the_nouns_that_ship_are_those_of_the_training() -> None:
    words = json.loads((CLASSIFIER / "words.json").read_text())
    assert words == json.loads(json.dumps(style.words_of(NAMES)))
    for number, name in enumerate(NAMES):
        assert number in words["nouns"][name]
        assert number in words["nouns"][captions.plural(name)]


# ---- the classifier that ships


@pytest.fixture
async def drawings() -> AsyncIterator[DrawingScorer]:
    made = DrawingScorer()
    yield made
    await made.close()


async def best(scorer: judging.Scorer, prompt: str, *pictures: bytes) -> int:
    choice = await Judging(scorer, None).choose("job", prompt, pictures, "drawings")
    assert not choice.note
    return choice.place


WHITE, BLUE, GREEN = (255, 255, 255), (52, 120, 220), (76, 175, 80)


@pytest.mark.parametrize(
    ("prompt", "right"),
    [
        ("a red thing on a blue background", 3),
        ("a yellow thing on a blue background", 2),
        ("a red thing on a white background", 1),
        ("ein gelbes Ding auf weißem Hintergrund", 0),
    ],
)
async def test_colour_and_ground_both_count(drawings: DrawingScorer, prompt: str, right: int) -> None:
    pictures = [disc(colour, ground) for ground in (WHITE, BLUE) for colour in ("gold", "#d01010")]
    assert await best(drawings, prompt, *pictures) == right
    assert await best(drawings, prompt, *reversed(pictures)) == 3 - right


async def test_a_picture_of_nothing_is_never_the_closest(drawings: DrawingScorer) -> None:
    plain = png(Image.new("RGB", (256, 256), BLUE))
    assert await best(drawings, "a red thing on a blue background", plain, disc("red", BLUE)) == 1


@pytest.mark.parametrize("size", [(1, 1), (2000, 30), (64, 512)])
async def test_pictures_of_any_size_are_scored(drawings: DrawingScorer, size: tuple[int, int]) -> None:
    for prompt in ("a red heart on a blue background", "a cat next to a pizza"):
        assert isinstance(await drawings.score(prompt, png(Image.new("RGBA", size))), float)


async def test_what_it_knows_nothing_of_is_said(drawings: DrawingScorer) -> None:
    choice = await Judging(drawings, None).choose("job", "my uncle", [disc("red", BLUE)] * 3, "drawings")
    assert choice == Choice(0, judging.UNKNOWN.format(count=3))


async def test_a_damaged_picture_or_a_late_answer_is_no_choice_and_the_next_is_one(
    drawings: DrawingScorer,
) -> None:
    judge = Judging(drawings, None)
    unanswered = Choice(0, judging.UNANSWERED.format(count=2))
    assert await judge.choose("job", "a red thing", [b"no picture"] * 2, "drawings") == unanswered
    late = Judging(drawings, None, patience=0.0)
    assert await late.choose("job", "a red thing", [disc("red", BLUE)] * 2, "drawings") == unanswered
    assert await best(drawings, "a red thing", disc("gold", WHITE), disc("red", WHITE)) == 1


async def test_a_model_whose_judge_is_gone_has_no_choice(drawings: DrawingScorer) -> None:
    for judge in ("model", ""):
        choice = await Judging(drawings, None).choose("job", "a fox", [b""] * 2, judge)  # type: ignore[arg-type]
        assert choice == Choice(0, judging.UNANSWERED.format(count=2))


# ---- a configured model


def tokenizer(folder: Path) -> Any:
    from transformers import CLIPTokenizer

    words = ["a", "r", "e", "d", "a</w>", "red</w>", "fox</w>", "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))


def tiny(kind: str, folder: Path) -> Path:
    """The smallest model of a kind, with weights of chance."""
    from transformers import (
        CLIPConfig,
        CLIPImageProcessor,
        CLIPModel,
        CLIPProcessor,
        SiglipConfig,
        SiglipImageProcessor,
        SiglipModel,
        SiglipProcessor,
    )

    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**small, "vocab_size": 16, "max_position_embeddings": 12, "bos_token_id": 7, "eos_token_id": 8,
            "pad_token_id": 8, "projection_size": 16}  # fmt: skip
    vision = {**small, "image_size": 32, "patch_size": 16}
    torch.manual_seed(1)
    if kind == "clip":
        CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(
            folder
        )
        images: Any = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
        CLIPProcessor(images, tokenizer(folder)).save_pretrained(folder)
    else:
        SiglipModel(SiglipConfig(text_config=text, vision_config=vision)).save_pretrained(folder)
        images = SiglipImageProcessor(size={"height": 32, "width": 32})
        SiglipProcessor(images, tokenizer(folder)).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["clip", "siglip"])
async def test_a_folder_with_a_model_judges(kind: str, tmp_path: Path) -> None:
    scorer = ModelScorer(str(tiny(kind, tmp_path)))
    red, blue = disc("red", WHITE), disc("blue", GREEN)
    scores = [await scorer.score("a red fox", each) for each in (red, blue)]
    assert None not in scores and scores[0] != scores[1]
    assert await scorer.score("a red fox " * 300, red) is not None
    choice = await Judging(DrawingScorer(), scorer).choose("job", "a red fox", [red, blue], "model")
    assert choice == Choice(scores.index(max(scores)))  # type: ignore[type-var]
    await scorer.close()


@pytest.mark.parametrize("damage", ["absent", "pickle", "another kind"])
async def test_only_safetensors_of_a_known_kind_are_loaded(tmp_path: Path, damage: str) -> None:
    folder = tiny("clip", tmp_path)
    match damage:
        case "absent":
            shutil.rmtree(folder)
        case "pickle":
            (folder / "model.safetensors").unlink()
            torch.save({}, folder / "pytorch_model.bin")
        case _:
            config = json.loads((folder / "config.json").read_text())
            (folder / "config.json").write_text(json.dumps({**config, "model_type": "bert"}))
    scorer = ModelScorer(str(folder))
    with pytest.raises(Unanswered):
        await scorer.score("a red fox", disc("red", WHITE))

"""What the classifier that ships, or a captioning model, says of a picture; what becomes of its words."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import shutil
import sys
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bot import prompts
from bot.describing.describers import CaptionDescriber, DrawingDescriber, prompts_of
from bot.images.picture_process import Unanswered
from engine.describing import drawings
from engine.describing.captions import Captioner
from engine.describing.drawings import SIDE, DrawingNetwork, colour_words
from engine.embedded import CLASSIFIER, PIPELINE, evaluate
from engine.embedded.evaluate.classifier import Judge
from engine.embedded.training import captions, style

ASKED = {
    "a red heart": ("heart", "red", ""),
    "a sunflower": ("sunflower", "", ""),
    "an owl on a yellow background": ("owl", "", "yellow"),
    "a red car": ("car", "red", ""),
    "a green apple on a light blue background": ("green apple", "", "light blue"),
    "a strawberry": ("strawberry", "", ""),
    "a pizza": ("pizza", "", ""),
    "a blue book": ("book", "blue", ""),
}
"""Prompts, and what is to be said of their pictures: thing, colour, ground."""


def png(picture: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def network() -> DrawingNetwork:
    return DrawingNetwork(CLASSIFIER)


@pytest.fixture
async def describer() -> AsyncIterator[DrawingDescriber]:
    made = DrawingDescriber()
    yield made
    await made.close()


@pytest.fixture(scope="module")
def painted() -> dict[str, bytes]:
    """Fresh pictures of the shipped model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # diffusers' own, at import
        painter = evaluate.Painter.load(PIPELINE, evaluate.EvaluationSettings())
    made = painter.draw(list(ASKED), 4_000)
    arrays = (made * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return {prompt: png(Image.fromarray(array)) for prompt, array in zip(ASKED, arrays, strict=True)}


def test_numpy_and_torch_see_the_same(network: DrawingNetwork) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    odds, _ = network.look(pixels)
    judge = Judge.load()
    with torch.inference_mode():
        wanted = judge.network(torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255).softmax(1)[0]
    assert odds.tolist() == pytest.approx(wanted.tolist(), abs=1e-5)


async def test_fresh_pictures_are_described(painted: dict[str, bytes], describer: DrawingDescriber) -> None:
    said = {prompt: await describer.describe(picture) for prompt, picture in painted.items()}
    named = [thing for thing, _, _ in ASKED.values()]
    right = [any(thing in each for each in said[prompt]) for prompt, thing in zip(ASKED, named, strict=True)]
    assert sum(right) >= 6, said
    for prompt, (_thing, colour, ground) in ASKED.items():
        assert all((f"on a {ground} background" in each) == bool(ground) for each in said[prompt]), said
        assert not colour or any(colour in each for each in said[prompt]), said
    for each in itertools.chain.from_iterable(said.values()):
        read = prompts.parse(each)
        assert read.prompt == (each.removesuffix(", 3d") if read.style == "3d" else each)


def test_a_thing_comes_with_its_colour_style_and_ground() -> None:
    facts = {"things": ["a fox"], "style": "3d", "ground": "blue", "colour": "red"}
    assert prompts_of(facts) == ["a red fox, 3d, on a blue background"]


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"things": ["a fox", "a dog"], "colour": "orange"}, ["an orange fox", "an orange dog"]),
        ({"things": ["a blue book"], "colour": "blue"}, ["a blue book"]),
        ({"things": ["grapes"], "colour": "purple"}, ["purple grapes"]),
        ({"things": ["an owl"], "ground": "orange"}, ["an owl on an orange background"]),
        ({"things": ["an owl"], "ground": "white"}, ["an owl"]),
        ({"things": ["an owl", "an owl"]}, ["an owl"]),
        ({"things": [], "ground": "blue"}, []),
    ],
)
def test_facts_become_prompts(facts: dict[str, Any], said: list[str]) -> None:
    assert prompts_of({"style": "", "ground": "", "colour": "", **facts}) == said


def test_every_thing_is_a_prompt_that_is_read_as_it_stands(network: DrawingNetwork) -> None:
    words = json.loads((CLASSIFIER / "words.json").read_text())
    names = json.loads((CLASSIFIER / "concepts.json").read_text())
    assert words["things"] == [captions.article(captions.short_name(name)) for name in names]
    assert set(words["grounds"]) == {"white", *captions.BACKGROUNDS}
    for each in words["things"]:
        assert prompts.parse(each).prompt == each


@pytest.mark.parametrize(
    "picture",
    [
        Image.new("RGB", (1, 1), "red"),
        Image.new("L", (64, 64), 128),
        Image.new("RGBA", (300, 20), (0, 0, 0, 0)),
        Image.new("RGB", (2000, 30), "blue"),
        Image.effect_noise((256, 256), 80),
    ],
)
async def test_whatever_it_is_something_or_nothing_is_said(
    describer: DrawingDescriber, picture: Image.Image
) -> None:
    assert all(isinstance(each, str) and each for each in await describer.describe(png(picture)))


@pytest.mark.parametrize("picture", [b"", b"no picture", png(Image.new("RGB", (9, 9)), "JPEG")])
async def test_what_cannot_be_read_is_no_answer_and_the_next_is(
    describer: DrawingDescriber, picture: bytes
) -> None:
    with pytest.raises(Unanswered):
        await describer.describe(picture)
    assert await describer.describe(png(Image.new("RGB", (64, 64), "white"))) is not None


async def test_a_late_answer_is_no_answer_and_never_that_of_the_next(
    painted: dict[str, bytes], describer: DrawingDescriber
) -> None:
    await describer.describe(painted["a sunflower"])
    describer._patience = 0.0
    with pytest.raises(Unanswered, match="no answer"):
        await describer.describe(painted["a sunflower"])
    describer._patience = 60.0
    assert "heart" in (await describer.describe(painted["a red heart"]))[0]


async def test_many_at_once_are_each_told_their_own(
    painted: dict[str, bytes], describer: DrawingDescriber
) -> None:
    said = await asyncio.gather(
        *(describer.describe(painted[each]) for each in ("a red heart", "a pizza") * 3)
    )
    assert ["heart" in each[0] for each in said] == [True, False] * 3


def test_a_plain_ground_is_told_and_a_scene_is_none() -> None:
    grounds = {word: list(rgb) for word, rgb in captions.BACKGROUNDS.items()} | {"white": [255, 255, 255]}
    for word, rgb in captions.BACKGROUNDS.items():
        plain = np.full((SIDE, SIDE, 3), rgb, np.uint8)
        assert drawings.ground_of(plain, grounds) == word
    scene = np.zeros((SIDE, SIDE, 3), np.uint8)
    scene[: SIDE // 2] = 255
    assert drawings.ground_of(scene, grounds) == ""


def test_a_colour_is_told_where_it_is_that_of_most() -> None:
    white = np.full((SIDE, SIDE, 3), 255, np.uint8)
    assert drawings.main_colour(white) == ""
    red = white.copy()
    red[20:44, 20:44] = (200, 20, 20)
    assert drawings.main_colour(red) == "red"
    red[20:44, 30:44] = (20, 20, 200)
    red[20:32, 20:30] = (20, 200, 20)
    assert drawings.main_colour(red) == "blue"
    assert colour_words(np.array([[0, 0, 250.0]], np.float32)).tolist() == ["white"]


def test_the_style_is_learned_from_what_is_painted(tmp_path: Path) -> None:
    """Two kinds of pictures that anybody can tell apart; the figures are those of concepts kept aside."""
    for name in ("classifier.safetensors", "concepts.json"):
        (tmp_path / name).write_bytes((CLASSIFIER / name).read_bytes())
    wanted = [
        style.StyledPicture("", concept, kind)
        for concept in ("fox", "dog", "cat", "owl", "bear", "pig", "cow")
        for kind in ("3d", "noto") * 4
    ]
    dice = np.random.default_rng(1)
    smooth = lambda: np.full((SIDE, SIDE, 3), dice.integers(60, 200), np.uint8)  # noqa: E731
    rough = lambda: dice.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)  # noqa: E731

    figures = style.fit(wanted, (smooth() if each.own else rough() for each in wanted), tmp_path)

    assert figures["own_style_told"] == 1 and figures["other_styles_told"] == 0
    assert DrawingNetwork(tmp_path).own_style(DrawingNetwork(tmp_path).look(smooth())[1]) > 0.6


# ---- a captioning model


@pytest.fixture(scope="module")
def captioner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest BLIP, with weights of chance."""
    from transformers import (
        BertTokenizer,
        BlipConfig,
        BlipForConditionalGeneration,
        BlipImageProcessor,
        BlipProcessor,
    )

    folder = tmp_path_factory.mktemp("blip")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "a", "red", "fox", "in", "snow"]
    (folder / "vocab.txt").write_text("\n".join(words))
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**small, "vocab_size": len(words), "encoder_hidden_size": 16, "bos_token_id": 5,
            "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0}  # fmt: skip
    torch.manual_seed(1)
    config = BlipConfig(
        text_config=text, vision_config={**small, "image_size": 32, "patch_size": 16}, projection_dim=8
    )
    model = BlipForConditionalGeneration(config)
    model.save_pretrained(folder, safe_serialization=True)
    images = BlipImageProcessor(size={"height": 32, "width": 32})
    BlipProcessor(images, BertTokenizer(str(folder / "vocab.txt"))).save_pretrained(folder)
    return folder


async def test_a_captioning_folder_says_several_captions(captioner: Path) -> None:
    describer = CaptionDescriber(str(captioner))
    said = await describer.describe(png(Image.new("RGB", (80, 50), "red")))
    assert 1 <= len(said) <= 3 and len(set(said)) == len(said)
    assert await describer.describe(png(Image.new("RGB", (80, 50), "red"))) == said
    await describer.close()


async def test_a_model_that_is_absent_is_no_answer(tmp_path: Path) -> None:
    describer = CaptionDescriber(str(tmp_path / "model"))
    with pytest.raises(Unanswered):
        await describer.describe(png(Image.new("RGB", (80, 50), "red")))
    await describer.close()


@pytest.mark.parametrize("damage", ["pickle", "code"])
def test_only_safetensors_are_loaded_and_no_code_is_run(captioner: Path, tmp_path: Path, damage: str) -> None:
    folder, ran = tmp_path / "model", tmp_path / "ran"
    shutil.copytree(captioner, folder)
    if damage == "pickle":
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    if damage == "code":
        (folder / "theirs.py").write_text(f"open({str(ran)!r}, 'w').close()\n")
        config = json.loads((folder / "config.json").read_text())
        config |= {"model_type": "theirs", "auto_map": {"AutoConfig": "theirs.Config",
                   "AutoModelForImageTextToText": "theirs.Model"}}  # fmt: skip
        (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises((OSError, ValueError), match="safetensors" if damage == "pickle" else "theirs|code"):
        Captioner(str(folder))
    assert not ran.exists()


@pytest.mark.parametrize("answer", ["null", "{}", '{"captions": [1]}', '{"captions": null}', "no JSON", ""])
async def test_an_answer_that_is_no_caption_is_no_answer(answer: str) -> None:
    describer = CaptionDescriber("unused")
    describer._command = (sys.executable, "-Ic", f"print({answer!r})")
    with pytest.raises(Unanswered):
        await describer.describe(png(Image.new("RGB", (8, 8))))
    await describer.close()


async def test_the_captioning_process_sees_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", "secret")
    monkeypatch.setenv("HF_HOME", "/models")
    seen = CaptionDescriber("unused")._environment
    assert seen["HF_HOME"] == "/models" and "secret" not in seen.values()

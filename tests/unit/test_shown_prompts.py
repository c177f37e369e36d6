"""The prompts that Easel shows to people hold up with the model that ships: its judge names what it sees.

Whoever shows another prompt adds it to SHOWN, after a look at its pictures.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bot import __main__ as cli
from bot import commands, prompts
from bot.accounts import tiers
from bot.adapters.web.composer import TO_TRY
from engine import catalog
from engine.embedded.evaluate import _nearest, cut_out, middle
from engine.embedded.evaluate.classifier import Judge
from engine.embedded.training import captions, scenes
from engine.pipelines import run as pipelines
from engine.pipelines.components import DeviceMemory
from engine.pipelines.upscale import Upscaler

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
SEED = 1  # where a prompt is shown without one
MODEL = "easel-tiny"


@dataclass(frozen=True)
class Seen:
    """What must be seen: one of these concepts, in this colour, on this ground, so many times."""

    concepts: tuple[str, ...]
    colour: str = ""
    ground: str = "white"
    copies: int = 1


FOX, CAR, HEART = Seen(("fox",), "red"), Seen(("automobile",), "red"), Seen(("red heart",), "red")
SUNFLOWER = Seen(("sunflower",))
SHOWN = {
    "a red fox": FOX,
    "a red fox on a light blue background --seed 7": Seen(("fox",), ground="light blue"),
    "a red heart": HEART,
    "a red heart --seed 7 --count 1": HEART,
    "a red car --ar 16:9": CAR,
    "a sunflower --count 2 --seed 7 --no text": SUNFLOWER,
    "a sunflower --seed 7 --no text, blurry": SUNFLOWER,
    "two pictures of a car as 3d render, wide": Seen(("automobile",)),
    'a sunflower --style "3d render" --count 2': SUNFLOWER,
    "a 3d rocket": Seen(("rocket",)),
    "three apples": Seen(("red apple",), copies=3),
    "an owl on a yellow background": Seen(("owl",), ground="yellow"),
}


def shown() -> set[str]:
    """Every prompt that documentation, help and the empty channel give as an example."""
    imagine = commands.command("imagine")
    found = {*TO_TRY, *imagine.examples, prompts.PARAMS["prompt"].example}
    for page in PAGES:
        text = page.read_text()
        found.update(re.findall(r"`(?:/imagine|@Easel) ([^`/][^`\n]*)`", text))
        found.update(re.findall(r"`([^`/\n]+ --seed [^`\n]+|two pictures of [^`\n]+)`", text))
        found.update(_typed(text))
    return found | set(_typed(cli.EXAMPLES))


def _typed(text: str) -> Iterator[str]:
    """Prompts of `python -m bot imagine "…"` lines, without what only the command line has."""
    for words, flags in re.findall(r'-m bot imagine "([^"]+)"(.*)', text):
        if "--source" not in flags:  # it depends on the picture
            yield words + re.sub(r" --(out \S+|json)", "", flags)


@pytest.fixture(scope="module")
def model() -> pipelines.Loaded:
    return pipelines.load(
        catalog.load([MODEL]).entry(MODEL), DeviceMemory.of(torch.device("cpu"), 0), Upscaler.load()
    )


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge.load()


def pictures(model: pipelines.Loaded, text: str) -> list[Tensor]:
    """What a person gets who types that, as the product paints it; two pictures where no seed is shown."""
    draft = prompts.parse(text)
    request = prompts.compose(draft, [catalog.load([MODEL]).info(MODEL)], tiers.load().default)
    if draft.seed is None:
        request = replace(request, seed=SEED, count=min(2, request.count))
    with torch.no_grad():
        return [
            pipelines.paint(model, request, index, (), lambda *step: None) for index in range(request.count)
        ]


def parts(picture: Tensor, copies: int) -> list[Tensor]:
    """The squares in which one thing each is to be seen."""
    if copies == 1:
        return [middle(picture[None])[0]]
    scale = picture.shape[-1] // scenes.SIDE
    boxes = [(box.left * scale, box.top * scale, box.side * scale) for box in scenes.copies(0, copies)]
    return [picture[:, top : top + side, left : left + side] for left, top, side in boxes]


def test_every_prompt_that_is_shown_was_looked_at() -> None:
    assert shown() == SHOWN.keys()


@pytest.mark.parametrize("text", sorted(SHOWN))
def test_a_shown_prompt_holds_up(model: pipelines.Loaded, judge: Judge, text: str) -> None:
    seen = SHOWN[text]
    grounds = {word: torch.tensor(rgb) / 255 for word, rgb in captions.BACKGROUNDS.items()}
    for picture in pictures(model, text):
        for part in parts(picture, seen.copies):
            assert judge.names[int(judge.scores(part[None]).argmax())] in seen.concepts
        assert _nearest(picture, grounds) == seen.ground
        if seen.colour:
            assert scenes.main_colour(cut_out(picture)) == seen.colour

"""`python -m engine.embedded.evaluate`: how well the shipped model draws what it is asked.

Seeds are not those of training, nor are the prompts: they ask in words that captions never use.
A classifier trained on the real drawings says what a picture shows; its own score on real drawings
kept aside is the ceiling for every figure here.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional as F

from engine.embedded import PIPELINE, UPSCALER
from engine.embedded.evaluate.classifier import FOLDER, Judge
from engine.embedded.training import captions
from engine.embedded.training.scenes import CANVASES, main_colour
from engine.pipelines.upscale import Upscaler

FIRST_SEED = 70_000
BATCH = 16
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink")
COLOURED = ("heart", "car", "apple", "balloon", "star", "flower", "book", "umbrella", "t-shirt",
            "hat", "fish", "butterfly", "cup", "dress", "gem", "key", "bell", "candle")  # fmt: skip
STYLES = ("3d", "flat", "noto", "clip art", "twemoji", "blob")
SHEET = (
    "a red heart", "a cat", "a dog", "pizza", "a car", "a house", "a rocket", "a tree",
    "a smiley face", "a cool face", "a crying face", "a ghost", "an apple", "a strawberry",
    "a banana", "a birthday cake", "a rose", "a sunflower", "the sun", "a crescent moon",
    "a star", "an umbrella", "a guitar", "a trophy", "a 3d cat", "a flat cat", "noto cat",
    "clip art of a cat", "a green heart", "a blue car", "a purple book", "a pink star",
    "a cat next to a pizza", "a star above a house", "a dog on the left and a ball on the right",
    "three apples", "a rocket on a blue background", "a fox on a yellow background",
    "an astronaut", "a robot",
    "a red fox in the snow", "a lighthouse at night", "a dog with sunglasses", "two birds on a branch",
    "a cat on the beach at sunset", "a panda holding a balloon", "a rocket in space", "a house in the rain",
    "a sailboat on the sea", "a bear under a tree", "a robot next to a house in a meadow",
    "a fish underwater", "a horse in front of mountains", "three sheep in a field",
    "ein Hund im Schnee", "eine Katze auf einem Auto",
)  # fmt: skip
SHEET_OTHERS = {
    "wide": ("a red car", "a fish on a blue background", "a cat next to a pizza", "a turtle"),
    "tall": ("a tree", "a purple bottle", "a star above a house", "a rocket on a black background"),
}


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """How pictures are drawn for the figures; the defaults are the product's."""

    steps: int = 12
    guidance: float = 3.0


class Painter:
    """The shipped pipeline as a function from prompts to pixels."""

    def __init__(self, pipeline: Any, settings: EvaluationSettings) -> None:
        self.settings = settings
        self.pipeline = pipeline
        self.pipeline.set_progress_bar_config(disable=True)

    @classmethod
    def load(cls, folder: Path, settings: EvaluationSettings) -> Painter:
        from diffusers import StableDiffusionPipeline

        return cls(StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32), settings)

    def draw(self, prompts: Sequence[str], first_seed: int, canvas: str = "square") -> Tensor:
        """Draw the prompts as `float32[len(prompts), 3, H, W]` in 0…1; seeds count up from `first_seed`."""
        parts = []
        for start in range(0, len(prompts), BATCH):
            chunk = list(prompts[start : start + BATCH])
            seeds = range(first_seed + start, first_seed + start + len(chunk))
            parts.append(self._draw(chunk, seeds, canvas))
        return torch.cat(parts)

    def _draw(self, prompts: list[str], seeds: Iterable[int], canvas: str) -> Tensor:
        width, height = CANVASES[canvas]
        images = self.pipeline(
            prompts,
            width=width,
            height=height,
            num_inference_steps=self.settings.steps,
            guidance_scale=self.settings.guidance,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
            output_type="pt",
        ).images
        return torch.as_tensor(images).cpu()


# --- figures --------------------------------------------------------------------------------


def concept_accuracy(studio: Painter, judge: Judge, names: Sequence[str]) -> dict[str, float]:
    """Measure top-1 and top-5 accuracy of the classifier over one picture per concept."""
    prompts = unseen(captions.article(name) for name in names)
    hits = _hits(judge, studio.draw(prompts, FIRST_SEED), names)
    common = torch.tensor([name in captions.COMMON for name in names])
    return {
        "pictures": len(names),
        "common_pictures": int(common.sum()),
        "top1": _share(hits[:, 0]),
        "top5": _share(hits.any(1)),
        "common_top1": _share(hits[common, 0]),
        "common_top5": _share(hits[common].any(1)),
        "other_top1": _share(hits[~common, 0]),
        "other_top5": _share(hits[~common].any(1)),
    }


def style_accuracy(studio: Painter, judge: Judge, count: int) -> dict[str, float]:
    """Measure top-5 accuracy of the classifier over common concepts, asked for in each style in turn."""
    names = random.Random(5).sample(_common(judge), count)
    figures: dict[str, float] = {"pictures_each": count}
    for style in STYLES:
        prompts = unseen(captions.article(f"{style} {name}") for name in names)
        figures[style] = _share(_hits(judge, studio.draw(prompts, FIRST_SEED + 50_000), names).any(1))
    return figures


def unseen(things: Iterable[str]) -> list[str]:
    """Return a prompt for each thing, in wordings that training leaves out."""
    ways = itertools.cycle(captions.UNSEEN)
    return [way.format(thing) for way, thing in zip(ways, things, strict=False)]


def _common(judge: Judge) -> list[str]:
    return sorted(captions.COMMON & judge.number.keys())


def _hits(judge: Judge, pictures: Tensor, names: Sequence[str]) -> Tensor:
    """Tell which of the judge's five best guesses for each picture is its name, `bool[len(names), 5]`."""
    wanted = torch.tensor([judge.number[name] for name in names])
    return judge.scores(pictures).topk(5).indices == wanted[:, None]


def _share(hits: Tensor) -> float:
    return round(hits.float().mean().item(), 4) if len(hits) else 0.0


def colour_accuracy(studio: Painter, count: int) -> dict[str, float]:
    """Measure how often a drawing mostly has the colour asked for, over `count` pairs or (0) all."""
    asked = list(itertools.product(COLOURED, COLOURS))
    random.Random(1).shuffle(asked)
    asked = asked[: count or len(asked)]
    prompts = unseen(captions.article(f"{colour} {noun}") for noun, colour in asked)
    pictures = studio.draw(prompts, FIRST_SEED + 10_000)
    seen = [main_colour(cut_out(picture)) for picture in pictures]
    hits = [got == colour for got, (_, colour) in zip(seen, asked, strict=True)]
    return {"pictures": len(hits), "accuracy": round(sum(hits) / len(hits), 4)}


def cut_out(picture: Tensor) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return `uint8[H, W, 4]`, opaque where the picture differs from its corners' colour."""
    pixels = (picture * 255).round().byte().permute(1, 2, 0).numpy()
    corners = np.stack([pixels[2, 2], pixels[2, -3], pixels[-3, 2], pixels[-3, -3]])
    ground = np.median(corners, axis=0)
    far = np.abs(pixels.astype(np.float32) - ground).max(2) > 28
    return np.dstack([pixels, far.astype(np.uint8) * 255])


def ground_accuracy(studio: Painter, judge: Judge, count: int) -> dict[str, float]:
    """Measure how often the corners have the colour asked for, and the thing is recognisable."""
    grounds = {word: torch.tensor(rgb) / 255 for word, rgb in captions.BACKGROUNDS.items()}
    rng = random.Random(4)
    common = _common(judge)
    asked = [(rng.choice(common), rng.choice(list(grounds))) for _ in range(count)]
    prompts = unseen(captions.on_ground(captions.article(name), word) for name, word in asked)
    pictures = studio.draw(prompts, FIRST_SEED + 25_000)
    hits = _hits(judge, pictures, [name for name, _ in asked])
    coloured = [
        _nearest(picture, grounds) == word for picture, (_, word) in zip(pictures, asked, strict=True)
    ]
    return {
        "pictures": count,
        "coloured": round(sum(coloured) / count, 4),
        "in_top5": _share(hits.any(1)),
    }


def _nearest(picture: Tensor, grounds: dict[str, Tensor]) -> str:
    """Return the name of the ground, white included, whose colour is closest to the picture's corners."""
    corners = picture[:, [2, 2, -3, -3], [2, -3, 2, -3]].median(1).values
    known = {"white": torch.ones(3), **grounds}
    return min(known, key=lambda word: float((known[word] - corners).square().sum()))


def canvas_accuracy(studio: Painter, judge: Judge, count: int, canvas: str) -> dict[str, float]:
    """Measure top-5 in the middle of wide or tall pictures, and pairs along their longer side."""
    names = random.Random(6).sample(_common(judge), count)
    prompts = unseen(captions.article(name) for name in names)
    hits = _hits(judge, middle(studio.draw(prompts, FIRST_SEED + 60_000, canvas)), names)
    pairs = pair_accuracy(studio, judge, count, across=canvas == "wide", canvas=canvas)
    return {
        "pictures": count,
        "in_top5": _share(hits.any(1)),
        "pairs_placed": pairs["placed"],
        "both_in_top5": pairs["both_in_top5"],
    }


def middle(pictures: Tensor) -> Tensor:
    """Return the square in the middle of each picture."""
    side = min(pictures.shape[-2:])
    top, left = ((length - side) // 2 for length in pictures.shape[-2:])
    return pictures[..., top : top + side, left : left + side]


def pair_accuracy(
    studio: Painter, judge: Judge, count: int, *, across: bool, canvas: str = "square"
) -> dict[str, float]:
    """Measure how often each half shows its own concept, not the other's, and both are recognisable."""
    pairs = list(_pairs(judge, count))
    words = "{} on the left and {} on the right" if across else "{} above {}"
    prompts = unseen(words.format(*(captions.article(name) for name in pair)) for pair in pairs)
    pictures = studio.draw(prompts, FIRST_SEED + 20_000 + 1000 * across, canvas)
    first, second = (judge.scores(half) for half in halves(pictures, across=across))
    placed, named = [], []
    for index, (a, b) in enumerate(pairs):
        one, two = judge.number[a], judge.number[b]
        scores = first[index], second[index]
        placed.append(bool(scores[0][one] > scores[0][two] and scores[1][two] > scores[1][one]))
        named.append(one in scores[0].topk(5).indices and two in scores[1].topk(5).indices)
    return {
        "pictures": len(pairs),
        "placed": round(sum(placed) / len(pairs), 4),
        "both_in_top5": round(sum(named) / len(pairs), 4),
    }


def _pairs(judge: Judge, count: int) -> Iterator[tuple[str, str]]:
    rng = random.Random(2)
    common = _common(judge)
    for _ in range(count):
        first, second = rng.sample(common, 2)
        yield first, second


def halves(pictures: Tensor, *, across: bool) -> tuple[Tensor, Tensor]:
    """Return the left and right (or top and bottom) halves, each centred on a white square."""
    if not across:
        top, bottom = halves(pictures.transpose(2, 3), across=True)
        return top.transpose(2, 3), bottom.transpose(2, 3)
    side = pictures.shape[-1] // 2
    low = (pictures.shape[-2] - side) // 2 - 4
    rows = slice(low, low + side + 8)
    left, right = pictures[..., rows, :side], pictures[..., rows, side:]
    return F.pad(left, [4, 4, 0, 0], value=1.0), F.pad(right, [4, 4, 0, 0], value=1.0)


def diversity(studio: Painter, judge: Judge, count: int) -> dict[str, float]:
    """Measure the mean distance (0…2) of one prompt's four pictures, and that of different prompts'."""
    names = random.Random(3).sample(_common(judge), count)
    prompts = [prompt for prompt in unseen(map(captions.article, names)) for _ in range(4)]
    features = judge.features(studio.draw(prompts, FIRST_SEED + 30_000))
    distance = torch.cdist(features, features)
    prompt = torch.arange(len(prompts)) // 4
    same = prompt[:, None] == prompt[None]
    itself = torch.eye(len(prompts)).bool()
    return {
        "prompts": count,
        "within_prompt": round(distance[same & ~itself].mean().item(), 4),
        "between_prompts": round(distance[~same].mean().item(), 4),
    }


def cost(studio: Painter) -> dict[str, float]:
    """Measure seconds for four pictures, without and with super-resolution, and peak memory in MB."""
    upscaler = Upscaler.load()
    prompts = ["a cat next to a pizza"] * 4
    studio.draw(prompts, 0)
    begun = time.perf_counter()
    pictures = studio.draw(prompts, 0)
    drawn = time.perf_counter()
    upscaler(pictures)
    done = time.perf_counter()
    return {
        "threads": torch.get_num_threads(),
        "bare_pipeline_seconds": round(drawn - begun, 2),
        "with_super_resolution_seconds": round(done - begun, 2),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def sample_of(names: Sequence[str], count: int) -> list[str]:
    """Choose common and other concepts at random, at most `count` of each; 0 means all there are."""
    rng = random.Random(0)
    common = [name for name in names if name in captions.COMMON]
    others = [name for name in names if name not in captions.COMMON]
    return [n for part in (common, others) for n in rng.sample(part, min(count or 9999, len(part)))]


def evaluate(studio: Painter, sample: int) -> dict[str, Any]:
    """Measure all figures, on everything (0) or on a sample of that size per figure."""
    judge = Judge.load()
    names = sample_of(judge.names, sample)
    some = sample or 96
    return {
        "settings": {
            "steps": studio.settings.steps,
            "guidance": studio.settings.guidance,
            "processor": torch.backends.cpu.get_cpu_capability(),
        },
        "cost": cost(studio),
        "classifier_on_real_drawings": json.loads((FOLDER / "ceiling.json").read_text()),
        "concepts": concept_accuracy(studio, judge, names),
        "styles": style_accuracy(studio, judge, some),
        "colours": colour_accuracy(studio, sample),
        "grounds": ground_accuracy(studio, judge, some),
        "left_right": pair_accuracy(studio, judge, some, across=True),
        "above_below": pair_accuracy(studio, judge, some, across=False),
        "wide": canvas_accuracy(studio, judge, some, "wide"),
        "tall": canvas_accuracy(studio, judge, some, "tall"),
        "diversity": diversity(studio, judge, min(some, 24)),
    }


# --- output ---------------------------------------------------------------------------------


def contact_sheet(studio: Painter, path: Path, side: int = 192, columns: int = 8) -> None:
    """Draw the fixed prompts, labelled, into one PNG; with super-resolution where its weights are."""
    upscaler: Callable[[Tensor], Tensor] = Upscaler.load() if UPSCALER.exists() else lambda pictures: pictures
    prompts, pictures = [*SHEET], [*upscaler(studio.draw(SHEET, FIRST_SEED + 40_000))]
    for canvas, others in SHEET_OTHERS.items():
        prompts += others
        pictures += upscaler(studio.draw(others, FIRST_SEED + 45_000, canvas))
    rows = -(-len(prompts) // columns)
    sheet = Image.new("RGB", (columns * side, rows * (side + 18)), "white")
    draw = ImageDraw.Draw(sheet)
    for index, (prompt, picture) in enumerate(zip(prompts, pictures, strict=True)):
        left, top = (index % columns) * side, (index // columns) * (side + 18)
        image = Image.fromarray((picture * 255).round().byte().permute(1, 2, 0).numpy())
        image.thumbnail((side, side), Image.Resampling.BOX)
        sheet.paste(image, (left + (side - image.width) // 2, top + (side - image.height) // 2))
        draw.text((left + 4, top + side + 2), prompt[:34], fill="black")
    sheet.save(path)


def table(figures: dict[str, Any]) -> str:
    """Return the figures as text, one line per figure."""
    lines: list[str] = []
    for group, values in figures.items():
        lines.extend(f"{group}.{name}: {value}" for name, value in values.items())
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m engine.embedded.evaluate", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    parser.add_argument("--sample", type=int, default=0, help="pictures per figure; 0 takes all")
    parser.add_argument(
        "--quick", dest="sample", action="store_const", const=16, help="the same as --sample 16"
    )
    parser.add_argument("--sheet", type=Path, help="also write a contact sheet PNG")
    parser.add_argument("--only-sheet", action="store_true", help="skip the figures")
    parser.add_argument("--pipeline", type=Path, default=PIPELINE, help="folder to judge")
    parser.add_argument("--steps", type=int, default=EvaluationSettings().steps)
    parser.add_argument("--guidance", type=float, default=EvaluationSettings().guidance)
    options = parser.parse_args()
    studio = Painter.load(options.pipeline, EvaluationSettings(options.steps, options.guidance))
    if options.sheet:
        contact_sheet(studio, options.sheet)
    if not options.only_sheet:
        figures = evaluate(studio, options.sample)
        sys.stdout.write((json.dumps(figures, indent=2) if options.json else table(figures)) + "\n")

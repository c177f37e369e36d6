"""What choosing the best of four gains with the shipped model, on prompts that nobody trained on.

    python -m tests.bench --only best --drawings FOLDER

Things are named in wordings that training leaves out, at seeds of no other figure. The judge is that of the
product, and sees pictures as people get them; colours and grounds are then read as the evaluation reads them.
A judge that names what it has chosen is no witness, so things and places are read by one that shares nothing
with it (`tests.bench.witness`), which needs the training's folder; without that they are left out.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bot.describing.judging import DrawingScorer, Judging
from engine.embedded import PIPELINE, evaluate
from engine.embedded.training import captions
from engine.embedded.training.scenes import main_colour
from engine.pipelines.run import encode_png
from engine.pipelines.tensors import as_bytes
from engine.pipelines.upscale import Upscaler
from tests.bench.witness import Witness, trained

OF = 4
EACH = 48  # prompts of each kind
FIRST_SEED = 9_000_000
GROUNDS = {word: torch.tensor(rgb) / 255 for word, rgb in captions.BACKGROUNDS.items()}

Hit = Callable[[Tensor], bool]
"""Tells whether a picture shows what was asked, in the size in which the model paints."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt, and what is looked for in its pictures, by the name of the figure."""

    prompt: str
    hits: dict[str, Hit]


def figures(drawings: Path | None) -> dict[str, Any]:
    """Return how many pictures show what was asked: of all, and of the best of four."""
    return asyncio.run(_figures(trained(drawings) if drawings else None))


async def _figures(witness: Witness | None) -> dict[str, Any]:
    painter = evaluate.Painter.load(PIPELINE, evaluate.EvaluationSettings())
    upscaler, judging = Upscaler.load(), Judging(DrawingScorer(), None)
    every: defaultdict[str, list[bool]] = defaultdict(list)
    best: defaultdict[str, list[bool]] = defaultdict(list)
    for number, asked in enumerate(prompts(witness)):
        painted = painter.draw([asked.prompt] * OF, FIRST_SEED + OF * number)
        shown = [encode_png(as_bytes(each)) for each in upscaler(painted)]
        choice = await judging.choose("bench", asked.prompt, shown, "drawings")
        assert not choice.note, (asked.prompt, choice.note)
        for name, hit in asked.hits.items():
            every[name] += map(hit, painted)
            best[name].append(hit(painted[choice.place]))
    await judging.close()
    named = {"best: the witness names drawings kept aside": f"{witness.right:.1%}"} if witness else {}
    return named | {
        f"best of {OF}: {name}": f"{_share(every[name])} of all, {_share(found)} of {len(found)} best"
        for name, found in best.items()
    }


def _share(hits: Sequence[bool]) -> str:
    return f"{sum(hits) / len(hits):.1%}"


def prompts(witness: Witness | None) -> Iterator[Asked]:
    """Yield prompts for coloured things on grounds and, where a witness can name them, things and pairs."""
    dice = random.Random(FIRST_SEED)
    for _ in range(EACH):
        noun, colour = dice.choice(evaluate.COLOURED), dice.choice(evaluate.COLOURS)
        ground = dice.choice([each for each in GROUNDS if colour not in each])
        thing = captions.on_ground(captions.article(f"{colour} {noun}"), ground)
        yield _asked(dice, thing, {"colour and ground": _both(_coloured(colour), _grounded(ground))})
    if witness is None:
        return
    for _ in range(EACH):
        name, ground = dice.choice(witness.names), dice.choice(list(GROUNDS))
        first, second = dice.sample(witness.names, 2)
        across = bool(dice.getrandbits(1))
        words = "{} on the left and {} on the right" if across else "{} above {}"
        alone, grounded = captions.article(name), captions.on_ground(captions.article(name), ground)
        pair = words.format(captions.article(first), captions.article(second))
        named = _named(witness, name)
        yield _asked(dice, alone, {"thing": named})
        yield _asked(dice, grounded, {"thing and ground": _both(named, _grounded(ground))})
        yield _asked(dice, pair, {"both things of a pair, placed": _placed(witness, first, second, across)})


def _asked(dice: random.Random, thing: str, hits: dict[str, Hit]) -> Asked:
    return Asked(dice.choice(captions.UNSEEN).format(thing), hits)


def _both(one: Hit, other: Hit) -> Hit:
    return lambda picture: one(picture) and other(picture)


def _coloured(colour: str) -> Hit:
    return lambda picture: main_colour(evaluate.cut_out(picture)) == colour


def _grounded(ground: str) -> Hit:
    return lambda picture: evaluate._nearest(picture, GROUNDS) == ground


def _named(witness: Witness, name: str) -> Hit:
    return lambda picture: int(witness.scores(picture[None]).argmax()) == witness.names.index(name)


def _placed(witness: Witness, first: str, second: str, across: bool) -> Hit:
    """Return what tells whether each half shows its own thing, not the other's, and both are recognisable."""
    one, two = witness.names.index(first), witness.names.index(second)

    def hit(picture: Tensor) -> bool:
        scores = [witness.scores(half)[0] for half in evaluate.halves(picture[None], across=across)]
        named = one in scores[0].topk(5).indices and two in scores[1].topk(5).indices
        return bool(named and scores[0][one] > scores[0][two] and scores[1][two] > scores[1][one])

    return hit

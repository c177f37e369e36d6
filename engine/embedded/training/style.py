"""Train what tells whether a drawing is of the shipped model's own style, on its fresh pictures.

The classifier's features are of the thing and not of how it is drawn, so this reads statistics of all its
stages (`engine.describing.drawings`). Without a style word, and for "3d" and "flat", the model draws much
alike: that is the one style which is told. Settings ("in the snow") come out too seldom to be told at all.
"""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from engine.describing.drawings import SIDE, SURE, DrawingNetwork, Pixels
from engine.embedded import CLASSIFIER, PIPELINE
from engine.embedded.evaluate import EvaluationSettings, Painter
from engine.embedded.evaluate.classifier import FOLDER
from engine.embedded.training import captions, sentences
from engine.pipelines.upscale import Upscaler

log = logging.getLogger(__name__)

FIRST_SEED = 900_000
EACH = 130  # pictures of a style
KEPT = 5  # every so many concepts are for the test alone
DECAY = 0.03  # of the weights
OWN = ("", "3d", "flat")  # drawn much alike
OTHERS = ("noto", "blob", "clip art", "firefox", "emojione", "outline")


@dataclass(frozen=True, slots=True)
class StyledPicture:
    """One picture to paint."""

    prompt: str
    concept: str
    style: str

    @property
    def own(self) -> bool:
        return self.style in OWN


def asked(names: Sequence[str]) -> list[StyledPicture]:
    """Return pictures of common concepts in each style, some on coloured grounds, in a mixed order."""
    rng = random.Random(11)
    common = sorted(captions.COMMON & set(names))
    wanted = [_asked(rng.choice(common), style, rng) for style in (*OWN, *OTHERS) for _ in range(EACH)]
    rng.shuffle(wanted)
    return wanted


def _asked(concept: str, style: str, rng: random.Random) -> StyledPicture:
    noun = captions.short_name(concept)
    words = f"clip art of {captions.article(noun)}" if style == "clip art" else f"{style} {noun}".strip()
    if rng.random() < 0.4:
        words = captions.on_ground(words, rng.choice(list(captions.BACKGROUNDS)))
    return StyledPicture(words, concept, style)


def painted(wanted: Sequence[StyledPicture], work: Path) -> Pixels:
    """Return the pictures as people get them, enlarged, and as the describing process then looks at them."""
    path = work / "styles.npy"
    if not path.exists():
        np.save(path, np.stack([*_painted(wanted)]))
    pictures: Pixels = np.load(path)
    return pictures


def _painted(wanted: Sequence[StyledPicture]) -> Iterator[Pixels]:
    painter, upscaler = Painter.load(PIPELINE, EvaluationSettings()), Upscaler.load()
    for start in range(0, len(wanted), 16):
        chunk = wanted[start : start + 16]
        for picture in painter.draw([each.prompt for each in chunk], FIRST_SEED + start):
            yield _small(upscaler(picture[None])[0])
        log.info("painted %d of %d", start + len(chunk), len(wanted))


def _small(picture: Tensor) -> Pixels:
    image = Image.fromarray((picture * 255).round().byte().permute(1, 2, 0).numpy())
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def train(work: Path, folder: Path = CLASSIFIER) -> None:
    """Paint, and write words, the style's weights and figures."""
    wanted = asked(json.loads((folder / "concepts.json").read_text()))
    figures = fit(wanted, painted(wanted, work), folder)
    (FOLDER / "style.json").write_text(json.dumps(figures, indent=2) + "\n")
    log.info("style: %s", figures)


def fit(wanted: Sequence[StyledPicture], pictures: Iterable[Pixels], folder: Path) -> dict[str, float]:
    """Write words and the style's weights to `folder`; return figures on concepts that were kept aside."""
    names: list[str] = json.loads((folder / "concepts.json").read_text())
    network = DrawingNetwork(folder)
    looked = [network.look(each) for each in pictures]
    read = torch.from_numpy(np.stack([statistics for _, statistics in looked]))
    own = torch.tensor([each.own for each in wanted])
    apart = frozenset(sorted({each.concept for each in wanted})[::KEPT])
    kept = torch.tensor([each.concept in apart for each in wanted])
    weights, offset = _fitted(read[~kept], own[~kept].float())
    told = torch.sigmoid(read[kept] @ weights + offset) >= SURE
    right = torch.tensor(
        [names[int(odds.argmax())] == each.concept for (odds, _), each in zip(looked, wanted, strict=True)]
    )
    figures = {
        "pictures": len(wanted),
        "thing_in_own_style": _share(right[own]),
        "thing_in_other_styles": _share(right[~own]),
        "kept_aside": int(kept.sum()),
        "own_style_told": _share(told[own[kept]]),
        "other_styles_told": _share(told[~own[kept]]),
    }
    save_file({"weights": weights.contiguous(), "offset": offset}, folder / "style.safetensors")
    (folder / "words.json").write_text(json.dumps(words_of(names), ensure_ascii=False) + "\n")
    return figures


def _fitted(read: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return weights and offset of the logistic regression that tells the labels from the statistics."""
    mean, spread = read.mean(0), read.std(0) + 1e-4
    inputs = (read - mean) / spread
    weights, offset = (torch.zeros(length, requires_grad=True) for length in (read.shape[1], 1))
    optimiser: Any = torch.optim.LBFGS([weights, offset], max_iter=300, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        wrong = F.binary_cross_entropy_with_logits(inputs @ weights + offset, labels)
        wrong = wrong + DECAY * weights.square().sum()
        torch.autograd.backward(wrong)
        return wrong

    optimiser.step(loss)
    scaled = weights.detach() / spread
    return scaled, offset.detach() - mean @ scaled


def _share(hits: Tensor) -> float:
    return round(hits.float().mean().item(), 4)


def words_of(names: Sequence[str]) -> dict[str, Any]:
    """Return what the answers are called in a prompt, and which answers a prompt's nouns stand for."""
    return {
        "things": [captions.article(captions.short_name(name)) for name in names],
        "grounds": {"white": (255, 255, 255), **captions.BACKGROUNDS},
        "nouns": _nouns(names),
    }


def _nouns(names: Sequence[str]) -> dict[str, list[int]]:
    """Return the numbers of the concepts that a noun stands for, in English or German, one or many."""
    german = {captions.uncoloured(each): forms for each, forms in sentences.german_forms().items()}
    found: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        bare = name.removesuffix(" face")
        called = {name, *captions.ALIASES.get(name, ()), *((bare,) if bare in names else ())}
        called |= set(map(captions.uncoloured, called))
        forms = {*called, *map(captions.plural, called), *german.get(captions.uncoloured(bare), ())}
        for noun in {each.casefold() for each in forms}:
            found.setdefault(noun, []).append(number)
    return dict(sorted(found.items()))

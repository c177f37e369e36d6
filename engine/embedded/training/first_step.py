"""What the denoiser makes of words alone: its loss at the noisiest step, beside two simple guesses.

At step 999 nothing of the picture is left, so the best answer is the mean picture of a sentence. One
constant picture for all, and the mean picture of each kind of ground, are what it must beat.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.embedded.training import data, latents, text
from engine.embedded.training.autoencoder import encode
from engine.embedded.training.compositions import Composer
from engine.embedded.training.denoiser import Noiser, Trainer
from engine.embedded.training.pace import DEVICE

log = logging.getLogger(__name__)

SEED = 999_983  # scenes that training never sees
COUNT = 256
REFERENCE = 2000  # scenes whose means are the guesses


def measure(work: Path) -> dict[str, float]:
    """Measure squared errors on new scenes: newest weights, a constant picture, each ground's mean."""
    _, rows, drawings = data.load(work)
    composer = Composer(rows, np.asarray(drawings), seed=SEED, canvases=("square",))
    samples = list(latents.composed(composer, range(COUNT + REFERENCE)))
    clean = encode(latents.tensor(np.stack([each.picture for each in samples])), latents.matrix_of(work))
    shown, known = clean[:COUNT], clean[COUNT:]
    grounds = [each.ground for each in samples]
    figures = {
        **_denoiser_losses(work, shown, [each.texts[0] for each in samples[:COUNT]]),
        "constant": _loss(known.mean(0, keepdim=True).expand_as(shown), shown),
        "place": _loss(_means([place for place, _ in grounds], known, COUNT), shown),
        "place_and_hour": _loss(_means(grounds, known, COUNT), shown),
    }
    log.info("loss at the first step: %s", figures)
    with (work / "first_step.jsonl").open("a") as file:
        file.write(json.dumps(figures) + "\n")
    return figures


def _loss(guess: Tensor, clean: Tensor) -> float:
    return round((guess - clean).square().mean().item(), 4)


def _means(kinds: Sequence[Hashable], known: Tensor, count: int) -> Tensor:
    """Return for each of the first `count` scenes the mean of the other scenes of its kind."""
    members: dict[Hashable, list[Tensor]] = defaultdict(list)
    for kind, picture in zip(kinds[count:], known, strict=True):
        members[kind].append(picture)
    overall = known.mean(0)
    means = {kind: torch.stack(pictures).mean(0) for kind, pictures in members.items()}
    return torch.stack([means.get(kind, overall) for kind in kinds[:count]])


@torch.no_grad()
def _denoiser_losses(work: Path, clean: Tensor, sentences: list[str]) -> dict[str, float]:
    """Return the loss of the newest weights, and that of their moving average, which follows slowly."""
    words = text.states(*text.load_encoder(work), sentences)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(SEED))
    steps, noiser, trainer = torch.full((len(clean),), 999), Noiser(), Trainer(work)
    losses = {}
    for name, unet in (("newest", trainer.unet), ("average", trainer.ema)):
        parts = zip(*(torch.split(part, 32) for part in (clean, words, steps, noise)), strict=True)
        each = [noiser.loss(unet, *(piece.to(DEVICE) for piece in part)).item() for part in parts]
        losses[name] = round(sum(each) / len(each), 4)
    return losses

"""Train the judge of `engine.embedded.evaluate.classifier` on the real drawings, and measure its ceiling.

The drawings kept aside are never shown to it, so its score on them is what a perfect denoiser
could reach.
"""

from __future__ import annotations

import json
import logging
import math
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from engine.describing.drawings import SIDE
from engine.embedded import CLASSIFIER
from engine.embedded.evaluate.classifier import FOLDER, ConceptClassifier, Judge
from engine.embedded.training import data
from engine.embedded.training.captions import COMMON
from engine.embedded.training.pace import StepPace
from engine.embedded.training.scenes import held_out_rows, training_rows

log = logging.getLogger(__name__)

BATCH = 64
LEARNING_RATE = 4e-3
COMMON_WEIGHT = 4.0
SOURCE_SIDE = 72  # pixels of the cached drawings


class Augmented:
    """Real drawings, moved, scaled, slightly turned, on plain grounds of any colour."""

    def __init__(self, drawings: Tensor, labels: Tensor, weights: Tensor, generator: torch.Generator) -> None:
        self.drawings, self.labels, self.weights = drawings, labels, weights
        self.generator = generator

    def batch(self, count: int = BATCH) -> tuple[Tensor, Tensor]:
        """Return pictures, `float32[count, 3, SIDE, SIDE]` in 0…1, and labels, `int64[count]`."""
        chosen = torch.multinomial(self.weights, count, generator=self.generator)
        grid = F.affine_grid(self._moves(count), [count, 4, SIDE, SIDE], align_corners=False)
        moved = F.grid_sample(self.drawings[chosen], grid, align_corners=False)
        pictures = moved[:, :3] + self._grounds(count) * (1 - moved[:, 3:])
        return self._soften(pictures), self.labels[chosen]

    def _uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=self.generator)

    def _moves(self, count: int) -> Tensor:
        scale, angle = self._uniform(1.0, 1.5, count), self._uniform(-0.15, 0.15, count)
        shift = self._uniform(-0.12, 0.12, count, 2)
        cos, sin = scale * angle.cos(), scale * angle.sin()
        rows = [torch.stack([cos, -sin, shift[:, 0]], 1), torch.stack([sin, cos, shift[:, 1]], 1)]
        return torch.stack(rows, 1)

    def _grounds(self, count: int) -> Tensor:
        plain = self._uniform(0, 1, count, 3, 1, 1)
        white = self._uniform(0, 1, count, 1, 1, 1) < 0.7
        return torch.where(white, torch.ones(()), plain)

    def _soften(self, pictures: Tensor) -> Tensor:
        """Remove fine detail from half of the batches, as generated pictures lack it."""
        if torch.rand((), generator=self.generator) < 0.5:
            return pictures
        small = F.interpolate(pictures, size=SIDE // 2, mode="area")
        return F.interpolate(small, size=SIDE, mode="bilinear")


def premultiplied(drawings: data.Rgba, rows: list[int]) -> Tensor:
    """Return `float32[len(rows), 4, SOURCE_SIDE, SOURCE_SIDE]`, colours times alpha."""
    parts = []
    for start in range(0, len(rows), 256):
        chunk = np.stack([drawings[row] for row in rows[start : start + 256]])
        rgba = torch.from_numpy(chunk).permute(0, 3, 1, 2).float() / 255
        rgba = torch.cat([rgba[:, :3] * rgba[:, 3:], rgba[:, 3:]], 1)
        parts.append(F.interpolate(rgba, size=SOURCE_SIDE, mode="bilinear", antialias=True))
    return torch.cat(parts)


def train(work: Path, minutes: float, seed: int = 0, folder: Path = CLASSIFIER) -> None:
    """Train for a wall-clock budget; write weights and names to `folder`, and the ceiling."""
    table, rows, drawings = data.load(work)
    names = [concept.name for concept in table]
    number = {name: index for index, name in enumerate(names)}
    labels = torch.tensor([number[row.concept] for row in rows])
    shown = training_rows(rows)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    network = ConceptClassifier(len(names))
    weights = torch.tensor([_weight(rows[row].concept) for row in shown])
    samples = Augmented(premultiplied(drawings, shown), labels[shown], weights, generator)
    _optimise(network, samples, minutes)
    _save(folder, network, names)
    write_ceiling(work, folder)


def write_ceiling(work: Path, folder: Path = CLASSIFIER) -> None:
    """Measure the saved classifier on drawings kept aside and on drawings it was shown."""
    _, rows, drawings = data.load(work)
    judge = Judge.load(folder)
    labels = torch.tensor([judge.number[row.concept] for row in rows])
    common = {index for index, row in enumerate(rows) if row.concept in COMMON}
    kept, shown = held_out_rows(rows), training_rows(rows)[::16]
    groups = {
        "kept_aside": kept,
        "kept_aside_common": [row for row in kept if row in common],
        "shown": shown,
        "shown_common": [row for row in shown if row in common],
    }
    ceiling: dict[str, float] = {}
    for name, chosen in groups.items():
        figures = measure(judge.network, premultiplied(drawings, chosen), labels[chosen])
        ceiling |= {f"{name}_{figure}": value for figure, value in figures.items()}
    log.info("classifier on real drawings: %s", ceiling)
    (FOLDER / "ceiling.json").write_text(json.dumps(ceiling, indent=2) + "\n")


def _weight(concept: str) -> float:
    return COMMON_WEIGHT if concept in COMMON else 1.0


def _optimise(network: ConceptClassifier, samples: Augmented, minutes: float) -> None:
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=0.02)

    def step() -> float:
        pictures, labels = samples.batch()
        loss = F.cross_entropy(network(pictures), labels, label_smoothing=0.05)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()
        return loss.item()

    paced, begun, count, total = StepPace(step), time.monotonic(), 0, 7.0
    while (done := (time.monotonic() - begun) / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = (
                LEARNING_RATE * min(1.0, (count + 1) / 50) * 0.5 * (1 + math.cos(math.pi * done)) + 1e-5
            )
        total, count = total + 0.02 * (paced() - total), count + 1
        if count % 100 == 0:
            log.info("classifier step %d (%.0f%%): loss %.3f", count, 100 * done, total)


@torch.inference_mode()
def measure(network: ConceptClassifier, drawings: Tensor, labels: Tensor) -> dict[str, float]:
    """Measure top-1 and top-5 on drawings on white, with the margins that training pictures have."""
    theta = torch.tensor([[1.14, 0.0, 0.0], [0.0, 1.14, 0.0]]).expand(len(labels), 2, 3)
    grid = F.affine_grid(theta.contiguous(), [len(labels), 4, SIDE, SIDE], align_corners=False)
    moved = F.grid_sample(drawings, grid, align_corners=False)
    best = network(moved[:, :3] + 1 - moved[:, 3:]).topk(5).indices
    hits = best == labels[:, None]
    return {
        "pictures": len(labels),
        "top1": round(hits[:, 0].float().mean().item(), 4),
        "top5": round(hits.any(1).float().mean().item(), 4),
    }


def _save(folder: Path, network: ConceptClassifier, names: list[str]) -> None:
    folder.mkdir(exist_ok=True)
    weights = {
        key: value.half() if value.is_floating_point() else value
        for key, value in network.state_dict().items()
    }
    save_file(weights, folder / "classifier.safetensors")
    (folder / "concepts.json").write_text(json.dumps(names) + "\n")

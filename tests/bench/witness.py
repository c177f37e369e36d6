"""Names drawings independently of the classifier that ships: by edges and colours alone, and linearly.

It knows the common concepts, from the real drawings in the training's folder but those kept aside.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.embedded.training import captions, data
from engine.embedded.training.classifier import premultiplied
from engine.embedded.training.scenes import held_out_rows

SIDE = 64  # pixels
DIRECTIONS = 8
PLACES = ((1.14, 0.0, 0.0), (1.3, 0.08, 0.0), (1.05, -0.06, 0.06), (1.2, 0.0, -0.1), (1.1, 0.05, -0.03))
"""How drawings are shown to it: their margins, and how far they are moved."""
DECAY = 3000.0


@dataclass(frozen=True)
class Witness:
    """A linear classifier with its concept names, and its share of right names on drawings kept aside."""

    names: list[str]
    mean: Tensor
    spread: Tensor
    weights: Tensor
    right: float

    def scores(self, pixels: Tensor) -> Tensor:
        """Return scores, `float32[B, concepts]`, of square pictures, `float32[B, 3, H, W]` in 0…1."""
        small = F.interpolate(pixels, size=(SIDE, SIDE), mode="bilinear", antialias=True)
        return (features(small) - self.mean) / self.spread @ self.weights


def trained(work: Path) -> Witness:
    """Return a witness of the common concepts; it takes a minute."""
    _, rows, drawings = data.load(work)
    known = [number for number, row in enumerate(rows) if row.concept in captions.COMMON]
    names = sorted({rows[number].concept for number in known})
    labels = torch.tensor([names.index(rows[number].concept) for number in known])
    kept = torch.isin(torch.tensor(known), torch.tensor(held_out_rows(rows)))
    pictures = premultiplied(drawings, known)
    inputs = torch.cat([features(_shown(pictures[~kept], *place)) for place in PLACES])
    wanted = torch.eye(len(names))[labels[~kept]].repeat(len(PLACES), 1)
    mean, spread = inputs.mean(0), inputs.std(0) + 0.05
    inputs = (inputs - mean) / spread
    grown = inputs.T @ inputs + DECAY * torch.eye(inputs.shape[1])
    weights = torch.linalg.solve(grown, inputs.T @ (wanted - wanted.mean(0)))
    witness = Witness(names, mean, spread, weights, 0.0)
    told = witness.scores(_shown(pictures[kept], *PLACES[0])).argmax(1)
    return Witness(names, mean, spread, weights, float((told == labels[kept]).float().mean()))


def _shown(pictures: Tensor, scale: float, across: float, down: float) -> Tensor:
    """Return drawings, `float32[B, 4, H, W]` with colours times alpha, on white."""
    move = torch.tensor([[scale, 0.0, across], [0.0, scale, down]]).expand(len(pictures), 2, 3)
    grid = F.affine_grid(move.contiguous(), [len(pictures), 4, SIDE, SIDE], align_corners=False)
    moved = F.grid_sample(pictures, grid, align_corners=False)
    return moved[:, :3] + 1 - moved[:, 3:]


def features(pixels: Tensor) -> Tensor:
    """Return how edges run in overlapping cells, and coarse colours, of `float32[B, 3, 64, 64]`."""
    across = F.pad(pixels[..., 2:] - pixels[..., :-2], (1, 1, 0, 0))
    down = F.pad(pixels[..., 2:, :] - pixels[..., :-2, :], (0, 0, 1, 1))
    strength, channel = across.square().add(down.square()).max(1, keepdim=True)
    angle = torch.atan2(down.gather(1, channel), across.gather(1, channel)) % (2 * torch.pi)
    direction = (angle / (2 * torch.pi) * DIRECTIONS).long().clamp(max=DIRECTIONS - 1)
    edges = torch.zeros(len(pixels), DIRECTIONS, SIDE, SIDE).scatter_(1, direction, strength.sqrt())
    cells = F.avg_pool2d(edges, 8, 4)
    cells = (cells / (cells.sum(1, keepdim=True) + 0.05)).sqrt()
    return torch.cat([cells.flatten(1), F.avg_pool2d(pixels, 8).flatten(1)], 1)

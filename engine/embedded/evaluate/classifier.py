"""A small classifier of drawings, trained on the real ones: the judge of the generated ones."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from engine.describing.drawings import SIDE
from engine.embedded import CLASSIFIER

FOLDER = Path(__file__).parent  # of the ceiling; the weights are in the wheel, since they describe pictures


class Residual(nn.Module):
    """Two convolutions around an identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.norm1(self.conv1(x)))
        return F.relu(x + self.norm2(self.conv2(out)))


def _down(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


class ConceptClassifier(nn.Module):
    """`float32[B, 3, 64, 64]` in 0…1 to `float32[B, concepts]` (1.2 M parameters)."""

    def __init__(self, concepts: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _down(3, 24),
            _down(24, 48),
            Residual(48),
            _down(48, 96),
            Residual(96),
            _down(96, 192),
        )
        self.head = nn.Linear(192, concepts)

    def features(self, pixels: Tensor) -> Tensor:
        """Return features, `float32[B, 192]`, averaged over the picture."""
        maps: Tensor = self.body(pixels * 2 - 1)
        return maps.mean((2, 3))

    def forward(self, pixels: Tensor) -> Tensor:
        scores: Tensor = self.head(self.features(pixels))
        return scores


class Judge:
    """The trained classifier with its concept names."""

    def __init__(self, names: list[str], weights: dict[str, Tensor]) -> None:
        self.names = names
        self.number = {name: index for index, name in enumerate(names)}
        self.network = ConceptClassifier(len(names)).eval()
        self.network.load_state_dict(
            {k: v.float() if v.is_floating_point() else v for k, v in weights.items()}
        )

    @classmethod
    def load(cls, folder: Path = CLASSIFIER) -> Judge:
        names = json.loads((folder / "concepts.json").read_text())
        return cls(names, load_file(folder / "classifier.safetensors"))

    @torch.inference_mode()
    def scores(self, pixels: Tensor) -> Tensor:
        """Return scores, `float32[B, concepts]`, of square pictures, `float32[B, 3, H, W]` in 0…1."""
        small = F.interpolate(pixels, size=(SIDE, SIDE), mode="bilinear", antialias=True)
        scores: Tensor = self.network(small)
        return scores

    @torch.inference_mode()
    def features(self, pixels: Tensor) -> Tensor:
        """Return unit vectors, `float32[B, 192]`, whose distances tell how different pictures look."""
        small = F.interpolate(pixels, size=(SIDE, SIDE), mode="bilinear", antialias=True)
        return F.normalize(self.network.features(small), dim=1)

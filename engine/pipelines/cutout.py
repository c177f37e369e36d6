"""Cutting out what a picture shows in front of its ground.

Only the worker imports this module: it needs torch. The small network that ships was trained on drawings
whose alpha is known (`engine/embedded/training/cutouts.py`); its weights are in
`engine/embedded/cutout/`. A segmentation model of transformers can stand in for it.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, Protocol

import torch
from PIL import Image, ImageColor
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from engine.embedded import CUTOUT
from engine.errors import ModelNotLoaded
from engine.pipelines import tensors
from engine.pipelines.making import MAKING
from engine.types import TRANSPARENT

SIDE = 256  # pixels; the side of a square with about as many pixels as the network looks at
CELL = 4  # pixels on a side that the network sees as one place
BORDER = 3  # pixels at each edge of the picture that tell its ground
PARTS = 12  # of each edge whose colours are taken apart
WIDTHS = (32, 40, 48, 56, 56)  # channels at each level; every level has half the side of the one before
MULTIPLE: int = CELL * 2 ** (len(WIDTHS) - 1)  # pixels; both sides of what the network takes


STEEPNESS = 2.0  # times: the network doubts, and what is more than half seen is seen
SOLID = 0.95  # alpha from which on a pixel has the colour of what is shown, and of nothing behind it
REACH = 9  # pixels from which colours spread to the edge


class AlphaEstimator(Protocol):
    """Tells how much of each pixel belongs to what a picture shows."""

    network: nn.Module

    def __call__(self, pixels: Tensor) -> Tensor:
        """Return the alpha of `float32[3, H, W]` in 0…1 as `float32[H, W]` in 0…1, on the same device."""
        ...


class AlphaNetwork(nn.Module):
    """A small U-Net: `float32[B, 3, H, W]` in 0…1 to the logits of its alpha, `float32[B, 1, H, W]`."""

    def __init__(self) -> None:
        super().__init__()
        pairs = list(itertools.pairwise(WIDTHS))
        raw, told = 3 * CELL**2, 3 * CELL**2
        self.first = nn.Sequential(_layer(raw + told, WIDTHS[0]), _layer(WIDTHS[0], WIDTHS[0]))
        self.down = nn.ModuleList(
            nn.Sequential(_layer(wide, deep, stride=2), _layer(deep, deep)) for wide, deep in pairs
        )
        self.whole = nn.Linear(WIDTHS[-1], WIDTHS[-1])
        self.up = nn.ModuleList(_layer(deep, wide) for wide, deep in reversed(pairs))
        self.merge = nn.ModuleList(_layer(wide, wide) for wide, _ in reversed(pairs))
        self.edges = _layer(WIDTHS[0] + raw + told, WIDTHS[1])
        self.last = nn.Conv2d(WIDTHS[1], CELL**2, 3, padding=1)

    def forward(self, pixels: Tensor) -> Tensor:
        raw, told = F.pixel_unshuffle(pixels * 2 - 1, CELL), F.pixel_unshuffle(unlike_border(pixels), CELL)
        at = self.first(torch.cat([raw, told], 1))
        levels = [at]
        for down in self.down:
            at = down(at)
            levels.append(at)
        at = at + self.whole(at.mean((2, 3)))[:, :, None, None]
        for up, merge, beside in zip(self.up, self.merge, levels[-2::-1], strict=True):
            at = merge(beside + up(F.interpolate(at, scale_factor=2, mode="nearest")))
        cells: Tensor = self.last(self.edges(torch.cat([at, raw, told], 1)))
        return F.pixel_shuffle(cells, CELL)


def unlike_border(pixels: Tensor) -> Tensor:
    """Return how little each pixel is like the border, where a picture mostly shows its ground: 0…1.

    Like any part of it, like either end of the pixel's row, and like either end of its column.
    """
    left, right = pixels[..., :BORDER].mean(3), pixels[..., -BORDER:].mean(3)
    top, bottom = pixels[:, :, :BORDER].mean(2), pixels[:, :, -BORDER:].mean(2)
    colours = torch.cat([F.adaptive_avg_pool1d(edge, PARTS) for edge in (left, right, top, bottom)], 2)
    least = [_nearest(near, flat) for near, flat in zip(colours, pixels.flatten(2), strict=True)]
    anywhere = torch.stack(least).view(len(pixels), *pixels.shape[2:])

    def like_either(first: Tensor, second: Tensor) -> Tensor:
        return torch.minimum((pixels - first).square().sum(1), (pixels - second).square().sum(1))

    row = like_either(left[..., None], right[..., None])
    column = like_either(top[:, :, None], bottom[:, :, None])
    return torch.stack([anywhere, row, column], 1).clamp(min=0).sqrt()


def _nearest(colours: Tensor, flat: Tensor) -> Tensor:
    """Return the square distance of each colour of `flat`, [3, N], to the nearest of `colours`, [3, M]."""
    with torch.autocast(flat.device.type, enabled=False):  # small differences of large numbers
        apart = torch.addmm(colours.square().sum(0)[:, None], colours.T, flat, alpha=-2)
    return apart.amin(0) + flat.square().sum(0)


def _layer(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class Cutter:
    """The shipped network as an `AlphaEstimator`."""

    def __init__(self, network: nn.Module, device: str = "cpu") -> None:
        self.network = network.to(device).eval().requires_grad_(False)
        self.device = device

    @classmethod
    def load(cls, device: str = "cpu") -> Cutter:
        """Return the shipped network; its 16-bit weights run in 32 bits, which the CPU needs."""
        with MAKING:
            network = AlphaNetwork()
        weights = load_file(CUTOUT / "alpha.safetensors")
        network.load_state_dict({key: value.float() for key, value in weights.items()}, strict=False)
        return cls(network, device)

    def __call__(self, pixels: Tensor) -> Tensor:
        """Return the alpha of `float32[3, H, W]` in 0…1 as `float32[H, W]` in 0…1, on the same device."""
        height, width = pixels.shape[-2:]
        size = _size(height, width)
        seen = pixels[None].to(self.device)
        if size != (height, width):
            seen = F.interpolate(seen, size, mode="bilinear", antialias=True)
        mirrored = self.network(seen.flip(3)).flip(3)
        found = (torch.sigmoid(self.network(seen)) + torch.sigmoid(mirrored)) / 2
        alpha = (STEEPNESS * (found - 0.5) + 0.5).clamp(0, 1)
        if size != (height, width):
            alpha = F.interpolate(alpha, (height, width), mode="bicubic", antialias=True)
        return alpha[0, 0].clamp(0, 1).to(pixels.device)


def _size(height: int, width: int) -> tuple[int, int]:
    """Return the size at which the network sees a picture: of its shape, and about SIDE² pixels."""
    scale = SIDE / math.sqrt(height * width)
    return _multiple(scale * height), _multiple(scale * width)


def _multiple(length: float) -> int:
    return max(1, round(length / MULTIPLE)) * MULTIPLE


class ModelCutter:
    """A segmentation model of transformers as an `AlphaEstimator`: shown is all but its background."""

    def __init__(self, source: str, device: str = "cpu") -> None:
        """Load a folder or a hub name from safetensors, never with remote code. Raises ModelNotLoaded."""
        import transformers

        options: dict[str, Any] = {"trust_remote_code": False}
        try:
            with MAKING:
                self._processor: Any = transformers.AutoImageProcessor.from_pretrained(source, **options)
                kind: Any = transformers.AutoModelForSemanticSegmentation
                network = kind.from_pretrained(source, use_safetensors=True, **options)
        except Exception as error:
            raise ModelNotLoaded(f"CUTOUT_MODEL {source}: {error}") from error
        labels = {index: str(name).casefold() for index, name in network.config.id2label.items()}
        self._ground = [index for index, name in labels.items() if name in _GROUNDS]
        if not self._ground and len(labels) > 1:
            raise ModelNotLoaded(f"CUTOUT_MODEL {source} has no label named background")
        self.network: nn.Module = network.to(device).eval().requires_grad_(False)
        self.device = device

    def __call__(self, pixels: Tensor) -> Tensor:
        """Return the alpha of `float32[3, H, W]` in 0…1 as `float32[H, W]` in 0…1, on the same device."""
        seen = self._processor(images=tensors.picture(pixels), return_tensors="pt")["pixel_values"]
        logits = self.network(seen.to(self.device)).logits.float()
        if logits.shape[1] == 1:
            alpha = torch.sigmoid(logits)
        else:
            alpha = 1 - logits.softmax(1)[:, self._ground].sum(1, keepdim=True)
        whole = F.interpolate(alpha, pixels.shape[-2:], mode="bilinear", align_corners=False)
        return whole[0, 0].clamp(0, 1).to(pixels.device)


_GROUNDS = frozenset({"background", "bg", "unlabeled", "void"})


def cut_out(segmenter: AlphaEstimator, picture: Image.Image, background: str = TRANSPARENT) -> Tensor:
    """Return what a picture shows over a background, `float32[4 or 3, H, W]` in 0…1.

    A picture that has alpha keeps it: it is cut out already. Nothing of its ground is left in what is
    transparent, and at the edges its colour is taken out of the mixture.
    """
    pixels = tensors.pixels(picture)
    alpha = pixels[3] if picture.mode == "RGBA" else segmenter(pixels)
    colours = spread(pixels[:3], alpha)
    if background == TRANSPARENT:
        return torch.cat([colours * (alpha > 0), alpha[None]])
    behind = torch.tensor(ImageColor.getrgb(background)[:3], dtype=torch.float32) / 255
    return colours * alpha + behind[:, None, None] * (1 - alpha)


def spread(colours: Tensor, alpha: Tensor) -> Tensor:
    """Return the colours with those of solid pixels spread to the edges, where others shine through."""
    solid = (alpha >= SOLID).float()[None]

    def mean(values: Tensor) -> Tensor:
        return F.avg_pool2d(values[None], REACH, 1, REACH // 2, count_include_pad=False)[0]

    near = mean(solid)
    spread = mean(colours * solid) / near.clamp(min=1e-6)
    return torch.where((alpha < SOLID) & (near[0] > 0), spread, colours)

"""Enlarging pictures: by super-resolution, and with finer detail that a model paints tile by tile."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from engine import details
from engine.pipelines import tensors
from engine.pipelines.upscale import SCALE, Upscaler
from engine.regions import Region
from engine.tiles import Box, Size, tiles, weights

PREVIEW_SIDE = 256  # pixels of the longer side
FINEST = 1 / 16  # of a tile's side: what is coarser keeps the picture's own colours

PaintTile = Callable[[int, int, Image.Image, "Lay"], torch.Tensor]
"""Paints one tile: its number, how many there are, what it is like, and how to show it in the whole."""

Lay = Callable[[torch.Tensor], torch.Tensor]
"""Lays a tile's preview of any size into a preview of the whole."""


def enlarged(upscaler: Upscaler, picture: Image.Image, size: Size) -> torch.Tensor:
    """Return the picture in another size as float in 0 … 1, (channels, height, width). Alpha is kept."""
    pixels = tensors.pixels(picture)
    if picture.mode != "RGBA":
        return _super_resolved(upscaler, pixels, size)
    alpha = _super_resolved(upscaler, pixels[3:].expand(3, -1, -1), size).mean(0, keepdim=True)
    return torch.cat([_super_resolved(upscaler, pixels[:3], size), alpha])


def _super_resolved(upscaler: Upscaler, pixels: torch.Tensor, size: Size) -> torch.Tensor:
    target = size[1], size[0]
    while (scale := max(target[0] / pixels.shape[1], target[1] / pixels.shape[2])) > 1:
        # Between 1 and 2, half of what the network makes is enough; it never lies in memory as a whole.
        pixels = upscaler(pixels[None], reduce=2 if scale <= SCALE / 2 else 1)[0]
    if pixels.shape[1:] == target:
        return pixels
    shrunk: torch.Tensor = F.interpolate(pixels[None], target, mode="bilinear", antialias=True)[0].clamp(0, 1)
    return shrunk


def repainted(base: torch.Tensor, tile: Size, paint: PaintTile) -> torch.Tensor:
    """Return a picture (3, height, width) with the detail that `paint` gives to its tiles.

    Tiles overlap and fade into each other. They keep the colours of the picture, and text and faces stay as
    they are.
    """
    size = base.shape[2], base.shape[1]
    boxes, small = tiles(size, tile), _preview_of(base)
    total, weight = torch.zeros_like(base), torch.zeros(base.shape[1:])
    for index, box in enumerate(boxes):
        left, top, right, bottom = box
        given = base[:, top:bottom, left:right]
        painted = paint(index, len(boxes), tensors.picture(given), _laying(small, box, size))
        painted = _coloured_like(_resized(painted, (right - left, bottom - top)), given)
        share = torch.from_numpy(weights(box, size))
        total[:, top:bottom, left:right] += painted * share
        weight[top:bottom, left:right] += share
        small = _laying(small, box, size)(painted)
    kept = torch.from_numpy(details.kept(tensors.picture(base)))
    return (total / weight).lerp(base, kept).clamp(0, 1)


def _coloured_like(painted: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
    """Return what was painted with the colours of what was given: no two tiles may differ in them."""
    return painted + _blurred(given - painted)


def _blurred(pixels: torch.Tensor) -> torch.Tensor:
    """Return a smooth version: means of cells, with straight lines between them."""
    height, width = pixels.shape[1:]
    cells = max(1, round(height * FINEST)), max(1, round(width * FINEST))
    rough = F.interpolate(pixels[None], (height // cells[0] or 1, width // cells[1] or 1), mode="area")
    smooth: torch.Tensor = F.interpolate(rough, (height, width), mode="bilinear", align_corners=False)[0]
    return smooth


def _preview_of(base: torch.Tensor) -> torch.Tensor:
    scale = PREVIEW_SIDE / max(base.shape[1:])
    return _resized(base, (max(1, round(base.shape[2] * scale)), max(1, round(base.shape[1] * scale))))


def _laying(small: torch.Tensor, box: Box, size: Size) -> Lay:
    def lay(tile: torch.Tensor) -> torch.Tensor:
        across, down = small.shape[2] / size[0], small.shape[1] / size[1]
        left, right = (round(each * across) for each in (box[0], box[2]))
        top, bottom = (round(each * down) for each in (box[1], box[3]))
        whole = small.clone()
        if right > left and bottom > top:
            whole[:, top:bottom, left:right] = _resized(tile.to(whole), (right - left, bottom - top))
        return whole

    return lay


def laying_region(part: Region) -> Lay:
    """Return what shows the preview of a window in the whole picture, with what is kept around the part."""
    size = part.canvas.size
    small = _preview_of(tensors.pixels(part.canvas))
    alpha = _resized(tensors.pixels(part.alpha.convert("RGB")), (small.shape[2], small.shape[1]))
    lay = _laying(small, part.window, size)
    return lambda window: small.lerp(lay(window), alpha)


def _resized(pixels: torch.Tensor, size: Size) -> torch.Tensor:
    if (pixels.shape[2], pixels.shape[1]) == size:
        return pixels
    resized: torch.Tensor = F.interpolate(pixels[None], (size[1], size[0]), mode="bicubic", antialias=True)[
        0
    ].clamp(0, 1)
    return resized


def with_alpha(pixels: torch.Tensor, picture: Image.Image, upscaler: Upscaler) -> torch.Tensor:
    """Return pixels (3, height, width) with the alpha that a picture has, in their size; else as they are."""
    if picture.mode != "RGBA":
        return pixels
    size = pixels.shape[2], pixels.shape[1]
    alpha = Image.fromarray(np.asarray(picture.getchannel("A"))).convert("RGB")
    return torch.cat([pixels, _super_resolved(upscaler, tensors.pixels(alpha), size).mean(0, keepdim=True)])

"""Pillow images as tensors of float in 0 … 1, and back."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image


def pixels(picture: Image.Image) -> torch.Tensor:
    """Return an image in RGB or RGBA as (channels, height, width)."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255


def picture(values: torch.Tensor) -> Image.Image:
    """Return (3 or 4, height, width) as an image."""
    return Image.fromarray(as_bytes(values).numpy())


def as_bytes(values: torch.Tensor) -> torch.Tensor:
    """Convert float (channels, height, width) in 0 … 1 to uint8 (height, width, channels) on the CPU."""
    return (values * 255).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous().cpu()

"""Cheap pictures of what is still being painted: latents → RGB by a linear map.

The map is fitted once when a model is loaded, by encoding a chart of colours with the model's own VAE; no
decoder runs while people wait. The idea is that of the published latent-to-RGB factors, without a table of
them for each model.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from engine.families import Family

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Preview:
    """A linear map of latent channels to RGB."""

    weights: torch.Tensor  # (channels + 1, 3)
    pipe: Any
    family: Family

    @classmethod
    def fit(cls, pipe: Any, family: Family) -> Preview | None:
        """Return a model's preview; None, and so no previews, where its VAE cannot encode a picture."""
        vae = getattr(pipe, "vae", None)
        if not hasattr(vae, "encode"):
            return None
        try:
            return cls(_fit(pipe, family), pipe, family)
        except Exception as error:
            _log.info("no previews for %s: %s", type(pipe).__name__, error)
            return None

    def picture(self, latents: torch.Tensor, width: int, height: int) -> torch.Tensor | None:
        """Convert one picture's latents to small float RGB in 0 … 1, (3, h, w); None if they do not fit."""
        try:
            latents = self.family.to_vae(self.pipe, latents[:1].float(), width, height)
        except Exception as error:  # a preview is not worth a picture
            _log.warning("no preview of %s: %s", self.family.name, error)
            return None
        if latents.ndim != 4 or latents.shape[1] + 1 != self.weights.shape[0]:
            return None
        flat = _with_one(latents.flatten(2)[0].T)
        rgb: torch.Tensor = (flat @ self.weights).T.reshape(3, *latents.shape[2:]).clamp(0, 1)
        return rgb


def _fit(pipe: Any, family: Family) -> torch.Tensor:
    chart = _chart().to(pipe._execution_device, pipe.vae.dtype)
    latents = family.encode(pipe.vae, chart * 2 - 1).float()
    target = F.interpolate(chart.float(), size=latents.shape[2:], mode="area")
    rows = _with_one(latents.flatten(2).transpose(1, 2).flatten(0, 1))
    colours = target.flatten(2).transpose(1, 2).flatten(0, 1)
    weights: torch.Tensor = torch.linalg.lstsq(rows.cpu(), colours.cpu()).solution
    return weights.to(rows.device)


def _chart(side: int = 256) -> torch.Tensor:
    """Return two pictures of soft and hard patches in many colours, (2, 3, side, side) in 0 … 1."""
    colours = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    soft = F.interpolate(colours[:1], size=(side, side), mode="bilinear")
    hard = F.interpolate(colours[1:], size=(side, side), mode="nearest")
    return torch.cat([soft, hard])


def _with_one(rows: torch.Tensor) -> torch.Tensor:
    return torch.cat([rows, torch.ones_like(rows[:, :1])], dim=1)

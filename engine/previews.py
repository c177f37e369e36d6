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

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Preview:
    """A linear map of latent channels to RGB."""

    weights: torch.Tensor  # (channels + 1, 3)
    pipe: Any

    @classmethod
    def fit(cls, pipe: Any) -> Preview | None:
        """None where the VAE cannot encode a plain picture: the model then paints without previews."""
        vae = getattr(pipe, "vae", None)
        if not hasattr(vae, "encode"):
            return None
        try:
            return cls(_fit(vae), pipe)
        except Exception as error:
            _log.info("no previews for %s: %s", type(pipe).__name__, error)
            return None

    def picture(self, latents: torch.Tensor, width: int, height: int) -> torch.Tensor | None:
        """Latents of one picture → float RGB in 0 … 1 of shape (3, h, w), small; None if they do not fit."""
        if latents.ndim == 3 and hasattr(self.pipe, "_unpack_latents"):
            latents = self.pipe._unpack_latents(latents, height, width, self.pipe.vae_scale_factor)
        if latents.ndim == 5:
            latents = latents[:, :, 0]
        if latents.ndim != 4 or latents.shape[1] + 1 != self.weights.shape[0]:
            return None
        flat = _with_one(_unscaled(self.pipe.vae, latents[:1].float()).flatten(2)[0].T)
        rgb: torch.Tensor = (flat @ self.weights).T.reshape(3, *latents.shape[2:]).clamp(0, 1)
        return rgb


def _fit(vae: Any) -> torch.Tensor:
    chart = _chart().to(vae.device, vae.dtype)
    latents = vae.encode(chart * 2 - 1).latent_dist.mode().float()
    target = F.interpolate(chart.float(), size=latents.shape[2:], mode="area")
    rows = _with_one(latents.flatten(2).transpose(1, 2).flatten(0, 1))
    colours = target.flatten(2).transpose(1, 2).flatten(0, 1)
    weights: torch.Tensor = torch.linalg.lstsq(rows.cpu(), colours.cpu()).solution
    return weights.to(rows.device)


def _chart(side: int = 256) -> torch.Tensor:
    """Two pictures of soft and hard patches in many colours, (2, 3, side, side) in 0 … 1."""
    colours = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    soft = F.interpolate(colours[:1], size=(side, side), mode="bilinear")
    hard = F.interpolate(colours[1:], size=(side, side), mode="nearest")
    return torch.cat([soft, hard])


def _unscaled(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """The pipeline's latents in the VAE's own range."""
    config = vae.config
    return latents / (getattr(config, "scaling_factor", None) or 1.0) + (
        getattr(config, "shift_factor", None) or 0.0
    )


def _with_one(rows: torch.Tensor) -> torch.Tensor:
    return torch.cat([rows, torch.ones_like(rows[:, :1])], dim=1)

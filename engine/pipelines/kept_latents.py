"""Keeps what a mask does not mark while an image-to-image pipeline paints.

At each step the latents outside of the mask are replaced by those of the source, with the noise that belongs
to that step, as diffusers' own inpainting pipelines do. The pipeline itself adds noise to the source once, at
its start: what it gives its scheduler there is remembered, so that no family has to say how it encodes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

from engine.families import Family
from engine.regions import Region


class KeptLatents:
    """The latents of one request's source. Its pipeline's scheduler must be its own."""

    def __init__(self, pipe: Any, family: Family, region: Region) -> None:
        self._pipe = pipe
        self._family = family
        self._region = region
        self._add_noise: Callable[[torch.Tensor], torch.Tensor] | None = None
        self._clean: torch.Tensor | None = None
        for name in ("add_noise", "scale_noise"):
            if hasattr(pipe.scheduler, name):
                setattr(pipe.scheduler, name, self._remembering(getattr(pipe.scheduler, name), name))

    def _remembering(self, method: Callable[..., torch.Tensor], name: str) -> Callable[..., torch.Tensor]:
        @functools.wraps(method)
        def remembered(clean: torch.Tensor, *args: torch.Tensor) -> torch.Tensor:
            noise = args[0] if name == "add_noise" else args[1]

            def at(time: torch.Tensor) -> torch.Tensor:
                return method(clean, noise, time) if name == "add_noise" else method(clean, time, noise)

            self._clean, self._add_noise = clean, at
            return method(clean, *args)

        return remembered

    def put_back(self, time: Any, latents: torch.Tensor) -> torch.Tensor:
        """Return the latents after the step at `time` with those of the source where nothing is painted."""
        if self._clean is None or self._add_noise is None:
            raise RuntimeError(f"{type(self._pipe).__name__} adds no noise to its source")
        times = self._pipe.scheduler.timesteps
        later = int((times == time).nonzero()[0].item()) + 1
        source = self._clean
        if later < len(times):
            source = self._add_noise(times[later : later + 1])
        painted = self._painted(source)
        pack = functools.partial(self._family.packed, self._pipe)
        return torch.where(pack(painted), latents, pack(source).to(latents.dtype))

    def _painted(self, source: torch.Tensor) -> torch.Tensor:
        height, width = source.shape[-2:]
        cells = torch.from_numpy(self._region.painted_at((width, height))).to(source.device)
        return cells.expand(source.shape)

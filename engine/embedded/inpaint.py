"""Lets the stock inpaint pipeline run a denoiser whose latents have another width than 4."""

from __future__ import annotations

import copy
from typing import Any


def view_for_inpainting(unet: Any) -> Any:
    """Return a shallow copy of a UNet, weights shared, that `StableDiffusionInpaintPipeline` accepts.

    That pipeline refuses any `in_channels` but 4 or 9 although it takes the width of the latents
    from the autoencoder; only the copy's config says 4, the convolutions stay as they are.
    """
    view = copy.copy(unet)
    view.register_to_config(in_channels=4)
    return view

"""Stable Diffusion as it was trained to fill in: its denoiser sees the mask and what surrounds it."""

from dataclasses import replace

from engine.families import stable_diffusion

FAMILY = replace(
    stable_diffusion.FAMILY,
    name="Stable Diffusion Inpainting",
    pipelines=dict.fromkeys(("inpaint", "outpaint"), "StableDiffusionInpaintPipeline"),
    controls=None,
    single_file=(),
)

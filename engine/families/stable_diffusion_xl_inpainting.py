"""Stable Diffusion XL as it was trained to fill in: its denoiser sees the mask and what surrounds it."""

from dataclasses import replace

from engine.families import stable_diffusion_xl

FAMILY = replace(
    stable_diffusion_xl.FAMILY,
    name="Stable Diffusion XL Inpainting",
    pipelines=dict.fromkeys(("inpaint", "outpaint"), "StableDiffusionXLInpaintPipeline"),
    controls=None,
    single_file=(),
)

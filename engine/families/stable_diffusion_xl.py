"""Stable Diffusion XL."""

from engine.families.base import Family

FAMILY = Family(
    name="Stable Diffusion XL",
    pipelines={
        "text-to-image": "StableDiffusionXLPipeline",
        "image-to-image": "StableDiffusionXLImg2ImgPipeline",
    },
    single_file=("conditioner.embedders.1.model.",),
)

"""Stable Diffusion XL."""

from engine.families.base import Family

FAMILY = Family(
    name="Stable Diffusion XL",
    pipelines={
        "text_to_image": "StableDiffusionXLPipeline",
        "image_to_image": "StableDiffusionXLImg2ImgPipeline",
    },
    single_file=("conditioner.embedders.1.model.",),
)

"""Stable Diffusion 1 and 2, and the model that ships, which is one of its kind."""

from engine.families.base import Family

FAMILY = Family(
    name="Stable Diffusion",
    pipelines={
        "text_to_image": "StableDiffusionPipeline",
        "image_to_image": "StableDiffusionImg2ImgPipeline",
    },
    single_file=("cond_stage_model.",),
)

"""Stable Diffusion 1 and 2, and the model that ships, which is one of its kind."""

from engine.families.base import NOISE_SCHEDULERS, Family

FAMILY = Family(
    name="Stable Diffusion",
    pipelines={
        "text_to_image": "StableDiffusionPipeline",
        "image_to_image": "StableDiffusionImg2ImgPipeline",
    },
    schedulers=NOISE_SCHEDULERS,
    embeddings={"prompt_embeds": 0},
    single_file=("cond_stage_model.",),
)

"""Stable Diffusion XL."""

from engine.families.base import NOISE_SCHEDULERS, Family, LoraLayers
from engine.families.stable_diffusion import UNET

FAMILY = Family(
    name="Stable Diffusion XL",
    pipelines={
        "text_to_image": "StableDiffusionXLPipeline",
        "image_to_image": "StableDiffusionXLImg2ImgPipeline",
    },
    schedulers=NOISE_SCHEDULERS,
    embeddings={"prompt_embeds": 0, "pooled_prompt_embeds": 2},
    loras=LoraLayers(every=UNET, some="transformer_blocks_[1-9]"),
    single_file=("conditioner.embedders.1.model.",),
)

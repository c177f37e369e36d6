"""Stable Diffusion XL."""

from engine.families.base import NOISE_SCHEDULERS, Controls, Family, LoraLayers
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
    controls=Controls(
        pipelines={
            "text_to_image": "StableDiffusionXLControlNetPipeline",
            "image_to_image": "StableDiffusionXLControlNetImg2ImgPipeline",
        },
        network="ControlNetModel",
        told={"addition_embed_type": "text_time"},
    ),
    style_layers=r"up_blocks\.0\.attentions\.1\.",
    single_file=("conditioner.embedders.1.model.",),
)

"""Stable Diffusion 1 and 2, and the model that ships, which is one of its kind."""

from engine.families.base import NOISE_SCHEDULERS, Controls, Family, LoraLayers

UNET = (
    "(down_blocks|up_blocks|mid_block|input_blocks|output_blocks|middle_block)_"
    "|(time|add)_embed|label_emb|conv_(in|out)|out_2"
)
"""How layers of its U-Net are called, in diffusers and by those who trained it."""

FAMILY = Family(
    name="Stable Diffusion",
    pipelines={
        "text_to_image": "StableDiffusionPipeline",
        "image_to_image": "StableDiffusionImg2ImgPipeline",
    },
    schedulers=NOISE_SCHEDULERS,
    embeddings={"prompt_embeds": 0},
    loras=LoraLayers(every=UNET, none="transformer_blocks_[1-9]"),
    controls=Controls(
        pipelines={
            "text_to_image": "StableDiffusionControlNetPipeline",
            "image_to_image": "StableDiffusionControlNetImg2ImgPipeline",
        },
        network="ControlNetModel",
        told={"addition_embed_type": None},
    ),
    style_layers=r"up_blocks\.1\.",
    single_file=("cond_stage_model.",),
)

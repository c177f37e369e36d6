"""Stable Diffusion 3 and 3.5."""

from engine.families.base import Family

FAMILY = Family(
    name="Stable Diffusion 3",
    pipelines={
        "text_to_image": "StableDiffusion3Pipeline",
        "image_to_image": "StableDiffusion3Img2ImgPipeline",
    },
    single_file=("joint_blocks.0.context_block.",),
)

"""Stable Diffusion 3 and 3.5."""

from engine.families.base import Family

FAMILY = Family(
    name="Stable Diffusion 3",
    pipelines={
        "text-to-image": "StableDiffusion3Pipeline",
        "image-to-image": "StableDiffusion3Img2ImgPipeline",
    },
    single_file=("joint_blocks.0.context_block.",),
)

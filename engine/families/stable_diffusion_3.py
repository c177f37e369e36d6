"""Stable Diffusion 3 and 3.5."""

from engine.families.base import Controls, Family, LoraLayers

FAMILY = Family(
    name="Stable Diffusion 3",
    pipelines={
        "text_to_image": "StableDiffusion3Pipeline",
        "image_to_image": "StableDiffusion3Img2ImgPipeline",
    },
    loras=LoraLayers(
        every="(transformer|joint)_blocks|context_embedder|pos_embed|time_text_embed|norm_out|proj_out",
        none="mlp_net|linear_in|to_gate",
    ),
    controls=Controls(
        pipelines={"text_to_image": "StableDiffusion3ControlNetPipeline"}, network="SD3ControlNetModel"
    ),
    single_file=("joint_blocks.0.context_block.",),
)

"""Qwen-Image-Edit: paints only by pictures, which it takes without a strength."""

from dataclasses import replace

from engine.families import qwen_image

FAMILY = replace(
    qwen_image.FAMILY,
    name="Qwen-Image-Edit",
    pipelines={"image_to_image": "QwenImageEditPipeline"},
    strength=False,
    needs=("torchvision",),  # its processor also knows videos
    references=1,
    controls=None,
)

"""Qwen-Image-Edit-Plus (2509 and later): as Qwen-Image-Edit, for several pictures."""

from dataclasses import replace

from engine.families import qwen_image_edit

FAMILY = replace(
    qwen_image_edit.FAMILY,
    name="Qwen-Image-Edit-Plus",
    pipelines={"image_to_image": "QwenImageEditPlusPipeline"},
    references=3,
)

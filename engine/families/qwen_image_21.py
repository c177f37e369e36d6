"""Qwen-Image-2.1. It keeps keys and values of its condition between steps, so that its calls run alone."""

from engine.families.qwen_image import VideoVaeFamily

FAMILY = VideoVaeFamily(
    name="Qwen-Image-2.1",
    pipelines={"text_to_image": "QwenImage21Pipeline", "image_to_image": "QwenImage21Pipeline"},
    joins="never",
    guidance="true_cfg_scale",
    strength=False,
    references=10,
)

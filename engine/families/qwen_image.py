"""Qwen-Image. Its guidance is `true_cfg_scale`; the model reads the first item of `img_shapes` alone."""

from engine.families.base import Family

FAMILY = Family(
    name="Qwen-Image",
    pipelines={
        "text_to_image": "QwenImagePipeline",
        "image_to_image": "QwenImageImg2ImgPipeline",
    },
    shared={"QwenImageTransformer2DModel": frozenset({"img_shapes"})},
    row_lists={"QwenImageTransformer2DModel": frozenset({"img_shapes"})},
    guidance="true_cfg_scale",
)

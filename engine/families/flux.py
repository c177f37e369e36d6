"""FLUX.1. Its position ids have no row for each picture."""

from engine.families.base import Family

FAMILY = Family(
    name="FLUX.1",
    pipelines={
        "text_to_image": "FluxPipeline",
        "image_to_image": "FluxImg2ImgPipeline",
    },
    shared={"FluxTransformer2DModel": frozenset({"img_ids", "txt_ids"})},
    negative_prompt=False,
    single_file=("vector_in.in_layer.", "double_blocks.0.img_attn."),
)

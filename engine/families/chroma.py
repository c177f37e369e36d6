"""Chroma, which grew out of FLUX.1. Its position ids have no row for each picture."""

from engine.families.flux import LORAS, PackedFamily

FAMILY = PackedFamily(
    name="Chroma",
    pipelines={"text_to_image": "ChromaPipeline", "image_to_image": "ChromaImg2ImgPipeline"},
    shared={"ChromaTransformer2DModel": frozenset({"img_ids", "txt_ids"})},
    loras=LORAS,
    single_file=("distilled_guidance_layer.",),
)

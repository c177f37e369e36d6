"""Z-Image. The model takes lists with an item for each picture, of any size, and returns such a list."""

from engine.families.base import Family

FAMILY = Family(
    name="Z-Image",
    pipelines={
        "text_to_image": "ZImagePipeline",
        "image_to_image": "ZImageImg2ImgPipeline",
    },
    row_lists={"ZImageTransformer2DModel": frozenset({"x", "cap_feats", "siglip_feats", "return"})},
    single_file=("layers.0.adaLN_modulation.",),
)

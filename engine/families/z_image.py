"""Z-Image. The model takes lists with an item for each picture, of any size, and returns such a list."""

from engine.families.base import Family, LoraLayers

FAMILY = Family(
    name="Z-Image",
    pipelines={
        "text_to_image": "ZImagePipeline",
        "image_to_image": "ZImageImg2ImgPipeline",
    },
    row_lists={"ZImageTransformer2DModel": frozenset({"x", "cap_feats", "siglip_feats", "return"})},
    loras=LoraLayers(
        every="(layers|noise_refiner|context_refiner)_|(all_)?x_embedder|cap_embedder|t_embedder|(all_)?final_layer"
    ),
    single_file=("layers.0.adaLN_modulation.",),
)

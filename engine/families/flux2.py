"""FLUX.2 and FLUX.2 klein. The model reads the first row of its position ids alone, so all rows share them.

The pipelines take reference pictures as `image`, and no strength: a source is something to paint by.
"""

from engine.families.base import Family

FAMILY = Family(
    name="FLUX.2",
    pipelines={"text_to_image": "Flux2Pipeline", "image_to_image": "Flux2Pipeline"},
    shared={"Flux2Transformer2DModel": frozenset({"img_ids", "txt_ids"})},
    strength=False,
    negative_prompt=False,
    single_file=("single_stream_modulation.",),
)

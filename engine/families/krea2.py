"""Krea 2. Its position ids have no row for each picture; its VAE is that of Qwen-Image."""

from typing import Any

from engine.families.base import LoraLayers
from engine.families.qwen_image import VideoVaeFamily


class Krea2Family(VideoVaeFamily):
    """Krea 2's pipeline unpacks its latents by its own patch size."""

    def unpacked(self, pipe: Any, latents: Any, width: int, height: int) -> Any:
        """Return packed latents as those of a video."""
        return pipe._unpack_latents(latents, height, width)


FAMILY = Krea2Family(
    name="Krea 2",
    pipelines={"text_to_image": "Krea2Pipeline"},
    loras=LoraLayers(
        every="(transformer_)?blocks|text_?fusion|txtfusion|(img|txt)_in|time_embed|time_mod_proj|final_layer"
        "|first|last|tmlp|tproj|txtmlp",
        none="add_[qkv]_proj|mlp_net|ff_(context_)?(net|linear)",
    ),
    single_file=("txtfusion.projector.",),
    shared={"Krea2Transformer2DModel": frozenset({"position_ids"})},
)

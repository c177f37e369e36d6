"""FLUX.1. Its position ids have no row for each picture. Its latents are packed: a row of 2 × 2 patches."""

from typing import Any

from engine.families.base import Controls, Family, LoraLayers

LAYERS = (
    "(single_)?transformer_blocks|(single|double)_blocks|(x|context)_embedder|time_text_embed"
    "|(img|txt|time|vector|guidance)_in|norm_out|proj_out|final_layer"
)
"""How layers of its denoiser are called, in diffusers and by those who made it."""
LORAS = LoraLayers(every=LAYERS, none="to_qkv_mlp_proj|mlp_net|linear_in|to_gate")


class PackedFamily(Family):
    """A family whose latents are packed as those of FLUX.1."""

    def to_vae(self, pipe: Any, latents: Any, width: int, height: int) -> Any:
        """Return the latents as an image of them, in the range of the VAE."""
        image = pipe._unpack_latents(latents, height, width, pipe.vae_scale_factor)
        return super().to_vae(pipe, image, width, height)

    def packed(self, pipe: Any, latents: Any) -> Any:
        """Return an image of latents as rows of 2 × 2 patches."""
        return pipe._pack_latents(latents, *latents.shape)


FAMILY = PackedFamily(
    name="FLUX.1",
    pipelines={
        "text_to_image": "FluxPipeline",
        "image_to_image": "FluxImg2ImgPipeline",
    },
    shared=dict.fromkeys(
        ("FluxTransformer2DModel", "FluxControlNetModel"), frozenset({"img_ids", "txt_ids"})
    ),
    negative_prompt=False,
    loras=LORAS,
    controls=Controls(
        pipelines={
            "text_to_image": "FluxControlNetPipeline",
            "image_to_image": "FluxControlNetImg2ImgPipeline",
        },
        network="FluxControlNetModel",
        modes={"edges": 0, "scribble": 0, "depth": 2, "pose": 4},
    ),
    single_file=("vector_in.in_layer.", "double_blocks.0.img_attn."),
)

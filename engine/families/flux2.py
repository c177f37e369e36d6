"""FLUX.2 and FLUX.2 klein. The model reads the first row of its position ids alone, so all rows share them.

The pipelines take reference pictures as `image`, and no strength: a source is something to paint by. Latents
are a row of 2 × 2 patches, in the range of the VAE's batch normalization.
"""

from typing import Any

from engine.families.base import Family, LoraLayers
from engine.families.flux import LAYERS


class Flux2Family(Family):
    """A family whose latents are packed as those of FLUX.2."""

    def to_vae(self, pipe: Any, latents: Any, width: int, height: int) -> Any:
        """Return the latents as an image of them, in the range of the VAE."""
        patch = 2 * pipe.vae_scale_factor
        image = latents.transpose(1, 2).unflatten(2, (height // patch, width // patch))
        norm, per_channel = pipe.vae.bn, (1, -1, 1, 1)
        # The VAE may be in host memory by now.
        mean, variance = (each.to(image.device) for each in (norm.running_mean, norm.running_var))
        spread = (variance + pipe.vae.config.batch_norm_eps).sqrt()
        image = image * spread.view(per_channel) + mean.view(per_channel)
        return pipe._unpatchify_latents(image)


FAMILY = Flux2Family(
    name="FLUX.2",
    pipelines={"text_to_image": "Flux2Pipeline", "image_to_image": "Flux2Pipeline"},
    shared={"Flux2Transformer2DModel": frozenset({"img_ids", "txt_ids"})},
    strength=False,
    negative_prompt=False,
    loras=LoraLayers(
        every=f"{LAYERS}|(double|single)_stream|time_guidance_embed",
        none=r"ff_(context_)?net|mlp_net|to_gate|single_transformer_blocks_\d+_(attn_to_[qkv]$|proj_mlp|norm_linear)",
    ),
    single_file=("single_stream_modulation.",),
)

"""Qwen-Image. Its guidance is `true_cfg_scale`; the model reads the first item of `img_shapes` alone.

Its VAE is one of videos: a picture is one of a single frame.
"""

from typing import Any

from engine.families.base import Controls, Family, LoraLayers


class VideoVaeFamily(Family):
    """A family with the VAE of Qwen-Image."""

    def to_vae(self, pipe: Any, latents: Any, width: int, height: int) -> Any:
        """Return the latents as an image of them, in the range of the VAE."""
        image, config = self.unpacked(pipe, latents, width, height)[:, :, 0], pipe.vae.config
        mean, spread = (
            image.new_tensor(each).view(1, -1, 1, 1) for each in (config.latents_mean, config.latents_std)
        )
        return image * spread + mean

    def unpacked(self, pipe: Any, latents: Any, width: int, height: int) -> Any:
        """Return packed latents as those of a video."""
        return pipe._unpack_latents(latents, height, width, pipe.vae_scale_factor)

    def packed(self, pipe: Any, latents: Any) -> Any:
        """Return an image of latents, of shape (pictures, 1, channels, height, width), as rows of patches."""
        count, _frames, channels, height, width = latents.shape
        return pipe._pack_latents(latents.contiguous(), count, channels, height, width)

    def encode(self, vae: Any, pixels: Any) -> Any:
        """Return pictures as latents of the VAE."""
        return super().encode(vae, pixels.unsqueeze(2))[:, :, 0]


FAMILY = VideoVaeFamily(
    name="Qwen-Image",
    pipelines={
        "text_to_image": "QwenImagePipeline",
        "image_to_image": "QwenImageImg2ImgPipeline",
    },
    shared=dict.fromkeys(
        ("QwenImageTransformer2DModel", "QwenImageControlNetModel"), frozenset({"img_shapes"})
    ),
    row_lists=dict.fromkeys(
        ("QwenImageTransformer2DModel", "QwenImageControlNetModel"), frozenset({"img_shapes"})
    ),
    loras=LoraLayers(
        every="transformer_blocks|(img|txt)_in|time_text_embed|norm_out|proj_out",
        none="_ff_(context_)?(net|linear|gate|up|down)|to_gate|norm1",
    ),
    controls=Controls(
        pipelines={"text_to_image": "QwenImageControlNetPipeline"}, network="QwenImageControlNetModel"
    ),
    guidance="true_cfg_scale",
)

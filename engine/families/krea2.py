"""Krea 2. Its position ids have no row for each picture; its VAE is that of Qwen-Image."""

from typing import Any

from engine.families.qwen_image import VideoVaeFamily


class Krea2Family(VideoVaeFamily):
    """Krea 2's pipeline unpacks its latents by its own patch size."""

    def unpacked(self, pipe: Any, latents: Any, width: int, height: int) -> Any:
        """Return packed latents as those of a video."""
        return pipe._unpack_latents(latents, height, width)


FAMILY = Krea2Family(
    name="Krea 2",
    pipelines={"text_to_image": "Krea2Pipeline"},
    single_file=("txtfusion.projector.",),
    shared={"Krea2Transformer2DModel": frozenset({"position_ids"})},
)

"""FLUX.1 Kontext: as FLUX.1, and paints by one reference picture."""

from typing import Any

from engine.families import flux
from engine.families.base import Painting
from engine.types import PaintingTask


class KontextFamily(flux.PackedFamily):
    """A family whose pipeline would change the size that is asked for to one of a megapixel."""

    def arguments(self, task: PaintingTask, painting: Painting) -> dict[str, Any]:
        """Return the keyword arguments of the task's pipeline call."""
        return super().arguments(task, painting) | {"max_area": painting.width * painting.height}


FAMILY = KontextFamily(
    name="FLUX.1 Kontext",
    pipelines={"text_to_image": "FluxKontextPipeline", "image_to_image": "FluxKontextPipeline"},
    shared=flux.FAMILY.shared,
    strength=False,
    references=1,
    negative_prompt=False,
    loras=flux.FAMILY.loras,
)

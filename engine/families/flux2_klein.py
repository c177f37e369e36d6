"""FLUX.2 klein: as FLUX.2, with a pipeline class of its own."""

from dataclasses import replace

from engine.families import flux2

FAMILY = replace(
    flux2.FAMILY,
    name="FLUX.2 klein",
    pipelines={"text_to_image": "Flux2KleinPipeline", "image_to_image": "Flux2KleinPipeline"},
    references=4,
    single_file=(),
)

"""FLUX.1 Fill: as FLUX.1, for masks alone."""

from dataclasses import replace

from engine.families import flux

FAMILY = replace(
    flux.FAMILY,
    name="FLUX.1 Fill",
    pipelines=dict.fromkeys(("inpaint", "outpaint"), "FluxFillPipeline"),
    controls=None,
    single_file=(),
)

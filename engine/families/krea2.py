"""Krea 2. Its position ids have no row for each picture."""

from engine.families.base import Family

FAMILY = Family(
    name="Krea 2",
    pipelines={"text_to_image": "Krea2Pipeline"},
    single_file=("txtfusion.projector.",),
    shared={"Krea2Transformer2DModel": frozenset({"position_ids"})},
)

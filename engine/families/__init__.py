"""What Easel knows of each family of diffusers pipelines, one module a family.

A family is found by the name of its pipeline class. A new one is a module here with a `Family` in it. Nothing
here imports torch or diffusers, so that the studio can ask what a model can do.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterable

from engine.families.base import Family, Painting

__all__ = ["Family", "Painting", "families", "family_of", "single_file_pipeline"]


@functools.cache
def families() -> tuple[Family, ...]:
    """Return every family that has a module here."""
    names = sorted(each.name for each in pkgutil.iter_modules(__path__) if each.name != "base")
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return tuple(module.FAMILY for module in modules)


def family_of(pipeline: str) -> Family:
    """Return the family of a pipeline class, or for an unknown class one that finds out by comparing."""
    for family in families():
        if pipeline in family.classes:
            return family
    return Family(name=pipeline, pipelines={"text_to_image": pipeline}, joins="compared")


def single_file_pipeline(weights: Iterable[str]) -> str | None:
    """Return the pipeline class of a single-file checkpoint by the names of its weights, or None."""
    names = {name.removeprefix("model.diffusion_model.") for name in weights}

    def tells(beginning: str) -> bool:
        return any(name.startswith(beginning) for name in names)

    matching = [each for each in families() if each.single_file and all(map(tells, each.single_file))]
    return matching[0].pipelines["text_to_image"] if len(matching) == 1 else None

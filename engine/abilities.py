"""What a diffusers pipeline class can do, without importing it: the studio asks before any model is loaded.

`tests/unit/test_abilities.py` compares the lists with the installed diffusers. A class that is not in them is
only asked to paint from words.
"""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.types import ModelInfo, TaskKind

FROM_A_PICTURE = frozenset(
    """
    FluxPipeline IFPipeline Kandinsky3Pipeline KandinskyCombinedPipeline KandinskyV22CombinedPipeline
    LatentConsistencyModelPipeline QwenImagePipeline StableDiffusion3PAGPipeline StableDiffusion3Pipeline
    StableDiffusionPAGPipeline StableDiffusionPipeline StableDiffusionXLPAGPipeline StableDiffusionXLPipeline
    ZImagePipeline
    """.split()
)
"""Text-to-image classes whose image-to-image sibling takes a `strength`."""

NO_NEGATIVE_PROMPT = frozenset(
    """
    Flux2KleinPipeline Flux2Pipeline FluxPipeline GlmImagePipeline Ideogram4Pipeline
    LatentConsistencyModelPipeline
    """.split()
)
"""Classes that take no negative prompt, or, as FluxPipeline, only with what is not passed."""

_MARKS = {
    "single_stream_modulation.lin.weight": "Flux2Pipeline",
    "double_blocks.0.img_attn.norm.key_norm.scale": "FluxPipeline",
}
"""Tensors that tell a single file's class, where it is none of Stable Diffusion's, Z-Image's or Qwen's."""


def tasks_of(pipeline: str) -> frozenset[TaskKind]:
    """Return what a pipeline class can do besides enlarging, which needs no painting model."""
    return frozenset(
        ("text_to_image", "image_to_image") if pipeline in FROM_A_PICTURE else ("text_to_image",)
    )


def told(model: ModelInfo, pipeline: str) -> ModelInfo:
    """Return the model with no more abilities than its pipeline class has."""
    negative = model.negative_prompt and pipeline not in NO_NEGATIVE_PROMPT
    return replace(model, tasks=tasks_of(pipeline), negative_prompt=negative)


def pipeline_of(source: str) -> str:
    """Return the class of the pipeline at `source`: a folder, a file, or a hub name in the hub's cache.

    Nothing is fetched: the class of a model that is not there yet, or cannot be read, is empty.
    """
    path = Path(source).expanduser()
    try:
        if path.is_file():
            return _of_file(path)
        index = path / "model_index.json" if path.is_dir() else _cached(source)
        found = json.loads(index.read_text(encoding="utf-8")).get("_class_name", "") if index else ""
    except (OSError, ValueError, AttributeError, struct.error):
        return ""
    return str(found)


def _of_file(path: Path) -> str:
    with path.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        names: dict[str, Any] = json.loads(stream.read(min(length, 100_000_000)))
    found = (kind for mark, kind in _MARKS.items() if any(name.endswith(mark) for name in names))
    return next(found, "StableDiffusionPipeline")


def _cached(name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, "model_index.json")
    return Path(found) if isinstance(found, str) else None

"""What the files of a model tell before it is loaded. Imports no torch, and fetches nothing."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

from engine.families import single_file_pipeline


def pipeline_of(source: str) -> str:
    """Return the class of the pipeline at `source`: a folder, a file, or a hub name in the hub's cache.

    Empty for a model that is not here yet, cannot be read or does not tell.
    """
    path = Path(source).expanduser()
    try:
        if path.is_file():
            return single_file_pipeline(weight_names(path)) or ""
        index = path / "model_index.json" if path.is_dir() else _cached(source)
        found = json.loads(index.read_text(encoding="utf-8")).get("_class_name", "") if index else ""
    except (OSError, ValueError, AttributeError, SafetensorError):
        return ""
    return str(found)


def weight_names(file: Path) -> list[str]:
    """Return the names of the weights in a safetensors file. Raises OSError, SafetensorError."""
    with safe_open(file, framework="np") as weights:
        return list(weights.keys())


def _cached(name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, "model_index.json")
    return Path(found) if isinstance(found, str) else None

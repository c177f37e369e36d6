"""What the files of a model tell before it is loaded. Imports no torch, and fetches nothing."""

from __future__ import annotations

import json
import re
import struct
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any, TypeVar

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
        index = index_of(source)
        found = json.loads(index.read_text(encoding="utf-8")).get("_class_name", "") if index else ""
    except (OSError, ValueError, AttributeError, SafetensorError):
        return ""
    return str(found)


def denoiser_config(source: str) -> dict[str, Any] | None:
    """Return the configuration of a model's denoiser, of a single file the width of the text that it joins.

    None for a model that is not here yet, cannot be read or does not tell.
    """
    path = Path(source).expanduser()
    try:
        if path.is_file():
            return _width_in(path)
        index = index_of(source)
        files = [index.parent / part / "config.json" for part in _DENOISERS] if index else []
        found = next((json.loads(each.read_text(encoding="utf-8")) for each in files if each.is_file()), None)
    except (OSError, ValueError, struct.error):
        return None
    return found if isinstance(found, dict) else None


_DENOISERS = ("unet", "transformer")
_JOINED = re.compile(
    r"(model\.diffusion_model\.)?input_blocks\.\d+\.1\.transformer_blocks\.0\.attn2\.to_k\.weight"
)


def _width_in(file: Path) -> dict[str, Any]:
    shapes = (tensor["shape"] for name, tensor in _header(file).items() if _JOINED.fullmatch(name))
    first = next(shapes, None)
    return {"cross_attention_dim": first[1]} if first else {}


def footprint(source: str, weight: int) -> dict[str, int]:
    """Return the bytes that each component of a model takes in memory, by its name in the pipeline.

    Floating-point weights take `weight` bytes each; quantised ones what they take in the file. Empty for a
    model that is not here yet or cannot be read.
    """
    path = Path(source).expanduser()
    try:
        if path.is_file():
            return _by_part(path, weight)
        index = index_of(source)
        folders = sorted(each for each in index.parent.iterdir() if each.is_dir()) if index else []
        sizes = {each.name: sum(_bytes(file, weight) for file in _files(each)) for each in folders}
        return {name: size for name, size in sizes.items() if size}
    except (OSError, ValueError, AttributeError, struct.error):
        return {}


def variant_of(names: Iterable[str]) -> str | None:
    """Return the variant that some part's weights come in alone, by the names of a pipeline's files.

    None where every part has weights without a variant. Where there are several, the one of most parts.
    """
    parts: dict[str, set[str]] = {}
    for name in names:
        if (found := _WEIGHTS.fullmatch(name)) is not None:
            parts.setdefault(found["part"], set()).add(found["variant"] or "")
    lacking = [variants for variants in parts.values() if "" not in variants]
    counted = Counter(variant for variants in lacking for variant in sorted(variants))
    return counted.most_common(1)[0][0] if counted else None


_WEIGHTS = re.compile(
    r"(?P<part>[\w-]+)/(?:diffusion_pytorch_model|model)(?:\.(?P<variant>[a-z][\w-]*?))?(?:-\d+-of-\d+)?"
    r"\.safetensors"
)


def names_in(folder: Path) -> list[str]:
    """Return the names of all files below a folder."""
    return [file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()]


def snapshot(name: str) -> Path | None:
    """Return the folder of a hub's model in the hub's cache."""
    found = index_of(name)
    return found.parent if found else None


_PREFIXES = {"first_stage_model.": "vae", "vae.": "vae", "cond_stage_model.": "text_encoder",
             "conditioner.": "text_encoder", "text_encoders.": "text_encoder"}  # fmt: skip
_FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}


def parts_of(names: Iterable[str]) -> set[str]:
    """Return which parts of a pipeline a single file holds, by the names of its weights."""
    return {_part(name) for name in names}


def _part(name: str) -> str:
    return next((part for prefix, part in _PREFIXES.items() if name.startswith(prefix)), "denoiser")


def dtypes(file: Path) -> list[str]:
    """Return the type of each tensor of a safetensors file. Raises OSError, ValueError, struct.error."""
    return [str(tensor["dtype"]) for tensor in _header(file).values()]


def _by_part(file: Path, weight: int) -> dict[str, int]:
    """Return the bytes of the parts of a single file."""
    sizes: dict[str, int] = {}
    for name, tensor in _header(file).items():
        part = _part(name)
        sizes[part] = sizes.get(part, 0) + _size(tensor, weight)
    return sizes


def _files(folder: Path) -> list[Path]:
    """Return a component's files."""
    return whole(sorted(folder.glob("*.safetensors")))


P = TypeVar("P", bound=PurePath)


def whole(files: Iterable[P]) -> list[P]:
    """Return the weights among a component's files: the ones without a variant, or else those of variants."""
    weights = [file for file in files if file.suffix == ".safetensors"]
    return [file for file in weights if re.fullmatch(r"[a-z_]+(-\d+-of-\d+)?", file.stem)] or weights


def _bytes(file: Path, weight: int) -> int:
    return sum(_size(tensor, weight) for tensor in _header(file).values())


def _size(tensor: dict[str, Any], weight: int) -> int:
    begin, end = tensor["data_offsets"]
    stored, size = _FLOATS.get(tensor["dtype"]), int(end) - int(begin)
    return size * weight // stored if stored else size


def _header(file: Path) -> dict[str, Any]:
    """Return name → type, shape and place of each tensor. Raises OSError, ValueError, struct.error."""
    with file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header: dict[str, Any] = json.loads(stream.read(min(length, 100_000_000)))
    return {name: tensor for name, tensor in header.items() if name != "__metadata__"}


def weight_names(file: Path) -> list[str]:
    """Return the names of the weights in a safetensors file. Raises OSError, SafetensorError."""
    with safe_open(file, framework="np") as weights:
        return list(weights.keys())


def index_of(source: str) -> Path | None:
    """Return the `model_index.json` of a folder, or of a hub name in the hub's cache; None where none is."""
    path = Path(source).expanduser()
    return path / "model_index.json" if path.is_dir() else _cached(source)


def _cached(name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, "model_index.json")
    return Path(found) if isinstance(found, str) else None

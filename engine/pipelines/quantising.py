"""Components that are quantised while they are loaded, as the profile for a card says.

The packages that do it are extras: bitsandbytes, torchao, gguf. Imported where a profile names them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from engine.catalog import Entry
from engine.pipelines.model_files import footprint, index_of
from engine.profiles import METHODS, Fitted, fitted, profile, quantises

_GGUF = "gguf:"


def methods(entry: Entry, memory: float, card: float) -> Mapping[str, str]:
    """Return the method by which each component is quantised on a card with `memory` for components."""
    wanted = profile(entry.cards, card)
    fit: Fitted = fitted(footprint(entry.source, 2), wanted, memory)
    return {name: wanted[name] for name, held in fit.parts.items() if quantises(held.how)}


def options(entry: Entry, how: Mapping[str, str], dtype: torch.dtype) -> dict[str, Any]:
    """Return the arguments of `from_pretrained` that quantise components; none where `how` is empty."""
    index = index_of(entry.source)
    if not how or index is None:
        return {}
    kinds: dict[str, Any] = json.loads(index.read_text(encoding="utf-8"))
    given, mapping = dict[str, Any](), dict[str, Any]()
    for name, method in how.items():
        library, kind = kinds[name]
        if method.startswith(_GGUF):
            given[name] = getattr(diffusers, kind).from_single_file(
                str(_file(method.removeprefix(_GGUF))),
                quantization_config=diffusers.GGUFQuantizationConfig(compute_dtype=dtype),
                config=str(index.parent),
                subfolder=name,
                dtype=dtype,
            )
        else:
            mapping[name] = _config(diffusers if library == "diffusers" else transformers, method, dtype)
    if mapping:
        given["quantization_config"] = diffusers.PipelineQuantizationConfig(quant_mapping=mapping)
    return given


def fetch_files(how: Mapping[str, str]) -> None:
    """Download the files that a profile names."""
    for method in how.values():
        if method.startswith(_GGUF):
            _file(method.removeprefix(_GGUF))


def _config(library: Any, method: str, dtype: torch.dtype) -> Any:
    match method:
        case "nf4":
            return library.BitsAndBytesConfig(
                load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
            )
        case "int8":
            return library.BitsAndBytesConfig(load_in_8bit=True)
        case "int8-torchao":
            from torchao.quantization import Int8WeightOnlyConfig

            return library.TorchAoConfig(Int8WeightOnlyConfig())
    raise ValueError(f"{method} is none of {', '.join(METHODS)}")


def _file(name: str) -> Path:
    """Return a file on this machine; one of the hub, owner/repository/file, is fetched."""
    path = Path(name).expanduser()
    if path.is_file():
        return path
    from huggingface_hub import hf_hub_download

    owner, repository, file = name.split("/", 2)
    return Path(hf_hub_download(f"{owner}/{repository}", file))

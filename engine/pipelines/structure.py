"""Whether a model's files are what start would load, seen from names, indexes and headers alone. No torch.

Loading is the judge; this finds, in milliseconds, what is sure to fail, and says why in one sentence.
"""

from __future__ import annotations

import difflib
import functools
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

from engine.catalog import Entry, check_files
from engine.errors import ModelNotLoaded
from engine.families import family_of
from engine.pipelines.model_files import dtypes, parts_of, variant_of, weight_names

_LORA = re.compile(r"[._]lora[._]|lora_(?:up|down|unet|te)|hada_w1|lokr_w1", re.IGNORECASE)
_PICKLES = ("*.bin", "*.ckpt", "*.pt", "*.pth", "*.msgpack", "*.h5")
_WEIGHTS = {"diffusers": "diffusion_pytorch_model"}  # else "model", as transformers calls it
_WITHOUT_WEIGHTS = ("Tokenizer", "TokenizerFast", "Processor", "ProcessorFast", "FeatureExtractor")

# Methods of quantisation whose library has another name than the method; "" for those that need none.
_LIBRARIES = {
    "bitsandbytes_4bit": "bitsandbytes",
    "bitsandbytes_8bit": "bitsandbytes",
    "quanto": "optimum.quanto",
    "gptq": "gptqmodel",
    "fp8": "",
    "finegrained_fp8": "",
    "mxfp4": "",
}
# What the tensors of a file are called that holds one part of a model.
_PARTS = {
    "VAE": ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.", "first_stage_model."),
    "text encoder": ("text_model.", "text_encoders.", "cond_stage_model.", "encoder.block.", "shared."),
    "ControlNet": ("control_model.", "controlnet_", "input_hint_block."),
}


def check(entry: Entry) -> None:
    """Raise ModelNotLoaded with one sentence that says what is wrong. A hub's models are not judged."""
    path = entry.local
    if path is not None and path.is_dir():
        _check_folder(path)
        return
    if entry.pipeline:
        _check_class(entry.pipeline, "the setting `pipeline`")
    if path is not None:
        _check_file(path, entry)


def missing(entry: Entry) -> str:
    """Return the packages (extras of Easel have the same names) that the class of a model needs and that are not installed."""
    return " ".join(each for each in family_of(entry.pipeline).needs if not _installed(each))


# --- a folder ---------------------------------------------------------------------------------------------


def _check_folder(path: Path) -> None:
    if not (path / "model_index.json").is_file():
        raise ModelNotLoaded(f"{path} {_instead(path)}")
    check_files(path)
    index = _json(path / "model_index.json")
    name = index.get("_class_name")
    if not isinstance(name, str):
        raise ModelNotLoaded(f"{path / 'model_index.json'} does not name a pipeline of diffusers")
    _check_class(name, str(path / "model_index.json"))
    for part, made in index.items():
        if isinstance(made, list) and len(made) == 2 and all(isinstance(each, str) for each in made):
            _check_part(path / part, *made)


def _instead(path: Path) -> str:
    """Return the part of an error message that says what a folder without a pipeline is."""
    if (path / "adapter_config.json").is_file() or any(path.glob("*lora*.safetensors")):
        return "is a LoRA, which changes a model: name a whole model"
    if (path / "config.json").is_file():
        return "is one part of a pipeline: name the folder above, which holds model_index.json"
    return "has no model_index.json: it is not a diffusers pipeline folder"


def _check_part(folder: Path, library: str, kind: str) -> None:
    if not folder.is_dir() or not any(folder.iterdir()):
        raise ModelNotLoaded(f"{folder} is missing: fetch the model again")
    if library == "diffusers":
        _check_class(kind, f"{folder.parent / 'model_index.json'} ({folder.name})")
    if kind.endswith("Scheduler"):
        _json(folder / "scheduler_config.json")
    elif not kind.endswith(_WITHOUT_WEIGHTS):
        config = _json(folder / "config.json")
        _check_quantised(folder, config.get("quantization_config"))
        _check_weights(folder, _WEIGHTS.get(library, "model"))


def _check_weights(folder: Path, stem: str) -> None:
    index, whole = folder / f"{stem}.safetensors.index.json", folder / f"{stem}.safetensors"
    if variant := variant_of(f"{folder.name}/{file.name}" for file in folder.glob(f"{stem}*.safetensors")):
        index = folder / f"{stem}.safetensors.index.{variant}.json"
        whole = folder / f"{stem}.{variant}.safetensors"
    if index.is_file():
        shards = set(_json(index).get("weight_map", {}).values())
        files = sorted(folder / str(shard) for shard in shards)
    else:
        files = [whole]
    missing = [file for file in files if not file.is_file()]
    if not missing and files and all(weight_names(file) for file in files):
        return
    raise ModelNotLoaded(f"{folder} {_why_not(folder, stem, [file.name for file in missing])}")


def _why_not(folder: Path, stem: str, missing: list[str]) -> str:
    if missing == [f"{stem}.safetensors"] and any(True for kind in _PICKLES for _ in folder.glob(kind)):
        return "holds its weights only as pickles, which are not loaded: fetch them as safetensors"
    return f"lacks its weights ({', '.join(missing[:3]) or 'the files are empty'}): fetch the model again"


# --- a single file ----------------------------------------------------------------------------------------


def _check_file(path: Path, entry: Entry) -> None:
    check_files(path)
    names = weight_names(path)
    if not names:
        raise ModelNotLoaded(f"{path} holds no weights: fetch it again")
    if sum(bool(_LORA.search(name)) for name in names) * 2 > len(names):
        raise ModelNotLoaded(f"{path} is a LoRA, which changes a model: name a whole model")
    for part, prefixes in _PARTS.items():
        if all(name.startswith(prefixes) for name in names):
            raise ModelNotLoaded(f"{path} is a {part} alone: name a file with the whole model")
    if any("bitsandbytes__" in name for name in names):
        _check_quantised(path, {"quant_method": "bitsandbytes"})
    if any(name.endswith((".wscales", "scaled_fp8")) for name in names):
        raise ModelNotLoaded(f"{path} is quantised for another program: name one in bfloat16")
    if any(each.startswith("F8_") for each in dtypes(path)):
        raise ModelNotLoaded(f"{path} is in fp8, which only other programs load: name one in bfloat16")
    config = Path(entry.config).expanduser()
    if entry.config and not config.is_dir() and not re.fullmatch(r"[\w.-]+/[\w.-]+", entry.config):
        raise ModelNotLoaded(f"{config} is no folder: correct `config` in {path.with_suffix('.toml')}")
    if not entry.pipeline:
        raise ModelNotLoaded(f"{path} is of no known kind: name its class as `pipeline` in a .toml beside it")
    if "vae" not in parts_of(names):
        raise ModelNotLoaded(
            f"{path} holds the denoiser alone, without VAE and text encoder: name a folder with all parts"
        )


# --- both -------------------------------------------------------------------------------------------------


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelNotLoaded(f"{path} is missing: fetch the model again") from None
    except (OSError, ValueError) as error:
        raise ModelNotLoaded(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise ModelNotLoaded(f"{path} is not what it should be: fetch it again")
    return found


def _check_quantised(path: Path, config: Any) -> None:
    method = config.get("quant_method") if isinstance(config, dict) else None
    if not isinstance(method, str):
        return
    library = _LIBRARIES.get(method, method.replace("-", "_"))
    if library and not _installed(library):
        raise ModelNotLoaded(f"{path} is quantised with {method}: install {library}, or name one that is not")


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _check_class(name: str, where: str) -> None:
    known = _classes()
    if not known or name in known:
        return
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "it may need a newer diffusers, or code that is not run"
    raise ModelNotLoaded(f"{where} names {name}, which diffusers does not have: {hint}")


@functools.cache
def _classes() -> frozenset[str]:
    """Return all names that diffusers exports, read from its source: an import would import torch."""
    found = importlib.util.find_spec("diffusers")
    if found is None or found.origin is None:
        return frozenset()
    return frozenset(re.findall(r'"([A-Z]\w+)"', Path(found.origin).read_text(encoding="utf-8")))

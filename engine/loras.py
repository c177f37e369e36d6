"""The LoRAs that an operator offers: files in a folder, and hub names in its `loras.toml`. No torch.

A LoRA changes what a model of one family paints. Of which family one is, the names of its layers tell;
loading is the judge.
"""

from __future__ import annotations

import functools
import re
import struct
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from safetensors import SafetensorError, safe_open

from engine.errors import EngineError
from engine.families import families, family_of
from engine.text import _
from engine.types import LoraInfo, Terms

HUB_FILE = "loras.toml"
MOST_WEIGHT = 4.0
"""How much of a LoRA a request may want, in either direction."""

_PICKLES = (".ckpt", ".pt", ".pth", ".bin")
_TERMS = tuple(each for each in get_args(Terms) if each)
_TEXTS = ("title", "words", "licence", "terms")
_OF_HUB = ("source", "file", "revision")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


class LoraUnusable(EngineError):
    """A LoRA that cannot be used: `str(error)` and `advice` say why."""

    advice = _("That LoRA cannot be used; `python -m bot doctor` names the cause. Leave it out.")
    of_engine = False


def missing(name: str) -> str:
    """Return what is said to somebody who has asked for a LoRA that is not to be had."""
    return _("The LoRA {name} is missing or broken. Leave it out, or ask an administrator.", name=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lora:
    """One LoRA: what people may know (`info`), where it is, and for which models."""

    info: LoraInfo
    path: Path | None  # None: on the hub
    source: str = ""  # hub name
    file: str = ""  # in the hub's repository
    revision: str = ""
    models: tuple[str, ...] = ()  # that it is limited to; empty: all of its family
    families: frozenset[str] | None = None  # by the names of its layers; None: not on this machine yet

    def fits(self, model: str, pipeline: str) -> bool:
        """Return whether a model of a pipeline class may take it."""
        family = family_of(pipeline)
        if family.loras is None or (self.models and model not in self.models):
            return False
        return self.families is None or family.name in self.families


@dataclass(frozen=True, slots=True)
class Loras:
    """All LoRAs by name; `broken`: why others cannot be used, in a sentence."""

    found: Mapping[str, Lora] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)

    def of(self, model: str, pipeline: str) -> tuple[LoraInfo, ...]:
        """Return those that a model of a pipeline class takes."""
        return tuple(each.info for each in self.found.values() if each.fits(model, pipeline))

    def misfits(self, models: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """Yield name and a sentence for each that is broken, or fits none of (model, pipeline class)."""
        yield from self.broken.items()
        for name, lora in self.found.items():
            if not any(lora.fits(*model) for model in models):
                yield name, f"{_made_for(lora)}, and no model here is that: leave it out of LORAS"


def _made_for(lora: Lora) -> str:
    if lora.models:
        return f"is limited to {', '.join(lora.models)}"
    names = sorted(lora.families or (each.name for each in families() if each.loras))
    return f"is made for {' or '.join(names)}"


def read(folder: str | Path) -> Loras:
    """Return the LoRAs of a folder, and those on the hub that its `loras.toml` names; "" has none.

    Raises LoraUnusable for what is no folder, and for a `loras.toml` that cannot be read.
    """
    if not folder:
        return Loras()
    path = Path(folder).expanduser()
    if not path.is_dir():
        sentence = f"LORAS={folder} is no folder: name one with .safetensors files, or leave it empty."
        raise LoraUnusable(sentence, advice=sentence)
    found: dict[str, Lora] = {}
    broken: dict[str, str] = {}
    for name, make in _candidates(path):
        try:
            if name in found:
                raise LoraUnusable("has the name of another one: rename the file")
            found[name] = make()
        except LoraUnusable as error:
            broken.setdefault(name, str(error))
    return Loras(found, broken)


def _candidates(folder: Path) -> Iterator[tuple[str, functools.partial[Lora]]]:
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.suffix.lower() in (".safetensors", *_PICKLES):
            yield lora_name(file.stem), functools.partial(_of_file, file)
    for name, values in _toml(folder / HUB_FILE).items():
        yield lora_name(name), functools.partial(_of_hub, lora_name(name), values)


def lora_name(stem: str) -> str:
    """Return the name by which people ask for it: no spaces, and no marks that end a word."""
    return re.sub(r"[^\w.+-]+", "-", stem).strip("-").casefold()[:64]


def _of_file(file: Path) -> Lora:
    if file.suffix.lower() in _PICKLES:
        raise LoraUnusable("is a pickle, which could run code and is not loaded: fetch it as .safetensors")
    layers, metadata = _layers(file), _metadata(file)
    said = {
        "title": metadata.get("modelspec.title", ""),
        "words": metadata.get("modelspec.trigger_phrase", ""),
        "licence": metadata.get("modelspec.license", ""),
    }
    values = {key: each[:200] for key, each in said.items() if each}
    values |= _checked(_toml(file.with_suffix(".toml")), (*_TEXTS, "models"))
    return _lora(lora_name(file.stem), values, path=file, families=told_by(layers))


def _of_hub(name: str, values: Any) -> Lora:
    if not isinstance(values, dict):
        raise LoraUnusable(f"{HUB_FILE} gives it no table: write [{name}] and its keys below")
    checked = _checked(values, (*_TEXTS, *_OF_HUB, "models"))
    source, file = checked.get("source", ""), checked.get("file", "")
    if not _HUB_NAME.fullmatch(source) or not file.endswith(".safetensors"):
        raise LoraUnusable(f"{HUB_FILE} must name its source (owner/repository) and a .safetensors file")
    where = {key: checked.get(key, "") for key in _OF_HUB}
    cached = hub_file(**where)
    told = told_by(_layers(cached)) if cached else None
    return _lora(name, checked, path=cached, families=told, **where)


def hub_file(source: str, file: str, revision: str) -> Path | None:
    """Return a hub's file in the hub's cache."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(source, file, revision=revision or None)
    return Path(found) if isinstance(found, str) else None


def _lora(name: str, values: Mapping[str, Any], **where: Any) -> Lora:
    info = LoraInfo(name=name, **{key: values[key] for key in _TEXTS if key in values})
    return Lora(info=info, models=tuple(values.get("models", ())), **where)


def _toml(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        sentence = f"{file} cannot be read ({error}): correct that place."
        raise LoraUnusable(sentence, advice=sentence) from error


def checked_toml(file: Path, known: Sequence[str]) -> dict[str, Any]:
    """Return the texts that a .toml sets; none where there is no such file. Raises LoraUnusable."""
    return _checked(_toml(file), known)


def _checked(values: Mapping[str, Any], known: Sequence[str]) -> dict[str, Any]:
    for key, value in values.items():
        if key not in known:
            raise LoraUnusable(f"its .toml has a key {key}: there are {', '.join(known)}")
        texts = value if key == "models" and isinstance(value, list) else [value]
        if not all(isinstance(each, str) and len(each) <= 500 for each in texts):
            raise LoraUnusable(f"its .toml says {key} = {value!r}: it must be a text in quotation marks")
        if key == "terms" and value not in _TERMS:
            raise LoraUnusable(f"its .toml says terms = {value!r}: it must be one of {', '.join(_TERMS)}")
    return dict(values)


# --- what its weights tell --------------------------------------------------------------------------------

_WEIGHT = re.compile(
    r"(?P<layer>.+?)[._]?(?:lora_[AB](?:\.default)?|lora_(?:down|up)|lora(?:_linear_layer)?\.(?:down|up))\.(?:weight|bias)"
)
_OTHER_KINDS = {
    "LoHa": "hada_",
    "LoKr": "lokr_",
    "DoRA": r"dora_scale|lora_magnitude_vector",
    "OFT": "oft_",
    "LoCon in three parts": "lora_mid",
    "one that also replaces weights": r"\.diff(_b)?$|\.set_weight$",
}
_OF_TEXT_ENCODER = re.compile(r"lora_te\d?_|text_encoder(_\d)?\.|lora_t5|clip_[lg]\.")
_PREFIX = re.compile(
    r"^(?:base_model\.model\.)?(?:transformer\.|unet\.|diffusion_model\.|lora_unet_|lora_transformer_|lora_)?"
    r"(?:processor_)?"
)


def told_by(layers: Sequence[str]) -> frozenset[str]:
    """Return the families whose LoRAs change layers of such names; all of them where it changes no denoiser.

    Raises LoraUnusable where there is none.
    """
    told = frozenset(
        each.name for each in families() if each.loras and (not layers or each.loras.tell(layers))
    )
    if not told:
        raise LoraUnusable(f"is made for a model of another kind (it changes {layers[0]}): leave it out")
    return told


def _layers(file: Path) -> list[str]:
    """Return the layers of the denoiser that a LoRA changes. Raises LoraUnusable for what is no LoRA."""
    names = _weights(file)
    for kind, pattern in _OTHER_KINDS.items():
        if any(re.search(pattern, name) for name in names):
            raise LoraUnusable(f"is of a kind that is not read ({kind}): fetch a plain LoRA")
    found = [match for name in names if (match := _WEIGHT.fullmatch(name))]
    if not found:
        raise LoraUnusable("is no LoRA: name a whole model in MODEL, and leave it out of LORAS")
    layers = dict.fromkeys(each["layer"] for each in found if not _OF_TEXT_ENCODER.match(each["layer"]))
    return [_PREFIX.sub("", layer).replace(".", "_") for layer in layers]


def _weights(file: Path) -> list[str]:
    try:
        with safe_open(file, framework="np") as weights:
            return list(weights.keys())
    except (OSError, SafetensorError, struct.error) as error:
        raise LoraUnusable(f"is not a readable safetensors file ({error}): fetch it again") from error


def _metadata(file: Path) -> dict[str, str]:
    with safe_open(file, framework="np") as weights:
        return dict(weights.metadata() or {})

"""The weights by which pictures guide painting: ControlNets and IP-Adapters in folders. No torch.

A ControlNet is a folder in diffusers' form. Its `config.json` tells for which family and which widths it is,
its name or an `easel.toml` inside which pictures it takes. An IP-Adapter is a file beside the folder of an
image encoder. Of which model one is, widths tell; loading is the judge.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from engine import loras
from engine.errors import EngineError
from engine.families import families, family_of
from engine.families.base import Controls
from engine.loras import LoraUnusable, lora_name
from engine.pipelines.model_files import denoiser_config
from engine.text import _
from engine.types import TAKEN, GuideInfo, TaskKind

SIDECAR = "easel.toml"
MOST_WEIGHT = 2.0
"""How much a guide may count."""

_PICKLES = (".ckpt", ".pt", ".pth", ".bin")
_TEXTS = ("title", "licence", "terms", "takes")
_WORDS = {
    "union": r"union|pro-?max",
    "softedge": r"soft-?edge|hed|pidi(net)?|teed",
    "canny": r"canny|edges?",
    "depth": r"depth|midas|zoe",
    "openpose": r"(open|dw)?-?pose",
    "lineart": r"line-?art|anime-?line",
    "scribble": r"scribbles?|sketch",
}
_WIDTHS = (
    "cross_attention_dim",
    "joint_attention_dim",
    "pooled_projection_dim",
    "in_channels",
    "attention_head_dim",
    "num_attention_heads",
    "block_out_channels",
    "addition_embed_type",
)
"""What a ControlNet and the denoiser that it guides have in common, where both say it."""


class GuideUnusable(EngineError):
    """Weights that cannot be used: `str(error)` and `advice` say why."""

    advice = _(
        "What guides by that image cannot be used; `python -m bot doctor` names the cause. Leave it out."
    )
    of_engine = False


def missing(name: str) -> str:
    """Return what is said to somebody whose guide is not to be had."""
    return _("The weights {name} are missing or broken. Leave them out, or ask an administrator.", name=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlNet:
    """One ControlNet: what people may know (`info`), where it is, and what its configuration says."""

    info: GuideInfo
    path: Path
    network: str  # its class
    config: Mapping[str, Any]

    @property
    def made_for(self) -> str:
        """Return the families that it may be for, in words."""
        return " or ".join(each.name for each in families() if each.controls and self._is_of(each.controls))

    def fits(self, source: str, pipeline: str) -> bool:
        """Return whether a model takes it; of one that is not here yet, nobody knows."""
        controls, denoiser = family_of(pipeline).controls, denoiser_config(source)
        if controls is None or not self._is_of(controls) or denoiser is None:
            return False
        return all(
            denoiser[key] == self.config[key]
            for key in _WIDTHS
            if denoiser.get(key) is not None and self.config.get(key) is not None
        )

    def _is_of(self, controls: Controls) -> bool:
        told = all(self.config.get(key) == value for key, value in controls.told.items())
        return controls.network == self.network and told


@dataclass(frozen=True, slots=True, kw_only=True)
class IpAdapter:
    """One IP-Adapter: its file, the folder of its image encoder, and the width of the text that it joins."""

    info: GuideInfo
    path: Path
    encoder: Path
    width: int
    made_for: str = "Stable Diffusion or Stable Diffusion XL"

    def fits(self, source: str, pipeline: str) -> bool:
        """Return whether a model takes it; of one that is not here yet, nobody knows."""
        denoiser = denoiser_config(source)
        if denoiser is None or not family_of(pipeline).style_layers:
            return False
        return bool(denoiser.get("cross_attention_dim") == self.width)


GuideWeights = ControlNet | IpAdapter


@dataclass(frozen=True, slots=True)
class Guides:
    """All weights by name; `broken`: why others cannot be used, in a sentence."""

    found: Mapping[str, GuideWeights] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)

    def of(self, source: str, pipeline: str) -> tuple[GuideInfo, ...]:
        """Return those that a model takes."""
        return tuple(each.info for each in self.found.values() if each.fits(source, pipeline))

    def misfits(self, models: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """Yield name and a sentence for each that is broken, or fits none of (source, pipeline class)."""
        yield from self.broken.items()
        for name, each in self.found.items():
            if not any(each.fits(*model) for model in models):
                yield name, f"is made for {each.made_for} of its widths, and no model here is that"


def controlled(pipeline: str, guides: Iterable[GuideInfo]) -> frozenset[TaskKind]:
    """Return the tasks of a pipeline class that a control picture may guide."""
    controls = family_of(pipeline).controls
    any_control = any(each.takes != "ip-adapter" for each in guides)
    return frozenset(controls.pipelines) if controls and any_control else frozenset()


def read(controlnets: str | Path, adapters: str | Path = "") -> Guides:
    """Return the ControlNets of one folder and the IP-Adapters of another; "" has none.

    Raises GuideUnusable for what is no folder.
    """
    found: dict[str, GuideWeights] = {}
    broken: dict[str, str] = {}
    for setting, named, candidates, make in (
        ("CONTROLNETS", controlnets, _folders, _control_net),
        ("IP_ADAPTERS", adapters, _files, _ip_adapter),
    ):
        for path in candidates(_folder(setting, named)) if named else ():
            name = lora_name(path.stem if path.is_file() else path.name)
            try:
                if name in found:
                    raise GuideUnusable("has the name of another one: rename it")
                found[name] = make(name, path)
            except (GuideUnusable, LoraUnusable) as error:
                broken.setdefault(name, str(error))
    return Guides(found, broken)


def _folder(setting: str, named: str | Path) -> Path:
    path = Path(named).expanduser()
    if not path.is_dir():
        sentence = f"{setting}={named} is no folder: name one, or leave it empty."
        raise GuideUnusable(sentence, advice=sentence)
    return path


# --- ControlNets ------------------------------------------------------------------------------------------


def _folders(folder: Path) -> Iterator[Path]:
    """Yield the folder itself if it holds one, else those in it."""
    if (folder / "config.json").is_file():
        yield folder
    else:
        yield from sorted(each for each in folder.iterdir() if each.is_dir() and each.name[0] != ".")


def _control_net(name: str, path: Path) -> ControlNet:
    config = _config(path / "config.json")
    network = str(config.get("_class_name", ""))
    if network not in {each.controls.network for each in families() if each.controls}:
        raise GuideUnusable(
            f"is a {network or 'model of no class'}, which no family here takes: leave it out"
        )
    _check_weights(path)
    values = _sidecar(path / SIDECAR)
    takes = values.get("takes") or _told(f"{name} {Path(str(config.get('_name_or_path', ''))).name}")
    if not takes or takes == "ip-adapter":
        kinds = ", ".join(each for each in TAKEN if each != "ip-adapter")
        raise GuideUnusable(
            f'does not tell what it takes: write takes = "…" into its {SIDECAR}, with {kinds}'
        )
    found = ControlNet(info=_info(name, values, takes), path=path, network=network, config=config)
    if not found.made_for:
        raise GuideUnusable("is made for a kind of model that is not known here: leave it out")
    return found


def _told(words: str) -> str:
    """Return what a name says of the pictures that are taken; empty where it says nothing."""
    plain = re.sub(r"[^a-z]+", "-", words.casefold())
    return next(
        (kind for kind, word in _WORDS.items() if re.search(rf"(?<![a-z])({word})(?![a-z])", plain)), ""
    )


def _check_weights(path: Path) -> None:
    """Raise GuideUnusable where there are no weights that can be read."""
    files = sorted(path.glob("*.safetensors"))
    if not files:
        pickled = any(each.suffix.lower() in _PICKLES for each in path.iterdir())
        raise GuideUnusable(
            "is a pickle, which could run code and is not loaded: fetch it as .safetensors"
            if pickled
            else "holds no .safetensors file: fetch it again"
        )
    for file in files:
        _names(file)


def _names(file: Path) -> list[str]:
    try:
        with safe_open(file, framework="np") as weights:
            return list(weights.keys())
    except (OSError, SafetensorError, struct.error) as error:
        raise GuideUnusable(
            f"{file.name} is not a readable safetensors file ({error}): fetch it again"
        ) from error


def _config(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise GuideUnusable("has no readable config.json, so it is not in diffusers' form") from error
    return found if isinstance(found, dict) else {}


def _sidecar(file: Path) -> dict[str, str]:
    values = loras.checked_toml(file, _TEXTS)
    if values.get("takes", "canny") not in TAKEN:
        raise GuideUnusable(
            f"its .toml says takes = {values['takes']!r}: it must be one of {', '.join(TAKEN)}"
        )
    return values


def _info(name: str, values: Mapping[str, Any], takes: str) -> GuideInfo:
    return GuideInfo(
        name=name, takes=takes, **{key: values[key] for key in ("title", "licence", "terms") if key in values}
    )


# --- IP-Adapters ------------------------------------------------------------------------------------------


def _files(folder: Path) -> Iterator[Path]:
    """Yield the adapters' files: all weights but those of image encoders."""
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() in (".safetensors", *_PICKLES) and not (file.parent / "config.json").is_file():
            yield file


def _ip_adapter(name: str, path: Path) -> IpAdapter:
    if path.suffix.lower() in _PICKLES:
        raise GuideUnusable("is a pickle, which could run code and is not loaded: fetch it as .safetensors")
    names = _names(path)
    if not any(each.startswith("ip_adapter.") for each in names):
        raise GuideUnusable("is no IP-Adapter: take it out of IP_ADAPTERS")
    seen = next((each for each in _SEEN if each in names), "")
    if not seen:
        raise GuideUnusable("is of a kind that is not read (one for faces, say): fetch a plain or a plus one")
    with safe_open(path, framework="np") as weights:
        across = weights.get_slice(seen).get_shape()[1]
        width = weights.get_slice("ip_adapter.1.to_k_ip.weight").get_shape()[1]
    values = _sidecar(path.with_suffix(".toml"))
    info = _info(name, values, "ip-adapter")
    return IpAdapter(info=info, path=path, encoder=_encoder(path, _SEEN[seen], across), width=width)


_SEEN = {"image_proj.proj.weight": "projection_dim", "image_proj.proj_in.weight": "hidden_size"}
"""By the weight that takes what an image encoder sees: the encoder's number that this is as wide as."""


def _encoder(path: Path, key: str, wide: int) -> Path:
    """Return the folder of the image encoder that is as wide; the nearest to the file."""
    folders = [path.parent, *path.parent.parents][:3]
    for folder in folders:
        for file in sorted(folder.glob("**/config.json")):
            config = _config(file)
            if "vision" in str(config.get("model_type", "")) and config.get(key, _CLIP.get(key)) == wide:
                _check_weights(file.parent)
                return file.parent
    raise GuideUnusable(f"needs an image encoder with {key} {wide}: put its folder beside it")


_CLIP = {"projection_dim": 512, "hidden_size": 768}
"""What transformers takes where a configuration does not say it."""

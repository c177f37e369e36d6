"""The models by name: how to load each, what it can do, its defaults and its licence.

Reads `catalog.toml`; imports no torch, so that the studio may ask it anything.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_args

from safetensors import SafetensorError

from engine.errors import ModelNotLoaded, UnknownModel
from engine.families import family_of
from engine.guides import Guides, controlled
from engine.loras import Loras
from engine.pipelines.model_files import pipeline_of, weight_names
from engine.remote.models import Remote, RemoteModels, is_remote
from engine.text import _
from engine.tiles import tiles
from engine.types import (
    CreativeUpscale,
    CutOut,
    GenerationRequest,
    Inpaint,
    Letter,
    ModelInfo,
    Outpaint,
    Terms,
    Upscale,
)

_CATALOG = Path(__file__).with_name("catalog.toml")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
REMOTE_SECONDS = 4.0  # of a picture of 512 × 512 from an API, until measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One model: what people may know (`info`) and how the worker loads it."""

    info: ModelInfo
    source: str  # folder, file or hub name
    pipeline: str = ""  # diffusers class, as far as it is known before the model is loaded
    revision: str = ""  # commit of the hub's repository; empty: the newest
    config: str = ""  # folder with the configuration of a single file's pipeline
    scale: int = 1  # by which pictures are upscaled after they are painted
    rows: int = 8  # batch rows of one forward pass, at most
    seconds: float = 0.15  # device-seconds of one of its `units`, until measured
    cards: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # see `engine.profiles`
    unseen: bool = False  # nothing of it is on this machine yet, so that its class is not known
    remote: Remote | None = None  # where it is painted, if that is not on a device here

    @property
    def local(self) -> Path | None:
        """Return the folder or file on this machine; None for a hub name."""
        path = Path(self.source).expanduser()
        return path if path.exists() else None

    def units(self, request: GenerationRequest) -> float:
        """Return the work of a request, counted in steps of one 512 × 512 picture."""
        pixels = self.pixels(request) / 512**2
        return request.count * pixels * (self.steps_run(request) if request.paints else 1.0)

    def pixels(self, request: GenerationRequest) -> int:
        """Return the pixels that are painted of a picture, or made by other means."""
        match request.task:
            case Letter():  # type is set in no time of a device
                return 0
            case Inpaint() | Outpaint():  # in a window of a size that the model paints
                return min(request.width, self.info.max_side) * min(request.height, self.info.max_side)
            case CreativeUpscale():
                size, tile = (request.width, request.height), (self.info.width, self.info.height)
                return len(tiles(size, tile)) * min(size[0], tile[0]) * min(size[1], tile[1])
            case _:
                return request.width * request.height

    def steps_run(self, request: GenerationRequest) -> int:
        """Return the denoising steps that really run: image-to-image starts part of the way."""
        match request.task:
            case Upscale() | CutOut() | Letter():
                return 0
            case task:
                return family_of(self.pipeline).steps_run(task, request.steps_taken)


class Catalog:
    """The models that this Easel offers, the default first."""

    def __init__(
        self, entries: Sequence[Entry], loras: Loras | None = None, guides: Guides | None = None
    ) -> None:
        self._loras = loras or Loras()
        self._guides = guides or Guides()
        self._entries = {entry.info.name: self._with_extras(entry) for entry in entries}

    def _with_extras(self, entry: Entry) -> Entry:
        """Return an entry with the further weights that requests may name."""
        info = entry.info
        loras = (*info.loras, *self._loras.of(info.name, entry.pipeline))
        guides = (*info.guides, *self._guides.of(entry.source, entry.pipeline))
        tasks = (info.controlled | controlled(entry.pipeline, guides)) & info.tasks
        return replace(entry, info=replace(info, loras=loras, guides=guides, controlled=tasks))

    def entry(self, name: str) -> Entry:
        """Return a model's entry, completed once its pipeline can be read. Raises UnknownModel."""
        if name not in self._entries:
            raise UnknownModel(f"no model {name!r}", advice=_not_offered(name, self._entries))
        entry = self._entries[name]
        if entry.unseen and (pipeline := pipeline_of(entry.source)):
            entry = replace(entry, info=_limited(entry.info, pipeline), pipeline=pipeline, unseen=False)
            entry = self._entries[name] = self._with_extras(entry)
        return entry

    def info(self, name: str) -> ModelInfo:
        return self.entry(name).info

    def models(self) -> tuple[ModelInfo, ...]:
        return tuple(self.info(name) for name in self._entries)


def load(
    names: Sequence[str],
    path: Path = _CATALOG,
    loras: Loras | None = None,
    guides: Guides | None = None,
    *,
    cuts_out: bool = False,
    judged: bool = False,
    remotes: RemoteModels | None = None,
) -> Catalog:
    """Return the catalog of the models in `names`: catalog names, folders, single files or hub names.

    `loras` and `guides` are those that requests may name, as far as they fit. `cuts_out`: what cuts out here
    knows the pictures of them all. `judged`: there is a model that judges the pictures of those that have no
    judge. `remotes`: what is said about models behind an API.

    Raises UnknownModel for a name that is none of these, ModelNotLoaded for defaults that cannot be read.
    """
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    remotes = remotes or RemoteModels()
    entries = [
        _remote_entry(name, remotes) if is_remote(name) else _entry(name, table, path.parent)
        for name in names
    ]
    if cuts_out:
        entries = [replace(each, info=replace(each.info, cuts_out=True)) for each in entries]
    if judged:
        entries = [_judged(each) for each in entries]
    return Catalog(entries, loras, guides)


def _remote_entry(name: str, remotes: RemoteModels) -> Entry:
    info, remote = remotes.model(name)
    return Entry(info=info, source=remote.url, seconds=REMOTE_SECONDS / info.steps, remote=remote)


def _judged(entry: Entry) -> Entry:
    return replace(entry, info=replace(entry.info, judge=entry.info.judge or "model"))


def _entry(name: str, table: dict[str, Any], base: Path) -> Entry:
    known = table["models"].get(name)
    if known is not None:
        shipped = base / known["source"]
        source = str(shipped) if shipped.exists() else known["source"]
        return _build(name, {**table["default"], **known}, source)
    path = Path(name).expanduser()
    if path.is_dir() or (path.suffix == ".safetensors" and path.is_file()):
        return _build(path.stem, {**table["default"], **_sidecar(path)}, str(path))
    if _HUB_NAME.fullmatch(name) and not name.endswith((".safetensors", ".ckpt", ".pt", ".bin")):
        return _build(name.rpartition("/")[2].lower(), table["default"], name)
    if path.is_file():
        raise UnknownModel(f"MODEL {name!r} is no .safetensors file", advice=_other_file(path))
    raise UnknownModel(f"MODEL {name!r} is no known model, folder or file", advice=_no_model(name, table))


def _other_file(path: Path) -> str:
    """Return what a file is that is no safetensors file, and what to name instead."""
    if path.suffix.lower() == ".gguf":
        return f"MODEL={path} is GGUF, which holds a part for other programs: name a .safetensors file."
    if path.suffix.lower() in (".ckpt", ".pt", ".pth", ".bin"):
        return f"MODEL={path} is a pickle, which could run code and is not loaded: name a .safetensors file."
    return f"MODEL={path} is no model: name a folder or a .safetensors file."


def _sidecar(path: Path) -> dict[str, Any]:
    """Return the defaults that `easel.toml` in a model's folder, or `<file>.toml` beside a file, sets."""
    sidecar = path / "easel.toml" if path.is_dir() else path.with_suffix(".toml")
    if not sidecar.is_file():
        return {}
    try:
        values = tomllib.loads(sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # no text, no TOML
        raise _misread(sidecar, f"cannot be read ({error}): correct that place.") from error
    for key, value in values.items():
        _check_default(sidecar, key, value)
    return values


def _check_default(sidecar: Path, key: str, value: Any) -> None:
    """Raise ModelNotLoaded for a key that means nothing, and for a value of another kind."""
    kinds = {f.name: str(f.type) for f in (*fields(ModelInfo), *fields(Entry))}
    kinds = {name: kind for name, kind in kinds.items() if kind in _KINDS and name not in ("name", "source")}
    if key not in kinds:
        near = difflib.get_close_matches(key, kinds, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(kinds)}."
        raise _misread(sidecar, f"has a key {key}, which means nothing: {hint}")
    types, wanted = _KINDS[kinds[key]]
    number = kinds[key] in ("int", "float")
    fits = isinstance(value, types) and not (number and (isinstance(value, bool) or not 0 <= value < 1e6))
    if not fits or (kinds[key] == "Terms" and value not in _TERMS):
        raise _misread(sidecar, f"says {key} = {value!r}: it must be {wanted}.")
    if kinds[key] == "int" and not value:
        raise _misread(sidecar, f"says {key} = 0: it must be 1 or more.")


_TERMS: tuple[str, ...] = tuple(name for name in get_args(Terms) if name)
_KINDS: dict[str, tuple[Any, str]] = {
    "Terms": ((str,), f"one of {', '.join(_TERMS)}"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "str": ((str,), "a text in quotation marks"),
    "bool": ((bool,), "true or false"),
    "frozenset[TaskKind]": ((list,), 'a list, as in ["text_to_image", "image_to_image"]'),
}


def _misread(sidecar: Path, what: str) -> ModelNotLoaded:
    sentence = f"{sidecar} {what}"
    return ModelNotLoaded(sentence, advice=sentence)


def _build(name: str, values: dict[str, Any], source: str) -> Entry:
    of_info = {field.name for field in fields(ModelInfo)}
    of_entry = {field.name for field in fields(Entry)} - {"info", "source", "unseen"}
    pipeline = values.get("pipeline") or pipeline_of(source)
    info = ModelInfo(**{k: v for k, v in values.items() if k in of_info} | {"name": name})
    limited = _limited(info, pipeline)
    info = replace(limited, tasks=frozenset(info.tasks)) if "tasks" in values else limited
    more = {k: v for k, v in values.items() if k in of_entry} | {"pipeline": pipeline}
    return Entry(info=info, source=source, unseen=not pipeline, **more)


def _limited(model: ModelInfo, pipeline: str) -> ModelInfo:
    """Return the model limited to what the family of its pipeline can do."""
    family = family_of(pipeline)
    negative = model.negative_prompt and family.negative_prompt
    strength = model.strength and family.strength
    return replace(
        model,
        tasks=family.tasks,
        negative_prompt=negative,
        strength=strength,
        references=min(model.references or family.references, family.references),
        schedulers=tuple(family.schedulers),
        weights=bool(family.embeddings),
        compared=family.joins == "compared",
    )


def _no_model(name: str, table: dict[str, Any]) -> str:
    close = difflib.get_close_matches(name, table["models"], n=1)
    hint = f" Did you mean {close[0]}?" if close else f" Known names: {', '.join(table['models'])}."
    return f"MODEL={name} is no known model, folder, .safetensors file or hub name.{hint}"


def _not_offered(name: str, entries: dict[str, Entry]) -> str:
    close = difflib.get_close_matches(name, entries, n=1)
    hint = (
        _("Did you mean {name}?", name=close[0])
        if close
        else _("Choose one of: {names}.", names=", ".join(entries))
    )
    return _("There is no model “{name}” here. {hint}", name=name, hint=hint)


def check_files(path: Path) -> None:
    """Refuse what is not readable safetensors, before anything is loaded.

    Raises ModelNotLoaded for a corrupt or truncated file, a pickle of whatever name, or a folder without
    `model_index.json`.
    """
    if path.is_dir() and not (path / "model_index.json").is_file():
        raise ModelNotLoaded(f"{path} has no model_index.json: it is not a diffusers pipeline folder")
    files = sorted(path.rglob("*.safetensors")) if path.is_dir() else [path]
    if not files:
        raise ModelNotLoaded(f"{path} holds no .safetensors file; other formats are not loaded")
    for file in files:
        try:
            weight_names(file)
        except (OSError, SafetensorError) as error:
            raise ModelNotLoaded(f"{file} is not a readable safetensors file: {error}") from error

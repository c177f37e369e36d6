"""LoRAs in forward passes: each row of a pass has its own ones, with its own weights.

A LoRA adds to the results of layers: of a layer with weights W, the result W x becomes W x + w · s · B (A x).
That is done by hooks on the layers while a pass runs, for each row what its request wants. The model's own
weights stay as they are, wherever and in whatever type they are held, so that rows with different LoRAs and
rows with none share a pass.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from huggingface_hub import hf_hub_download
from safetensors import safe_open
from safetensors.torch import load_file

from engine.loras import Lora, LoraUnusable, missing
from engine.pipelines.components import DeviceMemory, ModuleComponent, bytes_of
from engine.text import _
from engine.types import GenerationRequest, LoraInfo, LoraWeight
from engine.weights import each_part

_NAME = re.compile(
    r"(?P<layer>.+?)(?:\.(?P<end>lora_A|lora_B|lora(?:_linear_layer)?\.(?:down|up))(?:\.default)?(?:\.weight)?)?"
    r"(?P<alpha>\.alpha)?"
)
_DOWN = ("lora_A", "lora.down", "lora_linear_layer.down")


class Layer(NamedTuple):
    """What a LoRA adds to one layer."""

    down: torch.nn.Parameter
    up: torch.nn.Parameter
    scale: float


class Part(torch.nn.Module):
    """What a LoRA adds to the layers of one component."""

    def __init__(self, layers: Mapping[str, Layer], memory: DeviceMemory) -> None:
        super().__init__()
        self.layers = layers
        self.weights = torch.nn.ParameterList([each for layer in layers.values() for each in layer[:2]])
        self.component: ModuleComponent | None = memory.component("lora", self)
        if self.component is None:
            self.to(memory.device)


Uses = tuple[tuple[Part, float], ...]
"""The LoRAs of a row, each with its weight."""


@dataclass(slots=True)
class Adapter:
    """A LoRA for one model, by component."""

    info: LoraInfo
    parts: Mapping[str, Part]

    @property
    def size(self) -> int:
        """Return the bytes of its weights."""
        return sum(map(bytes_of, self.parts.values()))

    def unload(self) -> None:
        """Take it off the device."""
        for part in self.parts.values():
            if part.component is not None:
                part.component.unload()


wanted: ContextVar[tuple[tuple[Adapter, float], ...]] = ContextVar("loras", default=())
"""The LoRAs of the request that runs: each greenlet has its own."""


def uses(component: str) -> Uses:
    """Return the LoRAs of the request that runs, as far as they change a component."""
    return tuple((each.parts[component], weight) for each, weight in wanted.get() if component in each.parts)


class Unmixable(Exception):
    """Rows cannot be told apart inside a layer, so rows with different LoRAs need different passes."""


class HasAdditions(Protocol):
    """A point at which a component's passes run."""

    name: str
    additions: Additions


class Additions:
    """Adds LoRAs to the layers of one component, while a pass of it runs."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._hooks: dict[str, Any] = {}
        self._rows: tuple[Uses, ...] = ()  # of the pass that runs

    def attach(self, part: Part) -> None:
        """Let a LoRA's layers be added to."""
        for name in part.layers.keys() - self._hooks.keys():
            layer = self._module.get_submodule(name)
            self._hooks[name] = layer.register_forward_hook(partial(self._add, name))

    def keep(self, parts: Sequence[Part]) -> None:
        """Leave all layers alone but those of these LoRAs."""
        kept = {name for part in parts for name in part.layers}
        for name in self._hooks.keys() - kept:
            self._hooks.pop(name).remove()

    @contextmanager
    def of(self, rows: Sequence[Uses]) -> Iterator[None]:
        """Add to each row of a pass what its request wants. Raises Unmixable."""
        self._rows = tuple(rows) if any(rows) else ()
        try:
            yield
        finally:
            self._rows = ()

    def _add(self, name: str, layer: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        rows = self._rows
        if not rows:
            return None
        if len(set(rows)) == 1:
            for part, weight in rows[0]:
                if name in part.layers:
                    output = output + _addition(part.layers[name], layer, inputs[0]) * weight
            return output
        for part in dict.fromkeys(part for uses in rows for part, _weight in uses if name in part.layers):
            output = _add_to_rows(part.layers[name], part, rows, layer, inputs[0], output)
        return output


def _add_to_rows(own: Layer, part: Part, rows: Sequence[Uses], layer: Any, given: Any, output: Any) -> Any:
    """Return the output with a LoRA added to the rows that want it."""
    if given.shape[0] != len(rows):
        raise Unmixable(f"a layer takes {given.shape[0]} rows of {len(rows)}")
    weights = {row: sum(w for p, w in uses if p is part) for row, uses in enumerate(rows)}
    at = torch.tensor([row for row, weight in weights.items() if weight], device=given.device)
    if not len(at):
        return output
    factors = torch.tensor([w for w in weights.values() if w], device=output.device, dtype=output.dtype)
    added = _addition(own, layer, given.index_select(0, at))
    return output.index_add(0, at, added * factors.view(-1, *[1] * (added.ndim - 1)))


def _addition(own: Layer, layer: Any, given: torch.Tensor) -> torch.Tensor:
    # A device with little memory may not hold a LoRA beside the component that it is for.
    down, up = (each.to(given.device, given.dtype) for each in (own.down, own.up))
    if down.ndim == 4:
        conv = torch.nn.functional.conv2d
        made = conv(given, down, None, layer.stride, layer.padding, layer.dilation)
        return conv(made, up) * own.scale
    return torch.nn.functional.linear(torch.nn.functional.linear(given, down), up) * own.scale


KEPT = 2**30
"""Bytes of LoRAs that a model keeps although no request uses them."""


class Attached:
    """The LoRAs that a loaded model has, the one used last at the end. `points`: those of its components."""

    def __init__(self, points: Sequence[HasAdditions]) -> None:
        self._points = points
        self._adapters: dict[str, Adapter] = {}

    @property
    def size(self) -> int:
        """Return the bytes of all of them."""
        return sum(each.size for each in self._adapters.values())

    def missing(self, loras: Sequence[LoraWeight]) -> list[str]:
        """Return the names of those that are not here."""
        return [each.name for each in loras if each.name not in self._adapters]

    def attach(self, adapter: Adapter) -> None:
        """Let requests use a LoRA."""
        self._adapters[adapter.info.name] = adapter
        for point in self._points:
            if part := adapter.parts.get(point.name):
                point.additions.attach(part)

    def leave(self, used: Collection[str]) -> None:
        """Forget those that were used longest ago, beyond `KEPT` bytes; those of these names stay."""
        for name in [each for each in self._adapters if each not in used]:
            if self.size <= KEPT:
                return
            self._adapters.pop(name).unload()
            for point in self._points:
                left = (each.parts.get(point.name) for each in self._adapters.values())
                point.additions.keep([part for part in left if part is not None])

    def unload(self) -> None:
        """Forget all of them: their model is unloaded."""
        for adapter in self._adapters.values():
            adapter.unload()
        self._adapters.clear()
        for point in self._points:
            point.additions.keep(())

    def told(self, request: GenerationRequest) -> str:
        """Return the prompt with the words that its LoRAs were trained with."""
        words = [self._adapters[each.name].info.words for each in request.loras]
        more = [each for each in words if each and each.casefold() not in request.prompt.casefold()]
        return each_part(request.prompt, lambda part: ", ".join((part, *more))) if more else request.prompt

    @contextmanager
    def of(self, request: GenerationRequest) -> Iterator[None]:
        """Let forward passes of this request have its LoRAs. Raises LoraUnusable."""
        for name in self.missing(request.loras):
            raise LoraUnusable(f"{name} is not loaded", advice=missing(name))
        for each in request.loras:
            self._adapters[each.name] = self._adapters.pop(each.name)
        token = wanted.set(tuple((self._adapters[each.name], each.weight) for each in request.loras))
        try:
            yield
        finally:
            wanted.reset(token)


# --- from files -------------------------------------------------------------------------------------------


def load(lora: Lora, pipe: Any, memory: DeviceMemory, dtype: torch.dtype) -> Adapter:
    """Read a LoRA for a pipeline, fetched if it is not on this machine. Raises LoraUnusable."""
    path = lora.path or _fetched(lora)
    try:
        state = load_file(path)
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
    except Exception as error:
        raise LoraUnusable(f"{path} cannot be read: {error}", advice=missing(lora.info.name)) from error
    try:
        layers = _layers(pipe, _converted(pipe, state), _Alphas.of(metadata), dtype)
    except Exception as error:  # or what diffusers does not know how to convert
        raise _misfit(lora, str(error)) from error
    if not layers:
        raise _misfit(lora, "none of its layers is in the model")
    return Adapter(lora.info, {component: Part(own, memory) for component, own in layers.items()})


def _fetched(lora: Lora) -> Path:
    try:
        return Path(hf_hub_download(lora.source, lora.file, revision=lora.revision or None))
    except Exception as error:
        cause = f"{lora.source}/{lora.file} cannot be fetched: {error}"
        raise LoraUnusable(cause, advice=missing(lora.info.name)) from error


def _misfit(lora: Lora, cause: str) -> LoraUnusable:
    advice = _(
        "The LoRA {name} was made for another model than this one. Leave it out, or choose another model.",
        name=lora.info.name,
    )
    return LoraUnusable(f"{lora.info.name}: {cause}", advice=advice)


State = dict[str, torch.Tensor]


def _converted(pipe: Any, state: State) -> State:
    """Return a file's weights, and its layers' alphas, by the names of diffusers."""
    options = {"unet_config": pipe.unet.config} if hasattr(pipe, "unet") else {}
    found = type(pipe).lora_state_dict(state, **options)
    weights, alphas = found if isinstance(found, tuple) else (found, None)
    return {**weights, **{name: torch.tensor(float(alpha)) for name, alpha in (alphas or {}).items()}}


@dataclass(slots=True)
class _Pair:
    """What a file has for one layer."""

    down: torch.Tensor | None = None
    up: torch.Tensor | None = None
    alpha: float | None = None  # the weights count alpha ÷ rank; None: 1


def _by_layer(pipe: Any, state: State) -> dict[tuple[str, str], _Pair]:
    """Return what there is by component and layer. Raises ValueError for what is no weight of a LoRA."""
    denoiser = "unet" if hasattr(pipe, "unet") else "transformer"
    components = (denoiser, "text_encoder_3", "text_encoder_2", "text_encoder")
    pairs: dict[tuple[str, str], _Pair] = {}
    for name, value in state.items():
        component = next((each for each in components if name.startswith(f"{each}.")), denoiser)
        match = _NAME.fullmatch(_plain(name.removeprefix(f"{component}."), component))
        if match is None:
            raise ValueError(f"{name} is no weight of a LoRA")
        pair = pairs.setdefault((component, match["layer"]), _Pair())
        if match["alpha"]:
            pair.alpha = float(value)
        elif match["end"] is None:
            raise ValueError(f"{name} is no weight of a LoRA")
        elif match["end"] in _DOWN:
            pair.down = value
        else:
            pair.up = value
    return pairs


def _plain(name: str, component: str) -> str:
    """Return a weight's name as it is today: earlier, attention had processors that held the weights."""
    name = name.replace(".processor.", ".")
    if component.startswith("text_encoder"):
        return re.sub(r"\.to_(q|k|v|out)_lora\.", r".\1_proj.lora.", name)
    return re.sub(r"\.to_([qkv])_lora\.", r".to_\1.lora.", name).replace(".to_out_lora.", ".to_out.0.lora.")


def _layers(pipe: Any, state: State, alphas: _Alphas, dtype: torch.dtype) -> dict[str, dict[str, Layer]]:
    """Return what is added by component and layer, left out what is for components that are not here.

    Raises ValueError where a component has no such layer.
    """
    layers: dict[str, dict[str, Layer]] = {}
    for (component, name), pair in _by_layer(pipe, state).items():
        module = getattr(pipe, component, None)
        if module is None:
            continue
        name = name if hasattr(module, "text_model") else name.removeprefix("text_model.")
        if pair.down is None or pair.up is None:
            raise ValueError(f"{component}.{name} has one of two weights")
        scale = alphas.scale(component, name, pair.down.shape[0], pair.alpha)
        layers.setdefault(component, {})[name] = _layer(module, name, pair.down, pair.up, scale, dtype)
    return layers


def _layer(
    module: Any, name: str, down: torch.Tensor, up: torch.Tensor, scale: float, dtype: torch.dtype
) -> Layer:
    """Return what is added to a layer. Raises ValueError if there is none of that name and these sizes."""
    try:
        layer = module.get_submodule(name)
    except AttributeError:
        raise ValueError(f"there is no layer {name}") from None
    if isinstance(layer, torch.nn.Conv2d):
        down, up = (each if each.ndim == 4 else each[..., None, None] for each in (down, up))
        sizes: tuple[int, ...] = (layer.out_channels, layer.in_channels // layer.groups, *layer.kernel_size)
    elif isinstance(layer, torch.nn.Linear):
        down, up = (each.flatten(1) for each in (down, up))
        sizes = (layer.out_features, layer.in_features)
    else:
        raise ValueError(f"{name} is a {type(layer).__name__}")
    fits = (up.shape[0], *down.shape[1:]) == sizes and up.shape[1:].numel() == down.shape[0]
    if not fits or getattr(layer, "groups", 1) != 1:
        raise ValueError(f"{name} has sizes {sizes}, not {(up.shape[0], *down.shape[1:])}")
    return Layer(_weight(down, dtype), _weight(up, dtype), scale)


def _weight(tensor: torch.Tensor, dtype: torch.dtype) -> torch.nn.Parameter:
    return torch.nn.Parameter(tensor.to(dtype).contiguous(), requires_grad=False)


@dataclass(frozen=True, slots=True)
class _Alphas:
    """What peft writes into a file's metadata."""

    of_component: Mapping[str, float] = field(default_factory=dict)
    of_layer: Mapping[str, float] = field(default_factory=dict)
    by_root: frozenset[str] = frozenset()  # components whose weights count alpha ÷ the root of the rank

    @classmethod
    def of(cls, metadata: Mapping[str, str]) -> _Alphas:
        values: dict[str, Any] = json.loads(metadata.get("lora_adapter_metadata", "{}"))
        components = {key.partition(".")[0] for key in values}
        single = {
            f"{each}.{layer}": float(alpha)
            for each in components
            for layer, alpha in (values.get(f"{each}.alpha_pattern") or {}).items()
        }
        whole = {each: values.get(f"{each}.lora_alpha") for each in components}
        return cls(
            {each: float(alpha) for each, alpha in whole.items() if alpha is not None},
            single,
            frozenset(each for each in components if values.get(f"{each}.use_rslora")),
        )

    def scale(self, component: str, layer: str, rank: int, own: float | None) -> float:
        """Return how much a layer's weights count; `own` is the alpha that the file has for it."""
        told = self.of_layer.get(f"{component}.{layer}", self.of_component.get(component, float(rank)))
        alpha = told if own is None else own
        return alpha / (math.sqrt(rank) if component in self.by_root else rank)

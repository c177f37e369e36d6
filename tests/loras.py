"""LoRAs with random weights for tiny pipelines, and the same change made to the weights themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

Weights = dict[str, torch.Tensor]
Layer = torch.nn.Linear | torch.nn.Conv2d

RANK = 3
ATTENTION = (".to_q", ".to_k", ".to_v", ".to_out.0", ".q_proj", ".v_proj", ".proj_in", ".w1", ".conv1")
"""Ends of the names of layers that LoRAs change, of all kinds."""


def denoiser_of(pipe: Any) -> str:
    return "unet" if hasattr(pipe, "unet") else "transformer"


def layers_of(pipe: Any, component: str, ends: Sequence[str] = ATTENTION) -> dict[str, Layer]:
    named = getattr(pipe, component).named_modules()
    return {name: each for name, each in named if isinstance(each, Layer) and name.endswith(tuple(ends))}


def weights(pipe: Any, seed: int, *components: str, ends: Sequence[str] = ATTENTION) -> Weights:
    """A LoRA's weights as diffusers saves them, strong enough to be seen."""
    generator = torch.Generator().manual_seed(seed)
    made: Weights = {}
    for component in components or (denoiser_of(pipe),):
        for name, layer in layers_of(pipe, component, ends).items():
            down, up = sizes(layer)
            made[f"{component}.{name}.lora_A.weight"] = torch.randn(down, generator=generator) / 3
            made[f"{component}.{name}.lora_B.weight"] = torch.randn(up, generator=generator) / 3
    assert made
    return made


def sizes(layer: Layer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if isinstance(layer, torch.nn.Conv2d):
        return (RANK, layer.in_channels, *layer.kernel_size), (layer.out_channels, RANK, 1, 1)
    return (RANK, layer.in_features), (layer.out_features, RANK)


def save(folder: Path, name: str, made: Weights, metadata: dict[str, str] | None = None) -> Path:
    save_file(
        {key: each.contiguous() for key, each in made.items()}, folder / f"{name}.safetensors", metadata
    )
    return folder / f"{name}.safetensors"


def merged(pipe: Any, made: Weights, weight: float) -> Callable[[], None]:
    """Add a LoRA to the weights themselves, by its definition; return what takes it away again."""
    before: list[tuple[torch.nn.Parameter, torch.Tensor]] = []
    for name, down in made.items():
        if not name.endswith(".lora_A.weight"):
            continue
        path = name.removesuffix(".lora_A.weight")
        component, _, layer = path.partition(".")
        own = getattr(pipe, component).get_submodule(layer).weight
        up = made[f"{path}.lora_B.weight"]
        before.append((own, own.data))
        own.data = own.data + weight * (up.flatten(1) @ down.flatten(1)).view(own.shape)

    def undo() -> None:
        for own, data in before:
            own.data = data

    return undo

"""Tiny ControlNets and IP-Adapters with random weights for the twins of `tests.families`, also as folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from engine.families import family_of

CONTROLLED = ("sd", "sdxl", "sd3", "flux", "qwen")


def network(pipe: Any, *, modes: int | None = None) -> Any:
    """A ControlNet for a twin, whose last layers are not zero as they are before training."""
    controls = family_of(type(pipe).__name__).controls
    assert controls
    kind = getattr(diffusers, controls.network)
    torch.manual_seed(3)
    if hasattr(pipe, "unet"):
        made = kind.from_unet(
            pipe.unet, conditioning_embedding_out_channels=(16, 32), load_weights_from_unet=False
        )
    elif modes:
        made = kind.from_config({**pipe.transformer.config, "num_mode": modes})
    else:
        made = kind.from_config(dict(pipe.transformer.config))
    with torch.no_grad():
        for weight in made.parameters():
            if not weight.any():
                weight.normal_(0, 0.2)
    return made.eval()


def picture(seed: int, side: int = 32) -> Image.Image:
    """A control picture: lines at an angle."""
    lines = Image.linear_gradient("L").resize((side, side)).rotate(37 * seed)
    return lines.point(lambda value: 255 * (value // 32 % 2)).convert("RGB")


def save_control(folder: Path, name: str, pipe: Any) -> Path:
    network(pipe).save_pretrained(folder / name)
    return folder / name


def encoder(width: int = 32) -> Any:
    """An image encoder."""
    torch.manual_seed(4)
    config = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=37,
        projection_dim=width,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=32,
        patch_size=8,
    )
    return CLIPVisionModelWithProjection(config).eval()


def adapter(pipe: Any, width: int = 32) -> dict[str, torch.Tensor]:
    """An IP-Adapter's weights for a twin with a U-Net."""
    torch.manual_seed(5)
    unet = pipe.unet
    across = unet.config.cross_attention_dim
    weights = {
        "image_proj.proj.weight": torch.randn(4 * across, width) * 0.3,
        "image_proj.proj.bias": torch.randn(4 * across) * 0.1,
        "image_proj.norm.weight": torch.ones(across),
        "image_proj.norm.bias": torch.zeros(across),
    }
    crossing = [name for name in unet.attn_processors if not name.endswith("attn1.processor")]
    for number, name in enumerate(crossing):
        inner = unet.get_submodule(name.removesuffix(".processor")).to_k.weight.shape[0]
        for part in "kv":
            weights[f"ip_adapter.{2 * number + 1}.to_{part}_ip.weight"] = torch.randn(inner, across) * 0.5
    return weights


def save_adapter(folder: Path, name: str, pipe: Any) -> Path:
    """Save an adapter with its image encoder as they are published; return the adapter's file."""
    folder.mkdir(parents=True, exist_ok=True)
    encoder().save_pretrained(folder / "image_encoder")
    save_file(adapter(pipe), folder / f"{name}.safetensors")
    return folder / f"{name}.safetensors"

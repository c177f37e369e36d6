"""A Stable Diffusion in one file, with the names that its weights had before diffusers.

The names are facts of CompVis' latent-diffusion checkpoints, which people still share; the counts of blocks
and layers are those of `tests.families`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

Weights = dict[str, torch.Tensor]
Rule = tuple[str, str | Callable[[re.Match[str]], str]]

PER_BLOCK = 3  # of the U-Net: two layers and the change of size, or three layers


def _at(block: str, first: int, part: str) -> Callable[[re.Match[str]], str]:
    """Block and layer as one running number, as the U-Net's input and output blocks have."""
    return lambda m: f"{block}.{int(m[1]) * PER_BLOCK + int(m[2]) + first}.{part}"


UNET: tuple[Rule, ...] = (
    (r"^time_embedding\.linear_(\d)", lambda m: f"time_embed.{2 * int(m[1]) - 2}"),
    (r"^conv_in", "input_blocks.0.0"),
    (r"^conv_norm_out", "out.0"),
    (r"^conv_out", "out.2"),
    (r"^down_blocks\.(\d)\.resnets\.(\d)", _at("input_blocks", 1, "0")),
    (r"^down_blocks\.(\d)\.attentions\.(\d)", _at("input_blocks", 1, "1")),
    (r"^down_blocks\.(\d)\.downsamplers\.(0)\.conv", _at("input_blocks", PER_BLOCK, "0.op")),
    (r"^mid_block\.resnets\.(\d)", lambda m: f"middle_block.{2 * int(m[1])}"),
    (r"^mid_block\.attentions\.0", "middle_block.1"),
    (r"^up_blocks\.(\d)\.resnets\.(\d)", _at("output_blocks", 0, "0")),
    (r"^up_blocks\.(\d)\.attentions\.(\d)", _at("output_blocks", 0, "1")),
    (r"^up_blocks\.(\d)\.upsamplers\.(0)\.conv", _at("output_blocks", PER_BLOCK - 1, "2.conv")),
    (r"(blocks?\.\d\.0|block\.\d)\.norm1", r"\1.in_layers.0"),
    (r"(blocks?\.\d\.0|block\.\d)\.conv1", r"\1.in_layers.2"),
    (r"(blocks?\.\d\.0|block\.\d)\.norm2", r"\1.out_layers.0"),
    (r"(blocks?\.\d\.0|block\.\d)\.conv2", r"\1.out_layers.3"),
    (r"time_emb_proj", "emb_layers.1"),
    (r"conv_shortcut", "skip_connection"),
)
VAE: tuple[Rule, ...] = (
    (r"conv_norm_out", "norm_out"),
    (r"conv_shortcut", "nin_shortcut"),
    (r"down_blocks\.(\d)\.resnets", r"down.\1.block"),
    (r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample"),
    (r"up_blocks\.(\d)\.resnets", lambda m: f"up.{1 - int(m[1])}.block"),
    (r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{1 - int(m[1])}.upsample"),
    (r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}"),
    (r"mid_block\.attentions\.0", "mid.attn_1"),
    (r"attn_1\.group_norm", "attn_1.norm"),
    (r"attn_1\.to_out\.0", "attn_1.proj_out"),
    (r"attn_1\.to_([qkv])", r"attn_1.\1"),
)


def save(pipe: Any, file: Path) -> None:
    """Write a tiny Stable Diffusion of `tests.families` as one file."""
    weights = _renamed("model.diffusion_model.", pipe.unet, UNET)
    weights |= _renamed("first_stage_model.", pipe.vae, VAE)
    weights |= _renamed("cond_stage_model.transformer.text_model.", pipe.text_encoder, ())
    save_file({name: _as_convolution(name, weight) for name, weight in weights.items()}, file)


def _renamed(prefix: str, module: torch.nn.Module, rules: tuple[Rule, ...]) -> Weights:
    weights = {}
    for name, weight in module.state_dict().items():
        for pattern, new in rules:
            name = re.sub(pattern, new, name)
        weights[prefix + name] = weight.contiguous()
    return weights


def _as_convolution(name: str, weight: torch.Tensor) -> torch.Tensor:
    """The autoencoder's attention was made of convolutions."""
    return weight[:, :, None, None] if ".attn_1." in name and weight.ndim == 2 else weight

"""The autoencoder: 128x128 pictures to 8x8x64 latents and back.

The encoder is not trained but computed: principal components of 16x16 patches, written into the
weights of a stock AutoencoderKL encoder. Drawings are simple enough for that (27 dB on composed
scenes and 30 on single drawings with 64 of 768 components), the denoiser can start at once, and its
latents never change. Only the decoder learns, for as long as wanted, to turn components into clean
pictures.

An autoencoder with more channels grows out of one with fewer: the components that are there stay as
they are, and new ones cover what those leave out. That costs nothing against a fresh fit (0.01 dB),
and decoder and denoiser go on from what they know.

How a convolutional encoder becomes linear: residual branches are zero, so blocks pass their input
on; strided convolutions read 2x2 neighbours, each level keeping its own principal components; the
last group normalisation sees two large constants per group, so that it scales by a constant; and
the SiLU cancels because components come in pairs, silu(x) - silu(-x) = x.
"""

from __future__ import annotations

import json
import logging
import math
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn
from torch.nn import functional as F

from engine.embedded import PIPELINE
from engine.embedded.training import data
from engine.embedded.training.compositions import Composer
from engine.embedded.training.pace import DEVICE, HAS_BFLOAT16, StepPace
from engine.embedded.training.scenes import Stage, paint

log = logging.getLogger(__name__)

CHANNELS = (16, 32, 64, 128, 160)
LATENT_CHANNELS = 64
PATCH = 16  # pixels per latent cell and side
GROUPS = 8
WHITENING = 0.5  # 0 keeps the components' own spread, 1 makes all spreads equal
ANCHOR = 60.0  # the constant that fixes the last normalisation
LOG_VARIANCE = -12.0  # of the posterior: practically none
BATCH = 16 if DEVICE.type == "cpu" else 256
CROP = 64  # pixels; the decoder mostly trains on crops
FIT = 1500  # pictures of either kind that the components are computed from
NOISE = 0.15  # at most
LOOK_EVERY = 16  # steps
SAVE_SECONDS = 30.0
LEARNING_RATE = 2e-3


def build() -> AutoencoderKL:
    """Return an untrained autoencoder of the shipped shape (5.2 M parameters)."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(CHANNELS),
        up_block_types=("UpDecoderBlock2D",) * len(CHANNELS),
        block_out_channels=CHANNELS,
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=GROUPS,
        mid_block_add_attention=False,
        sample_size=data.SIDE,
        scaling_factor=1.0,
    )


# --- the computed encoder -------------------------------------------------------------------


def principal_axes(rows: Tensor, count: int) -> Tensor:
    """Return the `count` directions with most energy about zero, `float32[count, dimensions]`."""
    _, axes = torch.linalg.eigh(rows.T @ rows)
    leading: Tensor = axes.flip(1)[:, :count].T.contiguous()
    return leading


def neighbours(maps: Tensor) -> Tensor:
    """Turn `[B, C, H, W]` into rows of 2x2 neighbourhoods, `[B*H/2*W/2, C*4]`, ordered as F.unfold."""
    return F.unfold(maps, 2, stride=2).transpose(1, 2).reshape(-1, maps.shape[1] * 4)


@torch.no_grad()
def fit_encoder(vae: AutoencoderKL, pictures: Tensor) -> None:
    """Write the principal components of `pictures` (float32[N, 3, H, W], -1…1) into the encoder."""
    encoder: Any = vae.encoder
    _silence(encoder)
    _pass_on(encoder.conv_in, 3)
    maps = pictures
    for level, block in enumerate(encoder.down_blocks[:-1]):
        if level:
            _pass_on(block.resnets[0].conv_shortcut, maps.shape[1])
        maps = _fit_level(block.downsamplers[0].conv, maps)
    _write_components(vae, *latent_axes(maps))


@torch.no_grad()
def grow(old: AutoencoderKL, pictures: Tensor) -> AutoencoderKL:
    """Return a wider autoencoder: the old one's channels, then others for what those leave out."""
    vae, known = build(), old.config["latent_channels"]
    vae.encoder.load_state_dict(old.encoder.state_dict() | _own(vae.encoder, "conv_out"))
    nn.init.zeros_(vae.encoder.conv_out.weight)
    maps, (weight, bias) = _level_maps(old.encoder, pictures), _components(old)
    more_weight, more_bias = further_axes(maps, weight, bias, LATENT_CHANNELS - known)
    _write_components(vae, torch.cat([weight, more_weight]), torch.cat([bias, more_bias]))
    vae.decoder.load_state_dict(old.decoder.state_dict() | _own(vae.decoder, "conv_in.weight"))
    nn.init.eye_(vae.post_quant_conv.weight[:, :, 0, 0])
    nn.init.zeros_(vae.post_quant_conv.bias)
    for wide, narrow in (
        (vae.post_quant_conv, old.post_quant_conv),
        (vae.decoder.conv_in, old.decoder.conv_in),
    ):
        wide.weight[: len(narrow.weight), :known] = narrow.weight
        wide.bias[: len(narrow.bias)] = narrow.bias
    nn.init.zeros_(vae.decoder.conv_in.weight[:, known:])
    return vae


def _own(module: nn.Module, prefix: str) -> dict[str, Tensor]:
    """Return the part of a module's state whose shape depends on the number of latent channels."""
    return {name: value for name, value in module.state_dict().items() if name.startswith(prefix)}


def _silence(encoder: nn.Module) -> None:
    """Zero every weight but the normalisations'; residual branches then add nothing."""
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.zeros_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _pass_on(conv: nn.Conv2d, count: int) -> None:
    """Set the weights so that the first `count` channels pass unchanged, and nothing else passes."""
    nn.init.zeros_(conv.weight)
    middle = conv.kernel_size[0] // 2
    for channel in range(count):
        conv.weight[channel, channel, middle, middle] = 1.0


def _fit_level(conv: nn.Conv2d, maps: Tensor) -> Tensor:
    """Set one strided convolution to principal components of 2x2 neighbours; return its maps."""
    rows = neighbours(maps)
    axes = principal_axes(rows, min(conv.out_channels, rows.shape[1]))
    kernel = axes.reshape(len(axes), maps.shape[1], 2, 2)
    conv.weight[: len(axes), : maps.shape[1], :2, :2] = kernel
    return F.conv2d(maps, kernel, stride=2)


def _level_maps(encoder: Any, pictures: Tensor) -> Tensor:
    """Return the maps that enter the encoder's last block, computed for 256 pictures at a time."""
    parts = []
    for maps in torch.split(pictures, 256):
        maps = encoder.conv_in(maps)
        for block in encoder.down_blocks[:-1]:
            maps = block(maps)
        parts.append(maps)
    return torch.cat(parts)


def _places(count: int) -> list[int]:
    """Return each component's channel in the last maps; the next one holds it with the other sign."""
    width, per_group = CHANNELS[-1] // GROUPS, count // GROUPS
    return [(index // per_group) * width + 2 * (index % per_group) for index in range(count)]


def _components(vae: AutoencoderKL) -> tuple[Tensor, Tensor]:
    """Return the weight and bias of the components that `_write_components` wrote."""
    shortcut = vae.encoder.down_blocks[-1].resnets[0].conv_shortcut
    places = _places(vae.config["latent_channels"])
    return shortcut.weight[places, :, 0, 0].clone(), shortcut.bias[places].clone()


def _write_components(vae: AutoencoderKL, weight: Tensor, bias: Tensor) -> None:
    """Write the components in pairs of opposite sign, two anchors per group, and the way back."""
    encoder: Any = vae.encoder
    shortcut, out = encoder.down_blocks[-1].resnets[0].conv_shortcut, encoder.conv_out
    width = CHANNELS[-1] // GROUPS
    encoder.conv_norm_out.weight.fill_(ANCHOR * math.sqrt(2 / width))
    for parameter in (shortcut.weight, shortcut.bias, encoder.conv_norm_out.bias, out.bias):
        nn.init.zeros_(parameter)
    for component, first in enumerate(_places(len(weight))):
        for channel, sign in ((first, 1.0), (first + 1, -1.0)):
            shortcut.weight[channel, :, 0, 0] = sign * weight[component]
            shortcut.bias[channel] = sign * bias[component]
            out.weight[component, channel, 1, 1] = sign
    for group in range(GROUPS):
        shortcut.bias[(group + 1) * width - 1] = ANCHOR
        shortcut.bias[(group + 1) * width - 2] = -ANCHOR
    out.bias[LATENT_CHANNELS:] = LOG_VARIANCE
    _pass_on(vae.quant_conv, 2 * LATENT_CHANNELS)
    nn.init.zeros_(vae.quant_conv.bias)


def latent_axes(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weight and bias that turn the deepest maps into centred, partly whitened components."""
    rows, centre = _centred(maps)
    axes = principal_axes(rows, LATENT_CHANNELS)
    spread = (rows @ axes.T).std(0)
    scale = spread**-WHITENING
    scale = scale / (spread * scale).square().mean().sqrt()
    weight = axes * scale[:, None]
    return weight, -weight @ centre


def further_axes(maps: Tensor, weight: Tensor, bias: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return components of what the known ones leave out, whitened in the same measure."""
    rows, centre = _centred(maps)
    known, _ = torch.linalg.qr(weight.T)
    axes = principal_axes(rows - rows @ known @ known.T, count)
    length = weight.norm(dim=1)  # whitening times one constant for all
    constant = (length * (rows @ weight.T / length).std(0) ** WHITENING).median()
    more = axes * (constant * (rows @ axes.T).std(0) ** -WHITENING)[:, None]
    return more, -more @ centre


def _centred(maps: Tensor) -> tuple[Tensor, Tensor]:
    rows = maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])
    return rows - rows.mean(0), rows.mean(0)


@torch.no_grad()
def linear_encoder(vae: AutoencoderKL) -> tuple[Tensor, Tensor]:
    """Return the encoder as one matrix, `float32[C, 3 * PATCH * PATCH]`, and its bias, for speed."""
    size = 3 * PATCH * PATCH
    probes = torch.cat([torch.zeros(1, size), torch.eye(size)])
    maps = vae.encode(probes.reshape(-1, 3, PATCH, PATCH)).latent_dist.mean[:, :, 0, 0]
    return (maps[1:] - maps[0]).T.contiguous(), maps[0]


def encode(pictures: Tensor, matrix: tuple[Tensor, Tensor]) -> Tensor:
    """Encode `float32[B, 3, H, W]` in -1…1 to latents `float32[B, C, H/16, W/16]`, by matrix and bias."""
    weight, bias = matrix
    kernel = weight.reshape(-1, 3, PATCH, PATCH)
    return F.conv2d(pictures, kernel, bias, stride=PATCH)


# --- pictures for it ------------------------------------------------------------------------


class Crops:
    """Random crops of square pictures, `uint8[N, H, W, 3]`, on the device that holds them."""

    def __init__(self, pictures: Tensor) -> None:
        self.pictures = pictures

    def batch(self, count: int, side: int) -> Tensor:
        """Return random crops, `float32[count, 3, side, side]` in -1…1, cut along the latents' cells."""
        chosen = torch.randint(len(self.pictures), (count,), device=self.pictures.device)
        cells = (self.pictures.shape[1] - side) // PATCH + 1
        top, left = (PATCH * number for number in torch.randint(cells, (2,)).tolist())
        cut = self.pictures[chosen, top : top + side, left : left + side]
        return cut.permute(0, 3, 1, 2).float() / 127.5 - 1


# --- the trained decoder --------------------------------------------------------------------


def gradient_loss(made: Tensor, real: Tensor) -> Tensor:
    """Return the L1 distance of horizontal and vertical differences, which keeps outlines sharp."""
    across = (made.diff(dim=-1) - real.diff(dim=-1)).abs().mean()
    down = (made.diff(dim=-2) - real.diff(dim=-2)).abs().mean()
    return across + down


def prepare(work: Path, seed: int = 0) -> None:
    """Save an autoencoder to `work` unless one is there: the shipped one, widened if need be, or a new one.

    Denoiser and latents belong to exactly one encoder, so that one never changes again.
    """
    if not (work / "autoencoder/config.json").exists():
        torch.manual_seed(seed)
        _first(work, seed).save_pretrained(work / "autoencoder", safe_serialization=True)


def _first(work: Path, seed: int) -> AutoencoderKL:
    """Return the shipped autoencoder, widened if it has fewer channels; a new one if none is shipped."""
    if not (PIPELINE / "vae").exists():
        vae = build()
        fit_encoder(vae, _fit_pictures(work, seed))
        return vae
    shipped = AutoencoderKL.from_pretrained(PIPELINE / "vae", torch_dtype=torch.float32)
    if shipped.config["latent_channels"] == LATENT_CHANNELS:
        return shipped
    return grow(shipped, _fit_pictures(work, seed))


def _fit_pictures(work: Path, seed: int) -> Tensor:
    """Paint as many composed scenes as plain ones, to fit the encoder to."""
    table, rows, drawings = data.load(work)
    composer = Composer(rows, drawings, seed=seed, canvases=("square",))
    plain = [scene for scene in Stage(table, rows, drawings, seed).scenes(0, 16) if scene.canvas == "square"]
    chosen = random.Random(seed).sample(plain, min(FIT, len(plain)))
    pictures = [paint(scene, drawings) for scene in chosen]
    pictures += [composer.compose(number).picture for number in range(FIT)]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def train(work: Path, minutes: float, pictures: Tensor) -> None:
    """Train the decoder (on) for a wall-clock budget and save to `work/autoencoder`.

    `pictures` are `uint8[N, H, W, 3]`, on the device.
    """
    vae = AutoencoderKL.from_pretrained(work / "autoencoder", torch_dtype=torch.float32)
    _optimise(vae, Crops(pictures), minutes, work)


class _Steps:
    """The optimiser's side of training, one call per step."""

    def __init__(self, vae: AutoencoderKL, crops: Crops) -> None:
        weight, bias = linear_encoder(vae)
        self.matrix = weight.to(DEVICE), bias.to(DEVICE)
        self.vae, self.crops, self.done = vae.to(DEVICE), crops, 0
        self.weights = [*vae.decoder.parameters(), *vae.post_quant_conv.parameters()]
        self.optimiser = torch.optim.AdamW(
            self.weights, lr=LEARNING_RATE, betas=(0.9, 0.99), weight_decay=0.01, fused=True
        )

    def rate(self, done: float) -> None:
        """Set the learning rate: a warm-up, then a cosine over the wall-clock budget."""
        warm = min(1.0, (self.done + 1) / 50)
        fall = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))
        for group in self.optimiser.param_groups:
            group["lr"] = LEARNING_RATE * warm * fall

    def __call__(self) -> Tensor:
        whole = self.done % 8 == 7
        pictures = self.crops.batch(BATCH // 4 if whole else BATCH, data.SIDE if whole else CROP)
        latents = encode(pictures, self.matrix)
        # Some noise, as the denoiser's latents are never exact.
        noise = NOISE * torch.rand(len(latents), 1, 1, 1, device=DEVICE) * torch.randn_like(latents)
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=HAS_BFLOAT16):
            made = self.vae.decode(latents + noise).sample
        loss = F.l1_loss(made.float(), pictures) + gradient_loss(made.float(), pictures)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.optimiser.step()
        self.done += 1
        return loss.detach()


def _optimise(vae: AutoencoderKL, crops: Crops, minutes: float, work: Path) -> None:
    """Train, note the loss, and save now and then and at the end."""
    steps = _Steps(vae, crops)
    step = StepPace(steps) if DEVICE.type == "cpu" else steps
    begun, total = time.monotonic(), 0.0
    saved = begun
    while (done := (time.monotonic() - begun) / (60 * minutes)) < 1:
        steps.rate(done)
        loss = step()
        if steps.done % LOOK_EVERY == 0:  # reading it waits for the device
            total += 0.1 * (loss.item() - total) if total else loss.item()
        if time.monotonic() - saved > SAVE_SECONDS:
            _save(vae, work, steps.done, done, total)
            saved = time.monotonic()
    _save(vae, work, steps.done, 1.0, total)


def _save(vae: AutoencoderKL, work: Path, step: int, done: float, loss: float) -> None:
    vae.save_pretrained(work / "autoencoder", safe_serialization=True)
    log.info("autoencoder step %d (%.0f%%): loss %.4f", step, 100 * done, loss)
    with (work / "autoencoder.jsonl").open("a") as file:
        file.write(json.dumps({"step": step, "done": done, "loss": loss}) + "\n")

"""Write the pipeline folder: 16-bit safetensors that any stock Stable Diffusion pipeline loads."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file

from engine.embedded import PIPELINE
from engine.embedded.training import autoencoder as autoencoders
from engine.embedded.training import card, denoiser, latents, text

log = logging.getLogger(__name__)

CURVE_PICTURES = 100_000  # between two rows of the curve


def export(work: Path, folder: Path = PIPELINE) -> Path:
    """Assemble the newest weights into `folder`; it is replaced in one move.

    Parts that have no checkpoint yet are saved untrained, which fixes shapes and speed early.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    progress = progress_of(work)
    assemble(work).to(dtype=torch.float16).save_pretrained(partial, safe_serialization=True)
    (partial / "progress.json").write_text(json.dumps(asdict(progress)) + "\n")
    (partial / "curve.json").write_text(_lines(curve(work, folder)))
    write_card(work, partial)
    _replace(folder, partial)
    log.info("pipeline written to %s", folder)
    return folder


def write_card(work: Path, folder: Path = PIPELINE) -> None:
    """Write the model card, with `figures.json` of the working folder when evaluation wrote it there."""
    progress = json.loads((folder / "progress.json").read_text())
    rows = json.loads((folder / "curve.json").read_text())
    channels = json.loads((folder / "vae/config.json").read_text())["latent_channels"]
    lines = card.text(progress, text.LENGTH, channels, rows, card.figures(work / "figures.json"))
    (folder / "README.md").write_text(lines)


def curve(work: Path, folder: Path = PIPELINE) -> list[dict[str, Any]]:
    """Return the validation losses so far: those shipped with the weights, then newer ones, thinned."""
    path, log_path = folder / "curve.json", work / "denoiser.jsonl"
    rows: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []
    log_rows = [json.loads(line) for line in log_path.read_text().splitlines()] if log_path.exists() else []
    for row in log_rows:
        since = row["pictures"] - rows[-1]["pictures"] if rows else CURVE_PICTURES
        if since >= CURVE_PICTURES or (row is log_rows[-1] and since > 0):
            entry = {"mix": latents.MIX, "pictures": row["pictures"]}
            rows.append({**entry, "validation": round(row["validation"], 4)})
    return rows


def _lines(rows: list[dict[str, Any]]) -> str:
    return "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n"


def _replace(folder: Path, partial: Path) -> None:
    old = folder.with_name(f"{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def assemble(work: Path) -> StableDiffusionPipeline:
    """Return the pipeline in 32 bits with the moving average of the denoiser."""
    tokenizer, encoder = text.load_encoder(work)
    return StableDiffusionPipeline(
        vae=_autoencoder(work),
        text_encoder=encoder,
        tokenizer=tokenizer,
        unet=_denoiser(work),
        scheduler=denoiser.schedule(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _autoencoder(work: Path) -> AutoencoderKL:
    folder = work / "autoencoder"
    if (folder / "config.json").exists():
        return AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32)
    return autoencoders.build()


def _denoiser(work: Path) -> UNet2DConditionModel:
    unet = denoiser.build(progress_of(work).size)
    average = work / "denoiser" / "ema.safetensors"
    if average.exists():
        unet.load_state_dict(load_file(average))
    return unet


def progress_of(work: Path) -> denoiser.TrainingProgress:
    """Return how far the newest checkpoint has come."""
    path = work / "denoiser" / "progress.json"
    return (
        denoiser.TrainingProgress(**json.loads(path.read_text()))
        if path.exists()
        else denoiser.TrainingProgress()
    )

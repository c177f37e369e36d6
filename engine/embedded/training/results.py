"""What a machine lent for training hands back: few small files, and how to go on from them elsewhere."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.embedded.training import autoencoder, bundle, denoiser

PIECE = 15 * 2**20  # bytes of one file
CURVES = ("denoiser.jsonl", "autoencoder.jsonl")


def write(work: Path, folder: Path) -> None:
    """Write the average and the autoencoder in 16 bits, progress and curves; replace each file whole."""
    folder.mkdir(parents=True, exist_ok=True)
    if (work / "denoiser/ema.safetensors").exists():
        weights = {name: value.half() for name, value in load_file(work / "denoiser/ema.safetensors").items()}
        for number, piece in enumerate(pieces(weights), 1):
            _replace(folder / f"denoiser-{number}.safetensors", piece)
        shutil.copyfile(work / "denoiser/progress.json", folder / "progress.json")
    vae = load_file(work / "autoencoder" / bundle.WEIGHTS)
    _replace(folder / "autoencoder.safetensors", {name: value.half() for name, value in vae.items()})
    rows = [
        line for name in CURVES if (work / name).exists() for line in (work / name).read_text().splitlines()
    ]
    (folder / "curves.jsonl").write_text("".join(f"{row}\n" for row in rows))


def pieces(weights: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    """Split the weights into as many parts as it takes to have each under PIECE bytes."""
    parts: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, value in weights.items():
        if size + value.nbytes > PIECE:
            parts.append({})
            size = 0
        parts[-1][name] = value
        size += value.nbytes
    return parts


def _replace(path: Path, weights: dict[str, Tensor]) -> None:
    partial = path.with_suffix(".partial")
    save_file(weights, partial)
    os.replace(partial, path)


def take(folder: Path, work: Path) -> None:
    """Make the results a checkpoint of the working folder: export, or training, goes on from there."""
    weights = {
        name: value.float()
        for path in sorted(folder.glob("denoiser-*.safetensors"))
        for name, value in load_file(path).items()
    }
    at = work / "denoiser"
    shutil.rmtree(at, ignore_errors=True)
    at.mkdir(parents=True)
    for name in ("model", "ema"):
        save_file(weights, at / f"{name}.safetensors")
    progress = denoiser.TrainingProgress(**json.loads((folder / "progress.json").read_text()))
    (at / "progress.json").write_text(json.dumps(asdict(progress)))
    rows = [json.loads(line) for line in (folder / "curves.jsonl").read_text().splitlines()]
    curve = [json.dumps(row) for row in rows if "validation" in row]
    (work / "denoiser.jsonl").write_text("".join(f"{row}\n" for row in curve))
    _take_autoencoder(folder, work)


def _take_autoencoder(folder: Path, work: Path) -> None:
    vae = autoencoder.build()
    vae.load_state_dict(
        {name: value.float() for name, value in load_file(folder / "autoencoder.safetensors").items()}
    )
    vae.save_pretrained(work / "autoencoder", safe_serialization=True)

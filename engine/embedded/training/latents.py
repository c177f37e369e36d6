"""The cached training set: every scene as latents, every sentence as text states."""

from __future__ import annotations

import json
import logging
import os
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor

from engine.embedded.training import data, text
from engine.embedded.training.autoencoder import LATENT_CHANNELS, encode, linear_encoder
from engine.embedded.training.compositions import Composer
from engine.embedded.training.scenes import CANVASES, Scene, Stage, paint

log = logging.getLogger(__name__)

MIX = 6  # counts the changes to what is trained on: losses of two mixes are not comparable
# Share of training samples per kind of scene; inside a kind, by scene weight.
COMPOSED = "composed"
COMPOSED_SHARE = 0.4
SHARES = {COMPOSED: COMPOSED_SHARE} | {
    kind: share * (1 - COMPOSED_SHARE)
    for kind, share in {
        "single": 0.44,
        "shifted": 0.02,
        "ground": 0.08,
        "recoloured": 0.17,
        "beside": 0.11,
        "stacked": 0.07,
        "count": 0.02,
        "alone": 0.09,
    }.items()
}
COMPOSITIONS = 16_000
PART = 500  # scenes that one process takes at a time


@dataclass(frozen=True, slots=True)
class Bucket:
    """All samples of one canvas: latents, cumulative sampling weight, text rows and how many there are."""

    latents: NDArray[np.float16]
    cumulative: NDArray[np.float64]
    texts: NDArray[np.int64]  # each row filled up with its last one
    counts: NDArray[np.int64]

    @property
    def weight(self) -> float:
        return float(self.cumulative[-1]) if len(self.cumulative) else 0.0


def prepare(work: Path, seed: int = 0) -> None:
    """Paint and encode all scenes, then encode all sentences; finished parts stay."""
    if not (work / "scenes.json").exists():
        _prepare_scenes(work, seed)
    text.prepare(work, in_order(json.loads((work / "scenes.json").read_text())))


def _prepare_scenes(work: Path, seed: int) -> None:
    """Latents per canvas, plain scenes first, in the order of the index; every core takes a part."""
    (work / "composed").mkdir(exist_ok=True)
    starts = range(0, COMPOSITIONS, PART)
    fresh = get_context("spawn")  # a fork after torch has used its threads, or a GPU, may hang
    with ProcessPoolExecutor(os.cpu_count(), fresh, torch.set_num_threads, (1,)) as pool:
        composed = list(pool.map(partial(_compose_part, work, seed), starts))
        log.info("composed scenes: %d", COMPOSITIONS)
        table, rows, drawings = data.load(work)
        scenes = Stage(table, rows, np.asarray(drawings), seed).scenes()
        for canvas in CANVASES:
            chosen = [scene for scene in scenes if scene.canvas == canvas]
            parts = [chosen[at : at + PART] for at in range(0, len(chosen), PART)]
            plain = pool.map(partial(_encode_part, work), parts)
            more = [np.load(path)[canvas] for path in composed]
            np.save(work / f"latents-{canvas}.npy", np.concatenate([*plain, *more]))
            log.info("latents: %s", canvas)
    index = [row for path in composed for row in json.loads(path.with_suffix(".json").read_text())]
    (work / "scenes.json").write_text(json.dumps([*map(_row, scenes), *index]))


def _compose_part(work: Path, seed: int, start: int) -> Path:
    """Compose the PART scenes from number `start`, unless an earlier run did; returns their file."""
    path = work / "composed" / f"{start:06}.npz"
    if not path.exists():
        _, rows, drawings = data.load(work)
        made, index = compose(work, Composer(rows, drawings, seed=seed), range(start, start + PART))
        path.with_suffix(".json").write_text(json.dumps(index))
        unfinished = path.with_suffix(".partial.npz")
        np.savez(unfinished, allow_pickle=False, **made)
        unfinished.rename(path)
    return path


def _encode_part(work: Path, scenes: list[Scene]) -> NDArray[np.float16]:
    _, _, drawings = data.load(work)
    return encode_scenes(_matrix(work), scenes, drawings)


def _matrix(work: Path) -> tuple[Tensor, Tensor]:
    return linear_encoder(AutoencoderKL.from_pretrained(work / "autoencoder"))


@torch.no_grad()
def compose(
    work: Path, composer: Composer, numbers: Iterable[int]
) -> tuple[dict[str, NDArray[np.float16]], list[dict[str, Any]]]:
    """The latents of composed scenes by canvas, `float16[n, C, h, w]`, and their index rows."""
    matrix = _matrix(work)
    made: dict[str, list[NDArray[np.float16]]] = {canvas: [] for canvas in CANVASES}
    index = []
    for number in numbers:
        scene = composer.compose(number)
        made[scene.canvas].append(encode(_tensor(scene.picture[None]), matrix).numpy().astype(np.float16))
        place = {"place": scene.facts.place, "hour": scene.facts.hour}
        row = {"kind": COMPOSED, "canvas": scene.canvas, "weight": 1.0, "rows": [], "texts": scene.texts}
        index.append(row | place)
    empty = np.zeros((0, LATENT_CHANNELS, 1, 1), np.float16)
    return {canvas: np.concatenate(parts) if parts else empty for canvas, parts in made.items()}, index


def _tensor(pictures: NDArray[np.uint8]) -> Tensor:
    """`uint8[B, H, W, 3]` to `float32[B, 3, H, W]` in -1…1."""
    return torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def _row(scene: Scene) -> dict[str, Any]:
    return {
        "kind": scene.kind,
        "canvas": scene.canvas,
        "weight": scene.weight,
        "rows": [item.row for item in scene.placed],
        "texts": scene.texts,
    }


def in_order(index: list[dict[str, Any]]) -> list[str]:
    """The empty prompt, then what lets most scenes take part soonest."""
    singles = [row for row in index if row["kind"] == "single"]
    composed = [row for row in index if row["kind"] == COMPOSED]
    others = [row for row in index if row["kind"] not in ("single", "shifted", COMPOSED)]
    first = [t for row in singles for t in row["texts"][:1]]
    second = [t for row in composed for t in row["texts"]]
    third = [t for row in others for t in row["texts"][:1]]
    return ["", *first, *second, *third, *(t for row in index for t in row["texts"])]


@torch.no_grad()
def encode_scenes(
    matrix: tuple[Tensor, Tensor], scenes: list[Scene], drawings: data.Rgba
) -> NDArray[np.float16]:
    """The latents of the scenes, `float16[len(scenes), C, h, w]`."""
    out = []
    for start in range(0, len(scenes), 16):
        pictures = np.stack([paint(scene, drawings) for scene in scenes[start : start + 16]])
        out.append(encode(_tensor(pictures), matrix).numpy().astype(np.float16))
    return np.concatenate(out)


def load(work: Path, numbers: dict[str, int]) -> list[Bucket]:
    """The canvases as sampling buckets; scenes without an encoded sentence wait."""
    index = json.loads((work / "scenes.json").read_text())
    for row in index:
        row["texts"] = [numbers[t] for t in row["texts"] if t in numbers]
    totals: dict[str, float] = defaultdict(float)
    for row in index:
        totals[row["kind"]] += row["weight"] * bool(row["texts"])
    return [_bucket(work, canvas, index, totals) for canvas in CANVASES]


def _bucket(work: Path, canvas: str, index: list[dict[str, Any]], totals: dict[str, float]) -> Bucket:
    rows = [row for row in index if row["canvas"] == canvas]
    ready = [bool(row["texts"]) for row in rows]
    rows = [row for row in rows if row["texts"]]
    weights = [SHARES[row["kind"]] * row["weight"] / totals[row["kind"]] for row in rows]
    latents = np.load(work / f"latents-{canvas}.npy")[np.array(ready, dtype=bool)]
    counts = np.array([len(row["texts"]) for row in rows], dtype=np.int64)
    most = max(counts, default=0)
    texts = [(row["texts"] + [row["texts"][-1]] * most)[:most] for row in rows]
    table = np.array(texts, dtype=np.int64).reshape(len(rows), most)
    return Bucket(latents, np.cumsum(weights), table, counts)

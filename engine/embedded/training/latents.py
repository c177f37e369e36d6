"""The training set in parts: scenes as latents, their sentences as text states, some of the pictures.

Every part has a name, and the same name gives the same scenes on every machine. Whoever trains takes what is
there and goes on taking while other processes make more.
"""

from __future__ import annotations

import fcntl
import itertools
import logging
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor

from engine.embedded.training import autoencoder, data, text
from engine.embedded.training.autoencoder import encode, linear_encoder
from engine.embedded.training.compositions import Composer
from engine.embedded.training.scenes import CANVASES, Stage, paint

log = logging.getLogger(__name__)

MIX = 7  # counts the changes to what is trained on: losses of two mixes are not comparable
# Share of training samples per kind of scene; inside a kind, by scene weight.
COMPOSED = "composed"
COMPOSED_SHARE = 0.4
SHARES = {COMPOSED: COMPOSED_SHARE} | {
    kind: share * (1 - COMPOSED_SHARE)
    for kind, share in {
        "single": 0.42,
        "shifted": 0.02,
        "ground": 0.08,
        "recoloured": 0.17,
        "beside": 0.11,
        "stacked": 0.07,
        "count": 0.04,
        "alone": 0.09,
    }.items()
}
KINDS = tuple(SHARES)
COMPOSITIONS = 16_000
PART = 250  # composed scenes in one part
PLAIN_PARTS = 64
TEXTS = 16  # sentences of one scene at most
PICTURED = 40  # parts of either sort that keep pictures for the decoder
WAIT_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture (`uint8[height, width, 3]`) of a kind of scene, with the sentences that may describe it."""

    kind: str
    canvas: str
    weight: float
    texts: Sequence[str]
    picture: NDArray[np.uint8]
    ground: tuple[str, str] = ("", "")  # place and hour


# --- making ---------------------------------------------------------------------------------


def prepare(work: Path, *, scenes: int = COMPOSITIONS, minutes: float = 1e6, seed: int = 0) -> None:
    """Make the parts that are not there yet, on every core, for so long at most.

    Returns at once where another process is at it.
    """
    (work / "parts").mkdir(exist_ok=True)
    with _alone(work / "parts/lock") as alone:
        if not alone:
            return
        make = partial(_make_part, work, seed, time.time() + 60 * minutes)
        fresh = get_context("spawn")  # a copy of a process that runs threads, as torch's, or a GPU, may hang
        with ProcessPoolExecutor(os.cpu_count(), fresh, _begin_worker) as pool:
            for number, name in enumerate(pool.map(make, names(scenes))):
                if number % 20 == 0:
                    log.info("training set: %s", name)


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Lock the file while the block runs; yield False where another process holds it."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def names(scenes: int) -> list[str]:
    """Return the names of plain and composed parts in turn, so that both are there early."""
    plain = [f"plain-{number:04}" for number in range(PLAIN_PARTS)]
    composed = [f"composed-{number:04}" for number in range(-(-scenes // PART))]
    return [name for pair in itertools.zip_longest(composed, plain) for name in pair if name]


def _begin_worker() -> None:
    """Lower the process's priority and use one thread, so that training gets the cores."""
    os.nice(10)
    torch.set_num_threads(1)


def _make_part(work: Path, seed: int, until: float, name: str) -> str:
    path = work / "parts" / f"{name}.npz"
    if not path.exists() and time.time() < until:
        matrix, tokenizer, encoder, rows, table, drawings = _tools(work)
        number = int(name.split("-")[1])
        if name.startswith("plain"):
            samples = list(_plain(Stage(table, rows, drawings, seed=1000 * seed + number), number, drawings))
        else:
            composer = Composer(rows, drawings, seed=seed)
            samples = list(composed(composer, range(number * PART, (number + 1) * PART)))
        arrays = pack(
            samples, matrix, partial(text.states_of, tokenizer, encoder), pictured=number < PICTURED
        )
        unfinished = path.with_suffix(".partial.npz")
        np.savez(unfinished, allow_pickle=False, **arrays)
        unfinished.rename(path)
    return name


@cache
def _tools(work: Path) -> tuple[Any, ...]:
    """Load what a process needs for all its parts: encoders, drawings and their tables."""
    table, rows, drawings = data.load(work)
    tokenizer, encoder = text.load_encoder(work, torch.device("cpu"))
    return matrix_of(work), tokenizer, encoder, rows, table, drawings


def matrix_of(work: Path) -> tuple[Tensor, Tensor]:
    """Return the encoder of the working folder as a matrix and a bias."""
    return linear_encoder(AutoencoderKL.from_pretrained(work / "autoencoder", torch_dtype=torch.float32))


def _plain(stage: Stage, part: int, drawings: data.Rgba) -> Iterator[Sample]:
    for scene in stage.scenes(part, PLAIN_PARTS):
        yield Sample(scene.kind, scene.canvas, scene.weight, scene.texts, paint(scene, drawings))


def composed(composer: Composer, numbers: Iterable[int]) -> Iterator[Sample]:
    """Yield the composed scenes of those numbers."""
    for number in numbers:
        scene = composer.compose(number)
        ground = scene.facts.place, scene.facts.hour
        yield Sample(COMPOSED, scene.canvas, 1.0, scene.texts, scene.picture, ground)


@torch.no_grad()
def pack(
    samples: Sequence[Sample], matrix: tuple[Tensor, Tensor], states_of: Any, *, pictured: bool
) -> dict[str, NDArray[Any]]:
    """Return a part's arrays: text states, the empty prompt's first; per canvas latents and their texts."""
    said = {"": 0}
    arrays: dict[str, NDArray[Any]] = {}
    for canvas, (width, height) in CANVASES.items():
        chosen = [sample for sample in samples if sample.canvas == canvas]
        texts = np.zeros((len(chosen), TEXTS), np.int32)
        for row, sample in enumerate(chosen):
            numbers = [said.setdefault(each, len(said)) for each in sample.texts[:TEXTS]]
            texts[row] = (numbers * TEXTS)[:TEXTS]
        pictures = np.array([sample.picture for sample in chosen]).reshape(-1, height, width, 3)
        parts = [encode(tensor(pictures[at : at + 64]), matrix) for at in range(0, len(pictures), 64)]
        empty = torch.zeros(0, len(matrix[0]), height // autoencoder.PATCH, width // autoencoder.PATCH)
        arrays |= {
            f"{canvas}-latents": torch.cat([empty, *parts]).half().numpy(),
            f"{canvas}-texts": texts,
            f"{canvas}-counts": np.array([len(sample.texts[:TEXTS]) for sample in chosen], np.int32),
            f"{canvas}-kinds": np.array([KINDS.index(sample.kind) for sample in chosen], np.int32),
            f"{canvas}-weights": np.array([sample.weight for sample in chosen], np.float64),
        }
        if pictured and canvas == "square":
            arrays["pictures"] = pictures
    return arrays | {"states": states_of(list(said))}


def tensor(pictures: NDArray[np.uint8]) -> Tensor:
    """Convert `uint8[B, H, W, 3]` to `float32[B, 3, H, W]` in -1…1."""
    return torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


# --- taking ---------------------------------------------------------------------------------


def there(work: Path) -> list[str]:
    """Return the names of the finished parts, sorted."""
    return sorted(path.stem for path in (work / "parts").glob("*-*.npz") if "." not in path.stem)


def wait_for(work: Path, wanted: Iterable[str], seconds: float = 600.0) -> None:
    """Wait until those parts are there. Raises TimeoutError."""
    until = time.monotonic() + seconds
    while missing := set(wanted).difference(there(work)):
        if time.monotonic() > until:
            raise TimeoutError(f"nobody has made these parts of the training set: {sorted(missing)}")
        time.sleep(WAIT_SECONDS)


@dataclass(frozen=True, slots=True)
class SizeBucket:
    """All samples of one canvas, on the device that trains."""

    latents: Tensor
    texts: Tensor
    counts: Tensor
    kinds: NDArray[np.int32]
    weights: NDArray[np.float64]
    cumulative: Tensor  # of the sampling weights

    @property
    def weight(self) -> float:
        """Return the share of this canvas in training."""
        return float(self.cumulative[-1]) if len(self.cumulative) else 0.0


@dataclass(frozen=True, slots=True)
class Pool:
    """Everything that has been taken in."""

    parts: frozenset[str]
    states: Tensor
    buckets: dict[str, SizeBucket]
    shares: NDArray[np.float64]  # of the canvases

    def batch(self, size: int, canvas: str, empty_share: float) -> tuple[Tensor, Tensor]:
        """Return latents, `[size, C, h, w]`, and text states, `[size, LENGTH, WIDTH]`, both in 16 bits."""
        bucket, device = self.buckets[canvas], self.states.device
        luck = torch.rand(3, size, device=device, dtype=torch.float64)
        rows = torch.searchsorted(bucket.cumulative, luck[0] * bucket.cumulative[-1])
        rows = rows.clamp(max=len(bucket.cumulative) - 1)
        column = (luck[1] * bucket.counts[rows]).long()
        words = torch.where(luck[2] < empty_share, 0, bucket.texts[rows, column])
        return bucket.latents[rows], self.states[words]


def load(work: Path, parts: Iterable[str], device: torch.device, pool: Pool | None = None) -> Pool:
    """Return a pool with those parts and all that `pool` holds."""
    new = [name for name in parts if pool is None or name not in pool.parts]
    states = [] if pool is None else [pool.states]
    taken: dict[str, list[SizeBucket]] = {
        canvas: [] if pool is None else [pool.buckets[canvas]] for canvas in CANVASES
    }
    for name in new:
        with np.load(work / "parts" / f"{name}.npz") as arrays:
            first = sum(map(len, states))
            states.append(torch.from_numpy(arrays["states"]).to(device))
            for canvas in CANVASES:
                taken[canvas].append(_bucket(arrays, canvas, first, device))
    buckets = _weighted({canvas: _joined(each) for canvas, each in taken.items()}, device)
    shares = np.array([bucket.weight for bucket in buckets.values()])
    known = frozenset() if pool is None else pool.parts
    return Pool(known | set(new), torch.cat(states), buckets, shares / shares.sum())


def _bucket(arrays: Any, canvas: str, first: int, device: torch.device) -> SizeBucket:
    latents, texts, counts = (
        torch.from_numpy(arrays[f"{canvas}-{what}"]).to(device) for what in ("latents", "texts", "counts")
    )
    texts = texts.long() + first * (texts > 0)  # row 0 of all is the empty prompt
    return SizeBucket(
        latents, texts, counts, arrays[f"{canvas}-kinds"], arrays[f"{canvas}-weights"], counts.double()
    )


def _joined(parts: Sequence[SizeBucket]) -> SizeBucket:
    latents, texts, counts = (
        torch.cat([getattr(part, what) for part in parts]) for what in ("latents", "texts", "counts")
    )
    kinds, weights = (
        np.concatenate([getattr(part, what) for part in parts]) for what in ("kinds", "weights")
    )
    return SizeBucket(latents, texts, counts, kinds, weights, counts.double())


def _weighted(buckets: dict[str, SizeBucket], device: torch.device) -> dict[str, SizeBucket]:
    """Return the buckets with sampling weights that give each kind its share, over all canvases."""
    totals = np.zeros(len(KINDS))
    for bucket in buckets.values():
        totals += np.bincount(bucket.kinds, bucket.weights, minlength=len(KINDS))
    factors = np.array(list(SHARES.values())) / np.maximum(totals, 1e-9)
    return {
        canvas: SizeBucket(
            bucket.latents,
            bucket.texts,
            bucket.counts,
            bucket.kinds,
            bucket.weights,
            torch.from_numpy(np.cumsum(factors[bucket.kinds] * bucket.weights)).to(device),
        )
        for canvas, bucket in buckets.items()
    }


def pictures(work: Path, device: torch.device) -> Tensor:
    """Return the square pictures that the finished parts keep, `uint8[N, H, W, 3]`."""
    kept = []
    for name in there(work):
        if int(name.split("-")[1]) < PICTURED:
            with np.load(work / "parts" / f"{name}.npz") as arrays:
                kept.append(torch.from_numpy(arrays["pictures"]).to(device))
    return torch.cat(kept)

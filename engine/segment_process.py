"""Finds what words name in pictures, in a process of its own. Run as a script with the model's name.

A question is its length in four bytes, a line of JSON, `{"words": …}`, and a picture; its answer a line of
JSON: how sure the model is of each pixel of a square, `{"side": …, "sure": base64 of bytes}`, or
`{"error": …}`. The model is a CLIPSeg (https://arxiv.org/abs/2112.10003), from safetensors, without code of
its own.
"""

from __future__ import annotations

import base64
import io
import json
import os
import sys
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin would slow the workers beside it

import torch
from PIL import Image
from transformers import AutoTokenizer, CLIPSegForImageSegmentation

_MEAN, _SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # what CLIPSeg was trained with


def main() -> None:
    source, sink = sys.stdin.buffer, sys.stdout
    name = sys.argv[1]
    model = CLIPSegForImageSegmentation.from_pretrained(name, use_safetensors=True, trust_remote_code=False)
    tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    model.eval()
    while question := source.read(int.from_bytes(source.read(4), "big")):
        asked, _newline, picture = question.partition(b"\n")
        try:
            answer = _found(model, tokenizer, picture, json.loads(asked)["words"])
        except Exception as error:
            answer = {"error": repr(error)}
        sink.write(json.dumps(answer) + "\n")
        sink.flush()


def _found(model: Any, tokenizer: Any, picture: bytes, words: str) -> dict[str, Any]:
    side = model.config.vision_config.image_size
    with Image.open(io.BytesIO(picture), formats=("PNG",)) as opened:
        square = opened.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
    pixels = torch.frombuffer(bytearray(square.tobytes()), dtype=torch.uint8).view(side, side, 3) / 255
    pixels = (pixels - torch.tensor(_MEAN)) / torch.tensor(_SPREAD)
    tokens = tokenizer([words], return_tensors="pt", truncation=True)
    with torch.no_grad():
        logits = model(**tokens, pixel_values=pixels.permute(2, 0, 1)[None]).logits
    sure = (torch.sigmoid(logits.reshape(side, side)) * 255).round().to(torch.uint8)
    return {"side": side, "sure": base64.b64encode(sure.numpy().tobytes()).decode()}


if __name__ == "__main__":
    main()

"""Makes control pictures by a model, in a process of its own. Run as a script with a kind and the model.

The kind is "depth" or "pose". A question is its length in four bytes and a picture as PNG; its answer a line
of JSON: `{"png": base64}`, `{"png": ""}` where there is nothing to see, or `{"error": …}`. The models are of
transformers, from safetensors, without code of their own: any that estimates depth, or a ViTPose, which is
given the whole picture as one person.
"""

from __future__ import annotations

import base64
import io
import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin would slow the workers beside it

import torch
from PIL import Image, ImageDraw
from transformers import AutoImageProcessor, AutoModelForDepthEstimation, VitPoseForPoseEstimation

SIDE = 1024  # pixels of the longer side of what is made
SURE = 0.3  # how sure of a joint the model must be
_MEAN, _SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # what ViTPose was trained with

_JOINTS = ("nose", "left eye", "right eye", "left ear", "right ear", "left shoulder", "right shoulder",
           "left elbow", "right elbow", "left wrist", "right wrist", "left hip", "right hip", "left knee",
           "right knee", "left ankle", "right ankle")  # fmt: skip
"""COCO's, in the order in which a ViTPose finds them."""
_LIMBS = (
    ("neck", "right shoulder"), ("neck", "left shoulder"), ("right shoulder", "right elbow"),
    ("right elbow", "right wrist"), ("left shoulder", "left elbow"), ("left elbow", "left wrist"),
    ("neck", "right hip"), ("right hip", "right knee"), ("right knee", "right ankle"), ("neck", "left hip"),
    ("left hip", "left knee"), ("left knee", "left ankle"), ("neck", "nose"), ("nose", "right eye"),
    ("right eye", "right ear"), ("nose", "left eye"), ("left eye", "left ear"),
)  # fmt: skip
"""Those of OpenPose, in the order of their colours."""
_COLOURS = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0),
    (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255),
    (170, 0, 255), (255, 0, 255), (255, 0, 170),
)  # fmt: skip

Joints = Mapping[str, tuple[float, float]]


def main() -> None:
    source, sink = sys.stdin.buffer, sys.stdout
    make = {"depth": depth, "pose": pose}[sys.argv[1]](sys.argv[2])
    while question := source.read(int.from_bytes(source.read(4), "big")):
        try:
            answer = {"png": _encoded(make(_opened(question)))}
        except Exception as error:
            answer = {"error": repr(error)}
        sink.write(json.dumps(answer) + "\n")
        sink.flush()


def depth(name: str) -> Callable[[Image.Image], Image.Image | None]:
    """Return what makes a picture's depth: what is near is bright."""
    processor: Any = AutoImageProcessor.from_pretrained(name, trust_remote_code=False)
    model: Any = AutoModelForDepthEstimation.from_pretrained(
        name, use_safetensors=True, trust_remote_code=False
    )
    model.eval()
    metric = getattr(model.config, "depth_estimation_type", "relative") == "metric"  # then far is much

    @torch.no_grad()
    def make(picture: Image.Image) -> Image.Image | None:
        far = model(**processor(images=picture, return_tensors="pt")).predicted_depth[0].float()
        least, most = far.min(), far.max()
        if not torch.isfinite(far).all() or most <= least:
            return None
        near = (far - least) / (most - least)
        values = ((1 - near if metric else near) * 255).round().to(torch.uint8)
        return Image.fromarray(values.numpy()).resize(picture.size, Image.Resampling.BICUBIC).convert("RGB")

    return make


def pose(name: str) -> Callable[[Image.Image], Image.Image | None]:
    """Return what draws the skeleton of the person in a picture."""
    model: Any = VitPoseForPoseEstimation.from_pretrained(name, use_safetensors=True, trust_remote_code=False)
    model.eval()
    height, width = model.config.backbone_config.image_size
    experts = getattr(model.config.backbone_config, "num_experts", 1) > 1

    @torch.no_grad()
    def make(picture: Image.Image) -> Image.Image | None:
        scale = min(width / picture.width, height / picture.height)
        size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        small = Image.new("RGB", (width, height))
        small.paste(picture.resize(size, Image.Resampling.BILINEAR))
        pixels = torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8).view(height, width, 3) / 255
        pixels = (pixels - torch.tensor(_MEAN)) / torch.tensor(_SPREAD)
        more = {"dataset_index": torch.tensor([0])} if experts else {}
        heat = model(pixel_values=pixels.permute(2, 0, 1)[None], **more).heatmaps[0]
        found = joints(heat, (width, height), size)
        return drawn(found, picture.size) if found else None

    return make


def joints(
    heat: torch.Tensor, seen: tuple[int, int], used: tuple[int, int]
) -> dict[str, tuple[float, float]]:
    """Return the joints that a model is sure of, as parts of a picture's width and height.

    `heat` has a map for each joint over `seen` pixels, of which the picture has the first `used`.
    """
    rows, columns = heat.shape[1:]
    found: dict[str, tuple[float, float]] = {}
    for name, each in zip(_JOINTS, heat, strict=False):
        sure, at = each.flatten().max(0)
        y, x = divmod(int(at), columns)
        place = (x + 0.5) / columns * seen[0] / used[0], (y + 0.5) / rows * seen[1] / used[1]
        if float(sure) >= SURE and max(place) <= 1:
            found[name] = place
    return found


def drawn(found: Joints, size: tuple[int, int]) -> Image.Image:
    """Return a skeleton as OpenPose draws it, on black."""
    picture = Image.new("RGB", size)
    pen, wide = ImageDraw.Draw(picture), max(2, round(min(size) / 100))
    places = dict(found)
    if {"left shoulder", "right shoulder"} <= places.keys():
        left, right = places["left shoulder"], places["right shoulder"]
        places["neck"] = (left[0] + right[0]) / 2, (left[1] + right[1]) / 2
    at = {name: (x * size[0], y * size[1]) for name, (x, y) in places.items()}
    for (first, last), colour in zip(_LIMBS, _COLOURS, strict=True):
        if first in at and last in at:
            dim = tuple(int(0.6 * each) for each in colour)
            pen.line([at[first], at[last]], fill=dim, width=2 * wide)
    for (_first, last), colour in zip(_LIMBS, _COLOURS, strict=True):
        if last in at:
            x, y = at[last]
            pen.ellipse((x - wide, y - wide, x + wide, y + wide), fill=colour)
    return picture


def _opened(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data), formats=("PNG",)) as file:
        picture = file.convert("RGB")
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return picture


def _encoded(picture: Image.Image | None) -> str:
    if picture is None:
        return ""
    out = io.BytesIO()
    picture.save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


if __name__ == "__main__":
    main()

"""The folder that ships: stock classes load it, and one seed gives the same bytes twice."""

import hashlib
import json
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from engine.embedded import PIPELINE, UPSCALER

LIMIT_MB = 110
LIMIT_WITHOUT_ENCODER_MB = 60


@pytest.fixture(scope="module")
def pipeline() -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # diffusers' own, at import
        from diffusers import DiffusionPipeline
    loaded = DiffusionPipeline.from_pretrained(PIPELINE, dtype=torch.float32, low_cpu_mem_usage=False)
    loaded.set_progress_bar_config(disable=True)
    yield loaded


def draw(pipeline: Any, prompt: str, seed: int, **options: Any) -> Image.Image:
    generator = torch.Generator().manual_seed(seed)
    picture = pipeline(prompt, generator=generator, num_inference_steps=4, **options).images[0]
    assert isinstance(picture, Image.Image)
    return picture


def digest(picture: Image.Image) -> str:
    return hashlib.sha256(picture.tobytes()).hexdigest()


def test_it_is_a_stock_stable_diffusion_pipeline_of_safetensors() -> None:
    index = json.loads((PIPELINE / "model_index.json").read_text())
    assert index["_class_name"] == "StableDiffusionPipeline"
    assert index["safety_checker"] == [None, None]
    kinds = {path.suffix for path in PIPELINE.rglob("*") if path.is_file()}
    assert kinds <= {".json", ".safetensors", ".md"}


def test_the_weights_stay_small() -> None:
    files = [*PIPELINE.rglob("*.safetensors"), *UPSCALER.glob("*.safetensors")]
    megabytes = {path: path.stat().st_size / 1e6 for path in files}
    own = sum(size for path, size in megabytes.items() if "text_encoder" not in path.parts)
    assert sum(megabytes.values()) <= LIMIT_MB
    assert own <= LIMIT_WITHOUT_ENCODER_MB


def test_one_seed_gives_the_same_bytes_twice(pipeline: Any) -> None:
    first, second = (digest(draw(pipeline, "a red heart", 7)) for _ in range(2))
    assert first == second
    assert digest(draw(pipeline, "a red heart", 8)) != first


@pytest.mark.parametrize(("width", "height"), [(128, 128), (160, 96), (96, 160)])
def test_sizes(pipeline: Any, width: int, height: int) -> None:
    assert draw(pipeline, "a cat", 1, width=width, height=height).size == (width, height)


@pytest.mark.parametrize("prompt", ["", "xylograph zeppelin", "猫と魚", "🎈", "a cat " * 200])
def test_any_text_draws_something(pipeline: Any, prompt: str) -> None:
    assert np.isfinite(np.asarray(draw(pipeline, prompt, 3))).all()


def test_the_autoencoder_gives_back_what_it_is_given(pipeline: Any) -> None:
    disc = Image.new("RGB", (128, 128), "white")
    ImageDraw.Draw(disc).ellipse((16, 16, 112, 112), fill=(225, 40, 50))
    pixels = torch.from_numpy(np.asarray(disc).copy()).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        latents = pipeline.vae.encode(pixels).latent_dist.mean
        back = pipeline.vae.decode(latents).sample
    assert latents.shape[2:] == (8, 8)
    assert (back - pixels).abs().mean() < 0.12


def test_a_picture_can_be_the_start(pipeline: Any) -> None:
    from diffusers import StableDiffusionImg2ImgPipeline

    again = StableDiffusionImg2ImgPipeline(**pipeline.components, requires_safety_checker=False)
    again.set_progress_bar_config(disable=True)
    source = Image.new("RGB", (128, 128), (200, 40, 40))
    generator = torch.Generator().manual_seed(5)
    picture = again(
        "a red heart", image=source, strength=0.5, num_inference_steps=8, generator=generator
    ).images[0]
    assert picture.size == (128, 128)

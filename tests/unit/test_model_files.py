"""What the files of a model tell before it is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from engine import catalog
from engine.pipelines import model_files
from engine.types import GenerationRequest
from tests.unit.test_catalog import weights

diffusers = pytest.importorskip("diffusers")


@pytest.mark.parametrize(
    ("name", "from_a_picture", "negative"),
    [
        ("easel-tiny", True, True),
        ("z-image-turbo", True, False),
        ("flux2-klein", True, False),
        ("qwen-image", True, True),
        ("flux-schnell", True, False),
        ("sdxl", True, True),
        ("sd-turbo", True, False),
        ("chroma", True, True),
    ],
)
def test_the_catalog_says_what_its_models_can_do(name: str, from_a_picture: bool, negative: bool) -> None:
    entry = catalog.load([name]).entry(name)
    assert ("image_to_image" in entry.info.tasks) is from_a_picture
    assert entry.info.negative_prompt is negative
    assert name == "easel-tiny" or hasattr(diffusers, entry.pipeline)


@pytest.mark.parametrize(
    ("pipeline", "can"),
    [
        ("Flux2KleinPipeline", True),
        ("StableDiffusionXLPipeline", True),
        ("Krea2Pipeline", False),
        ("Own", False),
    ],
)
def test_a_folder_says_its_class(tmp_path: Path, pipeline: str, can: bool) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": pipeline}))
    (info,) = catalog.load([str(tmp_path)]).models()
    assert ("image_to_image" in info.tasks) is can
    assert info.negative_prompt is (pipeline != "Flux2KleinPipeline")


def test_a_folder_may_say_what_it_can_do(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text('{"_class_name": "Own"}')
    (tmp_path / "easel.toml").write_text('tasks = ["text_to_image", "image_to_image"]')
    (info,) = catalog.load([str(tmp_path)]).models()
    assert info.tasks == {"text_to_image", "image_to_image"}


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"_class_name": 7}'])
def test_a_folder_that_cannot_be_read_can_do_the_least(tmp_path: Path, broken: str) -> None:
    (tmp_path / "model_index.json").write_text(broken)
    (info,) = catalog.load([str(tmp_path)]).models()
    assert info.tasks == {"text_to_image"}


def test_a_single_file_is_told_by_its_weights(tmp_path: Path) -> None:
    plain = weights(tmp_path / "mine.safetensors")
    flux2 = tmp_path / "flux2.safetensors"
    save_file({"single_stream_modulation.lin.weight": np.zeros(1, np.float32)}, flux2)
    told, unknown = catalog.load([str(flux2), str(plain)]).models()
    parts = {"edit", "blend", "inpaint", "outpaint"}  # by references
    assert (told.tasks, told.negative_prompt) == ({"text_to_image", "image_to_image", *parts}, False)
    assert unknown.tasks == {"text_to_image"}


def test_a_model_of_the_hub_is_known_as_soon_as_it_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered = catalog.load(["someone/some-model"])
    assert offered.info("some-model").tasks == {"text_to_image"}
    index = tmp_path / "model_index.json"
    index.write_text('{"_class_name": "ZImagePipeline"}')
    monkeypatch.setattr(model_files, "_cached", lambda name: index)
    (info,) = offered.models()
    parts = {"edit", "blend", "inpaint", "outpaint", "creative_upscale"}
    assert info.tasks == {"text_to_image", "image_to_image", *parts}


def test_a_request_says_what_it_asks_for() -> None:
    request = GenerationRequest(prompt="x", seed=1)
    assert request.kind == "text_to_image"
    assert request.variation("blob", 1, 0.4).kind == "image_to_image"
    assert request.variation("blob", 1, 1.0).kind == "text_to_image"
    assert request.enlarged("blob", 64, 64).kind == "upscale"

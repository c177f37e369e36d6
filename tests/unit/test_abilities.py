"""What the studio believes of each pipeline class is what diffusers does."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from engine import abilities, catalog
from engine.types import GenerationRequest
from tests.unit.test_catalog import weights

diffusers = pytest.importorskip("diffusers")


def from_words() -> list[type]:
    """The text-to-image classes that need nothing but words."""
    from diffusers.pipelines.auto_pipeline import AUTO_TEXT2IMAGE_PIPELINES_MAPPING

    found = dict.fromkeys(AUTO_TEXT2IMAGE_PIPELINES_MAPPING.values())
    return [each for each in found if "Control" not in each.__name__]


def parameters(pipeline: Any) -> set[str]:
    return set(inspect.signature(pipeline.__call__).parameters)


@pytest.mark.parametrize("pipeline", from_words(), ids=lambda each: each.__name__)
def test_a_class_starts_from_a_picture_where_its_sibling_takes_a_strength(pipeline: Any) -> None:
    from diffusers.pipelines import auto_pipeline

    sibling = auto_pipeline._get_task_class(
        auto_pipeline.AUTO_IMAGE2IMAGE_PIPELINES_MAPPING, pipeline.__name__, throw_error_if_not_exist=False
    )
    can = sibling is not None and parameters(sibling) >= {"image", "strength"}
    assert ("image_to_image" in abilities.tasks_of(pipeline.__name__)) is can


@pytest.mark.parametrize("pipeline", from_words(), ids=lambda each: each.__name__)
def test_a_class_without_negative_prompt_is_known(pipeline: Any) -> None:
    takes = "negative_prompt" in parameters(pipeline) and pipeline is not diffusers.FluxPipeline
    assert (pipeline.__name__ not in abilities.NO_NEGATIVE_PROMPT) is takes


def test_the_lists_name_classes_that_there_are() -> None:
    known = {each.__name__ for each in from_words()}
    assert known >= abilities.FROM_A_PICTURE and known >= abilities.NO_NEGATIVE_PROMPT


def test_a_class_that_nobody_knows_is_asked_for_the_least() -> None:
    assert abilities.tasks_of("TomorrowPipeline") == {"text_to_image"}


@pytest.mark.parametrize(
    ("name", "from_a_picture", "negative"),
    [
        ("easel-tiny", True, True),
        ("z-image-turbo", True, False),
        ("flux2-klein", False, False),
        ("qwen-image", True, True),
        ("flux-schnell", True, False),
        ("sdxl", True, True),
        ("sd-turbo", True, False),
    ],
)
def test_the_catalog_says_what_its_models_can_do(name: str, from_a_picture: bool, negative: bool) -> None:
    entry = catalog.load([name]).entry(name)
    assert ("image_to_image" in entry.info.tasks) is from_a_picture
    assert entry.info.negative_prompt is negative
    assert name == "easel-tiny" or hasattr(diffusers, entry.pipeline)


@pytest.mark.parametrize(
    ("pipeline", "can"), [("Flux2KleinPipeline", False), ("StableDiffusionXLPipeline", True), ("Own", False)]
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


def test_a_single_file_is_told_by_its_tensors(tmp_path: Path) -> None:
    import numpy as np
    from diffusers.loaders.single_file_utils import CHECKPOINT_KEY_NAMES
    from safetensors.numpy import save_file

    plain = weights(tmp_path / "mine.safetensors")
    flux = tmp_path / "flux.safetensors"
    save_file({CHECKPOINT_KEY_NAMES["flux"][0]: np.zeros(1, np.float32)}, flux)
    flux2 = tmp_path / "flux2.safetensors"
    save_file({CHECKPOINT_KEY_NAMES["flux2"][0]: np.zeros(1, np.float32)}, flux2)
    found = catalog.load([str(plain), str(flux), str(flux2)]).models()
    assert ["image_to_image" in each.tasks for each in found] == [True, True, False]
    assert [each.negative_prompt for each in found] == [True, False, False]


def test_a_model_of_the_hub_is_known_as_soon_as_it_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offered = catalog.load(["someone/some-model"])
    assert offered.info("some-model").tasks == {"text_to_image"}
    index = tmp_path / "model_index.json"
    index.write_text('{"_class_name": "ZImagePipeline"}')
    monkeypatch.setattr(abilities, "_cached", lambda name: index)
    (info,) = offered.models()
    assert info.tasks == {"text_to_image", "image_to_image"}


def test_a_request_says_what_it_asks_for() -> None:
    request = GenerationRequest(prompt="x", seed=1)
    assert request.task == "text_to_image"
    assert request.variation("blob", 1, 0.4).task == "image_to_image"
    assert request.variation("blob", 1, 1.0).task == "text_to_image"
    assert request.enlarged("blob", 64, 64).task == "upscale"

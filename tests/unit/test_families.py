"""Families say the truth about diffusers' classes, and an unknown class is treated with care."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import pytest

from engine.families import Family, Painting, families, family_of
from engine.types import ImageToImage, Inpaint, Outpaint, PaintingTask, TaskKind, TextToImage
from tests.families import FAMILIES

ENGINE = Path(__file__).parents[2] / "engine"
PAINTING = Painting(
    prompt="a fox", negative_prompt="", steps=4, guidance=2.0, width=64, height=64, image="p", mask="m"
)

CHANGE = ImageToImage(source="p", strength=0.1)
HALF = ImageToImage(source="p", strength=0.5)
TASKS: dict[str, PaintingTask] = {
    "text_to_image": TextToImage(),
    "image_to_image": CHANGE,
    "inpaint": Inpaint(source="p", mask="m"),
    "outpaint": Outpaint(source="p", left=8, top=0, width=8, height=8),
}

each_family = pytest.mark.parametrize("family", families(), ids=lambda family: family.name)


def untrue(family: Family) -> Iterator[str]:
    """Say what the family declares and its pipeline classes cannot do."""
    for task, name in family.pipelines.items():
        said = f"{family.name} declares {task} by {name}, but"
        if task not in TASKS:
            yield f"{said} a family does {' and '.join(TASKS)} alone."
        elif not hasattr(diffusers, name):
            yield f"{said} diffusers has no such class."
        else:
            accepted = inspect.signature(getattr(diffusers, name).__call__).parameters
            given = family.arguments(TASKS[task], PAINTING)
            unneeded = set() if family.negative_prompt else {"negative_prompt"}
            if "image" in given:  # some take the size from the picture
                unneeded |= {"width", "height"}
            if missing := sorted(given.keys() - unneeded - accepted.keys()):
                yield f"{said} that takes no {', '.join(missing)}."
            if "strength" in accepted and "strength" not in given:
                yield f"{said} that starts from a picture, by a strength."


@each_family
def test_the_pipelines_of_a_family_do_the_tasks_that_it_declares(family: Family) -> None:
    assert list(untrue(family)) == []


@pytest.mark.parametrize(
    ("task", "pipeline", "sentence"),
    [
        ("image_to_image", "StableDiffusionPipeline", "that takes no image, strength."),
        ("text_to_image", "StableDiffusionImg2ImgPipeline", "that starts from a picture, by a strength."),
        ("text_to_image", "StableDifusionPipeline", "diffusers has no such class."),
        ("inpaint", "StableDiffusionImg2ImgPipeline", "that takes no mask_image."),
        ("upscale", "StableDiffusionPipeline", f"a family does {' and '.join(TASKS)} alone."),
    ],
)
def test_a_task_that_a_pipeline_class_cannot_do_is_named(
    task: TaskKind, pipeline: str, sentence: str
) -> None:
    family = Family(name="Mine", pipelines={task: pipeline})

    assert f"Mine declares {task} by {pipeline}, but {sentence}" in untrue(family)


@each_family
def test_calls_are_joined_only_where_a_tiny_twin_was_compared(family: Family, tmp_path: Path) -> None:
    twins = {type(make(tmp_path).pipe).__name__ for make in FAMILIES.values()}
    denoisers = {twin: _denoiser(twin) for twin in twins}

    if family.joins == "always":
        assert {_denoiser(name) for name in family.classes} <= set(denoisers.values())


def _denoiser(pipeline: str) -> Any:
    parts = inspect.signature(getattr(diffusers, pipeline).__init__).parameters
    return (parts.get("transformer") or parts["unet"]).annotation


@each_family
def test_the_modules_of_a_family_take_what_it_says_of_them(family: Family) -> None:
    for said in (family.shared, family.row_lists):
        for module, arguments in said.items():
            accepted = inspect.signature(getattr(diffusers, module).forward).parameters
            assert arguments - {"return"} <= accepted.keys(), module


def test_a_class_belongs_to_one_family() -> None:
    classes = [name for family in families() for name in family.classes]

    assert len(classes) == len(set(classes))
    assert all(name == family_of(name).name or name in family_of(name).classes for name in classes)


def test_an_unknown_class_only_paints_from_words_and_joins_nothing() -> None:
    family = family_of("SomethingNewPipeline")

    assert dict(family.pipelines) == {"text_to_image": "SomethingNewPipeline"}
    assert family.joins == "compared"


@pytest.mark.parametrize(
    ("pipeline", "name"),
    [
        ("FluxPipeline", "guidance_scale"),  # where `true_cfg_scale` would double the work
        ("StableDiffusionPipeline", "guidance_scale"),
        ("QwenImagePipeline", "true_cfg_scale"),
        ("QwenImageEditPipeline", "true_cfg_scale"),
    ],
)
def test_guidance_has_the_name_that_each_family_gives_it(pipeline: str, name: str) -> None:
    family = family_of(pipeline)

    assert {"guidance_scale", "true_cfg_scale"} & family.arguments(CHANGE, PAINTING).keys() == {name}


def test_little_strength_still_runs_a_step() -> None:
    family = family_of("StableDiffusionPipeline")

    arguments = family.arguments(CHANGE, PAINTING)

    assert int(arguments["num_inference_steps"] * arguments["strength"]) == 1
    assert family.steps_run(CHANGE, 4) == 1
    assert family.steps_run(HALF, 4) == 2
    assert family.steps_run(TextToImage(), 4) == 4


def test_a_reference_is_given_without_a_strength_and_all_steps_run() -> None:
    family = family_of("Flux2KleinPipeline")

    assert "strength" not in family.arguments(CHANGE, PAINTING)
    assert family.arguments(CHANGE, PAINTING)["image"] == "p"
    assert family.steps_run(HALF, 4) == 4


def test_pipeline_and_model_classes_are_named_in_families_alone() -> None:
    """Elsewhere a class name would be knowledge of one family that others must know of."""
    known = {name for name in dir(diffusers) if name.endswith(("Pipeline", "2DModel"))}
    for file in sorted(ENGINE.rglob("*.py")):
        if "families" in file.parts or "training" in file.parts:
            continue
        strings = {
            node.value
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert not strings & known, file

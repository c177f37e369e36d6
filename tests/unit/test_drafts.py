"""A draft takes about half the steps of the same picture, on a grid that is dense at the start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch

from bot import actions
from bot.actions import Action
from bot.messages import job_cards
from bot.models import State
from bot.prompts import compose, parse
from engine import drafts
from engine.catalog import Entry, load
from engine.pipelines import run as pipelines
from engine.types import GenerationRequest, ImageToImage, ModelInfo
from tests.examples import a_job, a_tier
from tests.families import FAMILIES

STEPS = 12
KEPT = [0, 1, 2, 4, 6, 8, 10]


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("steps", "kept"),
    [
        (20, (0, 1, 2, 4, 6, 8, 10, 12, 14, 16, 18)),
        (9, (0, 1, 2, 4, 6, 8)),
        (4, (0, 1, 2)),
        (3, (0,)),
        (2, (0,)),
        (1, (0,)),
    ],
)
def test_the_first_three_steps_then_every_second(steps: int, kept: tuple[int, ...]) -> None:
    assert drafts.kept(steps) == kept
    assert drafts.length(steps) == len(kept)


@pytest.mark.parametrize(
    ("steps", "taken", "kept"),
    [
        (20, 8, (0, 1, 2, 5, 8, 12, 15, 19)),
        (20, 4, (0, 1, 2, 19)),
        (20, 2, (0, 10)),
        (4, 3, (0, 1, 2)),
        (4, 4, (0, 1, 2, 3)),
        (4, 9, (0, 1, 2, 3)),
    ],
)
def test_a_model_may_have_its_own_number_of_steps(steps: int, taken: int, kept: tuple[int, ...]) -> None:
    assert drafts.kept(steps, taken) == kept
    assert drafts.length(steps, taken) == len(kept)


def test_a_models_own_number_holds_for_its_own_steps(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('pipeline = "StableDiffusionPipeline"\nsteps = 20\ndraft_steps = 8\n')
    (tmp_path / "mine.safetensors").write_bytes(b"")
    (model,) = load([str(tmp_path / "mine.safetensors")]).models()
    tier = a_tier()

    def steps(text: str) -> int:
        return compose(parse(text), [model], tier).steps_taken

    assert steps("a fox --draft") == 8
    assert steps("a fox --draft --steps 10") == drafts.length(10)
    assert steps("a fox") == 20


class Recorder:
    """Times at which a denoiser was called, and what the scheduler made of them."""

    def __init__(self, pipe: Any) -> None:
        self.times: list[float] = []
        module = getattr(pipe, "unet", None) or pipe.transformer
        own = module.forward

        def forward(*args: Any, **kwargs: Any) -> Any:
            time = kwargs["timestep"] if "timestep" in kwargs else args[1]
            self.times.append(float(time.flatten()[0]))
            return own(*args, **kwargs)

        module.forward = forward


def painted(
    name: str, folder: Path, *, draft: bool, scheduler: Any = None
) -> tuple[torch.Tensor, list[float]]:
    twin = FAMILIES[name](folder)
    twin.pipe.set_progress_bar_config(disable=True)
    recorder = Recorder(twin.pipe)
    pipe = pipelines.private_copy(twin.pipe)
    if scheduler:
        pipe.scheduler = scheduler.from_config(pipe.scheduler.config)
    options = twin.options(2) | {"num_inference_steps": drafts.length(STEPS) if draft else STEPS}
    options |= pipelines.draft_grid(pipe, STEPS) if draft else {}
    generator = torch.Generator().manual_seed(1)
    pictures: torch.Tensor = pipe(**options, generator=generator, output_type="pt").images
    return pictures, recorder.times


@pytest.mark.parametrize(
    ("name", "scheduler"),
    [
        ("sd", None),  # DDIM, as the model that ships
        ("sd", diffusers.EulerDiscreteScheduler),
        ("sd", diffusers.DPMSolverMultistepScheduler),
        ("sdxl", None),
        ("flux", None),
        ("chroma", None),
        ("qwen", None),
        ("flux2_klein", None),
    ],
)
def test_a_draft_walks_the_dense_grid_of_the_full_picture(name: str, scheduler: Any, tmp_path: Path) -> None:
    _, full = painted(name, tmp_path, draft=False, scheduler=scheduler)
    pictures, times = painted(name, tmp_path, draft=True, scheduler=scheduler)

    each = len(full) // STEPS  # guidance may call the model twice a step
    assert torch.isfinite(pictures).all()
    assert times[::each] == pytest.approx([full[::each][at] for at in KEPT], rel=1e-3)


@pytest.mark.parametrize("name", ["sd3", "z_image", "krea2"])
def test_other_families_take_as_many_steps(name: str, tmp_path: Path) -> None:
    _, full = painted(name, tmp_path, draft=False)
    pictures, times = painted(name, tmp_path, draft=True)

    assert torch.isfinite(pictures).all()
    assert len(times) * STEPS == len(full) * len(KEPT)


@pytest.mark.parametrize("spacing", ["leading", "trailing"])
def test_ddim_ends_a_draft_without_noise(spacing: str) -> None:
    """With a model that always sees the picture behind the noise, a draft ends in that picture."""
    scheduler = diffusers.DDIMScheduler(timestep_spacing=spacing, clip_sample=False, prediction_type="sample")
    pipelines._thin_out(scheduler, 20, list(drafts.kept(20)))
    scheduler.set_timesteps(11)
    truth = torch.full((1, 4, 8, 8), 0.5)
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    for time in scheduler.timesteps:
        latents = scheduler.step(truth, time, latents).prev_sample

    assert len(scheduler.timesteps) == 11
    assert float((latents - truth).abs().max()) < 0.01


INFO = ModelInfo(name="m", title="", licence="", width=512, height=512, steps=20, guidance=3.0)


def test_a_draft_costs_what_its_steps_cost() -> None:
    entry, asked = (
        Entry(info=INFO, source="", pipeline="StableDiffusionPipeline"),
        GenerationRequest(prompt="", seed=1),
    )
    assert entry.units(replace(asked, draft=True)) == pytest.approx(entry.units(asked) * 11 / 20)
    half = replace(asked, draft=True, task=ImageToImage(source="x", strength=0.5))
    assert entry.steps_run(half) == 5


def test_every_model_of_the_catalogue_has_a_shorter_draft() -> None:
    for info in load(["easel-tiny", "z-image-turbo", "flux2-klein", "sd-turbo", "krea-2-turbo"]).models():
        assert 0 < drafts.length(info.steps) < info.steps, info.name


def test_a_draft_is_called_one_and_painted_in_full_with_the_same_seed() -> None:
    found = parse("a fox --draft")
    assert found.draft is True and parse("a fox").draft is None
    job = a_job(state=State.RENDERED)
    job = replace(job, request=replace(job.request, draft=True))

    card = job_cards.done(job)
    pressed = actions.derive(Action(name="full", job=job.id), job, seed=99)

    assert "draft" in card.facts
    assert [b.label for row in card.rows for b in row if b.id == f"v1:full:{job.id}"] == ["Paint in full"]
    assert pressed == replace(job.request, draft=False)
    assert "full" not in str(job_cards.done(replace(job, request=pressed)).rows)

"""The denoiser's training on a handful of random latents: it steps, stops, and goes on elsewhere."""

import json
import shutil
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from engine.embedded.training import denoiser, latents, text
from engine.embedded.training.autoencoder import LATENT_CHANNELS
from engine.embedded.training.denoiser import Trainer
from engine.embedded.training.latents import Sample
from engine.embedded.training.scenes import CANVASES

pytestmark = pytest.mark.slow

SAID = {"a cat": "single", "a dog": "single", "two cats": "count"}


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder as the earlier steps leave it, and no shipped weights to start from."""
    rng = np.random.default_rng(0)
    matrix = (
        torch.randn(LATENT_CHANNELS, 768, generator=torch.Generator().manual_seed(0)) / 16,
        torch.zeros(1),
    )
    samples = [
        Sample(kind, canvas, 1.0, [words], rng.integers(0, 255, (height, width, 3)).astype(np.uint8))
        for canvas, (width, height) in CANVASES.items()
        for words, kind in SAID.items()
    ]
    states = rng.standard_normal((1 + len(SAID), text.LENGTH, text.WIDTH)).astype(np.float16)
    arrays = latents.pack(
        samples, (matrix[0], torch.zeros(LATENT_CHANNELS)), lambda texts: states, pictured=False
    )
    (tmp_path / "parts").mkdir()
    for name in denoiser.FIRST_PARTS:
        np.savez(tmp_path / "parts" / f"{name}.npz", **arrays)
    monkeypatch.setattr(denoiser, "PIPELINE", tmp_path / "nothing")
    monkeypatch.setattr(denoiser, "BATCH", 8)
    monkeypatch.setattr(denoiser, "VALIDATION_BATCH", 4)
    return tmp_path


def test_the_same_seed_takes_the_same_steps(work: Path) -> None:
    first, second = ([float(trainer._step()) for _ in range(3)] for trainer in map(Trainer, [work, work]))
    assert first == pytest.approx(second, rel=1e-3)


def test_timesteps_stay_in_the_schedule_where_the_jitter_rounds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "rand", lambda count, device: torch.full((count,), 1 - 2**-24))
    steps = denoiser.Noiser().steps(128)
    assert int(steps.max()) == 999
    assert len(set(steps.tolist())) == 128


def test_a_third_of_the_steps_see_next_to_nothing_of_the_picture() -> None:
    noiser = denoiser.Noiser()
    late = noiser.steps(1000, late=denoiser.LATE_SHARE)
    assert (late >= 900).float().mean() == pytest.approx(0.3, abs=0.01)
    assert int(late.min()) < 5
    assert int(late.max()) == 999
    assert (noiser.steps(1000) >= 900).float().mean() == pytest.approx(0.1, abs=0.01)


def test_a_wider_denoiser_begins_by_drawing_what_the_narrow_one_draws(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wide = denoiser.build(denoiser.SMALL)
    monkeypatch.setattr(denoiser, "LATENT_CHANNELS", LATENT_CHANNELS // 2)
    narrow = denoiser.build(denoiser.SMALL)
    denoiser.grow(narrow, wide)

    noise, words = torch.randn(2, LATENT_CHANNELS, 8, 8), torch.randn(2, text.LENGTH, text.WIDTH)
    step = torch.tensor([999, 300])
    with torch.no_grad():
        known = narrow(noise[:, : LATENT_CHANNELS // 2], step, words).sample
        made = wide(noise, step, words).sample
    assert torch.allclose(made[:, : LATENT_CHANNELS // 2], known, atol=1e-5)
    assert not made[:, LATENT_CHANNELS // 2 :].any()


def test_a_checkpoint_keeps_its_size_and_shipped_weights_count_where_theirs_is_wanted(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = work / "shipped"
    small = denoiser.build(denoiser.SMALL)
    small.save_pretrained(shipped / "unet")
    (shipped / "progress.json").write_text(json.dumps({"step": 5, "seconds": 1.0, "pictures": 40}))
    monkeypatch.setattr(denoiser, "PIPELINE", shipped)
    going_on = Trainer(work)
    assert going_on.progress.step == 5
    assert torch.equal(going_on.unet.conv_in.weight, small.conv_in.weight)

    monkeypatch.setattr(denoiser, "SIZE", denoiser.LARGE)
    fresh = Trainer(work)
    assert (fresh.progress.step, fresh.unet.config["block_out_channels"]) == (0, (128, 192))
    fresh.checkpoint(0.0)
    monkeypatch.setattr(denoiser, "SIZE", denoiser.SMALL)
    assert Trainer(work).unet.config["block_out_channels"] == (128, 192)


def test_steps_teach(work: Path) -> None:
    trainer = Trainer(work)
    trainer._set_rate(0.0, 200)
    before = trainer.validation()
    for _ in range(12):
        trainer._step()
    assert trainer.validation() < before


class Recording:
    """A recorded step as the trainer sees it, without a GPU."""

    shapes: ClassVar[list[torch.Size]] = []
    error: ClassVar[Exception | None] = None

    def __init__(self, update: denoiser.Update, batch: tuple[torch.Tensor, ...]) -> None:
        self.shapes.append(batch[0].shape)
        if self.error:
            raise self.error
        self.update = update

    def __call__(self, *batch: torch.Tensor) -> torch.Tensor:
        return self.update(*batch)


@pytest.fixture
def recorded(work: Path, monkeypatch: pytest.MonkeyPatch) -> Trainer:
    monkeypatch.setattr(denoiser, "Recorded", Recording)
    monkeypatch.setattr(Recording, "shapes", [])
    trainer = Trainer(work)
    trainer.recording = True
    return trainer


def test_a_step_is_recorded_once_per_canvas_before_training_begins(recorded: Trainer) -> None:
    recorded.run(minutes=0.02)
    shapes = [(8, LATENT_CHANNELS, height // 16, width // 16) for width, height in CANVASES.values()]
    assert sorted(map(tuple, Recording.shapes)) == sorted(shapes)


def test_steps_that_cannot_be_recorded_are_taken_all_the_same(
    recorded: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recording, "error", RuntimeError("operation not permitted when stream is capturing"))
    losses = [float(recorded._step()) for _ in range(3)]
    assert all(losses)
    assert len(Recording.shapes) == 1
    assert not any(weight.grad is not None for weight in recorded.weights)


def test_too_little_memory_halves_the_batch(recorded: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    update = recorded._update

    def scarce(clean: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        if len(clean) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return update(clean, *others)

    monkeypatch.setattr(recorded, "_update", scarce)
    assert float(recorded._step())
    assert recorded.size == 4
    assert float(recorded._step())
    assert recorded.progress.pictures == 8 + 4


def test_training_goes_on_from_its_checkpoint_on_another_machine(work: Path, tmp_path: Path) -> None:
    one = Trainer(work)
    for _ in range(denoiser.EMA_EVERY):
        one._step()
    one.checkpoint(1.0)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(work, elsewhere, ignore=shutil.ignore_patterns("elsewhere"))

    two = Trainer(elsewhere)

    assert two.progress == one.progress
    assert two.progress.pictures == 8 * denoiser.EMA_EVERY
    for mine, theirs in ((one.unet, two.unet), (one.ema, two.ema)):
        for name, value in mine.state_dict().items():
            assert torch.equal(value, theirs.state_dict()[name]), name
    moments = one._moments()
    assert moments
    assert all(torch.equal(value, two._moments()[name]) for name, value in moments.items())
    two._step()
    assert two.progress.step == one.progress.step + 1


def test_training_goes_on_from_weights_that_came_home_without_moments(work: Path) -> None:
    one = Trainer(work)
    one.checkpoint(1.0)
    (work / "denoiser/moments.safetensors").unlink()
    assert float(Trainer(work)._step())


def test_a_stretch_ends_with_a_checkpoint_and_a_row_of_the_curve(work: Path) -> None:
    Trainer(work).run(minutes=0.01)
    Trainer(work).run(minutes=0.01)
    rows = [json.loads(line) for line in (work / "denoiser.jsonl").read_text().splitlines()]
    assert len(rows) == 2
    assert 0 < rows[0]["pictures"] < rows[1]["pictures"]
    assert not work.joinpath("denoiser.partial").exists()


def test_the_rate_warms_up_stays_and_falls(work: Path) -> None:
    trainer = Trainer(work)
    rates = []
    for done, steps in ((0.0, 0), (0.2, 1000), (0.65, 2000), (1.0, 4000)):
        trainer._set_rate(done, steps)
        rates.append(trainer.optimiser.param_groups[0]["lr"])
    top, end = denoiser.LEARNING_RATE, denoiser.FINAL_RATE
    assert rates == pytest.approx([top / 200, top, (top + end) / 2, end])


def test_a_model_that_has_seen_much_goes_on_more_gently(work: Path) -> None:
    seen = {"step": 9, "seconds": 1.0, "pictures": 4 * denoiser.YOUNG}
    trainer = Trainer(work)
    trainer.checkpoint(0.0)
    (work / "denoiser" / "progress.json").write_text(json.dumps(seen))

    assert trainer.peak == denoiser.LEARNING_RATE
    assert Trainer(work).peak == denoiser.LEARNING_RATE / 2

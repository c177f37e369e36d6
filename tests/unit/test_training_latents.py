"""Composed scenes as latents, kept part by part, and the simple guesses that the denoiser must beat."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.embedded.training import compositions, data, first_step, latents
from engine.embedded.training.autoencoder import LATENT_CHANNELS, encode
from engine.embedded.training.compositions import Composer
from engine.embedded.training.data import Drawing
from engine.embedded.training.scenes import CANVASES

MATRIX = (torch.randn(LATENT_CHANNELS, 768, generator=torch.Generator().manual_seed(0)), torch.zeros(1))
ROWS = [Drawing(name, "3d") for name in compositions.ANIMALS]
DRAWINGS = np.full((len(ROWS), data.SIDE, data.SIDE, 4), 200, np.uint8)


@pytest.fixture(autouse=True)
def _few_and_unencoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latents, "_matrix", lambda work: (MATRIX[0], torch.zeros(LATENT_CHANNELS)))
    monkeypatch.setattr(latents, "PART", 12)
    monkeypatch.setattr(data, "load", lambda work: ([], ROWS, DRAWINGS))


def test_latents_and_index_are_in_one_order(tmp_path: Path) -> None:
    composer = Composer(ROWS, DRAWINGS)
    made, index = latents.compose(tmp_path, composer, range(12))
    assert len(index) == 12
    for canvas, (width, height) in CANVASES.items():
        numbers = [number for number, row in enumerate(index) if row["canvas"] == canvas]
        assert len(made[canvas]) == len(numbers)
        for latent, number in zip(made[canvas], numbers, strict=True):
            scene = composer.compose(number)
            assert list(scene.texts) == list(index[number]["texts"])
            expected = encode(latents._tensor(scene.picture[None]), latents._matrix(tmp_path))[0]
            assert latent.shape == (LATENT_CHANNELS, height // 16, width // 16)
            assert np.allclose(latent, expected, rtol=1e-2, atol=0.1)


def test_a_finished_part_is_not_composed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "composed").mkdir()
    path = latents._compose_part(tmp_path, 0, 12)
    assert len(json.loads(path.with_suffix(".json").read_text())) == 12
    monkeypatch.setattr(latents, "compose", lambda *args: pytest.fail("composed again"))
    assert latents._compose_part(tmp_path, 0, 12) == path


def test_each_ground_is_guessed_by_the_mean_of_its_kind() -> None:
    known = torch.tensor([1.0, 3.0, 10.0]).reshape(3, 1, 1, 1)
    kinds = ["snow", "beach", "sea", "snow", "snow", "beach"]
    guesses = first_step._means(kinds, known, 3).flatten()
    assert guesses.tolist() == pytest.approx([2.0, 10.0, 14 / 3])

"""A preview is made of the same latents that the pipeline hands to its VAE."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.families import family_of
from engine.pipelines.previews import Preview
from tests.families import FAMILIES, Family
from tests.thorough import THOROUGHLY


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture(params=THOROUGHLY)
def twin(request: pytest.FixtureRequest, tmp_path: Path) -> Family:
    made = FAMILIES[request.param](tmp_path)
    made.pipe.set_progress_bar_config(disable=True)
    norm = getattr(made.pipe.vae, "bn", None)
    if norm is not None:  # as a trained one: neither 0 nor 1
        norm.running_mean.normal_(generator=torch.Generator().manual_seed(1))
        norm.running_var.uniform_(0.5, 2.0, generator=torch.Generator().manual_seed(2))
    return made


def painted(twin: Family, seed: int, monkeypatch: pytest.MonkeyPatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Paint; the latents after the last step, and those that the VAE decoded."""
    decoded: list[torch.Tensor] = []
    steps: list[torch.Tensor] = []
    decode = twin.pipe.vae.decode

    def recorded(latents: torch.Tensor, **options: Any) -> Any:
        decoded.append(latents)
        return decode(latents, **options)

    def after_step(_pipe: Any, _step: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        steps.append(tensors["latents"])
        return tensors

    monkeypatch.setattr(twin.pipe.vae, "decode", recorded)
    twin.pipe(**twin.options(seed), num_inference_steps=2, output_type="pt", callback_on_step_end=after_step)
    return steps[-1], decoded[0]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_family_knows_the_latents_that_its_vae_decodes(
    twin: Family, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    latents, decoded = painted(twin, seed, monkeypatch)
    size = twin.options(seed)["width"], twin.options(seed)["height"]

    found = family_of(type(twin.pipe).__name__).to_vae(twin.pipe, latents, *size)

    frame = decoded[:, :, 0] if decoded.ndim == 5 else decoded
    assert found.shape == frame.shape
    torch.testing.assert_close(found, frame)


def test_every_family_has_previews(twin: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    latents, _ = painted(twin, 2, monkeypatch)
    size = twin.options(2)["width"], twin.options(2)["height"]

    preview = Preview.fit(twin.pipe, family_of(type(twin.pipe).__name__))

    assert preview is not None
    small = preview.picture(latents, *size)
    assert small is not None
    assert small.shape[1] * size[0] == small.shape[2] * size[1]
    assert 0 <= float(small.min()) < float(small.max()) <= 1

"""The computed encoder, and a wider autoencoder that grows out of a narrower one."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from engine.embedded.training import autoencoder, grounds
from engine.embedded.training.autoencoder import Crops, encode, linear_encoder

pytestmark = pytest.mark.slow

NARROW = 32


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    rng = np.random.default_rng(0)
    drawn = [
        np.asarray(grounds.halved(grounds.ground(place, "square", random.Random(seed)).image))
        for place in grounds.GROUNDS
        for seed in range(6)
    ]
    noisy = np.stack(drawn) + rng.normal(0, 12, (len(drawn), 128, 128, 3))
    return torch.from_numpy(noisy).permute(0, 3, 1, 2).float() / 127.5 - 1


@pytest.fixture(scope="module")
def narrow(pictures: Tensor) -> AutoencoderKL:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(autoencoder, "LATENT_CHANNELS", NARROW)
        vae = autoencoder.build()
        autoencoder.fit_encoder(vae, pictures)
    return vae


@pytest.fixture(scope="module")
def wide(narrow: AutoencoderKL, pictures: Tensor) -> AutoencoderKL:
    return autoencoder.grow(narrow, pictures)


def unexplained(vae: AutoencoderKL, pictures: Tensor) -> float:
    """The share of the variance that the best linear decoder cannot bring back."""
    weight, _ = linear_encoder(vae)
    rows = torch.nn.functional.unfold(pictures, 16, stride=16).transpose(1, 2).reshape(-1, 768)
    rows = rows - rows.mean(0)
    basis, _ = torch.linalg.qr(weight.T)
    return float((rows - rows @ basis @ basis.T).square().sum() / rows.square().sum())


def test_the_computed_encoder_is_linear(narrow: AutoencoderKL, pictures: Tensor) -> None:
    with torch.no_grad():
        network = narrow.encode(pictures[:8]).latent_dist.mean
    assert torch.allclose(encode(pictures[:8], linear_encoder(narrow)), network, atol=0.05)


def test_the_first_channels_stay_as_they_were(
    narrow: AutoencoderKL, wide: AutoencoderKL, pictures: Tensor
) -> None:
    before = encode(pictures, linear_encoder(narrow))
    after = encode(pictures, linear_encoder(wide))
    assert after.shape[1] == autoencoder.LATENT_CHANNELS
    spread = before.std()
    assert ((after[:, :NARROW] - before).abs().mean() / spread) < 0.01


def test_the_decoder_begins_where_it_was(
    narrow: AutoencoderKL, wide: AutoencoderKL, pictures: Tensor
) -> None:
    latents = encode(pictures[:4], linear_encoder(wide))
    with torch.no_grad():
        before = narrow.decode(latents[:, :NARROW]).sample
        after = wide.decode(latents).sample
    assert torch.allclose(before, after, atol=1e-4)


def test_further_channels_cover_what_the_first_leave_out(
    narrow: AutoencoderKL, wide: AutoencoderKL, pictures: Tensor
) -> None:
    fresh = autoencoder.build()
    autoencoder.fit_encoder(fresh, pictures)
    assert unexplained(wide, pictures) < 0.8 * unexplained(narrow, pictures)
    assert unexplained(wide, pictures) < 1.02 * unexplained(fresh, pictures)


def test_further_channels_have_a_spread_like_the_last_of_the_first(
    wide: AutoencoderKL, pictures: Tensor
) -> None:
    spread = encode(pictures, linear_encoder(wide)).std(dim=(0, 2, 3))
    assert 0.5 < float(spread[NARROW] / spread[NARROW - 1]) < 2


def test_crops_are_cut_along_the_latents_cells() -> None:
    cells = (
        torch.arange(64, dtype=torch.uint8).reshape(8, 8).repeat_interleave(16, 0).repeat_interleave(16, 1)
    )
    batch = Crops(cells[None, :, :, None].expand(3, -1, -1, 3)).batch(5, 64)
    assert batch.shape == (5, 3, 64, 64)
    for cell in batch.reshape(-1, 4, 16, 4, 16).permute(0, 1, 3, 2, 4).reshape(-1, 256):
        assert len(cell.unique()) == 1


def test_the_decoder_learns_and_the_encoder_stays(
    narrow: AutoencoderKL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autoencoder, "BATCH", 4)
    pictures = torch.randint(0, 255, (2, 128, 128, 3), dtype=torch.uint8)
    narrow.save_pretrained(tmp_path / "autoencoder")
    autoencoder.train(tmp_path, 0.02, pictures)
    after = AutoencoderKL.from_pretrained(tmp_path / "autoencoder").state_dict()
    changed = {name for name, value in narrow.state_dict().items() if not torch.equal(value, after[name])}
    assert changed
    assert not any(name.startswith(("encoder", "quant_conv")) for name in changed)
    assert json.loads((tmp_path / "autoencoder.jsonl").read_text().splitlines()[-1])["done"] == 1.0

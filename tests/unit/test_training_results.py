"""What comes home from a machine lent for training: small files, and the same weights again."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.embedded.training import autoencoder, results


@pytest.fixture
def work(tmp_path: Path) -> Path:
    work = tmp_path / "work"
    (work / "denoiser").mkdir(parents=True)
    save_file(
        {f"{n}.weight": torch.full((40, 40), n / 8) for n in range(9)}, work / "denoiser/ema.safetensors"
    )
    (work / "denoiser/progress.json").write_text(
        json.dumps({"step": 7, "seconds": 2.5, "pictures": 99, "size": "large"})
    )
    (work / "denoiser.jsonl").write_text('{"pictures": 99, "validation": 0.5}\n')
    (work / "autoencoder.jsonl").write_text('{"step": 3, "done": 1.0, "loss": 0.1}\n')
    torch.manual_seed(0)
    autoencoder.build().save_pretrained(work / "autoencoder")
    return work


def test_files_stay_small_and_come_home_as_a_checkpoint(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "PIECE", 10_000)
    results.write(work, tmp_path / "out")
    results.write(work, tmp_path / "out")  # as after every checkpoint
    files = {path.name: path.stat().st_size for path in (tmp_path / "out").iterdir()}
    pieces = [name for name in files if name.startswith("denoiser-")]
    assert len(pieces) == 3
    assert max(files[name] for name in pieces) < 12_000
    assert files.keys() - pieces == {"autoencoder.safetensors", "progress.json", "curves.jsonl"}

    home = tmp_path / "home"
    results.take(tmp_path / "out", home)
    for name in ("model", "ema"):
        weights = load_file(home / f"denoiser/{name}.safetensors")
        assert {key: float(value[0, 0]) for key, value in weights.items()} == {
            f"{n}.weight": n / 8 for n in range(9)
        }
    assert (home / "denoiser/progress.json").read_text() == (work / "denoiser/progress.json").read_text()
    assert (home / "denoiser.jsonl").read_text() == (work / "denoiser.jsonl").read_text()
    before, after = (load_file(each / "autoencoder" / results.bundle.WEIGHTS) for each in (work, home))
    assert before.keys() == after.keys()
    assert all(torch.allclose(value, after[name], atol=1e-3) for name, value in before.items())


def test_before_the_first_checkpoint_there_is_the_decoder_alone(work: Path, tmp_path: Path) -> None:
    (work / "denoiser/ema.safetensors").unlink()
    results.write(work, tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"autoencoder.safetensors", "curves.jsonl"}

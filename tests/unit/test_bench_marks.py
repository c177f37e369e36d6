"""The bench of marks measures pictures as people get them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.embedded.evaluate.classifier import Judge
from tests.bench import marks


def test_the_bench_paints_what_the_shipped_model_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At another size than its own the model draws none of the things it knows."""
    judge = Judge.load()
    (tmp_path / "concepts.json").write_text(json.dumps(["red heart"]))
    monkeypatch.setattr(marks, "CLASSIFIER", tmp_path)
    with torch.inference_mode():
        pictures = list(marks.paint(2, 5))
    assert [picture.size for picture in pictures] == [(512, 512)] * 2
    pixels = (
        torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures])).permute(0, 3, 1, 2) / 255
    )
    best = judge.scores(pixels).topk(5).indices
    assert all("red heart" in [judge.names[i] for i in row] for row in best.tolist())

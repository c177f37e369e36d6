"""Text states for training: in batches, in 16 bits, one row per sentence."""

from typing import Any

import pytest
import torch

from engine.embedded.training import text


def test_sentences_are_encoded_in_batches_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def states(tokenizer: Any, encoder: Any, texts: list[str]) -> torch.Tensor:
        sizes.append(len(texts))
        return torch.stack([torch.full((text.LENGTH, text.WIDTH), float(len(each))) for each in texts])

    monkeypatch.setattr(text, "states", states)
    monkeypatch.setattr(text, "BATCH", 2)
    rows = text.states_of(None, None, ["", "a cat", "a panda"])  # type: ignore[arg-type]
    assert sizes == [2, 1]
    assert rows.dtype.name == "float16"
    assert rows[:, 0, 0].tolist() == [0, 5, 7]

"""The cache of text states: what is there is not computed again."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.embedded.training import latents, text


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sentences that were handed to the encoder, which is not the real one here."""
    seen: list[str] = []

    def states(tokenizer: Any, encoder: Any, texts: list[str]) -> torch.Tensor:
        seen.extend(texts)
        return torch.stack([torch.full((text.LENGTH, text.WIDTH), float(len(each))) for each in texts])

    monkeypatch.setattr(text, "load_encoder", lambda work: (None, None))
    monkeypatch.setattr(text, "states", states)
    monkeypatch.setattr(text, "SHARD", 2)
    return seen


def test_every_sentence_is_encoded_once_and_found_again(tmp_path: Path, asked: list[str]) -> None:
    text.prepare(tmp_path, ["", "a cat", "a cat", "a dog"])
    text.prepare(tmp_path, ["a dog", "two cats", ""])
    assert asked == ["", "a cat", "a dog", "two cats"]
    assert text.count(tmp_path) == 3
    numbers, rows = text.load(tmp_path)
    assert {each: float(rows[row, 0, 0]) for each, row in numbers.items()} == {
        each: float(len(each)) for each in asked
    }


def test_what_was_cut_off_before_its_list_was_written_is_encoded_again(
    tmp_path: Path, asked: list[str]
) -> None:
    text.prepare(tmp_path, ["", "a cat"])
    (tmp_path / "texts" / "0000.json").unlink()
    text.prepare(tmp_path, ["", "a cat"])
    assert asked == ["", "a cat", "", "a cat"]
    assert json.loads((tmp_path / "texts" / "0000.json").read_text()) == ["", "a cat"]


def test_the_empty_prompt_comes_first_and_every_scene_early() -> None:
    index = [
        {"kind": "beside", "texts": ["a cat and a dog", "a dog beside a cat"]},
        {"kind": "composed", "texts": ["a cat in the snow", "eine Katze im Schnee"]},
        {"kind": "single", "texts": ["a cat", "the cat", "cat, 3d style"]},
        {"kind": "single", "texts": ["a dog"]},
    ]
    order = list(dict.fromkeys(latents.in_order(index)))
    soon = ["", "a cat", "a dog", "a cat in the snow", "eine Katze im Schnee", "a cat and a dog"]
    assert order == [*soon, "a dog beside a cat", "the cat", "cat, 3d style"]

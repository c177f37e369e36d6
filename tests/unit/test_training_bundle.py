"""The bundle for a GPU machine: what goes in comes out, and words nobody says stay behind."""

import json
import re
import zipfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from engine.embedded.training import bundle, compositions, data, scenes, text
from engine.embedded.training.data import Concept, Drawing

ROUNDING = 2.0**-7 + 2.0**-10  # to six bits, after rounding to the eleven of a half-precision number
WORDS = [*bundle.SPECIAL, "cat", "pizza", "snow", "xylograph", "zeppelin"]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with two drawings and an encoder that knows ten words."""
    folder = tmp_path / "work"
    encoder = text.folder(folder, fetch=False)
    encoder.mkdir(parents=True)
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(encoder / "tokenizer.json"))
    (encoder / "config.json").write_text("{}")
    weights = {bundle.EMBEDDING: torch.randn(len(WORDS), 4), "layer.weight": torch.randn(3, 3)}
    save_file(weights, encoder / "model.safetensors")

    y, x = np.mgrid[: data.SIDE, : data.SIDE]
    ramp = np.stack([y * 2, x * 2, y + x, np.where((y - 64) ** 2 + (x - 64) ** 2 < 3000, 255, 0)], 2)
    rows = [Drawing("cat", "3d"), Drawing("pizza", "3d")]
    np.save(folder / "drawings.npy", np.stack([ramp.astype(np.uint8)] * 2))
    (folder / "drawings.json").write_text(json.dumps([asdict(row) for row in rows]))
    table = [Concept("cat", "1f408", ("pet",), 3), Concept("pizza", "1f355", (), 4)]
    (folder / "concepts.json").write_text(json.dumps([asdict(concept) for concept in table]))
    (folder / "autoencoder").mkdir()
    (folder / "autoencoder/config.json").write_text("{}")
    save_file({"weight": torch.arange(6.0)}, folder / "autoencoder" / bundle.WEIGHTS)
    monkeypatch.setattr(bundle, "sentences_of", lambda work: iter(["a cat", "pizza in snow"]))
    return folder


@pytest.fixture
def unpacked(work: Path, tmp_path: Path) -> Path:
    bundle.pack(work, tmp_path / "easel.zip")
    bundle.unpack(tmp_path / "easel.zip", tmp_path / "elsewhere")
    return tmp_path / "elsewhere"


def test_the_drawings_come_back_nearly_as_they_were(work: Path, unpacked: Path) -> None:
    (table, rows, before), (table_after, rows_after, after) = data.load(work), data.load(unpacked)
    assert (table, rows) == (table_after, rows_after)
    assert np.abs(before[..., 3].astype(int) - after[..., 3]).mean() < 2
    solid = before[..., 3] > 0
    assert np.abs(before[solid].astype(int) - after[solid])[:, :3].mean() < 4


def test_known_words_keep_their_rows_and_others_read_as_unknown(work: Path, unpacked: Path) -> None:
    before, after = (load_file(text.folder(at, fetch=False) / "model.safetensors") for at in (work, unpacked))
    rows = after[bundle.EMBEDDING].float()
    for index, word in enumerate(WORDS):
        expected = WORDS.index("[UNK]") if word in ("xylograph", "zeppelin") else index
        assert torch.allclose(rows[index], before[bundle.EMBEDDING][expected], rtol=ROUNDING, atol=1e-6), word
    assert torch.allclose(after["layer.weight"].float(), before["layer.weight"], rtol=ROUNDING, atol=1e-6)
    assert after.keys() == before.keys()


def test_the_autoencoder_comes_along(unpacked: Path) -> None:
    weights = load_file(unpacked / "autoencoder" / bundle.WEIGHTS)
    assert weights["weight"].tolist() == [0, 1, 2, 3, 4, 5]


def test_rounded_weights_differ_by_little_and_end_in_zeros() -> None:
    weights = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    rounded = bundle.rounded(weights)
    assert torch.allclose(rounded.float(), weights, rtol=2.0**-6, atol=1e-6)
    assert not (rounded.view(torch.int16) & 15).any()


def test_words_nobody_says_are_not_in_the_file(work: Path, unpacked: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "easel.zip") as packed:
        kept = json.loads(packed.read("text_encoder/kept.json"))
        assert not any("unet" in name for name in packed.namelist())
    assert [WORDS[index] for index in kept] == [*bundle.SPECIAL, "cat", "pizza", "snow"]


def test_nothing_needs_to_be_fetched_after_unpacking(unpacked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data.subprocess, "run", lambda *args, **options: pytest.fail("fetched"))
    data.prepare(unpacked)
    assert (text.folder(unpacked) / "tokenizer.json").exists()


def test_every_word_that_scenes_say_is_in_the_vocabulary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [*compositions.ANIMALS, *compositions.ROOFS, *compositions.HATS, "sunglasses", "red heart"]
    table = [Concept(name, "1f600", (f"{name} tag",), 3) for name in names]
    rows = [Drawing(name, style) for name in names for style in ("3d", "twemoji", "noto-v1")]
    drawings = np.full((len(rows), data.SIDE, data.SIDE, 4), 200, np.uint8)
    monkeypatch.setattr(data, "load", lambda work: (table, rows, drawings))

    known = {word for each in bundle.sentences_of(tmp_path) for word in words(each)}

    stage, composer = scenes.Stage(table, rows, drawings), compositions.Composer(rows, drawings)
    made = [make() for make in (stage.pair_beside, stage.pair_stacked, stage.several) for _ in range(40)]
    said = [each for scene in [*stage.singles(), *filter(None, made)] for each in scene.texts]
    said += [each for number in range(120) for each in composer.compose(number).texts]
    assert {word for each in said for word in words(each)} <= known


def words(text: str) -> list[str]:
    return re.findall(r"[a-zäöüß0-9]+", text.lower())

"""The training set in parts: what is in them, how they are drawn from, and the simple guesses to beat."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engine.embedded.training import compositions, data, first_step, latents, text
from engine.embedded.training.autoencoder import LATENT_CHANNELS, encode
from engine.embedded.training.compositions import Composer
from engine.embedded.training.data import Drawing
from engine.embedded.training.latents import Sample
from engine.embedded.training.scenes import CANVASES

MATRIX = torch.randn(LATENT_CHANNELS, 768, generator=torch.Generator().manual_seed(0)), torch.zeros(64)
ROWS = [Drawing(name, "3d") for name in compositions.ANIMALS]
DRAWINGS = np.full((len(ROWS), data.SIDE, data.SIDE, 4), 200, np.uint8)
CPU = torch.device("cpu")


def states_of(texts: list[str]) -> NDArray[np.float16]:
    """Text states that tell how long the sentence is."""
    lengths = np.array([len(each) for each in texts], np.float16)
    return np.broadcast_to(lengths[:, None, None], (len(texts), text.LENGTH, text.WIDTH)).copy()


def write(work: Path, name: str, samples: list[Sample], *, pictured: bool = False) -> None:
    (work / "parts").mkdir(exist_ok=True)
    np.savez(work / "parts" / f"{name}.npz", **latents.pack(samples, MATRIX, states_of, pictured=pictured))


def sample(kind: str, canvas: str, *texts: str, weight: float = 1.0) -> Sample:
    width, height = CANVASES[canvas]
    return Sample(kind, canvas, weight, texts, np.full((height, width, 3), len(texts[0]), np.uint8))


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A text encoder that is none, and a log of who asked for the tools."""
    asked: list[str] = []
    monkeypatch.setattr(text, "states_of", lambda tokenizer, encoder, texts: states_of(texts))
    monkeypatch.setattr(
        latents, "_tools", lambda work: asked.append("tools") or (MATRIX, None, None, ROWS, [], DRAWINGS)
    )
    monkeypatch.setattr(latents, "PART", 12)
    return asked


def test_a_part_holds_the_scenes_of_its_number_with_their_sentences(tmp_path: Path, tools: list[str]) -> None:
    (tmp_path / "parts").mkdir()
    latents._make_part(tmp_path, 0, float("inf"), "composed-0002")
    pool = latents.load(tmp_path, ["composed-0002"], CPU)
    scenes = list(latents.composed(Composer(ROWS, DRAWINGS), range(24, 36)))
    assert {each.canvas for each in scenes} == set(CANVASES)
    for canvas in CANVASES:
        mine = [each for each in scenes if each.canvas == canvas]
        bucket = pool.buckets[canvas]
        for row, scene in enumerate(mine):
            expected = encode(latents.tensor(scene.picture[None]), MATRIX)[0]
            assert np.allclose(bucket.latents[row].float(), expected, rtol=1e-2, atol=0.1)
            said = [float(pool.states[number, 0, 0]) for number in bucket.texts[row, : bucket.counts[row]]]
            assert said == [len(each) for each in scene.texts]
        assert len(bucket.counts) == len(mine)


def test_a_finished_part_is_not_made_again_and_none_after_the_time(tmp_path: Path, tools: list[str]) -> None:
    (tmp_path / "parts").mkdir()
    latents._make_part(tmp_path, 0, float("inf"), "composed-0001")
    latents._make_part(tmp_path, 0, float("inf"), "composed-0001")
    latents._make_part(tmp_path, 0, 0.0, "composed-0002")
    assert tools == ["tools"]
    assert latents.there(tmp_path) == ["composed-0001"]


def test_only_one_process_makes_the_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latents, "ProcessPoolExecutor", lambda *args: pytest.fail("made twice"))
    (tmp_path / "parts").mkdir()
    with latents._alone(tmp_path / "parts/lock") as alone:
        assert alone
        latents.prepare(tmp_path)


def test_plain_and_composed_parts_come_in_turn() -> None:
    names = latents.names(3 * latents.PART - 1)
    assert names[:6] == [
        "composed-0000", "plain-0000", "composed-0001", "plain-0001", "composed-0002", "plain-0002",
    ]  # fmt: skip
    assert len(names) == len(set(names)) == 3 + latents.PLAIN_PARTS


def test_kinds_of_scenes_are_drawn_by_their_shares_over_all_parts(tmp_path: Path) -> None:
    write(
        tmp_path, "plain-0000", [sample("single", "square", "cat", weight=3), sample("count", "wide", "two")]
    )
    write(tmp_path, "plain-0001", [sample("single", "square", "dogs"), sample("count", "wide", "three cats")])
    first = latents.load(tmp_path, ["plain-0000"], CPU)
    pool = latents.load(tmp_path, latents.there(tmp_path), CPU, first)
    single, count = latents.SHARES["single"], latents.SHARES["count"]
    weights = np.diff(pool.buckets["square"].cumulative, prepend=0)
    assert weights == pytest.approx([single * 3 / 4, single / 4])
    assert pool.buckets["wide"].weight == pytest.approx(count)
    assert dict(zip(pool.buckets, pool.shares, strict=True)) == pytest.approx(
        {"square": single / (single + count), "wide": count / (single + count), "tall": 0.0}
    )


def test_a_batch_pairs_pictures_with_their_own_sentences_and_now_and_then_none(tmp_path: Path) -> None:
    write(tmp_path, "plain-0000", [sample("single", "square", "cat", "my cat")])
    write(tmp_path, "plain-0001", [sample("single", "square", "rhinoceros")])
    pool = latents.load(tmp_path, latents.there(tmp_path), CPU)
    shown, words = pool.batch(400, "square", 0.2)
    lengths = words[:, 0, 0].int()
    other = (shown - pool.buckets["square"].latents[1]).abs().amax((1, 2, 3)) < 1e-3
    assert set(lengths[other].tolist()) == {0, 10}
    assert set(lengths[~other].tolist()) == {0, 3, 6}
    assert int((lengths == 0).sum()) == pytest.approx(80, abs=35)


def test_the_first_parts_keep_pictures_for_the_decoder(tmp_path: Path) -> None:
    write(
        tmp_path,
        "plain-0000",
        [sample("single", "square", "cat"), sample("single", "wide", "a")],
        pictured=True,
    )
    write(tmp_path, f"plain-{latents.PICTURED:04}", [sample("single", "square", "rhinoceros")])
    assert latents.pictures(tmp_path, CPU).unique().tolist() == [3]


def test_waiting_for_parts_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TimeoutError, match="plain-0000"):
        latents.wait_for(tmp_path, ["plain-0000"], seconds=0)


def test_each_ground_is_guessed_by_the_mean_of_its_kind() -> None:
    known = torch.tensor([1.0, 3.0, 10.0]).reshape(3, 1, 1, 1)
    kinds = ["snow", "beach", "sea", "snow", "snow", "beach"]
    guesses = first_step._means(kinds, known, 3).flatten()
    assert guesses.tolist() == pytest.approx([2.0, 10.0, 14 / 3])

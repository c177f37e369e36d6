"""Cutting out: what stays, what is left of the ground, and how well the shipped network does it."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from bot.images import pictures
from bot.provenance import keys, mark
from engine import catalog, regions
from engine.embedded import CUTOUT
from engine.embedded.training import cutouts
from engine.errors import ModelNotLoaded
from engine.lettering.setting import lettered
from engine.pipelines import run, tensors
from engine.pipelines.cutout import AlphaNetwork, Cutter, ModelCutter, cut_out
from engine.types import TRANSPARENT, GenerationRequest

RED, GROUND = (200, 30, 40), (40, 90, 160)


@pytest.fixture(scope="module")
def cutter() -> Cutter:
    return Cutter.load()


def drawn(side: int = 512, ground: tuple[int, int, int] = GROUND) -> Image.Image:
    """A red ball on a plain ground, with smooth edges."""
    large = Image.new("RGB", (2 * side, 2 * side), ground)
    ImageDraw.Draw(large).ellipse((side // 2, side // 2, side * 3 // 2, side * 3 // 2), fill=RED)
    return large.reduce(2)


def ball(side: int = 512) -> Image.Image:
    large = Image.new("L", (2 * side, 2 * side))
    ImageDraw.Draw(large).ellipse((side // 2, side // 2, side * 3 // 2, side * 3 // 2), fill=255)
    return large.reduce(2)


class Exact:
    """Knows what is shown."""

    network = torch.nn.Identity()

    def __call__(self, pixels: torch.Tensor) -> torch.Tensor:
        return tensors.pixels(ball(pixels.shape[-1]).convert("RGB"))[0]


def png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


# ---- the shipped network


def test_the_network_that_ships_is_small() -> None:
    assert (CUTOUT / "alpha.safetensors").stat().st_size < 1_000_000


@pytest.mark.parametrize("ground", [GROUND, (255, 255, 255), (30, 30, 30), (120, 190, 90)])
def test_a_drawing_is_cut_out_of_a_plain_ground(cutter: Cutter, ground: tuple[int, int, int]) -> None:
    found, truth = cutter(tensors.pixels(drawn(ground=ground))).numpy(), np.asarray(ball()) / 255

    assert cutouts.overlap(found, truth) >= 0.97
    assert np.abs(found - truth).mean() <= 0.02


@pytest.mark.parametrize("size", [(512, 512), (640, 384), (96, 64), (70, 300), (1, 1), (2048, 1024)])
def test_pictures_of_any_size_are_looked_at(cutter: Cutter, size: tuple[int, int]) -> None:
    alpha = cutter(tensors.pixels(drawn().resize(size)))

    assert alpha.shape == (size[1], size[0]) and 0 <= alpha.min() and alpha.max() <= 1


# ---- what is made of the alpha


def test_nothing_of_the_ground_is_left() -> None:
    made = tensors.picture(cut_out(Exact(), drawn()))

    values = np.asarray(made)
    assert made.mode == "RGBA" and (np.asarray(made.getchannel("A")) == np.asarray(ball())).all()
    assert (values[values[..., 3] == 0] == 0).all(), "what is transparent tells nothing"
    edge = values[(values[..., 3] > 64) & (values[..., 3] < 192)][:, :3].astype(int)
    assert len(edge) and np.abs(edge - RED).max() <= 3, "edges have the colour of what is shown alone"


@pytest.mark.parametrize("background", ["#0000ff", "#ffffff"])
def test_it_is_laid_on_a_colour(background: str) -> None:
    made = tensors.picture(cut_out(Exact(), drawn(), background))

    expected = Image.new("RGB", made.size, background)
    expected.paste(Image.new("RGB", made.size, RED), mask=ball())
    assert made.mode == "RGB"
    assert np.abs(np.asarray(made, int) - np.asarray(expected, int)).max() <= 3


def test_a_cut_out_is_not_cut_again() -> None:
    once = tensors.picture(cut_out(Exact(), drawn()))
    half = once.copy()
    half.paste((0, 0, 0, 0), (0, 0, 256, 512))

    again = tensors.picture(cut_out(Exact(), half))

    assert (np.asarray(again.getchannel("A")) == np.asarray(half.getchannel("A"))).all()


@pytest.mark.parametrize("background", ["", TRANSPARENT, "#123456"])
def test_a_request_is_carried_out(background: str) -> None:
    entry = catalog.load(["easel-tiny"]).entry("easel-tiny")
    nothing: Any = None
    loaded = run.Loaded(entry, nothing, [], None, nothing, Exact)  # type: ignore[arg-type]
    request = GenerationRequest(prompt="x", seed=1).cut_out("s", 512, 512, background)

    made = run.paint(loaded, request, 0, [png(drawn())], lambda *_: None)

    assert made.shape == (4 if background in ("", TRANSPARENT) else 3, 512, 512)


def test_what_a_person_starts_from_lies_on_white() -> None:
    cut = Image.new("RGBA", (8, 8), (0, 0, 0, 0))

    assert regions.opened(png(cut)).getpixel((0, 0)) == (255, 255, 255)
    assert regions.opened_as_is(png(cut)).mode == "RGBA"
    assert regions.opened_as_is(png(cut.convert("RGB").convert("RGBA"))).mode == "RGB"


# ---- other models


def test_a_segmentation_model_stands_in(tmp_path: Path) -> None:
    folder = segformer(tmp_path, {0: "background", 1: "person"})
    alpha = ModelCutter(str(folder))(tensors.pixels(drawn(64)))

    assert alpha.shape == (64, 64) and 0 <= alpha.min() and alpha.max() <= 1


def test_a_model_that_names_no_background_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelNotLoaded, match="no label named background"):
        ModelCutter(str(segformer(tmp_path, {0: "sky", 1: "person"})))
    with pytest.raises(ModelNotLoaded, match="CUTOUT_MODEL"):
        ModelCutter(str(tmp_path / "nowhere"))


def segformer(folder: Path, labels: dict[int, str]) -> Path:
    import transformers

    config = transformers.SegformerConfig(
        id2label=labels,
        label2id={name: index for index, name in labels.items()},
        depths=[1, 1, 1, 1],
        hidden_sizes=[8, 8, 8, 8],
        decoder_hidden_size=8,
        num_attention_heads=[1, 1, 1, 1],
    )
    transformers.SegformerForSemanticSegmentation(config).save_pretrained(folder)
    transformers.SegformerImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    return folder


# ---- delivered


def test_the_mark_is_found_in_what_can_be_seen() -> None:
    cut = tensors.picture(cut_out(Exact(), drawn()))
    values = np.asarray(cut)

    marked = mark.embed(cut, 0x0123456789AB, b"a key of tests")

    after = np.asarray(marked)
    assert (after[..., 3] == values[..., 3]).all() and (after[values[..., 3] == 0] == 0).all()
    assert (after[..., :3] != values[..., :3]).any()


@pytest.mark.parametrize(("media_type", "mode"), [("image/webp", "RGBA"), ("image/jpeg", "RGB")])
async def test_other_formats_keep_what_they_can(media_type: Any, mode: str) -> None:
    cut = tensors.picture(cut_out(Exact(), drawn(64)))
    own = keys.Keys(*keys.make(), mark=b"a key of tests")

    other = await pictures.converted(png(cut), media_type, 95, own)

    with Image.open(io.BytesIO(other)) as opened:
        assert opened.mode == mode
        corner = opened.convert("RGBA").getpixel((0, 0))
    assert corner == ((0, 0, 0, 0) if mode == "RGBA" else (255, 255, 255, 255))


# ---- how it is trained


def test_what_is_laid_over_a_ground_has_its_own_alpha() -> None:
    drawing = np.zeros((128, 128, 4), np.uint8)
    drawing[32:96, 32:96] = (*RED, 255)
    mixer = cutouts.Mixer([drawing], seed=3)
    for _ in range(6):
        cut = mixer.laid(mixer.ground((256, 192)))
        assert cut.pixels.shape == (192, 256, 3) and cut.alpha.shape == (192, 256)
        assert 0.005 < (cut.alpha > 127).mean() < 0.8
    assert (mixer.changed(cut).alpha > 127).sum() == (cut.alpha > 127).sum()


def test_what_is_on_white_is_cut_out_by_its_colour() -> None:
    side = 64
    picture = drawn(side, (255, 255, 255))
    picture.paste((255, 255, 255), (28, 28, 36, 36))  # white inside is not ground

    found = cutouts.cut_from_white(np.asarray(picture))

    assert found is not None
    assert cutouts.overlap(found[..., 3] / np.float32(255), np.asarray(ball(side)) / 255) > 0.93
    assert found[32, 32, 3] == 255 and found[0, 0, 3] == 0
    assert cutouts.cut_from_white(np.asarray(drawn(side))) is None


def test_training_begins_to_learn_and_saves_what_the_engine_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(1)
    network = AlphaNetwork()
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    pixels = tensors.pixels(drawn(64))[None].repeat(2, 1, 1, 1)
    alpha = tensors.pixels(ball(64).convert("RGB"))[None, :1].repeat(2, 1, 1, 1)

    losses = [cutouts._step(network, optimiser, pixels, alpha) for _ in range(25)]
    cutouts.save(network.state_dict(), tmp_path)
    monkeypatch.setattr("engine.pipelines.cutout.CUTOUT", tmp_path)
    loaded = Cutter.load().network.state_dict()

    assert losses[-1] < 0.6 * losses[0]
    saved = network.state_dict()
    assert all((loaded[name] - saved[name]).abs().max() < 1e-2 for name in saved if "tracked" not in name)


def test_a_model_whose_pictures_are_not_known_says_so() -> None:
    from bot.jobs import remake

    known = catalog.load(["easel-tiny"]).entry("easel-tiny").info
    other = catalog.load(["sdxl"]).entry("sdxl").info
    request = GenerationRequest(prompt="x", seed=1, background=TRANSPARENT)

    assert remake.cut_by(request, known) == ""
    assert "learned from drawings alone" in remake.cut_by(request, other)
    assert remake.cut_by(replace(request, background=""), other) == ""
    everything = catalog.load(["sdxl"], cuts_out=True).entry("sdxl").info
    assert remake.cut_by(request, everything) == ""


def test_words_on_a_cut_out_are_opaque_and_the_rest_stays() -> None:
    cut = tensors.picture(cut_out(Exact(), drawn()))
    request = GenerationRequest(prompt="x", seed=1, background=TRANSPARENT, lettering="SALE")

    before, after = np.asarray(cut), np.asarray(lettered(cut, request, 0))

    changed = (before != after).any(axis=2)
    assert 0.002 < changed.mean() < 0.4 and (after[changed][:, 3] == 255).all()
    assert (after[~changed] == before[~changed]).all()

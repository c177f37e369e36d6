"""Control pictures that are made from pictures: edges, lines, depth, pose."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFilter
from transformers import (
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
    DPTImageProcessor,
    VitPoseBackboneConfig,
    VitPoseConfig,
    VitPoseForPoseEstimation,
)

from bot.errors import Refusal
from bot.images import controls
from bot.images.controlling import ProcessControlMaker
from engine import control_process


def png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def seen(made: bytes | None) -> np.ndarray:
    assert made is not None
    return np.asarray(Image.open(io.BytesIO(made)).convert("L"))


def photo(size: tuple[int, int] = (200, 160)) -> Image.Image:
    """A bright disc on a ground that changes slowly, with noise."""
    ground = Image.linear_gradient("L").resize(size).point(lambda value: 60 + value // 6)
    ImageDraw.Draw(ground).ellipse((60, 40, 140, 120), fill=210)
    noise = np.random.default_rng(1).normal(0, 4, (size[1], size[0]))
    values = np.asarray(ground.filter(ImageFilter.GaussianBlur(1)), np.float32) + noise
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def test_edges_are_thin_closed_and_where_the_picture_changes() -> None:
    marks = seen(controls.edges(png(photo()))) > 127
    rows, columns = np.nonzero(marks)
    away = np.abs(np.hypot(columns - 100, rows - 80) - 40)

    assert np.mean(away < 3) > 0.97, "the disc's outline and nothing of the noise"
    angles = np.degrees(np.arctan2(rows - 80, columns - 100)).astype(int) // 6
    assert len(set(angles)) >= 60, "without a gap"
    assert len(rows) < 2 * np.pi * 40 * 1.6, "a pixel wide"


def test_soft_edges_have_greys() -> None:
    values = seen(controls.edges(png(photo()), soft=True))

    assert len(np.unique(values)) > 50 and values[80, 60] > 150 > values[80, 100]


def test_a_drawing_gives_its_lines_whatever_its_ground() -> None:
    drawn = Image.new("L", (80, 60), 255)
    ImageDraw.Draw(drawn).line((10, 10, 70, 50), fill=0, width=4)
    clear = Image.new("RGBA", (80, 60), (0, 0, 0, 0))
    ImageDraw.Draw(clear).line((10, 10, 70, 50), fill="black", width=4)
    inverted = drawn.point(lambda value: 255 - value)
    lines = [seen(controls.lines(png(each))) for each in (drawn, inverted, clear)]

    assert all((each == lines[0]).all() for each in lines)
    assert lines[0][30, 40] == 255 and lines[0][5, 70] == 0
    thick = seen(controls.lines(png(photo()))) > 127
    assert (thick > 0).sum() > 3 * (seen(controls.edges(png(photo()))) > 127).sum(), "of a photo, thick edges"


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (40, 40), (3000, 8)])
def test_where_there_is_nothing_nothing_is_made(size: tuple[int, int]) -> None:
    flat = png(Image.new("RGB", size, "teal"))

    assert controls.edges(flat) is controls.lines(flat) is controls.as_given(flat) is None


def test_large_pictures_are_made_smaller() -> None:
    large = photo((400, 300)).resize((3000, 2250))

    assert seen(controls.edges(png(large))).shape == (768, 1024)
    assert Image.open(io.BytesIO(controls.shown(png(large)))).size == (512, 384)


def test_a_spiral_is_followed_in_time() -> None:
    """A line that is strong at one end alone has to be followed pixel by pixel."""
    spiral, turns = Image.new("L", (1024, 1024), 100), np.arange(0, 60 * 2 * np.pi, 0.02)
    path = [(512 + 8 * t / 6.3 * np.cos(t), 512 + 8 * t / 6.3 * np.sin(t)) for t in turns]
    ImageDraw.Draw(spiral).line(path, fill=150, width=4)
    ImageDraw.Draw(spiral).ellipse((508, 508, 516, 516), fill=255)

    began = time.process_time()
    controls.edges(png(spiral))
    assert time.process_time() - began < 10


def test_a_skeleton_is_drawn_as_openpose_does() -> None:
    heat = torch.zeros(17, 64, 48)
    for joint, (x, y) in {5: (30, 20), 6: (10, 20), 0: (20, 8), 9: (47, 63)}.items():
        heat[joint, y, x] = 0.9
    heat[16, 1, 1] = 0.1

    found = control_process.joints(heat, (192, 256), (192, 200))

    assert found.keys() == {"left shoulder", "right shoulder", "nose"}, "sure of them, and inside"
    assert found["left shoulder"] == pytest.approx((30.5 / 48, 20.5 / 64 * 256 / 200))
    skeleton = np.asarray(control_process.drawn(found, (96, 100)))
    neck, shoulder = (41, 41), (61, 41)
    middle = skeleton[41, (neck[0] + shoulder[0]) // 2]
    assert middle.any() and not skeleton[:5].any()


@pytest.fixture(scope="module")
def depth_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("depth")
    torch.manual_seed(1)
    backbone = Dinov2Config(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
        out_features=["stage1", "stage2"],
        apply_layernorm=True,
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        patch_size=14,
        reassemble_hidden_size=32,
        reassemble_factors=[2, 1],
        neck_hidden_sizes=[8, 16],
        fusion_hidden_size=8,
        head_hidden_size=8,
    )
    DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    DPTImageProcessor(size={"height": 28, "width": 28}, ensure_multiple_of=14).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def pose_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pose")
    torch.manual_seed(1)
    backbone = VitPoseBackboneConfig(
        image_size=[64, 48],
        patch_size=[16, 16],
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        out_indices=[1],
    )
    model = VitPoseForPoseEstimation(
        VitPoseConfig(backbone_config=backbone, num_labels=17, use_simple_decoder=True)
    )
    torch.nn.init.constant_(model.head.conv.bias, 0.6)
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["depth", "pose"])
async def test_a_model_in_a_folder_makes_control_pictures(kind: str, request: pytest.FixtureRequest) -> None:
    maker = ProcessControlMaker(kind, str(request.getfixturevalue(f"{kind}_model")))

    made = await maker.made(png(photo().convert("RGB")))
    await maker.close()

    assert made is not None
    picture = Image.open(io.BytesIO(made))
    assert (picture.size, picture.mode) == ((200, 160), "RGB")
    assert len(picture.getcolors(1 << 20) or []) > 3


async def test_a_folder_that_is_no_model_is_said(tmp_path: Path) -> None:
    maker = ProcessControlMaker("depth", str(tmp_path))

    with pytest.raises(Refusal, match="cannot make that control picture"):
        await maker.made(png(photo()))

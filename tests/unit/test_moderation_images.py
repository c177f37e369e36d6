from __future__ import annotations

import asyncio
import io
import struct
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from bot.moderation import MobileNetClassifier, ModerationRules, NotSeen, Scores, Strictness, rate
from bot.moderation.classifier_process import CLASSES, Network
from bot.moderation.images import PATIENCE, WEIGHTS, look_once

PATTERN = Path(__file__).parents[1] / "redteam" / "pattern.png"
"""An abstract pattern, made so that the network takes it for what it looks for."""


def png(picture: Image.Image, format: str = "PNG") -> bytes:
    file = io.BytesIO()
    picture.save(file, format)
    return file.getvalue()


@pytest.fixture
async def classifier() -> AsyncIterator[MobileNetClassifier]:
    classifier = MobileNetClassifier()
    yield classifier
    await classifier.close()


@pytest.fixture(scope="module")
def network() -> Network:
    return Network(str(WEIGHTS))


@pytest.mark.parametrize(
    ("mode", "colour", "format"),
    [
        ("RGB", "white", "PNG"),
        ("RGB", "black", "PNG"),
        ("RGB", (224, 172, 140), "PNG"),
        ("L", 128, "PNG"),
        ("RGBA", (0, 0, 0, 0), "PNG"),
        ("RGB", "red", "WEBP"),
    ],
)
def test_plain_pictures_are_harmless(network: Network, mode: str, colour: object, format: str) -> None:
    scores = network.look(png(Image.new(mode, (300, 200), colour), format))  # type: ignore[arg-type]
    assert tuple(scores) == CLASSES and sum(scores.values()) == pytest.approx(1, abs=1e-4)
    assert scores["porn"] + scores["hentai"] + scores["sexy"] < 0.2


def test_the_pattern_is_found(network: Network) -> None:
    assert network.look(PATTERN.read_bytes())["porn"] > 0.99


def test_the_network_agrees_with_the_same_layers_in_torch(network: Network) -> None:
    torch = pytest.importorskip("torch")
    from bot.moderation.classifier_process import _pixels

    weights = {name: torch.from_numpy(values) for name, values in network._weights.items()}

    def layer(x: object, name: str, stride: int = 1, *, deep: bool = False, relu: bool = True) -> object:
        kernel = weights[f"{name}/weights"].permute(*((2, 3, 0, 1) if deep else (3, 2, 0, 1)))
        size, side = kernel.shape[-1], x.shape[-1]  # type: ignore[attr-defined]
        gap = max((-(-side // stride) - 1) * stride + size - side, 0)
        padded = torch.nn.functional.pad(x, (gap // 2, gap - gap // 2) * 2)
        groups = kernel.shape[0] if deep else 1
        y = torch.nn.functional.conv2d(
            padded, kernel, weights[f"{name}/offset"], stride=stride, groups=groups
        )
        return y.clamp(0, 6) if relu else y

    picture = PATTERN.read_bytes()
    x = layer(torch.from_numpy(_pixels(picture)).permute(2, 0, 1)[None], "Conv", 2)
    for number in range(17):
        block = f"block_{number}"
        y = layer(x, f"{block}/expand") if f"{block}/expand/weights" in weights else x
        y = layer(y, f"{block}/depthwise", 2 if number in (1, 3, 6, 13) else 1, deep=True)
        y = layer(y, f"{block}/project", relu=False)
        x = x + y if x.shape == y.shape else y  # type: ignore[attr-defined,operator]
    pooled = layer(x, "Conv_1").mean((2, 3))  # type: ignore[attr-defined]
    logits = pooled @ weights["classes/weights"] + weights["classes/offset"]
    assert list(network.look(picture).values()) == pytest.approx(logits.softmax(1)[0].tolist(), abs=1e-4)


# ---- the process


async def test_many_at_once_are_each_told_their_own(classifier: MobileNetClassifier) -> None:
    white = png(Image.new("RGB", (50, 50), "white"))
    seen = await asyncio.gather(*(classifier.look(each) for each in (PATTERN.read_bytes(), white) * 4))
    assert [each.harmless for each in seen] == [False, True] * 4
    assert not classifier.busy


@pytest.mark.parametrize(
    "picture",
    [b"", b"no picture", PATTERN.read_bytes()[:500], png(Image.new("RGB", (9, 9)), "JPEG"), b"\0" * 99],
)
async def test_what_cannot_be_read_is_not_seen_and_the_next_is(
    classifier: MobileNetClassifier, picture: bytes
) -> None:
    with pytest.raises(NotSeen):
        await classifier.look(picture)
    assert (await classifier.look(PATTERN.read_bytes())).explicit > 0.9


async def test_a_late_answer_is_no_answer_and_never_that_of_the_next(classifier: MobileNetClassifier) -> None:
    classifier._patience = 0.0
    with pytest.raises(NotSeen, match="no answer"):
        await classifier.look(PATTERN.read_bytes())
    classifier._patience = PATIENCE
    assert (await classifier.look(png(Image.new("RGB", (50, 50), "white")))).harmless


async def test_whoever_stops_waiting_leaves_no_answer_behind(classifier: MobileNetClassifier) -> None:
    await classifier.look(PATTERN.read_bytes())
    waiting = asyncio.create_task(classifier.look(PATTERN.read_bytes()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (await classifier.look(png(Image.new("RGB", (50, 50), "white")))).harmless


async def test_a_killed_process_fails_one_picture_and_is_replaced(classifier: MobileNetClassifier) -> None:
    await classifier.look(PATTERN.read_bytes())
    assert classifier._process is not None
    classifier._process.kill()
    await classifier._process.wait()
    with pytest.raises(NotSeen):
        await classifier.look(PATTERN.read_bytes())
    assert (await classifier.look(PATTERN.read_bytes())).explicit > 0.9


@pytest.mark.parametrize("damage", ["absent", "garbage", "pickle", "nan", "shape", "layer"])
async def test_weights_that_are_no_weights_fail_closed(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "weights.safetensors"
    if damage == "garbage":
        path.write_bytes(b"\xff" * 100)
    if damage == "pickle":
        path.write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR.")
    if damage == "nan":
        weights = load_file(WEIGHTS)
        weights["classes/offset.range"] = np.array([np.nan, 1], np.float32)
        save_file(weights, path)
    if damage == "shape":
        weights = load_file(WEIGHTS)
        weights["classes/weights"] = weights["classes/weights"][:, :4].copy()
        save_file(weights, path)
    if damage == "layer":
        weights = load_file(WEIGHTS)
        del weights["block_3/expand/weights"]
        save_file(weights, path)
    classifier = MobileNetClassifier(path)
    with pytest.raises(NotSeen):
        await classifier.look(PATTERN.read_bytes())
    await classifier.close()
    with pytest.raises(NotSeen):
        look_once(PATTERN.read_bytes(), path)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "null",
        "[]",
        "{}",
        "0.1",
        "not JSON",
        '{"porn": 0.1, "hentai": 0.1',
        '{"porn": 0.1, "hentai": 0.1, "sexy": NaN}',
        '{"porn": "0", "hentai": "0", "sexy": 0}',
        '{"porn": null, "hentai": 0, "sexy": 0}',
        '{"porn": -1, "hentai": 0, "sexy": 0}',
        '{"porn": 1e999, "hentai": 0, "sexy": 0}',
        '{"porn": 0.6, "hentai": 0.6, "sexy": 0}',
        "x" * 200_000,
    ],
)
async def test_an_answer_that_is_no_answer_fails_closed(classifier: MobileNetClassifier, answer: str) -> None:
    classifier._command = (
        sys.executable,
        "-Ic",
        "import sys; sys.stdin.buffer.read(9); print(sys.argv[1])",
        answer,
    )
    if len(answer) > 100_000:  # more than an argument may have
        classifier._command = (sys.executable, "-Ic", f"print('x' * {len(answer)})")
    with pytest.raises(NotSeen):
        await classifier.look(PATTERN.read_bytes())
    classifier._command = MobileNetClassifier()._command
    assert (await classifier.look(PATTERN.read_bytes())).explicit > 0.9


def test_weights_are_safetensors_of_a_named_origin() -> None:
    with WEIGHTS.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = file.read(length)
    assert b"nsfwjs" in header and b"MIT" in header
    assert WEIGHTS.stat().st_size < 15_000_000


# ---- what it means


@pytest.mark.parametrize(
    ("seen", "adult_at"),
    [
        (Scores(explicit=0.3), ()),
        (Scores(explicit=0.55), ("strict",)),
        (Scores(explicit=0.75), ("standard", "strict")),
        (Scores(explicit=0.9), ("relaxed", "standard", "strict")),
        (Scores(suggestive=0.7), ("strict",)),
        (Scores(explicit=0.2, suggestive=0.75), ("standard", "strict")),
        (Scores(suggestive=1.0), ("standard", "strict")),
    ],
)
def test_the_stricter_the_sooner(seen: Scores, adult_at: tuple[Strictness, ...]) -> None:
    levels: tuple[Strictness, ...] = ("relaxed", "standard", "strict")
    for level in levels:
        rating = rate(seen, ModerationRules(strictness=level), minors=False)
        assert rating.adult is (level in adult_at)
        assert rating.shown is not rating.adult
    assert seen.harmless is ("strict" not in adult_at)


def test_only_restricted_channels_show_it_and_never_with_minors() -> None:
    seen = Scores(explicit=0.9)
    assert rate(seen, ModerationRules(adult=True), minors=False).shown
    assert not rate(seen, ModerationRules(adult=True, strictness="strict"), minors=False).shown
    for level in ("relaxed", "standard", "strict"):
        assert not rate(
            Scores(suggestive=0.65), ModerationRules(adult=True, strictness=level), minors=True
        ).shown

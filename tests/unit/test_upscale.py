"""Super-resolution: shapes, tiles without seams, and pictures that stay the same picture."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from bot.provenance import mark
from engine.pipelines import upscale
from engine.pipelines.upscale import SCALE, Upscaler
from tests.unit.test_mark import drawing


@pytest.fixture(scope="module")
def fast() -> Upscaler:
    return Upscaler.load()


def gradient(height: int, width: int) -> Tensor:
    rows = torch.linspace(0.1, 0.9, height)[:, None].expand(height, width)
    columns = torch.linspace(0.8, 0.2, width)[None, :].expand(height, width)
    return torch.stack([rows, columns, (rows + columns) / 2])[None]


def shrunk(pixels: Tensor) -> Tensor:
    return F.interpolate(pixels, scale_factor=1 / SCALE, mode="area")


def test_enlarging_a_smooth_picture_keeps_it_the_same_picture(fast: Upscaler) -> None:
    picture = gradient(40, 24)

    enlarged = fast(picture)

    assert enlarged.shape == (1, 3, 160, 96)
    # The network lightens middle tones by up to 4%.
    assert (shrunk(enlarged) - picture)[..., 2:-2, 2:-2].abs().mean() < 0.05


def test_output_stays_within_range(fast: Upscaler) -> None:
    noise = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)).round()

    enlarged = fast(noise)

    assert enlarged.min() >= 0 and enlarged.max() <= 1


def test_a_batch_is_the_same_as_one_by_one(fast: Upscaler) -> None:
    pictures = torch.rand(3, 3, 12, 20, generator=torch.Generator().manual_seed(1))

    together = fast(pictures)

    one_by_one = torch.cat([fast(picture[None]) for picture in pictures])
    assert torch.equal(together, one_by_one)


def test_tiles_leave_no_seams(fast: Upscaler, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = torch.rand(1, 3, 50, 70, generator=torch.Generator().manual_seed(2))
    whole = fast(picture)
    # The network sees 18 pixels in each direction, so this overlap leaves no difference at all.
    monkeypatch.setattr(upscale, "WHOLE", 0)
    monkeypatch.setattr(upscale, "TILE", 24)
    monkeypatch.setattr(upscale, "OVERLAP", 18)

    tiled = fast(picture)

    assert (tiled - whole).abs().max() < 1e-4


def test_the_shipped_overlap_is_invisible(fast: Upscaler, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = torch.rand(1, 3, 50, 70, generator=torch.Generator().manual_seed(3))
    whole = fast(picture)
    monkeypatch.setattr(upscale, "WHOLE", 0)
    monkeypatch.setattr(upscale, "TILE", 24)

    tiled = fast(picture)

    assert (tiled - whole).abs().max() < 1 / 255


def test_large_pictures_run_in_tiles(fast: Upscaler, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []

    def nearest(tile: Tensor) -> Tensor:
        seen.append((tile.shape[-2], tile.shape[-1]))
        return F.interpolate(tile, scale_factor=SCALE, mode="nearest")

    monkeypatch.setattr(fast.network, "forward", nearest)
    picture = torch.rand(1, 3, 300, 500, generator=torch.Generator().manual_seed(4))

    enlarged = fast(picture)

    assert torch.equal(enlarged, F.interpolate(picture, scale_factor=SCALE, mode="nearest"))
    assert max(height * width for height, width in seen) <= upscale.WHOLE


def test_an_enlarged_picture_carries_its_own_mark_and_not_its_source_s() -> None:
    """Else it would lead to the wrong job."""
    key, source, own = b"a key of tests", 0x0123456789AB, 0xFEDCBA987654
    marked = mark.embed(drawing().resize((256, 256)), source, key)
    pixels = torch.from_numpy(np.array(marked)).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        large = (Upscaler.load()(pixels)[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()

    delivered = mark.embed(Image.fromarray(large), own, key)

    for copy in (delivered, delivered.resize((512, 512))):
        found = mark.detect(copy, key)
        assert found is not None and found.number == own

"""Size packs as data: what ships, and files of operators."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bot.errors import SettingError
from bot.images import pictures
from bot.images.service import MEDIA
from bot.options import Unusable
from bot.prompts import packs
from bot.provenance import signing
from engine.types import NamedSize

OWN = """
[sizes.poster]
width = 900
height = 1200
format = "png"
limit_mb = 1.5

[packs.shop]
sizes = ["poster", "story"]
"""


def test_a_file_adds_its_own_packs_to_those_that_ship(tmp_path: Path) -> None:
    path = tmp_path / "packs.toml"
    path.write_text(OWN)

    found = packs.load(path)

    assert list(found) == ["social", "web", "ads", "print", "shop"]
    assert found["shop"].label == "Shop"
    assert [(each.name, each.width, each.format, each.limit) for each in found["shop"].sizes] == [
        ("poster", 900, "png", 1_500_000),
        ("story", 1080, "jpeg", 8_000_000),
    ]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("width = 900", "width = ", "line 3"),
        ("width = 900", "", "[sizes.poster]: width is missing; it can be 16 to 8192 pixels."),
        ("width = 900", "width = 9", "[sizes.poster]: width is 9; it can be 16 to 8192 pixels."),
        ("width = 900", "width = true", "width is True"),
        ("width = 900", "width = 8000\nwidht = 1", "widht is unknown"),
        ("height = 1200", "height = 8192\n", "fits"),
        ('"png"', '"gif"', 'format is \'gif\'; it can be "jpeg" or "png".'),
        ("1.5", "-1", "limit_mb is -1"),
        ('["poster", "story"]', '["poster", "billbord"]', "[packs.shop]: there is no [sizes.billbord]"),
        ('["poster", "story"]', "[]", "a list of 1 to 9 different names"),
        ('["poster", "story"]', '["poster", "poster"]', "a list of 1 to 9 different names"),
        ("[packs.shop]", "[pack.shop]", "pack is unknown; there are [sizes.…] and [packs.…]."),
        ("[packs.shop]", '[packs."My Shop"]', "no table with a name of small letters"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(before: str, after: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(OWN.replace(before, after))
    if said == "fits":
        assert "shop" in packs.load(path)
        return

    with pytest.raises(SettingError) as error:
        packs.load(path)

    assert said in str(error.value) and str(path) in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="cannot be read"):
        packs.load(tmp_path / "none.toml")


def test_any_spelling_of_a_pack_is_read() -> None:
    assert packs.read_pack(" Social ") == "social"
    with pytest.raises(Unusable) as error:
        packs.read_pack("socail")
    assert "There are social, web, ads and print." in str(error.value.notice)


@pytest.mark.parametrize("name", packs.load())
def test_a_pack_is_painted_between_its_shapes(name: str) -> None:
    pack = packs.load()[name]
    ratio = float(pack.aspect.split(":")[0])

    assert min(s.width / s.height for s in pack.sizes) <= ratio <= max(s.width / s.height for s in pack.sizes)
    assert len(pack.sizes) <= packs.MOST_SIZES


@pytest.mark.parametrize(
    "size", [size for each in packs.load().values() for size in each.sizes if size.limit]
)
async def test_the_worst_picture_keeps_its_limit_and_all_its_pixels(size: NamedSize, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (size.height, size.width, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "PNG", compress_level=1)
    keys = signing.ready(tmp_path)

    data, kind = await pictures.within(out.getvalue(), MEDIA[size.format], size.limit, keys)

    assert len(data) <= size.limit
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.size == (size.width, size.height) and kind == f"image/{opened.format.lower()}"  # type: ignore[union-attr]


async def test_what_fits_into_no_limit_is_said(tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.frombytes("RGB", (300, 300), os.urandom(270_000)).save(out, "PNG")

    with pytest.raises(ValueError, match="fits into 900 bytes"):
        await pictures.within(out.getvalue(), "image/jpeg", 900, signing.ready(tmp_path))

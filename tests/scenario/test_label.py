"""Where an administrator wants it, pictures visibly say "AI"."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bot.__main__ import parser
from bot.accounts.tiers import load as load_tiers
from bot.errors import Refusal
from bot.provenance import label, signing
from bot.provenance.signing import Corner, FileFacts
from tests.scenario.conftest import BEN, BOSS, EVE, House, Opens


async def facts_of(house: House, blob: str) -> FileFacts:
    claim = signing.read(await house.easel.images.get(blob), "image/png", house.easel.images._keys)
    assert claim is not None and claim.facts is not None
    return claim.facts


async def shows_label(house: House, blob: str, corner: Corner = "bottom right") -> bool:
    """Whether the label's plate lies in the corner: dark, with something light on it."""
    picture = (await house.image(blob)).convert("RGB")
    plate = np.asarray(picture.crop(label.box(picture.size, corner)).convert("L"), int)
    return bool(plate[0].max() < 32 and plate[:, 0].max() < 32 and plate.max() > 200)


async def switched(house: House, on: bool) -> Any:
    return await house.easel.router.handle("admin set defaults", {"label": on}, house.origin(BOSS))


async def test_a_place_labels_its_pictures_as_long_as_it_says_so(house: House) -> None:
    before = await house.painted("a fox --count 1 --size 256x256")
    assert "Label “AI” on images: yes" in (await switched(house, True)).body
    labelled = await house.painted("a fox --count 1 --size 256x256", BEN)
    elsewhere = await house.painted("a fox --count 1 --size 256x256", EVE)
    assert (
        "Label “AI” on images: yes"
        in (await house.easel.router.handle("admin set defaults", {"reset": True}, house.origin(BOSS))).body
    ), "a reset of tastes leaves it"
    assert "Label “AI” on images: no" in (await switched(house, False)).body
    after = await house.painted("a fox --count 1 --size 256x256")

    for job, corner in ((before, None), (labelled, "bottom right"), (elsewhere, None), (after, None)):
        (picture,) = job.pictures
        assert (await facts_of(house, picture.blob)).label == corner
        assert await shows_label(house, picture.blob) is (corner is not None)


async def test_a_grid_is_made_of_labelled_pictures(house: House) -> None:
    await switched(house, True)

    job = await house.painted("a fox --count 2 --size 256x256")

    grid, *singles = [each.blob for each in job.pictures]
    assert [await shows_label(house, each) for each in singles] == [True, True]
    assert (await facts_of(house, grid)).label is None
    picture = (await house.image(grid)).convert("RGB")
    for left in (0, 256 + 8):
        x, y, right, bottom = label.box((256, 256), "bottom right")
        plate = np.asarray(picture.crop((left + x, y, left + right, bottom)).convert("L"), int)
        assert plate[0].max() < 40 and plate.max() > 200


async def test_what_is_made_of_a_labelled_picture_has_one_label(house: House) -> None:
    await switched(house, True)
    job = await house.painted("a fox --count 1 --size 256x256")

    for verb in ("upscale", "vary_subtle"):
        child = (await house.press(f"v1:{verb}:{job.id}:0")).job
        await house.surface.until(child.id, "done", "upscaled")
        for each in (await house.row(child.id)).pictures:
            if each.index >= 0:
                assert await shows_label(house, each.blob)
                assert (await facts_of(house, each.blob)).label == "bottom right"


async def test_a_tier_labels_its_peoples_pictures(opened: Opens) -> None:
    tiers = [replace(each, label=True) for each in load_tiers().all]
    async with opened(tiers=tiers) as house:
        job = await house.painted("a fox --count 1 --size 256x256")

        assert await shows_label(house, job.pictures[0].blob)


async def test_only_an_administrator_decides(house: House) -> None:
    with pytest.raises(Refusal, match="Only an administrator"):
        await house.easel.router.handle("admin set defaults", {"label": True}, house.origin(BEN))
    with pytest.raises(Refusal, match="yes or no"):
        await house.easel.router.handle("admin set defaults", {"label": "maybe"}, house.origin(BOSS))


@pytest.mark.parametrize(("words", "label"), [([], "yes"), (["yes"], "yes"), (["no"], "no")])
def test_the_command_line_switches_it_on_and_off(words: list[str], label: str) -> None:
    said = parser().parse_args(["admin", "defaults", "--tenant", "*", "--label", *words])

    assert said.label == label

"""Provenance of pictures of which a part was painted: the rest stays, and the whole can be traced."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from bot.provenance import keys, label, mark, signing
from bot.provenance.signing import FileFacts
from bot.provenance.stamp import Kept, stamp
from tests.unit.test_mark import drawing

FIRST = FileFacts(job="0123456789ab", index=0, model="easel-tiny", seed=7)
EDIT = replace(FIRST, job="ba9876543210", made="edited", parent=FIRST.title, mark=FIRST.job)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> keys.Keys:
    return keys.load(tmp_path_factory.mktemp("keys"))


def png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def edited(source: bytes, box: tuple[int, int, int, int]) -> bytes:
    """The source with another drawing in a box, as the engine gives it."""
    whole = Image.open(io.BytesIO(source)).convert("RGB")
    whole.paste(drawing(9, size=whole.size).crop(box), box[:2])
    return png(whole)


def test_only_what_was_painted_is_marked_and_the_source_s_mark_stays(own: keys.Keys) -> None:
    source = stamp(png(drawing(2, size=(512, 512))), FIRST, own).png
    box = (100, 50, 400, 300)

    after = stamp(edited(source, box), EDIT, own, source, kept=Kept(source, 0, 0, 512, 512)).png

    outside = np.ones((512, 512), bool)
    outside[box[1] : box[3], box[0] : box[2]] = False
    assert (pixels(after)[outside] == pixels(source)[outside]).all()
    assert (pixels(after)[~outside] != pixels(edited(source, box))[~outside]).any()
    found = mark.detect(Image.fromarray(pixels(after)), own.mark)
    assert found and f"{found.number:012x}" == FIRST.job
    claim = signing.read(after, "image/png", own)
    assert claim and claim.facts == EDIT


@pytest.mark.parametrize(("box", "again"), [((0, 0, 200, 200), False), ((400, 400, 512, 512), True)])
def test_a_label_is_drawn_again_only_where_it_was_painted_over(
    box: tuple[int, int, int, int], again: bool, own: keys.Keys
) -> None:
    first = stamp(png(drawing(2, size=(512, 512))), FIRST, own, labelled=True)
    corner = label.choose(drawing(2, size=(512, 512)))
    assert corner == "bottom right"
    kept = Kept(first.png, 0, 0, 512, 512)

    after = stamp(
        edited(first.png, box), replace(EDIT, label=corner), own, first.png, labelled=True, kept=kept
    ).png

    plate = label.box((512, 512), corner)
    rows, columns = slice(plate[1], plate[3]), slice(plate[0], plate[2])
    same = (pixels(after)[rows, columns] == pixels(first.png)[rows, columns]).all()
    assert same != again
    assert abs(pixels(after)[rows, columns].astype(int).mean() - pixels(first.png)[rows, columns].mean()) < 6


def test_around_a_picture_the_label_stands_where_it_was_painted(own: keys.Keys) -> None:
    first = stamp(png(drawing(2, size=(256, 256))), FIRST, own, labelled=True)
    wider = Image.new("RGB", (384, 256), "white")
    wider.paste(Image.fromarray(pixels(first.png)), (0, 0))
    facts = replace(EDIT, mark="", label="bottom right")

    after = stamp(png(wider), facts, own, first.png, labelled=True, kept=Kept(first.png, 0, 0, 256, 256)).png

    assert (pixels(after)[:, :256] == pixels(first.png)).all()
    claim = signing.read(after, "image/png", own)
    assert claim and claim.facts and claim.facts.label == "bottom right"
    left, top, right, bottom = label.box((384, 256), "bottom right")
    assert pixels(after)[top:bottom, left:right].mean() < 120


def test_a_source_without_a_label_gets_one_where_it_is_wanted(own: keys.Keys) -> None:
    source = png(drawing(2, size=(256, 256)))
    box = (0, 0, 60, 60)

    after = stamp(edited(source, box), replace(EDIT, mark=""), own, source, labelled=True,
                  kept=Kept(source, 0, 0, 256, 256)).png  # fmt: skip

    claim = signing.read(after, "image/png", own)
    assert claim and claim.facts and claim.facts.label
    plate = label.box((256, 256), claim.facts.label)
    assert pixels(after)[plate[1] : plate[3], plate[0] : plate[2]].mean() < 120

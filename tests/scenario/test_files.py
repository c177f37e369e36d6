"""Files for a purpose: from what is pressed and typed to what is handed over."""

from __future__ import annotations

import io
from typing import Any
from unittest.mock import patch

import pikepdf
import pytest
from PIL import Image

from bot.adapters.base import Receipt
from bot.errors import Refusal
from bot.images import tracing
from bot.images.file_formats import FORMATS, MEDIA_TYPES
from bot.messages import job_cards
from bot.messages.types import Card
from bot.models import Job
from bot.provenance.verify import media_type
from engine.types import Upscale
from tests.scenario.conftest import BEN, EVE, House, button


async def handed(house: House, command: str = "download", **options: Any) -> Card:
    answer = await house.easel.router.handle(command, options, house.origin())
    assert isinstance(answer, Card) and answer.private
    return answer


async def test_every_format_is_behind_a_press(house: House) -> None:
    job = await house.painted("a fox --count 2 --size 128x128")
    card = await house.press(f"v1:download_as:{job.id}")
    assert isinstance(card, Card)
    names = [each.label for row in card.rows for each in row]
    assert names == ["PNG", "JPEG", "WebP", "AVIF", "GIF", "SVG", "PDF", "TIFF", "GIF loop", "WebP loop"]

    with patch.object(tracing, "ALIKE", 0.0):  # what the fake engine paints is noise
        for format, name in zip(FORMATS, names, strict=False):
            found = await house.press(button(card, name))
            assert [media_type(data) for _name, data in found.files] == [MEDIA_TYPES[format]] * 2
            for _name, data in found.files:
                verdict = await house.easel.images.verify(data)
                assert (verdict.finding, verdict.job) == ("unchanged", job.id)
    for name in ("GIF loop", "WebP loop"):
        ((_name, film),) = (await house.press(button(card, name))).files
        with Image.open(io.BytesIO(film)) as opened:
            assert opened.n_frames == 2  # type: ignore[attr-defined]
        assert (await house.easel.images.verify(film)).job == job.id
    assert (await house.row(job.id)).device_seconds == job.device_seconds


async def test_a_download_is_typed_with_a_quality(house: House) -> None:
    job = await house.painted("a fox --count 2")
    ((name, small),) = (await handed(house, job=job.id, picture=2, format="webp", quality=20)).files
    assert name.endswith("_2.webp")
    (_first, (_name, usual)) = (await handed(house, job=job.id, format="webp")).files
    assert len(small) < len(usual)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"format": "bmp"}, "(?i)format"),
        ({"format": "jpeg", "quality": 0}, "(?i)quality"),
        ({"format": "jpeg", "quality": 101}, "(?i)quality"),
        ({"format": "png", "quality": 80}, "PNG has no quality"),
        ({"format": "jpeg", "loop": True}, "A loop takes"),
        ({"picture": 3}, "There is no image 3"),
    ],
)
async def test_what_no_file_can_be_is_refused_in_a_sentence(
    house: House, options: dict[str, Any], said: str
) -> None:
    job = await house.painted("a fox --count 2")
    with pytest.raises(Refusal, match=said):
        await house.easel.router.handle("download", {"job": job.id, **options}, house.origin())


async def test_a_stranger_gets_no_file(house: House) -> None:
    job = await house.painted("a fox --count 1")
    with pytest.raises(Refusal, match="There is no job"):
        await house.easel.router.handle("download", {"job": job.id}, house.origin(EVE))


async def test_a_photograph_as_svg_is_answered_with_png(house: House) -> None:
    job = await house.painted("a fox --count 1")
    card = await house.press(f"v1:as_svg:{job.id}")
    assert card.body == (
        "SVG suits flat images: drawings, icons, logos. This one has too many shades; take PNG.",
    )
    ((_name, data),) = (await house.press(button(card, "PNG"))).files
    assert media_type(data) == "image/png"


async def test_a_cut_out_says_that_jpeg_lies_on_white(house: House) -> None:
    job = await house.painted("a fox --count 1 --background transparent")
    card = await handed(house, job=job.id, format="jpeg")
    assert card.body == ("JPEG knows no transparency, so the image lies on white.",)
    assert (await handed(house, job=job.id, format="webp")).body == ()


async def printed(house: House, job: Job, **options: Any) -> Job:
    answer = await house.easel.router.handle("upscale", {"job": job.id, **options}, house.origin())
    assert isinstance(answer, Receipt)
    end = await house.surface.until(answer.job.id, "upscaled", "failed")
    assert end.kind == "upscaled", end.body
    return await house.row(answer.job.id)


async def test_a_picture_is_made_for_a_printer(house: House) -> None:
    first = await house.painted('a fox --count 1 --size 256x128 --text "SUMMER SALE"')
    job = await printed(house, first, print="a6", bleed="3mm")

    assert (job.request.width, job.request.height) == (1819, 1311)  # laid as the picture is
    assert isinstance(job.request.task, Upscale)
    assert (job.request.task.width, job.request.task.height) == (178, 128), "cut to the paper's shape"
    card = house.surface.messages[job.id][-1]
    assert "for A6 + 3 mm: Download gives the file" in card.facts
    answer = await house.press(f"v1:download:{job.id}")
    ((name, data),) = answer.files
    assert name.endswith("-print.pdf")
    with pikepdf.open(io.BytesIO(data)) as pdf:
        assert [round(float(each) / 72 * 25.4, 1) for each in pdf.pages[0].TrimBox] == [3, 3, 151, 108]  # type: ignore[attr-defined]
    verdict = await house.easel.images.verify(data)
    assert (verdict.finding, verdict.job) == ("unchanged", job.id)
    (proof,) = answer.pictures
    assert (await house.image(proof.blob)).size == (proof.width, proof.height)
    assert not (await house.easel.images.verify(await house.easel.images.get(job.singles[0].blob))).cropped

    again = await printed(house, job, to="1.2x")
    assert again.request.paper == ""


async def test_a_tiff_for_a_printer(house: House) -> None:
    first = await house.painted("a fox --count 1")
    job = await printed(house, first, print="a6", file="tiff")
    ((_name, data),) = (await house.press(f"v1:download:{job.id}")).files
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.mode == "CMYK" and opened.size == (1240, 1748)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"print": "a0"}, "largest that fits is A3"),
        ({"print": "poster"}, "Print sizes are"),
        ({"print": "a4", "bleed": "1 m"}, "Bleed can be 0 to 20 mm"),
        ({"bleed": "3mm"}, "A bleed needs a paper"),
    ],
)
async def test_what_no_printer_can_be_given_is_refused(
    house: House, options: dict[str, Any], said: str
) -> None:
    job = await house.painted("a fox --count 1")
    with pytest.raises(Refusal, match=said):
        await house.easel.router.handle("upscale", {"job": job.id, **options}, house.origin())


async def test_alt_text_is_suggested_and_changed_by_its_owner(house: House) -> None:
    job = await house.painted('a fox --count 2 --text "SALE"')
    card = await house.press(f"v1:alt:{job.id}")
    assert card.body[1] == "Image 2: a fox, with the words “SALE”, image 2"

    await handed(house, "alt", job=job.id, picture=2, text="A fox asleep\nin the snow")
    row = await house.row(job.id)
    shown = job_cards.pictures_of(row)
    assert [each.alt for each in shown[1:]] == [
        "a fox, with the words “SALE”, image 1",
        "A fox asleep in the snow",
    ]
    with pytest.raises(Refusal, match="Only the person who asked"):
        options = {"job": job.id, "picture": 2, "text": "mine"}
        await house.easel.router.handle("alt", options, house.origin(BEN))

    await handed(house, "alt", job=job.id, picture=2, reset=True)
    assert (await house.row(job.id)).singles[1].alt == ""


async def test_alt_text_stands_in_files_of_those_who_chose_metadata(house: House) -> None:
    job = await house.painted("a fox --count 1")
    await handed(house, "alt", job=job.id, text="A fox & a <hare>")
    ((_name, bare),) = (await handed(house, job=job.id, format="jpeg")).files
    assert b"hare" not in bare
    await house.easel.router.handle("settings", {"metadata": True}, house.origin())
    for format in ("jpeg", "png"):
        ((_name, told),) = (await handed(house, job=job.id, format=format)).files
        assert b'<rdf:li xml:lang="x-default">A fox &amp; a &lt;hare&gt;</rdf:li>' in told
        assert (await house.easel.images.verify(told)).finding == "unchanged"

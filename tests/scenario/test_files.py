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
from bot.images.file_formats import ENDINGS, FORMATS, MEDIA_TYPES, Format, label
from bot.messages import job_cards
from bot.messages.types import Card, Form
from bot.models import Job
from bot.provenance.verify import media_type
from engine.types import Upscale
from tests.scenario.conftest import BEN, EVE, House, button

NO_LIKENESS = patch.object(tracing, "ALIKE", 1.1)
"""No paths are as good as that; some that are traced of the fake engine's pictures are good enough."""


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
    with NO_LIKENESS:
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


async def downloaded(house: House, job: Job) -> Card:
    card = await house.press(f"v1:download:{job.id}")
    assert isinstance(card, Card) and card.private
    return card


@pytest.mark.parametrize("format", FORMATS)
async def test_download_gives_the_format_that_the_prompt_asked_for(house: House, format: Format) -> None:
    job = await house.painted(f"a fox --count 2 --size 128x128 --format {format}")
    shown = house.surface.messages[job.id][-1]
    assert (f"Download gives {label(format)}" in shown.facts) == (format != "png")
    assert all(each.blob.endswith(".png") for each in shown.pictures), "what chats show stays as it is"

    with patch.object(tracing, "ALIKE", 0.0):
        card = await downloaded(house, job)
    for name, data in card.files:
        assert name.endswith(f".{ENDINGS[format]}") and media_type(data) == MEDIA_TYPES[format]
        assert (await house.easel.images.verify(data)).job == job.id
    assert len(card.files) == 2


async def test_a_quality_makes_the_files_smaller_and_a_form_keeps_both(house: House) -> None:
    small = await house.painted("a fox --count 1 --seed 3 --format jpg --quality 20")
    usual = await house.painted("a fox --count 1 --seed 3 --format JPEG")
    ((_name, little),), ((_other, much),) = [(await downloaded(house, each)).files for each in (small, usual)]
    assert len(little) < len(much)

    form = await house.press(f"v1:edit:{small.id}")
    assert isinstance(form, Form) and (form.values["format"], form.values["quality"]) == ("jpeg", "20")
    told = await house.press(f"v1:info:{small.id}")
    assert isinstance(told, Card) and "Files: JPEG, quality 20" in told.body
    larger = await house.easel.router.handle("upscale", {"job": small.id}, house.origin())
    assert isinstance(larger, Receipt) and larger.job.request.file_format == "jpeg"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--quality 80", "PNG has no quality"),
        ("--format png --quality 80", "PNG has no quality"),
        ("--format svg --quality 80", "SVG has no quality"),
        ("--format jpeg --quality 0", "(?i)quality"),
        ("--format jpeg --quality 101", "(?i)quality"),
        ("--format bmp", "“bmp”. There are png, jpeg, webp, avif, gif, svg, pdf and tiff"),
    ],
)
async def test_a_format_that_cannot_be_is_refused_with_one_that_can(
    house: House, flags: str, said: str
) -> None:
    with pytest.raises(Refusal, match=said) as caught:
        await house.ask(f"a fox {flags}")
    assert caught.value.offers
    await house.ask(caught.value.offers[0].text)


async def test_the_quality_of_another_tool_is_left_out(house: House) -> None:
    job = await house.ask("a fox --quality 2")
    assert job.request.file_quality is None and job.note.endswith("left out: --quality")


async def test_a_photograph_that_was_to_be_svg_comes_as_png_and_that_is_said(house: House) -> None:
    with NO_LIKENESS:
        card = await downloaded(house, await house.painted("a fox --count 1 --format svg"))
    ((name, data),) = card.files
    assert name.endswith(".png") and media_type(data) == "image/png"
    assert "came as PNG" in card.body[0]


async def test_what_is_transparent_lies_on_white_in_a_jpeg_and_that_is_said_before(house: House) -> None:
    job = await house.painted("a fox --count 1 --background transparent --format jpeg")
    said = "JPEG knows no transparency, so the image lies on white."
    assert said in job.note
    assert (await downloaded(house, job)).body == (said,)


async def test_the_platforms_formats_win_over_the_prompts(house: House) -> None:
    job = await house.painted("a fox --pack web --format webp")
    assert "The sizes of a pack have their platforms' formats; WebP is that of the image itself." in job.note
    first, *sizes = (await downloaded(house, job)).files
    assert media_type(first[1]) == "image/webp"
    assert {media_type(data) for _name, data in sizes} <= {"image/jpeg", "image/png"} and len(sizes) == 5


async def test_a_person_has_a_format_of_their_own(house: House) -> None:
    card = await handed(house, "settings", format="avif")
    assert "Download gives AVIF" in card.body
    job = await house.painted("a fox --count 1")
    assert job.request.file_format == "avif"
    ((_name, data),) = (await downloaded(house, job)).files
    assert media_type(data) == "image/avif"
    assert (await house.ask("a fox --format png")).request.file_format == "png"
    assert (await house.ask("a fox", member=BEN)).request.file_format == ""
    assert (await house.ask("a fox --pack web")).request.file_format == ""

    assert "Download gives PNG" in (await handed(house, "settings", format="png")).body
    assert (await house.ask("a fox")).request.file_format == ""

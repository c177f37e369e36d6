"""Files in every format: tagged, signed, within a limit, and known again."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFilter

from bot.images import encoding, pictures, tracing
from bot.images.file_formats import ALPHA, FORMATS, LOOPS, LOSSY, MEDIA_TYPES, Format
from bot.provenance import signing, verify
from bot.provenance.keys import Keys
from bot.provenance.signing import FORMAT_OF, FileFacts
from bot.provenance.stamp import convert, stamp

FACTS = FileFacts(job="0123456789ab", index=1, model="tiny", seed=7)
RASTER: tuple[Format, ...] = tuple(each for each in FORMATS if each not in ("svg", "pdf"))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return signing.ready(tmp_path_factory.mktemp("keys"))


def drawing(size: int = 512, mode: str = "RGB") -> Image.Image:
    picture = Image.new(mode, (size, size), (90, 160, 220) if mode == "RGB" else (0, 0, 0, 0))
    pen = ImageDraw.Draw(picture)
    pen.ellipse((size // 4, size // 4, size // 4 * 3, size // 4 * 3), (230, 60, 50))
    pen.rectangle((size // 8, size // 8 * 6, size // 2, size // 8 * 7), (40, 140, 60))
    return picture


def noise(size: int = 256) -> Image.Image:
    return Image.effect_noise((size, size), 90).convert("RGB").filter(ImageFilter.GaussianBlur(1))


def png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        return picture


def media(format: Format) -> signing.MediaType:
    return next(kind for kind, name in FORMAT_OF.items() if name == format)


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_of_every_format_is_signed_and_known_again(own: Keys, format: Format) -> None:
    stored = stamp(png(drawing()), FACTS, own).png
    data = convert(stored, opened(stored), media(format), own)

    assert verify.media_type(data) == MEDIA_TYPES[format]
    found = verify.signed(data, own)
    assert found and (found.finding, found.job, found.index) == ("unchanged", FACTS.job, FACTS.index)
    changed = bytearray(data)
    changed[len(data) // 3] ^= 1
    assert verify.signed(bytes(changed), own) is None


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_says_in_xmp_that_a_model_made_it(format: Format) -> None:
    packet = signing.packet(FACTS)
    assert b"trainedAlgorithmicMedia" in encoding.encode(drawing(256), format, xmp=packet)


@pytest.mark.parametrize("format", [each for each in RASTER if each != "gif"])  # it carries none
def test_a_raster_file_is_tagged_as_srgb(format: Format) -> None:
    assert opened(encoding.encode(drawing(64), format)).info["icc_profile"] == encoding.srgb()


@pytest.mark.parametrize("format", [each for each in RASTER if each != "png"])
async def test_the_mark_is_found_when_a_format_has_lost_its_credentials(own: Keys, format: Format) -> None:
    stored = stamp(png(drawing()), FACTS, own).png
    bare = encoding.encode(opened(stored), format)
    plain = await pictures.open_source(bare, more=True)
    assert verify.trace(plain, own).job == FACTS.job


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_transparent_is_kept_or_lies_on_white(format: Format) -> None:
    if format in ("svg", "pdf"):
        data = encoding.encode(drawing(128, "RGBA"), format)
        assert data
        return
    shown = opened(encoding.encode(drawing(128, "RGBA"), format)).convert("RGBA")
    corner = shown.getpixel((2, 2))
    assert isinstance(corner, tuple)
    if format in ALPHA:
        assert corner[3] == 0
    else:
        assert min(corner) >= 250


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "avif", "pdf"])
def test_a_file_keeps_within_a_limit_with_its_signature(own: Keys, format: Format) -> None:
    stored = stamp(png(noise()), FACTS, own).png
    free = len(convert(stored, opened(stored), media(format), own, 100))
    limit = free * 3 // 4
    data = convert(stored, opened(stored), media(format), own, 100, max_bytes=limit)
    assert len(data) <= limit
    with pytest.raises(encoding.TooLarge):
        convert(stored, opened(stored), media(format), own, max_bytes=13_000)


def test_quality_makes_files_smaller() -> None:
    for format in LOSSY:
        assert len(encoding.encode(noise(), format, 30)) < len(encoding.encode(noise(), format, 95))


def test_an_svg_holds_paths_alone_and_looks_like_the_picture() -> None:
    picture = drawing(256)
    svg = tracing.trace(picture).decode()
    tags = {each.split()[0].strip("<>/") for each in svg.split("<")[1:]}
    assert tags == {"?xml", "svg", "metadata", "path"}
    assert 'width="256" height="256"' in svg and len(svg) < 50_000
    paths = tracing._PATH.findall(svg)
    assert tracing.likeness(picture, tracing._drawn(paths, picture.size)) >= tracing.ALIKE


def test_a_picture_that_is_not_flat_is_no_svg() -> None:
    with pytest.raises(tracing.NotFlat):
        tracing.trace(noise())


def test_likeness_is_one_for_the_same_and_less_for_others() -> None:
    assert tracing.likeness(drawing(64), drawing(64)) == pytest.approx(1)
    assert tracing.likeness(drawing(64), noise(64)) < 0.5


@pytest.mark.parametrize("format", LOOPS)
def test_a_film_shows_all_pictures_and_loops(own: Keys, format: Format) -> None:
    stored = [stamp(png(each), FACTS, own).png for each in (drawing(128), noise(128), drawing(128))]
    data = pictures.film(stored, format, 0.5, own)
    with Image.open(io.BytesIO(data)) as film:
        assert (film.n_frames, film.info["loop"], film.size) == (3, 0, (128, 128))  # type: ignore[attr-defined]
        film.seek(1)
        film.load()
        assert film.info["duration"] == 500
    found = verify.signed(data, own)
    assert found and found.job == FACTS.job


async def test_a_file_that_is_too_large_is_refused_before_anything_is_decoded(tmp_path: Path) -> None:
    from bot.errors import Refusal
    from bot.provenance.verdict import verify as verdict

    async def lookup(job: str, look: str) -> None:
        raise AssertionError

    keys = signing.ready(tmp_path)
    huge = b"II*\x00" + bytes(200_000_000)
    with pytest.raises(Refusal, match="at most 20 MB"):
        await verdict(huge, keys, lookup, max_bytes=20_000_000)


async def test_a_picture_of_one_pixel_is_checked(tmp_path: Path) -> None:
    from bot.provenance.verdict import verify as verdict

    async def lookup(job: str, look: str) -> None:
        return None

    for format in FORMATS[:5]:
        data = encoding.encode(Image.new("RGB", (1, 1)), format)
        found = await verdict(data, signing.ready(tmp_path), lookup, max_bytes=20_000_000)
        assert found.finding == "unknown"

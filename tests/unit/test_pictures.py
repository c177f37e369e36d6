from __future__ import annotations

import base64
import io
import struct
import subprocess
import zlib
from collections.abc import Sequence
from typing import Any

import pytest
from PIL import Image, ImageCms, PngImagePlugin

from bot.errors import Refusal
from bot.images import pictures
from bot.provenance import keys, signing
from bot.provenance.signing import FileFacts
from bot.provenance.stamp import stamp

OWN = keys.Keys(*keys.make(), mark=b"a key of tests")

RED, BLUE = (255, 0, 0), (0, 0, 255)


def encoded(picture: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, format, **options)
    return out.getvalue()


def plain(colour: Any = RED, size: tuple[int, int] = (8, 6), mode: str = "RGB") -> Image.Image:
    return Image.new(mode, size, colour)


def noise(side: int) -> bytes:
    return encoded(Image.effect_noise((side, side), 20).convert("RGB"))


def huge_png(width: int, height: int) -> bytes:
    """A picture bomb: a small file that becomes width × height pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    rows = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def opened(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        return picture.copy()


# ---- a stranger's picture


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
async def test_the_three_formats_are_taken(format: str) -> None:
    picture = opened(await pictures.open_source(encoded(plain(), format)))
    assert (picture.mode, picture.size) == ("RGB", (8, 6))
    pixel = picture.getpixel((4, 3))
    assert isinstance(pixel, tuple) and all(abs(a - b) < 5 for a, b in zip(pixel, RED, strict=True))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
async def test_any_kind_of_pixel_becomes_rgb(mode: str) -> None:
    source = Image.new(mode, (5, 5)) if mode == "I;16" else plain().convert(mode)
    assert opened(await pictures.open_source(encoded(source))).mode == "RGB"


async def test_print_colours_become_rgb() -> None:
    assert opened(await pictures.open_source(encoded(plain().convert("CMYK"), "JPEG"))).mode == "RGB"


async def test_what_is_transparent_becomes_white() -> None:
    source = plain((255, 0, 0, 0), mode="RGBA")
    assert opened(await pictures.open_source(encoded(source))).getpixel((0, 0)) == (255, 255, 255)


async def test_a_picture_is_turned_upright_and_its_metadata_dropped() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn it by 90°
    exif[0x010E] = "taken at home"
    data = await pictures.open_source(encoded(plain(size=(8, 4)), "JPEG", exif=exif))
    picture = opened(data)
    assert picture.size == (4, 8)
    assert not picture.getexif() and not picture.info
    assert b"home" not in data


def chunks(png: bytes) -> set[bytes]:
    found, at = set(), 8
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        found.add(png[at + 4 : at + 8])
        at += 12 + length
    return found


def swapped_profile() -> bytes:
    """An sRGB profile in which red and blue have changed places: what is stored as red is meant as blue."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    (tags,) = struct.unpack_from(">I", profile, 128)
    for at in range(132, 132 + 12 * tags, 12):
        swapped = {b"rXYZ": b"bXYZ", b"bXYZ": b"rXYZ"}
        profile[at : at + 4] = swapped.get(bytes(profile[at : at + 4]), bytes(profile[at : at + 4]))
    return bytes(profile)


def close(pixel: Any, colour: Sequence[int]) -> bool:
    return all(abs(a - b) < 12 for a, b in zip(pixel, colour, strict=True))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
async def test_a_profile_s_colours_are_kept_and_its_bytes_are_not(format: str) -> None:
    data = encoded(plain(), format, icc_profile=swapped_profile())
    png = await pictures.open_source(data)
    assert close(opened(png).getpixel((4, 3)), BLUE)
    assert chunks(png) == {b"IHDR", b"IDAT", b"IEND"}


async def test_a_profile_holds_for_what_is_half_transparent_too() -> None:
    source = plain((255, 0, 0, 128), mode="RGBA")
    source.putpixel((0, 0), (255, 0, 0, 255))
    source.putpixel((1, 0), (255, 0, 0, 0))
    picture = opened(await pictures.open_source(encoded(source, icc_profile=swapped_profile())))
    assert close(picture.getpixel((0, 0)), BLUE)
    assert picture.getpixel((1, 0)) == (255, 255, 255)
    assert close(picture.getpixel((4, 3)), (127, 127, 255))


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "LA"])
@pytest.mark.parametrize("profile", [b"no profile but a letter home", swapped_profile()[:200], b"\0" * 3000])
async def test_a_profile_that_cannot_be_read_is_dropped(mode: str, profile: bytes) -> None:
    png = await pictures.open_source(encoded(plain().convert(mode), icc_profile=profile))
    grey = mode in ("L", "LA")
    assert close(opened(png).getpixel((4, 3)), (76, 76, 76) if grey else RED)
    assert chunks(png) == {b"IHDR", b"IDAT", b"IEND"}


async def test_a_profile_of_other_colours_than_the_picture_s_is_not_used() -> None:
    data = encoded(plain().convert("CMYK"), "JPEG", icc_profile=swapped_profile())
    picture = opened(await pictures.open_source(data)).getpixel((4, 3))
    assert close(picture, opened(encoded(plain().convert("CMYK"), "JPEG")).convert("RGB").getpixel((4, 3)))


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("JPEG", {"comment": b"a letter home", "dpi": (72, 72)}),
        ("JPEG", {"xmp": b"<x:xmpmeta>a letter home</x:xmpmeta>"}),
        ("WEBP", {"xmp": b"<x:xmpmeta>a letter home</x:xmpmeta>"}),
        ("PNG", {"pnginfo": "a letter home", "dpi": (72, 72), "transparency": (0, 0, 255)}),
    ],
)
async def test_nothing_but_pixels_is_kept(format: str, options: dict[str, Any]) -> None:
    if text := options.get("pnginfo"):
        options = {**options, "pnginfo": PngImagePlugin.PngInfo()}
        options["pnginfo"].add_text("Comment", text, zip=False)
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", text)
    data = encoded(plain(), format, **options)
    assert b"a letter home" in data
    png = await pictures.open_source(data)
    assert chunks(png) == {b"IHDR", b"IDAT", b"IEND"}
    assert close(opened(png).getpixel((4, 3)), RED)


ANIMATED: list[tuple[str, str]] = [
    ("GIF", "isn't a PNG, JPEG or WebP image"),
    ("PNG", "is animated"),
    ("WEBP", "is animated"),
]


@pytest.mark.parametrize(("format", "says"), ANIMATED)
async def test_animations_are_refused(format: str, says: str) -> None:
    data = encoded(plain(), format, save_all=True, append_images=[plain(BLUE)])
    with pytest.raises(Refusal, match=says):
        await pictures.open_source(data)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"Dear sir, please find attached.",
        EPS,
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        encoded(plain(), "BMP"),
        encoded(plain(), "TIFF"),
        encoded(plain(size=(16, 16)), "ICO"),
    ],
    ids=["empty", "text", "eps", "svg", "pdf", "bmp", "tiff", "ico"],
)
async def test_what_is_no_such_picture_is_refused(data: bytes) -> None:
    with pytest.raises(Refusal, match="isn't a PNG, JPEG or WebP image") as caught:
        await pictures.open_source(data)
    assert caught.value.code == "source"


@pytest.mark.parametrize("cut", [40, 200, 2000])
async def test_a_damaged_picture_is_refused(cut: int) -> None:
    with pytest.raises(Refusal, match=r"damaged and cannot be read|isn't a PNG"):
        await pictures.open_source(noise(64)[:cut])


async def test_a_picture_bomb_is_refused_by_its_header() -> None:
    bomb = huge_png(12_000, 12_000)
    assert len(bomb) < 100_000
    with pytest.raises(Refusal, match="has 12,000 × 12,000 pixels; at most 16 million are allowed"):
        await pictures.open_source(bomb)


HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAXxtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAA"
    "AAAAACJpbG9jAAAAAERAAAEAAQAAAAABoAABAAAAAAAAAEcAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAA"
    "AA5waXRtAAAAAAABAAAA/GlwcnAAAADcaXBjbwAAAHVodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNw"
    "AAADAJAAAAMAAAMAHroCQGEAAQApQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbqrprm4CGgwIAAAAyAAAADAIRiAAEABkQBwXPB"
    "iQAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABAAAAAQAAAAChjbGFwAAAACAAAAAEAAAAEAAAAAf///8gAAAAC"
    "////xAAAAAIAAAAQcGl4aQAAAAADCAgIAAAAGGlwbWEAAAAAAAAAAQABBYECAwWEAAAAT21kYXQAAABDKAGvEyGkHHjo5B2v"
    "d+tz/N+428uDLG/2j0ke0i5/JQI2mxiP1rdG2f3pm+tA9Nu0IMuhRKAzTCoWYY0gULSvg3Mn3A=="
)
"""8 × 4 pixels: the left half blue, the right one red."""


async def test_heic_is_read_where_its_library_is_installed_else_named() -> None:
    if not pictures.reads_heic():
        with pytest.raises(Refusal, match="That is a HEIC image"):
            await pictures.open_source(HEIC)
        return
    picture = opened(await pictures.open_source(HEIC))
    assert picture.size == (8, 4)
    left, right = picture.getpixel((1, 1)), picture.getpixel((6, 1))
    assert isinstance(left, tuple) and isinstance(right, tuple)
    assert left[2] > 200 > left[0] and right[0] > 200 > right[2]


async def test_a_phone_s_large_photograph_is_made_smaller_and_upright() -> None:
    photograph = plain(RED, (8064, 6048))  # 48 million pixels
    photograph.paste(BLUE, (0, 0, 8064, 3024))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    picture = opened(await pictures.open_source(encoded(photograph, "JPEG", exif=exif)))
    assert picture.height / picture.width == pytest.approx(8064 / 6048, rel=0.01)
    assert 0.9 * pictures.SOURCE_PIXELS < picture.width * picture.height <= pictures.SOURCE_PIXELS
    right = picture.getpixel((picture.width - 9, 9))
    assert isinstance(right, tuple) and right[2] > 200  # the upper half, turned


async def test_the_first_of_a_phone_s_several_pictures_is_taken() -> None:
    """Many phones write a JPEG with a depth map or gain map behind the photograph."""
    data = encoded(plain(RED), "MPO", save_all=True, append_images=[plain(BLUE)])
    first = opened(await pictures.open_source(data)).getpixel((0, 0))
    assert isinstance(first, tuple) and first[0] > 200


async def test_the_largest_picture_fits_into_the_decoders_memory() -> None:
    picture = opened(await pictures.open_source(encoded(plain((9, 9, 9, 9), (4096, 4096), "RGBA"))))
    assert picture.size == (4096, 4096)


async def test_too_large_a_file_is_refused_unread() -> None:
    with pytest.raises(Refusal, match="has 3 MB; at most 2 MB are allowed"):
        await pictures.open_source(b"\0" * 2_000_001, max_bytes=2_000_000)


@pytest.mark.parametrize(("limit", "value"), [("memory", 1 << 20), ("cpu", 0)])
async def test_a_decoder_that_reaches_its_limits_is_one_clear_sentence(
    monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setitem(pictures._LIMITS, limit, value)
    with pytest.raises(Refusal, match="damaged and cannot be read"):
        await pictures.open_source(noise(512))


async def test_a_decoder_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_PATIENCE", 0.01)
    with pytest.raises(Refusal, match="damaged and cannot be read"):
        await pictures.open_source(encoded(plain()))


async def test_the_decoder_sees_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []
    run = subprocess.run

    def watch(command: Sequence[str], **options: Any) -> Any:
        seen.append({"command": command, **options})
        return run(command, **options)

    monkeypatch.setenv("DISCORD_TOKEN", "t0p-s3cret")
    monkeypatch.setattr(subprocess, "run", watch)
    await pictures.open_source(encoded(plain()))
    assert seen[0]["env"] == {} and "-I" in seen[0]["command"]


# ---- the grid


async def test_one_picture_is_its_own_grid() -> None:
    assert await pictures.grid([b"any bytes"]) == b"any bytes"


@pytest.mark.parametrize(
    ("count", "columns", "rows"),
    [(2, 2, 1), (3, 2, 2), (4, 2, 2), (5, 3, 2), (9, 3, 3), (10, 4, 3), (16, 4, 4)],
)
async def test_a_grid_has_a_cell_for_each_picture(count: int, columns: int, rows: int) -> None:
    sheet = opened(await pictures.grid([encoded(plain((i, 0, 0))) for i in range(count)]))
    assert sheet.size == (columns * 8 + (columns - 1) * 8, rows * 6 + (rows - 1) * 8)
    for index in range(count):
        row, column = divmod(index, columns)
        assert sheet.getpixel((column * 16 + 7, row * 14 + 5)) == (index, 0, 0, 255)
    assert sheet.getpixel((8, 0)) == (0, 0, 0, 0)


async def test_a_grid_of_large_pictures_stays_within_its_side() -> None:
    sheet = opened(await pictures.grid([encoded(plain(size=(3000, 1000)))] * 4))
    assert max(sheet.size) <= 4096
    assert sheet.size[0] > 4000


# ---- to fit a limit


async def test_what_fits_stays_as_it_is() -> None:
    png = encoded(plain())
    assert await pictures.fit(png, len(png), OWN) == (png, "image/png")


@pytest.mark.parametrize("limit", [100_000, 70_000, 20_000, 3_000])
async def test_what_does_not_fit_is_made_smaller(limit: int) -> None:
    data, kind = await pictures.fit(noise(400), limit, OWN)
    assert len(data) <= limit and kind == "image/webp"
    picture = opened(data)
    assert picture.format is None and picture.width == picture.height
    assert (picture.width == 400) is (limit >= 70_000)


async def test_what_was_signed_is_signed_when_it_is_made_smaller() -> None:
    facts = FileFacts(job="0123456789ab", index=0, model="easel-tiny", seed=7, made="edited")
    whole = stamp(noise(400), facts, OWN, parent=noise(64)).png

    data, kind = await pictures.fit(whole, 100_000, OWN)

    claim = signing.read(data, "image/webp", OWN)
    assert kind == "image/webp" and len(data) <= 100_000
    assert claim is not None and claim.ours and claim.facts == facts


async def test_an_impossible_limit_is_an_error() -> None:
    with pytest.raises(ValueError, match="fits into 10 bytes"):
        await pictures.fit(noise(100), 10, OWN)


def test_the_size_of_a_png() -> None:
    out = io.BytesIO()
    Image.new("RGB", (7, 5)).save(out, "PNG")
    assert pictures.png_size(out.getvalue()) == (7, 5)

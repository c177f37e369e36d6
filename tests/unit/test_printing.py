"""Files for a printer: boxes, inks, the output intent, and memory."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pikepdf
import pytest
from PIL import Image, ImageDraw

from bot import papers
from bot.errors import Refusal, SettingError
from bot.images import pictures, printing
from bot.images.printing import Printer, PrintSettings
from bot.papers import Paper
from bot.provenance import signing, verify
from bot.provenance.keys import Keys
from bot.provenance.signing import FileFacts
from bot.provenance.stamp import stamp

FACTS = FileFacts(job="0123456789ab", index=0, model="tiny", seed=7)
A4 = Paper(name="a4", bleed=3)
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def printer() -> Printer:
    return Printer.of(PrintSettings(_env_file=None))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return signing.ready(tmp_path_factory.mktemp("keys"))


def colourful(size: tuple[int, int]) -> Image.Image:
    bands = [Image.linear_gradient("L").resize(size), Image.linear_gradient("L").rotate(90).resize(size)]
    picture = Image.merge("RGB", (bands[0], bands[1], Image.new("L", size, 40)))
    ImageDraw.Draw(picture).rectangle((0, 0, size[0] // 3, size[1] // 3), "black")
    return picture


def png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def millimetres(box: pikepdf.Object) -> list[float]:
    return [float(each) / 72 * 25.4 for each in box]  # type: ignore[attr-defined]


def test_a4_with_a_bleed_of_3_mm_has_so_many_pixels() -> None:
    assert papers.read_paper("A4", "3mm").pixels(wide=False) == (2551, 3579)
    assert papers.read_paper("din a4", "0,3 cm").pixels(wide=True) == (3579, 2551)
    assert papers.kept(papers.to_keep(A4, "tiff")) == (A4, "tiff")


@pytest.mark.parametrize("wide", [False, True])
def test_the_pdf_is_x4_with_its_boxes_and_output_intent(own: Keys, printer: Printer, wide: bool) -> None:
    size = A4.pixels(wide=wide)
    stored = stamp(png(colourful((size[0] // 8, size[1] // 8))), FACTS, own).png
    data, proof = pictures.printed(stored, A4, printer, "pdf", "a fox", own)

    with pikepdf.open(io.BytesIO(data)) as pdf:
        page = pdf.pages[0]
        across, down = (297, 210) if wide else (210, 297)
        assert millimetres(page.MediaBox) == pytest.approx([0, 0, across + 6, down + 6], abs=0.01)
        assert millimetres(page.BleedBox) == pytest.approx([0, 0, across + 6, down + 6], abs=0.01)
        assert millimetres(page.TrimBox) == pytest.approx([3, 3, across + 3, down + 3], abs=0.01)
        (intent,) = pdf.Root.OutputIntents  # type: ignore[misc]
        assert intent.S == pikepdf.Name.GTS_PDFX and intent.OutputConditionIdentifier == "FOGRA39"
        assert int(intent.DestOutputProfile.N) == 4
        assert bytes(intent.DestOutputProfile.read_bytes()) == printer.profile
        image = page.Resources.XObject.Picture
        assert (int(image.Width), int(image.Height)) == size
        assert image.ColorSpace == pikepdf.Name.DeviceCMYK and "/SMask" not in image
        packet = bytes(pdf.Root.Metadata.read_bytes())
        assert b'GTS_PDFXVersion="PDF/X-4"' in packet and b"trainedAlgorithmicMedia" in packet
        assert str(pdf.docinfo.Title) == "a fox" and pdf.docinfo.Trapped == pikepdf.Name("/False")
        assert "/ID" in pdf.trailer and not pdf.is_encrypted and pdf.pdf_version == "1.6"
        inks = np.frombuffer(image.read_bytes(), np.uint8).reshape(size[1], size[0], 4)
        assert inks.astype(int).sum(2).max() <= 3 * 255
    found = verify.signed(data, own)
    assert found and found.job == FACTS.job
    with Image.open(io.BytesIO(proof)) as shown:
        assert max(shown.size) == 1024 and shown.mode == "RGB"


def test_a_tiff_is_cmyk_with_its_profile(own: Keys, printer: Printer) -> None:
    stored = stamp(png(colourful((300, 400))), FACTS, own).png
    data, _proof = pictures.printed(stored, Paper(name="a6"), printer, "tiff", "a fox", own)
    with Image.open(io.BytesIO(data)) as shown:
        assert shown.mode == "CMYK" and shown.size == Paper(name="a6").pixels(wide=False)
        assert shown.info["icc_profile"] == printer.profile and shown.info["dpi"] == (300, 300)
    found = verify.signed(data, own)
    assert found and found.job == FACTS.job


@pytest.mark.parametrize("most", [400, 300, 240, 200])
def test_no_pixel_has_more_ink_than_the_limit(printer: Printer, most: int) -> None:
    dark = Image.new("RGB", (64, 64), "black")
    found = np.asarray(printing.in_inks(dark, Printer(printer.profile, printer.name, most)))
    assert found.astype(int).sum(2).max() <= most / 100 * 255

    heavy = np.array(
        [[[255, 255, 255, 255], [255, 200, 180, 20], [255, 255, 0, 200], [9, 0, 0, 3]]], np.uint8
    )
    limited = printing._limited(heavy, most)
    assert limited.astype(int).sum(2).max() <= most / 100 * 255
    assert (limited[0, 3] == heavy[0, 3]).all(), "what needs no limit is as it was"


def test_grey_is_replaced_by_black(printer: Printer) -> None:
    cyan, magenta, yellow, black = printing._limited(np.array([[[255, 230, 220, 100]]], np.uint8), 300)[0, 0]
    assert black > 100 and (cyan - magenta, magenta - yellow) == (25, 10)


def test_the_proof_is_near_the_picture_where_inks_reach(printer: Printer) -> None:
    muted = Image.new("RGB", (16, 16), (150, 110, 90))
    shown = printing.proof(printing.in_inks(muted, printer), printer)
    assert np.abs(np.asarray(shown, int) - np.asarray(muted, int)).max() < 16
    glaring = printing.proof(printing.in_inks(Image.new("RGB", (16, 16), (0, 255, 0)), printer), printer)
    assert np.asarray(glaring, int)[0, 0, 1] < 200, "no ink is that green"


@pytest.mark.parametrize(
    ("paper", "bleed", "said"),
    [
        ("poster", "", "Print sizes are .*A4.*“poster” is none"),
        ("a4", "1 m", "Bleed can be 0 to 20 mm.*“1 m”"),
        ("a4", "-3mm", "Bleed can be"),
        ("a4", "much", "Bleed can be"),
        ("a0", "", "A0 at 300 dpi is more than the 18 million pixels.*largest that fits is A3"),
        ("a2", "3mm", r"A2 \+ 3 mm .*largest that fits is A4 \+ 3 mm"),
    ],
)
def test_what_cannot_be_printed_is_refused_in_a_sentence(paper: str, bleed: str, said: str) -> None:
    with pytest.raises(Refusal, match=said):
        papers.read_paper(paper, bleed)


def test_a_profile_that_is_none_stops_the_start(tmp_path: Path) -> None:
    for content in (b"nothing", (ROOT / "bot/images/profiles/srgb.icc").read_bytes()):
        (tmp_path / "p.icc").write_bytes(content)
        with pytest.raises(SettingError, match="PRINT_PROFILE"):
            Printer.of(PrintSettings(_env_file=None, print_profile=str(tmp_path / "p.icc")))


_MEASURED = r"""
import io, json, re, sys, tempfile
from pathlib import Path
from PIL import Image
from bot import papers
from bot.images import pictures, printing
from bot.provenance import signing
from bot.provenance.stamp import stamp
paper = papers.Paper(name="a4", bleed=3)
keys = signing.ready(Path(tempfile.mkdtemp()))
out = io.BytesIO()
Image.effect_noise(paper.pixels(wide=False), 60).convert("RGB").save(out, "PNG", compress_level=1)
facts = signing.FileFacts(job="0123456789ab", index=0, model="tiny", seed=7)
stored = stamp(out.getvalue(), facts, keys).png
printer = printing.Printer.of(printing.PrintSettings(_env_file=None))
data, _proof = pictures.printed(stored, paper, printer, "pdf", "a fox", keys)
(peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
print(json.dumps([len(data), int(peak)]))
"""


def test_a4_takes_less_than_a_gigabyte_and_a_half() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED], capture_output=True, text=True, check=True, timeout=300, cwd=ROOT
    )
    _size, kilobytes = json.loads(done.stdout.splitlines()[-1])
    assert kilobytes * 1024 <= 1.5e9, f"{kilobytes / 1e6:.2f} GB"

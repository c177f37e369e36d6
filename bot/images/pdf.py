"""PDF pages of one picture, by pikepdf: plain ones in sRGB, and PDF/X-4 for printing in CMYK."""

from __future__ import annotations

import hashlib
import io
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime

import pikepdf
from pikepdf import Array, Dictionary, Name, Pdf, Stream, String
from PIL import Image

POINTS, MM = 72, 25.4  # to an inch
X4, VERSION = "PDF/X-4", "1.6"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Where a printed page is cut, and for which press its colours are."""

    size: tuple[float, float]  # mm, before it is cut
    bleed: float  # mm around the page that are cut off
    profile: bytes  # ICC, of CMYK
    condition: str  # the press, as its profile names it
    title: str


def page(jpeg: bytes, size: tuple[int, int], *, dpi: int, profile: bytes, xmp: bytes = b"") -> bytes:
    """Return a page as large as a JPEG of so many pixels, in RGB by a profile."""
    pdf = Pdf.new()
    image = _image(pdf, jpeg, "/DCTDecode", size)
    image.ColorSpace = Array([Name.ICCBased, _profile(pdf, profile, 3)])
    _add_page(pdf, image, *(each * POINTS / dpi for each in size))
    if xmp:
        pdf.Root.Metadata = _metadata(pdf, xmp)
    return _written(pdf)


def printed(picture: Image.Image, sheet: Sheet, xmp: bytes) -> bytes:
    """Return a page of PDF/X-4 of a picture in CMYK, without loss. `xmp` is `x4_packet`'s."""
    pdf = Pdf.new()
    image = _image(pdf, zlib.compress(picture.tobytes(), 6), "/FlateDecode", picture.size)
    image.ColorSpace = Name.DeviceCMYK  # that of the output intent
    width, height, edge = (each / MM * POINTS for each in (*sheet.size, sheet.bleed))
    found = _add_page(pdf, image, width, height)
    found.BleedBox = _box(0, 0, width, height)
    found.TrimBox = _box(edge, edge, width - edge, height - edge)
    pdf.Root.OutputIntents = Array(
        [
            Dictionary(
                Type=Name.OutputIntent,
                S=Name.GTS_PDFX,
                OutputConditionIdentifier=String(sheet.condition),
                OutputCondition=String(sheet.condition),
                Info=String(sheet.condition),
                DestOutputProfile=_profile(pdf, sheet.profile, 4),
            )
        ]
    )
    now = f"D:{datetime.now(UTC):%Y%m%d%H%M%S}Z"
    pdf.docinfo = pdf.make_indirect(
        Dictionary(
            Title=String(sheet.title),
            Creator=String("Easel"),
            Producer=String("Easel"),
            CreationDate=String(now),
            ModDate=String(now),
            Trapped=Name("/False"),
        )
    )
    pdf.Root.Metadata = _metadata(pdf, xmp)
    return _written(pdf)


def x4_packet(xmp: bytes, title: str, seed: bytes) -> bytes:
    """Return an XMP packet with what PDF/X-4 asks for beside what stands in it."""
    from xml.sax.saxutils import escape

    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    document = f"uuid:{hashlib.sha256(seed).hexdigest()[:32]}"
    said = f"""<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:pdf="http://ns.adobe.com/pdf/1.3/" xmlns:pdfxid="http://www.npes.org/pdfx/ns/id/"
 xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 pdfxid:GTS_PDFXVersion="{X4}" pdf:Trapped="False" pdf:Producer="Easel" xmp:CreateDate="{now}"
 xmp:ModifyDate="{now}" xmp:MetadataDate="{now}" xmpMM:DocumentID="{document}"
 xmpMM:RenditionClass="default" xmpMM:VersionID="1">
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">{escape(title)}</rdf:li></rdf:Alt></dc:title>
</rdf:Description>
</rdf:RDF>"""
    return xmp.replace(b"</rdf:RDF>", said.encode(), 1)


def _image(pdf: Pdf, data: bytes, filter: str, size: tuple[int, int]) -> Stream:
    image = Stream(pdf, b"")
    image.write(data, filter=Name(filter))
    image.Type, image.Subtype = Name.XObject, Name.Image
    image.Width, image.Height = size
    image.BitsPerComponent = 8
    return image


def _profile(pdf: Pdf, profile: bytes, colours: int) -> Stream:
    stream = Stream(pdf, profile)
    stream.N = colours
    return pdf.make_indirect(stream)


def _metadata(pdf: Pdf, xmp: bytes) -> Stream:
    stream = Stream(pdf, xmp)
    stream.Type, stream.Subtype = Name.Metadata, Name.XML
    return pdf.make_indirect(stream)


def _add_page(pdf: Pdf, image: Stream, width: float, height: float) -> pikepdf.Page:
    """Add a page of so many points that the picture fills."""
    width, height = round(width, 4), round(height, 4)
    added = pdf.add_blank_page(page_size=(width, height))
    added.Resources = Dictionary(XObject=Dictionary(Picture=pdf.make_indirect(image)))
    added.Contents = Stream(pdf, f"q {width} 0 0 {height} 0 0 cm /Picture Do Q".encode())
    return added


def _box(*edges: float) -> Array:
    return Array([round(each, 4) for each in edges])


def _written(pdf: Pdf) -> bytes:
    out = io.BytesIO()
    pdf.save(
        out,
        min_version=VERSION,
        force_version=VERSION,
        deterministic_id=True,
        object_stream_mode=pikepdf.ObjectStreamMode.disable,
        compress_streams=True,
        stream_decode_level=pikepdf.StreamDecodeLevel.none,
    )
    return out.getvalue()

"""Tell whether a picture was made by this Easel, and what became of it since.

Nothing is told of the prompt or of who asked: whoever has a picture may ask.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Literal

from PIL import Image

from bot.provenance import mark, signing
from bot.provenance.fingerprint import NEAR, distance, fingerprint
from bot.provenance.keys import Keys
from bot.provenance.signing import MediaType

Finding = Literal["unchanged", "changed", "alike", "unknown"]

_FORMATS: dict[bytes, MediaType] = {
    b"\x89PNG": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"RIFF": "image/webp",
    b"GIF8": "image/gif",
    b"II*\x00": "image/tiff",
    b"MM\x00*": "image/tiff",
    b"%PDF-": "application/pdf",
    b"<?xml": "image/svg+xml",
    b"<svg": "image/svg+xml",
}
_AVIF = (b"ftypavif", b"ftypavis")
UNPAINTED: tuple[MediaType, ...] = ("image/svg+xml", "application/pdf")
"""Files without pixels of which the mark could be read: their signature alone tells."""


def media_type(data: bytes) -> MediaType | None:
    """Return of which kind a file is, by its first bytes; None where it is of none that can be signed."""
    if data[4:12] in _AVIF:
        return "image/avif"
    return next((kind for start, kind in _FORMATS.items() if data.startswith(start)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What a picture itself tells: "alike" is not decided here, since it takes the fingerprints of others."""

    finding: Finding
    job: str = ""  # id
    index: int | None = None  # of the picture in its job, where that is known
    cropped: bool = False
    fingerprint: str = ""


def signed(data: bytes, keys: Keys) -> Trace | None:
    """Return what a file's signature says where it is ours and holds, else None. For a thread."""
    kind = media_type(data)
    claim = signing.read(data, kind, keys) if kind else None
    if claim and claim.facts:
        return Trace(finding="unchanged", job=claim.facts.job, index=claim.facts.index)
    return None


def trace(plain: bytes, keys: Keys) -> Trace:
    """Return what the pixels of a picture, as a harmless PNG, say of its origin. For a thread."""
    with Image.open(io.BytesIO(plain)) as picture:
        look = fingerprint(picture)
        if found := mark.detect(picture, keys.mark):
            job = f"{found.number:012x}"
            return Trace(finding="changed", job=job, cropped=found.cropped, fingerprint=look)
    return Trace(finding="unknown", fingerprint=look)


def nearest(look: str, known: dict[str, str]) -> str | None:
    """Return the key of the nearest fingerprint in `known`, or None where none is near enough."""
    best = min(known, key=lambda each: distance(look, known[each]), default=None)
    return best if best is not None and distance(look, known[best]) <= NEAR else None

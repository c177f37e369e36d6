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
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What a picture itself tells: "alike" is not decided here, since it takes the fingerprints of others."""

    finding: Finding
    job: str = ""  # id
    index: int | None = None  # of the picture in its job, where that is known
    cropped: bool = False
    fingerprint: str = ""


def trace(data: bytes, plain: bytes, keys: Keys) -> Trace:
    """Return what a file says of its origin. `plain` is the same picture as a harmless PNG. For a thread."""
    media_type = next((kind for start, kind in _FORMATS.items() if data.startswith(start)), None)
    claim = signing.read(data, media_type, keys) if media_type else None
    if claim and claim.facts:
        return Trace(finding="unchanged", job=claim.facts.job, index=claim.facts.index)
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

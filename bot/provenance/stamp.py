"""Gives pictures their provenance: mark, XMP and signature, in this order. For a thread: it takes 0.1 s."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from PIL import Image

from bot.provenance import mark, signing
from bot.provenance.fingerprint import fingerprint
from bot.provenance.keys import Keys
from bot.provenance.signing import FileFacts


@dataclass(frozen=True, slots=True)
class Stamped:
    """A picture as it is delivered."""

    png: bytes
    fingerprint: str


def stamp(
    png: bytes,
    facts: FileFacts,
    keys: Keys,
    parent: bytes | None = None,
    notes: Mapping[str, str] = MappingProxyType({}),
) -> Stamped:
    """Return the picture marked and signed. `parent` is the PNG that it was made from, if it was."""
    with Image.open(io.BytesIO(png)) as picture:
        marked = mark.embed(picture, int(facts.job, 16), keys.mark)
    encoded = signing.encode(marked, "image/png", facts, notes, compress_level=4)
    return Stamped(signing.sign(encoded, "image/png", facts, keys, parent), fingerprint(marked))


def convert(
    png: bytes, picture: Image.Image, media_type: signing.MediaType, keys: Keys, **options: int
) -> bytes:
    """Return another form of a stored picture, signed anew: the mark is in its pixels already.

    One from before pictures were signed stays as it was.
    """
    claim = signing.read(png, "image/png", keys)
    if claim is None or claim.facts is None:
        return _plain(picture, media_type, **options)
    encoded = signing.encode(picture, media_type, claim.facts, {}, **options)
    return signing.sign(
        encoded, media_type, claim.facts, keys, parent=png if claim.facts.made != "created" else None
    )


def _plain(picture: Image.Image, media_type: signing.MediaType, **options: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, media_type.removeprefix("image/"), **options)
    return out.getvalue()

"""Gives pictures their provenance: label, mark, XMP and signature, in this order. For a thread."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from PIL import Image

from bot.provenance import label, mark, signing
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
    *,
    labelled: bool = False,
    others: Sequence[bytes] = (),
) -> Stamped:
    """Return the picture marked and signed.

    `parent` is the PNG that it was made from, if it was; `others` are those that it was made from beside it.

    `labelled`: it visibly says "AI", in the corner that `facts` name, else in a calm one.
    """
    with Image.open(io.BytesIO(png)) as opened:
        picture: Image.Image = opened
        if labelled:
            corner = facts.label or label.choose(picture)
            facts, picture = replace(facts, label=corner), label.draw(picture, corner)
        marked = mark.embed(picture, int(facts.job, 16), keys.mark)
    encoded = signing.encode(marked, "image/png", facts, notes, compress_level=4)
    return Stamped(
        signing.sign(encoded, "image/png", facts, keys, parent, others=others), fingerprint(marked)
    )


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
    source = (
        None if claim.facts.made == "created" else png
    )  # stands for its parent, of which the title counts
    return signing.sign(encoded, media_type, claim.facts, keys, source, converted=True)


def _plain(picture: Image.Image, media_type: signing.MediaType, **options: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, media_type.removeprefix("image/"), **options)
    return out.getvalue()

"""Gives pictures their provenance: label, mark, XMP and signature, in this order. For a thread."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import get_args

import numpy as np
from PIL import Image

from bot.images import encoding
from bot.provenance import label, mark, signing
from bot.provenance.fingerprint import fingerprint
from bot.provenance.keys import Keys
from bot.provenance.signing import FORMAT_OF, Corner, FileFacts


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
    kept: Kept | None = None,
    others: Sequence[bytes] = (),
    inputs: Sequence[bytes] = (),
) -> Stamped:
    """Return the picture marked and signed.

    `parent` is the PNG that it was made from, if it was; `others` are those that it was made from beside it,
    `inputs` those that only guided it.

    `labelled`: it visibly says "AI", in the corner that `facts` name, else in a calm one. `kept`: where the
    source lies in it, whose unchanged pixels stay as they are.
    """
    with Image.open(io.BytesIO(png)) as opened:
        picture: Image.Image = opened
        source = kept and kept.mask(picture)
        if labelled and source:
            facts, picture = _labelled_again(facts, picture, source)
        elif labelled:
            corner = facts.label or label.choose(picture)
            facts, picture = replace(facts, label=corner), label.draw(picture, corner)
        marked = mark.embed(picture, int(facts.mark or facts.job, 16), keys.mark)
        if source:
            marked.paste(picture.convert(marked.mode), (0, 0), source)
    encoded = signing.encode(marked, "image/png", facts, notes)
    return Stamped(
        signing.sign(encoded, "image/png", facts, keys, parent, others=others, inputs=inputs),
        fingerprint(marked),
    )


@dataclass(frozen=True, slots=True)
class Kept:
    """A source that lies in the picture that was painted over it or around it."""

    png: bytes
    left: int
    top: int
    width: int  # that it has in the picture
    height: int

    def mask(self, picture: Image.Image) -> Image.Image:
        """Return which pixels of the picture are those of the source still: 255, others 0."""
        with Image.open(io.BytesIO(self.png)) as opened:
            source = opened.convert("RGB")
        if source.size != (self.width, self.height):
            source = source.resize((self.width, self.height), Image.Resampling.LANCZOS)
        box = self.left, self.top, self.left + self.width, self.top + self.height
        now = np.asarray(picture.convert("RGB").crop(box))
        same = (now == np.asarray(source)).all(axis=2)
        mask = Image.new("L", picture.size, 0)
        mask.paste(Image.fromarray(same.astype(np.uint8) * 255), box[:2])
        return mask


def _labelled_again(
    facts: FileFacts, picture: Image.Image, kept: Image.Image
) -> tuple[FileFacts, Image.Image]:
    """Return the picture with a label that covers nothing of a labelled source, and what it says of it.

    The source's own label stays where it is seen still; where it was painted over, there is a new one.
    """
    corner = facts.label
    if corner and _covers(kept, label.box(picture.size, corner)):
        return facts, picture
    corners: tuple[Corner, ...] = get_args(Corner)
    free = [each for each in corners if not _covers(kept, label.box(picture.size, each), any_of=True)]
    if corner is None or corner not in free:
        corner = free[0] if free else corner or label.choose(picture)
    drawn = label.draw(picture, corner)
    if facts.label:
        drawn.paste(picture.convert(drawn.mode), (0, 0), kept)
    return replace(facts, label=corner), drawn


def _covers(kept: Image.Image, box: label.Box, *, any_of: bool = False) -> bool:
    """Tell whether pixels of a box are the source's: all of them, or `any_of` them."""
    seen = np.asarray(kept.crop(box)) > 0
    return bool(seen.any() if any_of else seen.all())


def convert(
    png: bytes,
    picture: Image.Image,
    media_type: signing.MediaType,
    keys: Keys,
    quality: int | None = None,
    *,
    max_bytes: int | None = None,
    effort: int | None = None,
    alt: str = "",
) -> bytes:
    """Return another form of a stored picture, signed anew: the mark is in its pixels already.

    One from before pictures were signed stays as it was. For the options see `encoding.encode`; `max_bytes`
    counts the signature too. `alt` is said of it in its XMP. Raises TooLarge, and NotFlat for what is no
    picture for SVG.
    """
    if (facts := facts_of(png, keys)) is None:
        return encoding.encode(picture, FORMAT_OF[media_type], quality, max_bytes=max_bytes, effort=effort)
    limit = max_bytes and max_bytes - _SIGNATURE
    encoded = encoding.encode(
        picture,
        FORMAT_OF[media_type],
        quality,
        max_bytes=limit,
        xmp=signing.packet(facts, alt),
        effort=effort,
    )
    return signed_again(png, encoded, media_type, facts, keys)


_SIGNATURE = 12_000  # bytes of credentials, at most, where the prompt is not in them


def facts_of(png: bytes, keys: Keys) -> FileFacts | None:
    """Return what a stored picture says of itself; None where it was not signed here."""
    claim = signing.read(png, "image/png", keys)
    return claim.facts if claim else None


def signed_again(
    png: bytes, encoded: bytes, media_type: signing.MediaType, facts: FileFacts, keys: Keys
) -> bytes:
    """Return another form of a stored picture with the statements of that."""
    source = None if facts.made == "created" else png  # stands for its parent, of which the title counts
    return signing.sign(encoded, media_type, facts, keys, source, converted=True)

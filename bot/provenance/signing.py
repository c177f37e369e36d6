"""Signed metadata: C2PA content credentials and the same in XMP, for readers that know only that.

https://spec.c2pa.org and https://iptc.org/std/photometadata/specification (Digital Source Type). The
signature is over the bytes of the file, so it comes last.
"""

from __future__ import annotations

import binascii
import functools
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal
from xml.sax.saxutils import escape, quoteattr

import c2pa
from cryptography import x509
from PIL import Image

from bot.errors import SettingError
from bot.images import encoding
from bot.images.file_formats import MEDIA_TYPES, Format
from bot.provenance.keys import Keys
from bot.provenance.keys import load as keys_at

MediaType = Literal[
    "image/png",
    "image/jpeg",
    "image/webp",
    "image/avif",
    "image/gif",
    "image/tiff",
    "image/svg+xml",
    "application/pdf",
]
Made = Literal["created", "edited", "upscaled"]
Corner = Literal["bottom right", "bottom left", "top right", "top left"]

GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
COMPOSED = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""From a picture that a person brought."""

_ACTIONS: dict[Made, str] = {"created": "c2pa.created", "edited": "c2pa.edited", "upscaled": "c2pa.resized"}
_CONVERTED = "c2pa.transcoded"  # another encoding or resolution of the same picture
_JOB = "org.easel.job"
_BROUGHT = "Source"  # title of a picture that somebody brought
_PNG_START, _PNG_CREDENTIALS = 8, b"caBX"  # bytes before the first chunk; the chunk of content credentials

Unsigned: type[Exception] = c2pa.C2paError
"""What `sign` raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """What a picture says of itself. Nothing of who asked, and of the prompt only what they allow."""

    job: str  # id
    index: int  # of the picture in its job; −1 is the grid
    model: str
    seed: int
    made: Made = "created"
    foreign: bool = False  # it goes back to a picture that a person brought
    prompt: str = ""  # empty: left out
    label: Corner | None = None  # where it says "AI"
    parent: str = ""  # title of what it was made from, where that was signed here
    mark: str = ""  # id of the job that the invisible mark names, where it is that of a source

    @property
    def title(self) -> str:
        """Return what others may call the picture: its job's id, and its number, from 1; the grid is 0."""
        return f"{self.job}-{self.index + 1}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a file's content credentials say."""

    whole: bool  # nothing was changed since it was signed
    ours: bool  # signed with the key of this Easel
    facts: FileFacts | None  # None where it was changed, or another program signed it


def sign(
    data: bytes,
    media_type: MediaType,
    facts: FileFacts,
    keys: Keys,
    parent: bytes | None = None,
    *,
    converted: bool = False,
    others: Sequence[bytes] = (),
    inputs: Sequence[bytes] = (),
) -> bytes:
    """Return the file with content credentials.

    `parent` is the PNG that it was made from, `others` are those that were used beside it, `inputs` those
    that only guided it. Each is named by
    its title alone: with its own credentials, which hold those of its parent, a file would grow with every
    edit. `converted`: the file is another form of the picture that was stored.
    """
    manifest = _manifest(facts, parent is not None, converted, len(others))
    builder = c2pa.Builder(manifest, context=_context())
    if parent is not None:
        builder.add_ingredient(
            {"title": facts.parent or _BROUGHT, "relationship": "parentOf", "label": "source"},
            "image/png",
            io.BytesIO(without_credentials(parent)),
        )
    for number, other in enumerate(others):
        builder.add_ingredient(
            {"title": _BROUGHT, "relationship": "componentOf", "label": _component(number)},
            "image/png",
            io.BytesIO(without_credentials(other)),
        )
    for number, each in enumerate(inputs):
        builder.add_ingredient(
            {"title": _BROUGHT, "relationship": "inputTo", "label": f"input{number + 1}"},
            "image/png",
            io.BytesIO(without_credentials(each)),
        )
    signed = io.BytesIO()
    builder.sign(_signer(keys), media_type, io.BytesIO(data), signed)
    return signed.getvalue()


def without_credentials(png: bytes) -> bytes:
    """Return a PNG without its content credentials; other chunks stay as they are."""
    kept = [chunk for chunk in _chunks(png) if chunk[4:8] != _PNG_CREDENTIALS]
    return png[:_PNG_START] + b"".join(kept)


def _chunks(png: bytes) -> Iterator[bytes]:
    """Yield the chunks of a PNG, each with its length, name and checksum."""
    at = _PNG_START
    while at + 12 <= len(png):
        end = at + 12 + int.from_bytes(png[at : at + 4], "big")
        yield png[at:end]
        at = end


def _is_padding_whole(data: bytes, media_type: MediaType) -> bool:
    """Return whether the chunk of credentials fits its checksum; its padding is under no signature."""
    if media_type != "image/png":
        return True
    chunks = (chunk for chunk in _chunks(data) if chunk[4:8] == _PNG_CREDENTIALS)
    return all(binascii.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big") for chunk in chunks)


def read(data: bytes, media_type: MediaType, keys: Keys) -> Claim | None:
    """Return what the content credentials of a file say, or None where it has none."""
    try:
        reader = c2pa.Reader(
            media_type, io.BytesIO(data), context=_trusting(keys.trusted or keys.certificates)
        )
    except c2pa.C2paError.ManifestNotFound:
        return None
    except c2pa.C2paError:
        return Claim(whole=False, ours=False, facts=None)
    told = json.loads(reader.json())
    manifest = told["manifests"].get(told["active_manifest"], {})
    signature = manifest.get("signature_info", {})
    whole = told.get("validation_state") in ("Valid", "Trusted") and _is_padding_whole(data, media_type)
    # Anybody can make a certificate with any serial number, but not one that ours vouch for.
    ours = (
        whole
        and told.get("validation_state") == "Trusted"
        and signature.get("cert_serial_number") in _serial_numbers(keys.trusted or keys.certificates)
    )
    return Claim(whole=whole, ours=ours, facts=_facts(manifest) if ours else None)


@functools.cache  # it is read from a file each time
def _version() -> str:
    return version("easel")


def _component(number: int) -> str:
    return f"component{number + 1}"


def _manifest(facts: FileFacts, from_source: bool, converted: bool, components: int = 0) -> dict[str, Any]:
    opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": ["source"]}}
    placed = [
        {"action": "c2pa.placed", "parameters": {"ingredientIds": [_component(number)]}}
        for number in range(components)
    ]
    done = {"action": _ACTIONS[facts.made], "digitalSourceType": _source_type(facts)}
    actions = [opened] * from_source + placed + [done] + [{"action": _CONVERTED}] * converted
    return {
        "claim_generator_info": [{"name": "Easel", "version": _version()}],
        "title": facts.title,
        "assertions": [
            {"label": "c2pa.actions", "data": {"actions": actions}},
            {
                "label": _JOB,
                "data": {name: value for name, value in asdict(facts).items() if value not in ("", None)},
            },
        ],
    }


def _facts(manifest: dict[str, Any]) -> FileFacts:
    """Return what a manifest of ours says."""
    data = {each["label"]: each["data"] for each in manifest["assertions"]}
    return FileFacts(**data[_JOB])


def _source_type(facts: FileFacts) -> str:
    return COMPOSED if facts.foreign else GENERATED


@functools.cache
def _context() -> Any:
    """Return settings to sign with: no thumbnails."""
    return c2pa.Context.from_dict({"builder": {"thumbnail": {"enabled": False}}})


@functools.lru_cache(4)
def _trusting(certificates: bytes) -> Any:
    """Return settings to read with: these certificates are trusted, and nothing is asked of the network."""
    return c2pa.Context.from_dict(
        {
            "trust": {"user_anchors": certificates.decode()},
            "verify": {"verify_trust": True, "ocsp_fetch": False, "remote_manifest_fetch": False},
        }
    )


@functools.lru_cache(4)
def _signer(keys: Keys) -> Any:
    info = c2pa.C2paSignerInfo(keys.algorithm.encode(), keys.certificates, keys.private, None)
    return c2pa.Signer.from_info(info)


@functools.lru_cache(4)
def _serial_numbers(certificates: bytes) -> frozenset[str]:
    return frozenset(str(each.serial_number) for each in x509.load_pem_x509_certificates(certificates))


def ready(folder: Path, certificate: str = "", private_key: str = "") -> Keys:
    """Return the keys to sign with, made at the first start. Raises SettingError."""
    return check(keys_at(folder, certificate, private_key))


def check(keys: Keys) -> Keys:
    """Return the keys after a picture was signed with them and known again. Raises SettingError."""
    facts = FileFacts(job="0" * 12, index=0, model="none", seed=0)
    try:
        blank = encode(Image.new("RGB", (8, 8)), "image/png", facts)
        claim = read(sign(blank, "image/png", facts, keys), "image/png", keys)
    except c2pa.C2paError as error:
        raise SettingError(
            f"SIGNING_CERTIFICATE cannot sign content credentials ({error}): give one of C2PA's profile."
        ) from error
    if claim is None or not claim.ours:
        raise SettingError(
            "SIGNING_CERTIFICATE is not vouched for: put its issuer's certificate behind it in the same file."
        )
    return keys


# ---- XMP


def encode(
    picture: Image.Image,
    media_type: MediaType,
    facts: FileFacts,
    notes: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    """Return the picture as a file with an XMP packet, not signed yet. Raises NotFlat.

    `notes` become text chunks of a PNG, by names of 1 to 79 Latin letters.
    """
    return encoding.encode(picture, FORMAT_OF[media_type], xmp=packet(facts), notes=notes)


FORMAT_OF: Mapping[MediaType, Format] = {
    kind: format  # type: ignore[misc]
    for format, kind in MEDIA_TYPES.items()
}


def packet(facts: FileFacts, alt: str = "") -> bytes:
    """Return the XMP packet of a picture; `alt` is its description, where the person wants it in files."""
    about = quoteattr(f"Easel {_version()}, {facts.model}")
    told = escape(alt, {'"': "&quot;"})
    described = (
        f"""
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{told}</rdf:li></rdf:Alt></dc:description>
<Iptc4xmpCore:AltTextAccessibility><rdf:Alt><rdf:li xml:lang="x-default">{told}</rdf:li></rdf:Alt>
</Iptc4xmpCore:AltTextAccessibility>"""
        if alt
        else ""
    )
    return f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:Iptc4xmpCore="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/"
 xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 xmp:CreatorTool={about} Iptc4xmpExt:DigitalSourceType="{_source_type(facts)}">{described}</rdf:Description>
</rdf:RDF></x:xmpmeta><?xpacket end="w"?>""".encode()

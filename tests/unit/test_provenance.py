"""Pictures carry signed metadata that holds, and that any change breaks."""

from __future__ import annotations

import io
import json
import os
import random
import stat
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import c2pa
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from PIL import Image

from bot.errors import SettingError
from bot.provenance import keys, mark, signing, verify
from bot.provenance.fingerprint import NEAR, distance, fingerprint
from bot.provenance.signing import COMPOSED, GENERATED, FileFacts, MediaType
from bot.provenance.stamp import convert, stamp
from tests.unit.test_mark import cut, drawing

FACTS = FileFacts(job="0123456789ab", index=1, model="easel-tiny", seed=7)
MEDIA: tuple[MediaType, ...] = ("image/png", "image/jpeg", "image/webp")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> keys.Keys:
    return keys.load(tmp_path_factory.mktemp("keys"))


def png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


@pytest.mark.parametrize("media_type", MEDIA)
def test_a_signed_file_says_what_it_is(own: keys.Keys, media_type: MediaType) -> None:
    data = signing.sign(signing.encode(drawing(), media_type, FACTS), media_type, FACTS, own)

    claim = signing.read(data, media_type, own)

    assert claim == signing.Claim(whole=True, ours=True, facts=FACTS)
    packet = opened(data).info.get("xmp", "")
    assert GENERATED in (packet.decode() if isinstance(packet, bytes) else packet)


@pytest.mark.parametrize("media_type", MEDIA)
def test_any_change_breaks_the_signature(own: keys.Keys, media_type: MediaType) -> None:
    """In a PNG every bit counts; in others those of the manifest's padding do not, which hold nothing."""
    data = signing.sign(signing.encode(drawing(), media_type, FACTS), media_type, FACTS, own)
    manifest = range(data.find(b"jumb") - 24, data.rfind(b"\0" * 16) + 16)
    dice = random.Random(1)

    for _ in range(400):
        place = dice.randrange(len(data))
        changed = bytearray(data)
        changed[place] ^= 1 << dice.randrange(8)
        claim = signing.read(bytes(changed), media_type, own)
        if claim is not None and claim.whole:
            assert media_type != "image/png"
            assert place in manifest and claim.facts in (FACTS, None), place


def manifests(data: bytes, media_type: MediaType = "image/png") -> list[dict[str, Any]]:
    """The manifests of a file, as any C2PA program reads them: the active one first."""
    told = json.loads(c2pa.Reader(media_type, io.BytesIO(data)).json())
    assert told["validation_state"] == "Valid"
    rest = dict(told["manifests"])
    return [rest.pop(told["active_manifest"]), *rest.values()]


def actions(manifest: dict[str, Any]) -> list[tuple[str, str | None]]:
    """What was done, each with its digitalSourceType."""
    (data,) = [each["data"] for each in manifest["assertions"] if each["label"].startswith("c2pa.actions")]
    return [(each["action"], each.get("digitalSourceType")) for each in data["actions"]]


@pytest.mark.parametrize("foreign", [False, True])
@pytest.mark.parametrize(
    ("made", "action"), [("created", "c2pa.created"), ("edited", "c2pa.edited"), ("upscaled", "c2pa.resized")]
)
def test_other_programs_read_how_a_picture_was_made(
    own: keys.Keys, made: signing.Made, action: str, foreign: bool
) -> None:
    source_type = COMPOSED if foreign else GENERATED
    parent = png(drawing(2)) if foreign else stamp(png(drawing(2)), FACTS, own).png
    facts = replace(FACTS, made=made, foreign=foreign, parent="" if foreign else "0123456789ab-2")

    data = stamp(png(drawing()), facts, own, None if made == "created" else parent).png

    (manifest,) = manifests(data)
    assert manifest["title"] == "0123456789ab-2"
    if made == "created":
        assert actions(manifest) == [("c2pa.created", source_type)] and "ingredients" not in manifest
    else:
        assert actions(manifest) == [("c2pa.opened", None), (action, source_type)]
        (ingredient,) = manifest["ingredients"]
        assert ingredient["relationship"] == "parentOf"
        assert ingredient["title"] == ("Source" if foreign else "0123456789ab-2")


@pytest.mark.parametrize("made", ["created", "edited", "upscaled"])
@pytest.mark.parametrize("media_type", ["image/webp", "image/jpeg"])
def test_another_form_is_a_copy_of_the_stored_picture(
    own: keys.Keys, made: signing.Made, media_type: MediaType
) -> None:
    facts = replace(FACTS, made=made)
    stored = stamp(png(drawing()), facts, own, None if made == "created" else png(drawing(2))).png

    copy = convert(stored, opened(stored).resize((320, 256)), media_type, own)

    (form,), (original,) = manifests(copy, media_type), manifests(stored)
    assert actions(form) == [*actions(original), ("c2pa.transcoded", None)]
    assert form["title"] == original["title"] == facts.title
    titles = [[each["title"] for each in one.get("ingredients", ())] for one in (form, original)]
    assert titles[0] == titles[1] == ([] if made == "created" else ["Source"])


def test_credentials_do_not_grow_with_a_chain_of_edits(own: keys.Keys) -> None:
    sizes, parent = [], None
    for generation in range(11):
        made: signing.Made = "created" if parent is None else "edited"
        parent = stamp(png(drawing(generation, (96, 96))), replace(FACTS, made=made), own, parent).png
        sizes.append(len(parent) - len(signing.without_credentials(parent)))

    assert max(sizes) < 4500
    assert len(set(sizes[1:])) == 1, sizes


def test_without_credentials_a_picture_is_as_it_was(own: keys.Keys) -> None:
    plain = signing.encode(drawing(), "image/png", FACTS)
    signed = signing.sign(plain, "image/png", FACTS, own)

    assert signing.without_credentials(signed) == plain == signing.without_credentials(plain)
    assert signing.without_credentials(plain[:100])  # damaged


def test_signing_takes_milliseconds(own: keys.Keys) -> None:
    """Ten times what was measured for a picture of 1024 × 1024 on a busy machine."""
    data = signing.encode(drawing(size=(1024, 1024)), "image/png", FACTS)
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        signing.sign(data, "image/png", FACTS, own)
        seconds.append(time.perf_counter() - began)

    assert min(seconds) < 0.15


@pytest.mark.parametrize("fault", ["expired", "another key"])
def test_what_cannot_be_signed_is_not_returned(fault: str) -> None:
    certificates, private = keys.make()
    if fault == "expired":
        certificates, private = keys.make(datetime.now(UTC) - keys.LIFETIME - timedelta(days=1))
    else:
        private = keys.make()[1]

    with pytest.raises(signing.Unsigned):
        stamp(png(drawing()), FACTS, keys.Keys(certificates, private, b"mark"))


def test_another_key_is_not_ours(own: keys.Keys, tmp_path: Path) -> None:
    others = keys.load(tmp_path)
    data = signing.sign(signing.encode(drawing(), "image/png", FACTS), "image/png", FACTS, others)

    claim = signing.read(data, "image/png", own)

    assert claim is not None and claim.whole and not claim.ours


def test_a_certificate_with_our_serial_number_is_not_ours(
    own: keys.Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    serial = x509.load_pem_x509_certificates(own.certificates)[0].serial_number
    monkeypatch.setattr(x509, "random_serial_number", lambda: serial)
    forger = keys.Keys(*keys.make(), mark=b"")
    data = signing.sign(signing.encode(drawing(), "image/png", FACTS), "image/png", FACTS, forger)

    claim = signing.read(data, "image/png", own)

    assert claim is not None and claim.whole and not claim.ours


def test_a_picture_without_credentials_claims_nothing(own: keys.Keys) -> None:
    assert signing.read(png(drawing()), "image/png", own) is None


@pytest.mark.parametrize("made", ["edited", "upscaled"])
@pytest.mark.parametrize("foreign", [False, True])
def test_what_was_made_from_a_picture_names_it(own: keys.Keys, made: signing.Made, foreign: bool) -> None:
    facts = replace(FACTS, made=made, foreign=foreign)
    parent = png(drawing(2)) if foreign else stamp(png(drawing(2)), FACTS, own).png

    data = stamp(png(drawing()), facts, own, parent).png

    claim = signing.read(data, "image/png", own)
    assert claim is not None and claim.whole and claim.facts == facts
    assert (COMPOSED.encode() in data) is foreign


def test_the_prompt_stays_out_unless_it_is_given(own: keys.Keys) -> None:
    without = stamp(png(drawing()), FACTS, own).png
    with_it = stamp(png(drawing()), replace(FACTS, prompt="our secret campaign"), own).png

    assert b"secret" not in without
    claim = signing.read(with_it, "image/png", own)
    assert claim is not None and claim.facts is not None and claim.facts.prompt == "our secret campaign"


def test_notes_are_text_chunks_under_the_signature(own: keys.Keys) -> None:
    data = stamp(png(drawing()), FACTS, own, notes={"prompt": "лиса 🦊 in snow", "seed": "7"}).png

    picture, claim = opened(data), signing.read(data, "image/png", own)
    assert (picture.info["prompt"], picture.info["seed"]) == ("лиса 🦊 in snow", "7")
    assert claim is not None and claim.ours
    changed = signing.read(data.replace("лиса".encode(), "рыба".encode()), "image/png", own)
    assert changed is not None and not changed.whole


def test_a_stamped_picture_leads_to_its_job_by_its_pixels_alone(own: keys.Keys) -> None:
    stamped = stamp(png(drawing()), FACTS, own)
    bare = opened(stamped.png).convert("RGB").resize((400, 320))

    found = mark.detect(bare, own.mark)

    assert found is not None and f"{found.number:012x}" == FACTS.job
    assert distance(fingerprint(bare), stamped.fingerprint) <= NEAR


def test_another_form_of_a_stamped_picture_is_signed_too(own: keys.Keys) -> None:
    facts = replace(FACTS, made="upscaled")
    stamped = stamp(png(drawing()), facts, own, parent=png(drawing(2)))

    webp = convert(stamped.png, opened(stamped.png), "image/webp", own, quality=80)

    claim = signing.read(webp, "image/webp", own)
    assert claim is not None and claim.whole and claim.ours and claim.facts == facts
    assert mark.detect(opened(webp), own.mark) is not None


def test_fingerprints_of_different_pictures_are_far_apart() -> None:
    prints = [fingerprint(drawing(seed)) for seed in range(40)]

    assert min(distance(a, b) for i, a in enumerate(prints) for b in prints[:i]) > NEAR


# ---- keys


def test_keys_are_made_once_and_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        first, again = keys.load(tmp_path / "keys"), keys.load(tmp_path / "keys")
    finally:
        os.umask(before)

    assert first == again
    files = list((tmp_path / "keys").iterdir())
    assert len(files) == 3
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert "PRIVATE" not in repr(first) and repr(first.mark) not in repr(first)


def given(folder: Path, certificates: bytes, private: bytes) -> tuple[str, str]:
    (folder / "own.pem").write_bytes(certificates)
    (folder / "own.key").write_bytes(private)
    return str(folder / "own.pem"), str(folder / "own.key")


def test_an_operators_own_certificate_signs(tmp_path: Path) -> None:
    own = keys.load(tmp_path / "keys", *given(tmp_path, *keys.make()))

    data = signing.sign(signing.encode(drawing(), "image/png", FACTS), "image/png", FACTS, own)

    claim = signing.read(data, "image/png", own)
    assert own.own and claim is not None and claim.ours
    assert own.expires > datetime.now(UTC) + keys.SOON


def test_keys_that_cannot_sign_are_refused_at_start(tmp_path: Path) -> None:
    certificates, private = keys.make()
    expired = keys.make(datetime.now(UTC) - keys.LIFETIME - timedelta(days=1))
    weak = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for pair, why in (
        (expired, "holds from"),
        ((certificates, weak), "does not fit its key"),
        ((b"nothing", private), "no PEM file"),
        ((certificates, b"nothing"), "no PEM file"),
    ):
        with pytest.raises(SettingError, match=why):
            keys.load(tmp_path / "keys", *given(tmp_path, *pair))
    with pytest.raises(SettingError, match="belong together"):
        keys.load(tmp_path / "keys", str(tmp_path / "own.pem"))
    with pytest.raises(SettingError, match="cannot be read"):
        keys.load(tmp_path / "keys", "/nowhere.pem", "/nowhere.key")


def test_a_certificate_that_cannot_be_known_again_is_refused(tmp_path: Path) -> None:
    certificates, private = keys.make()
    leaf = certificates.partition(b"-----END CERTIFICATE-----\n")
    alone = keys.load(tmp_path / "keys", *given(tmp_path, leaf[0] + leaf[1], private))

    with pytest.raises(SettingError, match="put its issuer's certificate behind it"):
        signing.check(alone)
    assert signing.check(keys.load(tmp_path / "keys")).own is False


def test_what_earlier_certificates_signed_stays_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def signed(by: keys.Keys) -> bytes:
        return signing.sign(signing.encode(drawing(), "image/png", FACTS), "image/png", FACTS, by)

    monkeypatch.setattr(keys, "LIFETIME", timedelta(days=29))
    ending = keys.load(tmp_path / "keys")
    monkeypatch.undo()
    made = keys.load(tmp_path / "keys")
    given_one = keys.load(tmp_path / "keys", *given(tmp_path, *keys.make()))
    another = keys.load(tmp_path / "keys", *given(tmp_path, *keys.make()))

    assert ending.certificates != made.certificates and made.expires > datetime.now(UTC) + keys.SOON
    assert ending.mark == another.mark
    for by in (ending, made, given_one, another):
        claim = signing.read(signed(by), "image/png", another)
        assert claim is not None and claim.ours


# ---- verifying


def traced(data: bytes, own: keys.Keys) -> verify.Trace:
    return verify.signed(data, own) or verify.trace(png(opened(data).convert("RGB")), own)


def test_a_delivered_picture_is_traced_whatever_became_of_it(own: keys.Keys) -> None:
    delivered = stamp(png(drawing()), FACTS, own).png
    resaved, cropped = png(opened(delivered)), png(cut(opened(delivered)))

    assert traced(delivered, own) == verify.Trace(finding="unchanged", job=FACTS.job, index=1)
    for data, was_cropped in ((resaved, False), (cropped, True)):
        found = traced(data, own)
        assert (found.finding, found.job, found.cropped) == ("changed", FACTS.job, was_cropped)


def test_a_forged_signature_or_none_is_no_proof(own: keys.Keys, tmp_path: Path) -> None:
    forged = stamp(png(drawing()), FACTS, keys.load(tmp_path)).png

    assert traced(forged, own).finding == traced(png(drawing(3)), own).finding == "unknown"


@pytest.mark.parametrize("size", [(1, 1), (2, 300)])
def test_tiny_pictures_can_be_asked_about(own: keys.Keys, size: tuple[int, int]) -> None:
    assert traced(png(Image.new("RGB", size)), own).finding == "unknown"


def test_a_near_fingerprint_is_a_candidate_and_a_far_one_is_none() -> None:
    known = {f"job {seed}": fingerprint(drawing(seed)) for seed in range(5)}
    copy = opened(png(drawing(3).resize((300, 240))))

    assert verify.nearest(fingerprint(copy), known) == "job 3"
    assert verify.nearest(fingerprint(drawing(99)), known) is None
    assert verify.nearest(fingerprint(copy), {}) is None

"""Whatever is delivered says what it is, and nothing of what was asked unless somebody wants that."""

from __future__ import annotations

import io
import json
import threading
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import c2pa
import pytest
from PIL import Image

from bot.adapters import cli
from bot.errors import Refusal, StoreError
from bot.provenance import keys, mark, signing
from bot.provenance.fingerprint import fingerprint
from bot.provenance.keys import Keys
from bot.provenance.signing import COMPOSED, GENERATED, FileFacts
from tests.scenario.conftest import BEN, House, button


async def facts_of(house: House, blob: str) -> FileFacts:
    claim = signing.read(await house.easel.images.get(blob), "image/png", house.easel.images._keys)
    assert claim is not None and claim.ours and claim.facts is not None
    return claim.facts


def a_photo() -> bytes:
    out = io.BytesIO()
    Image.effect_noise((96, 96), 60).convert("RGB").save(out, "JPEG")
    return out.getvalue()


async def test_every_picture_and_the_grid_are_signed_and_say_nothing_of_the_prompt(house: House) -> None:
    job = await house.painted("a secret campaign --seed 7 --count 2")

    assert [each.index for each in job.pictures] == [-1, 0, 1]
    for each in job.pictures:
        data = await house.easel.images.get(each.blob)
        assert await facts_of(house, each.blob) == FileFacts(
            job=job.id, index=each.index, model="memory", seed=each.seed
        )
        assert b"secret" not in data and "prompt" not in (await house.image(each.blob)).info
        assert each.fingerprint == fingerprint(await house.image(each.blob))


async def test_the_prompt_goes_into_the_files_of_those_who_ask_for_it(house: House) -> None:
    said: Any = await house.easel.router.handle("settings", {"metadata": True}, house.origin())
    assert "Prompt in the files: yes" in said.body
    assert (await house.easel.accounts.form(house.origin())).values["metadata"] == "yes"

    mine, theirs = await house.painted("a fox --count 1"), await house.painted("a wolf --count 1", BEN)

    assert (await facts_of(house, mine.pictures[0].blob)).prompt == "a fox"
    assert (await house.image(mine.pictures[0].blob)).info["prompt"].startswith("a fox")
    assert (await facts_of(house, theirs.pictures[0].blob)).prompt == ""
    await house.easel.router.handle("settings", {"metadata": False}, house.origin())
    again = await house.painted("a fox --count 1")
    assert (await facts_of(house, again.pictures[0].blob)).prompt == ""


async def test_what_goes_back_to_a_person_s_own_picture_says_so(house: House) -> None:
    own = await house.painted("a fox --count 1")
    brought = await house.painted("a fox --count 1", source=a_photo())
    for root, foreign in ((own, False), (brought, True)):
        first = await facts_of(house, root.pictures[0].blob)
        assert (first.made, first.foreign) == ("edited" if foreign else "created", foreign)
        named = await house.painted("a wolf --count 1", source=f"{root.id}:1")
        for verb, made in (("vary_subtle", "edited"), ("upscale", "upscaled")):
            answer = await house.press(f"v1:{verb}:{named.id}:0")
            await house.surface.until(answer.job.id, "done", "upscaled")
            (picture,) = (await house.row(answer.job.id)).pictures[-1:]
            facts = await facts_of(house, picture.blob)
            assert (facts.made, facts.foreign, facts.job) == (made, foreign, answer.job.id)


async def test_of_pictures_from_before_the_rows_tell_where_they_come_from(house: House) -> None:
    stamper: Any = house.easel.lifecycle._tracker._stamp
    own = await house.painted("a fox --count 1")
    child = (await house.press(f"v1:vary_subtle:{own.id}:0")).job
    brought = await house.painted("a fox --count 1", source=a_photo())

    async def is_foreign(job: Any) -> bool:
        foreign: bool = await stamper.__self__._is_foreign(job, None)
        return foreign

    assert await is_foreign(child) is False
    assert await is_foreign(brought) is True


async def test_a_picture_leads_to_its_job_by_its_pixels(house: House) -> None:
    job = await house.painted("a fox --count 1 --size 512x512")
    bare = (await house.image(job.pictures[0].blob)).convert("RGB").resize((256, 256))

    found = mark.detect(bare, house.easel.images._keys.mark)

    assert found is not None and f"{found.number:012x}" == job.id


# ---- every way out


def manifest_of(data: bytes, media_type: str) -> tuple[list[str], str]:
    """The actions in a file, as any C2PA program reads them, and the source that they tell."""
    told = json.loads(c2pa.Reader(media_type, io.BytesIO(data)).json())
    assert told["validation_state"] == "Valid"
    manifest = told["manifests"][told["active_manifest"]]
    (done,) = [each["data"] for each in manifest["assertions"] if each["label"].startswith("c2pa.actions")]
    (source,) = [kind for each in done["actions"] if (kind := each.get("digitalSourceType"))]
    return [each["action"] for each in done["actions"]], source


async def test_each_kind_of_job_says_how_its_pictures_were_made(house: House) -> None:
    own = await house.painted("a fox --count 2")
    brought = await house.painted("a fox --count 2", source=a_photo())
    made = {own.id: (["c2pa.created"], GENERATED), brought.id: (["c2pa.opened", "c2pa.edited"], COMPOSED)}
    for root, source_type in ((own, GENERATED), (brought, COMPOSED)):
        for verb, action in (
            ("vary_subtle", "c2pa.edited"),
            ("vary_strong", "c2pa.edited"),
            ("upscale", "c2pa.resized"),
            ("cut_out", "c2pa.edited"),
        ):
            child = (await house.press(f"v1:{verb}:{root.id}:0")).job
            await house.surface.until(child.id, "done", "upscaled")
            made[child.id] = (["c2pa.opened", action], source_type)
    again = (await house.press(f"v1:again:{own.id}")).job
    await house.surface.until(again.id, "done")
    made[again.id] = (["c2pa.created"], GENERATED)

    for id, said in made.items():
        pictures = (await house.row(id)).pictures
        assert pictures
        for each in pictures:
            assert manifest_of(await house.easel.images.get(each.blob), "image/png") == said


async def test_exports_thumbnails_and_smaller_forms_are_signed(house: House) -> None:
    job = await house.painted("a fox --count 1 --size 512x512")
    blob = job.pictures[0].blob
    data = await house.easel.images.get(blob)

    card: Any = await house.easel.router.handle("privacy export", {}, house.origin())
    with zipfile.ZipFile(io.BytesIO(card.files[0][1])) as archive:
        (name,) = [each for each in archive.namelist() if each.endswith(".png")]
        exported = archive.read(name)
    smaller, kind = await house.easel.images.fitted(blob, len(data) - 1)
    thumbnail = await house.easel.images.thumbnail(blob, 128)

    assert manifest_of(exported, "image/png") == (["c2pa.created"], GENERATED)
    assert kind == "image/webp"
    for form in (smaller, thumbnail):
        assert manifest_of(form, "image/webp") == (["c2pa.created", "c2pa.transcoded"], GENERATED)
        assert len(form) < len(data)
    assert max(Image.open(io.BytesIO(thumbnail)).size) == 128


async def test_a_picture_that_somebody_brought_has_an_unsigned_thumbnail(house: House) -> None:
    job = await house.painted("a fox --count 1", source=a_photo())
    assert job.request.source

    thumbnail = await house.easel.images.thumbnail(job.request.source, 64)

    assert signing.read(thumbnail, "image/webp", house.easel.images._keys) is None


# ---- where nothing can be signed


def broken(house: House) -> Keys:
    """The studio's keys, with a certificate that does not fit."""
    return replace(house.easel.images._keys, certificates=keys.make()[0])


async def test_a_job_that_cannot_be_signed_fails_with_a_sentence_and_shows_nothing(house: House) -> None:
    stamper = house.easel.lifecycle._tracker._stamp.__self__  # type: ignore[attr-defined]
    good, stamper._keys = stamper._keys, broken(house)

    job = await house.ask("a fox --count 2")
    card = await house.surface.until(job.id, "failed")

    assert "Images cannot be signed at the moment" in " ".join(card.body)
    assert not card.pictures and (await house.row(job.id)).pictures == ()
    stamper._keys = good
    again = (await house.press(button(card, "Try again"))).job
    await house.surface.until(again.id, "done")
    assert (await facts_of(house, (await house.row(again.id)).pictures[0].blob)).job == again.id


async def test_a_smaller_form_that_cannot_be_signed_is_kept_for_later(house: House) -> None:
    job = await house.painted("a fox --count 1 --size 512x512")
    blob, good = job.pictures[0].blob, house.easel.images._keys
    size = len(await house.easel.images.get(blob))
    house.easel.images._keys = replace(broken(house), trusted=good.trusted)

    for form in (house.easel.images.fitted(blob, size - 1), house.easel.images.thumbnail(blob, 64)):
        with pytest.raises(StoreError, match="cannot be signed"):
            await form
    house.easel.images._keys = good
    assert (await house.easel.images.fitted(blob, size - 1))[1] == "image/webp"


async def test_the_studio_answers_while_pictures_are_stamped(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[int] = set()
    sign = signing.sign

    def noted(*args: Any, **more: Any) -> bytes:
        threads.add(threading.get_ident())
        return sign(*args, **more)

    monkeypatch.setattr(signing, "sign", noted)
    await house.painted("a fox --count 2")

    assert threads and threading.get_ident() not in threads


# ---- asking about a picture


def as_jpeg(picture: Image.Image, quality: int = 80) -> bytes:
    out = io.BytesIO()
    picture.convert("RGB").save(out, "JPEG", quality=quality)
    return out.getvalue()


async def test_whoever_has_a_picture_is_told_whether_it_was_made_here(house: House) -> None:
    job = await house.painted("a fox --count 1 --size 512x512")
    blob = job.pictures[0].blob
    day = f"Made on {job.created:%Y-%m-%d}"
    picture = await house.image(blob)
    w, h = picture.size
    cropped = picture.crop((w // 12, h // 12, w - w // 12, h - h // 12))

    whole = await house.easel.images.verify(await house.easel.images.get(blob))
    saved = await house.easel.images.verify(as_jpeg(picture))
    cut = await house.easel.images.verify(as_jpeg(cropped, 90))
    other = await house.easel.images.verify(a_photo())

    assert (whole.finding, whole.job, whole.facts) == ("unchanged", job.id, ("Model: memory", day))
    assert (saved.finding, saved.job, saved.facts) == ("changed", job.id, ("Model: memory", day))
    assert cut.sentence == "Made by this Easel, then changed: probably cropped." and cut.job == job.id
    assert (other.finding, other.facts) == ("unknown", ())


async def test_where_the_mark_is_gone_the_likeness_finds_the_original(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await house.painted("a fox --count 1 --size 512x512")
    copy = as_jpeg(await house.image(job.pictures[0].blob))
    monkeypatch.setattr(mark, "detect", lambda *_: None)

    found = await house.easel.images.verify(copy)

    assert (found.finding, found.job, found.model) == ("alike", job.id, "memory")


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n", bytes(30_000_000)])
async def test_what_is_no_picture_gets_one_sentence(house: House, data: bytes) -> None:
    with pytest.raises(Refusal, match=r"Only a PNG.* at most 20 MB and 16 million pixels can be checked"):
        await house.easel.images.verify(data)


async def test_a_picture_of_one_pixel_is_unknown(house: House) -> None:
    assert (await house.easel.images.verify(as_jpeg(Image.new("RGB", (1, 1))))).finding == "unknown"


async def test_the_command_line_tells_while_easel_runs(
    house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = await house.painted("a secret fox --count 1")
    (tmp_path / "a.png").write_bytes(await house.easel.images.get(job.pictures[0].blob))
    (tmp_path / "b.png").write_bytes(b"broken")
    files = [tmp_path / name for name in ("a.png", "b.png", "none.png")]

    capsys.readouterr()  # the studio's own log
    assert await cli.verify(house.settings, files[:1], as_json=True) == 0
    (said,) = json.loads(capsys.readouterr().out)
    assert (said["finding"], said["job"], said["model"]) == ("unchanged", job.id, "memory")
    assert await cli.verify(house.settings, files, as_json=False) == 1
    out, err = capsys.readouterr()
    assert "Made by this Easel, and unchanged since." in out and "secret" not in out
    assert len(err.splitlines()) == 2

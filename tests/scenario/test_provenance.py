"""Whatever is delivered says what it is, and nothing of what was asked unless somebody wants that."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bot.adapters import cli
from bot.errors import Refusal
from bot.provenance import mark, signing
from bot.provenance.fingerprint import fingerprint
from bot.provenance.signing import FileFacts
from tests.scenario.conftest import BEN, House


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
        foreign: bool = await stamper.__self__._is_foreign(job, a_photo())
        return foreign

    assert await is_foreign(child) is False
    assert await is_foreign(brought) is True


async def test_a_picture_leads_to_its_job_by_its_pixels(house: House) -> None:
    job = await house.painted("a fox --count 1 --size 512x512")
    bare = (await house.image(job.pictures[0].blob)).convert("RGB").resize((256, 256))

    found = mark.detect(bare, house.easel.images._keys.mark)

    assert found is not None and f"{found.number:012x}" == job.id


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
    with pytest.raises(
        Refusal, match=r"Only a still .* at most 20 MB and 16 million pixels can be looked at"
    ):
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

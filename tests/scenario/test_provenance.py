"""Whatever is delivered says what it is, and nothing of what was asked unless somebody wants that."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from bot.provenance import mark, signing
from bot.provenance.fingerprint import fingerprint
from bot.provenance.signing import Facts
from tests.scenario.conftest import BEN, House


async def facts_of(house: House, blob: str) -> Facts:
    claim = signing.read(await house.studio.picture(blob), "image/png", house.studio._keys)
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
        data = await house.studio.picture(each.blob)
        assert await facts_of(house, each.blob) == Facts(
            job=job.id, index=each.index, model="memory", seed=each.seed
        )
        assert b"secret" not in data and "prompt" not in (await house.image(each.blob)).info
        assert each.fingerprint == fingerprint(await house.image(each.blob))


async def test_the_prompt_goes_into_the_files_of_those_who_ask_for_it(house: House) -> None:
    said: Any = await house.studio.handle("settings", {"metadata": True}, house.origin())
    assert "Prompt in the files: yes" in said.body
    assert (await house.studio.defaults(house.origin())).values["metadata"] == "yes"

    mine, theirs = await house.painted("a fox --count 1"), await house.painted("a wolf --count 1", BEN)

    assert (await facts_of(house, mine.pictures[0].blob)).prompt == "a fox"
    assert (await house.image(mine.pictures[0].blob)).info["prompt"].startswith("a fox")
    assert (await facts_of(house, theirs.pictures[0].blob)).prompt == ""
    await house.studio.handle("settings", {"metadata": False}, house.origin())
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
    stamper: Any = house.studio._follower._stamp
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

    found = mark.detect(bare, house.studio._keys.mark)

    assert found is not None and f"{found.number:012x}" == job.id

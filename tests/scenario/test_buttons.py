from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from bot.adapters.base import Receipt
from bot.errors import Refusal
from bot.messages.types import Card, Form
from bot.models import Job, Member, Origin, State, StoredPicture
from bot.provenance.stamp import Stamped
from tests.examples import a_tier
from tests.scenario.conftest import ADA, BEN, BOSS, EVE, PATIENCE, House, Opens, button


async def pressed(house: House, card: Card, label: str) -> Job:
    """The job that a button made, painted."""
    answer = await house.press(button(card, label))
    assert isinstance(answer, Receipt)
    await house.surface.until(answer.job.id, "done", "upscaled")
    return await house.row(answer.job.id)


async def shown(house: House, text: str) -> tuple[Job, Card]:
    job = await house.painted(text)
    return job, house.surface.messages[job.id][-1]


def files(folder: Path) -> list[Path]:
    return [*folder.rglob("*.png")]


async def test_upscale_enlarges_that_picture(house: House) -> None:
    parent, card = await shown(house, "a fox --seed 7")
    child = await pressed(house, card, "U2")

    assert (child.parent, child.parent_index, child.action) == (parent.id, 1, "upscale")
    assert (await house.image(child.pictures[0].blob)).size == (256, 256)
    card = house.surface.messages[child.id][-1]
    assert card.kind == "upscaled"
    assert card.facts == ("image 2, 4× (256 × 256)", "from an earlier image")
    assert card.parent == parent.id


@pytest.mark.parametrize(("label", "strength"), [("V3 subtle", 0.4), ("V3 strong", 0.75)])
async def test_a_variation_starts_from_that_picture(house: House, label: str, strength: float) -> None:
    parent, card = await shown(house, "a fox --seed 7")
    child = await pressed(house, card, label)

    third = next(picture for picture in parent.pictures if picture.index == 2)
    assert child.request.source == third.blob
    assert child.request.task.strength == strength
    assert child.request.count == 4
    assert child.request.seed != parent.request.seed


async def test_variations_of_an_enlarged_picture_have_the_first_size(house: House) -> None:
    parent, card = await shown(house, "a fox")
    enlarged = await pressed(house, card, "U1")
    child = await pressed(house, house.surface.messages[enlarged.id][-1], "Vary (strong)")

    assert (child.request.width, child.request.height, child.request.kind) == (64, 64, "image_to_image")
    assert child.request.source == next(each.blob for each in parent.pictures if each.index == 0)


async def test_again_paints_the_same_words_with_another_seed(house: House) -> None:
    parent, card = await shown(house, "a fox --seed 7 --style photo --count 2")
    child = await pressed(house, card, "Again")

    assert child.request.prompt == parent.request.prompt
    assert (child.prompt, child.style, child.parent) == ("a fox", "photo", parent.id)
    assert child.request.seed != 7


async def test_edit_and_paint_again(house: House) -> None:
    parent, card = await shown(house, "a fox --seed 7 --style photo --count 2 --no trees --steps 3")
    form = await house.press(button(card, "Edit"))

    assert isinstance(form, Form)
    assert form.values == {
        "prompt": "a fox",
        "negative": "trees",
        "count": "2",
        "seed": "7",
        "steps": "3",
        "style": "photo",
    }
    values = {**form.values, "prompt": "a wolf"}
    answer = await house.easel.router.handle("imagine", values, house.origin(), parent=form.parent)
    assert isinstance(answer, Receipt)
    await house.surface.until(answer.job.id, "done")
    child = await house.row(answer.job.id)

    assert (child.parent, child.action, child.prompt) == (parent.id, "edit", "a wolf")
    assert child.request.prompt == parent.request.prompt.replace("fox", "wolf")
    assert child.request.negative_prompt == parent.request.negative_prompt
    assert child.request.seed == 7


async def test_a_form_that_nobody_changes_paints_the_same(house: House) -> None:
    first = await house.painted("a fox --seed 7 --size 128x64 --count 1")
    second = await house.painted(f"a wolf --source {first.id}:1 --strength 0.3 --private --count 2")
    form = await house.press(button(house.surface.messages[second.id][-1], "Edit"))
    answer = await house.easel.router.handle("imagine", form.values, house.origin(), parent=form.parent)

    assert isinstance(answer, Receipt)
    assert answer.job.request == second.request
    assert answer.job.origin.private
    await house.surface.until(answer.job.id, "done")


async def test_info_tells_seed_cost_and_lineage(house: House) -> None:
    parent, card = await shown(house, "a fox --seed 7")
    child = await pressed(house, card, "V2 subtle")
    info = await house.press(button(house.surface.messages[child.id][-1], "Info"))

    assert isinstance(info, Card) and info.kind == "text"
    text = "\n".join(info.body)
    assert f"Origin: subtle variations of image 2 of {parent.id} “a fox”" in text
    assert f"Seeds: {child.request.seed} to " in text
    assert "Model: memory" in text and "Steps: 4" in text and "of GPU time" in text


async def test_a_large_grid_offers_each_picture_by_number(opened: Opens) -> None:
    async with opened(tiers=[a_tier()]) as house:
        job, card = await shown(house, "a fox --count 16")
        assert [len(row) for row in card.rows] == [5, 5, 5, 1, 2]

        one = await house.press(button(card, "16"))
        assert isinstance(one, Card)
        assert [picture.blob for picture in one.pictures] == [job.pictures[-1].blob]
        assert (await pressed(house, one, "Upscale")).parent_index == 15


async def test_commands_do_what_buttons_do(house: House) -> None:
    job = await house.painted("a fox")
    for command, options, action in [
        ("upscale", {"job": job.id, "picture": 2}, "upscale"),
        ("vary", {"job": job.id, "picture": "3"}, "vary_subtle"),
        ("vary", {"job": job.id, "picture": 3, "strength": "strong"}, "vary_strong"),
    ]:
        answer = await house.easel.router.handle(command, options, house.origin())
        assert isinstance(answer, Receipt)
        assert (answer.job.action, answer.job.parent) == (action, job.id)
        await house.surface.until(answer.job.id, "done", "upscaled")

    with pytest.raises(Refusal, match="There is no image 9; that job has 4"):
        await house.easel.router.handle("upscale", {"job": job.id, "picture": 9}, house.origin())


async def test_cancel_while_it_waits(opened: Opens) -> None:
    async with opened(step_seconds=0.05) as house:
        first = await house.ask("first")
        job = await house.ask("second")
        card = await house.surface.until(job.id, "waiting")
        answer = await house.press(button(card, "Cancel"))

        assert isinstance(answer, Card) and answer.kind == "cancelled"
        await house.surface.until(job.id, "cancelled")
        assert house.surface.kinds(job.id) == ["waiting", "cancelled"]
        assert (await house.row(job.id)).device_seconds == 0
        await house.surface.until(first.id, "done")


async def test_cancel_while_it_paints_charges_nothing(opened: Opens) -> None:
    async with opened(step_seconds=0.1) as house:
        job = await house.ask("a fox")
        card = await house.surface.until(job.id, "painting")
        await house.press(button(card, "Cancel"))
        card = await house.surface.until(job.id, "cancelled")

        assert card.facts == ("cancelled, nothing charged",)
        quota = await house.easel.router.handle("quota", {}, house.origin())
        assert isinstance(quota, Card) and quota.bar and quota.bar.done == 0
        # The engine is free for the next, and a second cancel is refused.
        with pytest.raises(Refusal, match="ended already"):
            await house.press(f"v1:cancel:{job.id}")
        await pressed(house, card, "Again")


async def test_the_command_cancels_the_newest_of_mine(opened: Opens) -> None:
    async with opened(step_seconds=0.05) as house:
        older, newer = await house.ask("older"), await house.ask("newer")
        await house.ask("another's", BEN)
        await house.easel.router.handle("cancel", {}, house.origin())

        assert (await house.row(newer.id)).state is State.CANCELLED
        await house.surface.until(older.id, "done")
        with pytest.raises(Refusal, match="no unfinished job"):
            await house.easel.router.handle("cancel", {}, house.origin())


async def test_delete_removes_pictures_message_and_words(house: House) -> None:
    job, card = await shown(house, "a fox")
    answer = await house.press(button(card, "Delete"))

    assert isinstance(answer, Card) and answer.kind == "deleted"
    last = await house.surface.until(job.id, "deleted")
    assert "fox" not in repr(last)
    assert house.surface.posts == 1
    await house.easel.images.sweep(older_than=0)
    for picture in job.pictures:
        with pytest.raises(KeyError):
            await house.easel.images.get(picture.blob)
    assert await house.easel.visibility.jobs(ADA) == []
    for label in ("Again", "U1", "Info", "Delete"):
        with pytest.raises(Refusal, match="were deleted"):
            await house.press(button(card, label))


async def test_delete_keeps_what_another_job_needs(house: House) -> None:
    parent, card = await shown(house, "a fox")
    child = await pressed(house, card, "V1 subtle")
    await house.press(f"v1:delete:{parent.id}")
    await house.easel.images.sweep(older_than=0)

    assert child.request.source is not None
    assert await house.easel.images.get(child.request.source)
    info = await house.press(f"v1:info:{child.id}")
    assert isinstance(info, Card)
    assert not any(line.startswith("Origin") for line in info.body)


async def test_delete_keeps_an_equal_picture_that_is_being_painted(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def bare(job: Job, png: bytes, index: int, seed: int) -> Stamped:
        return Stamped(png, "")  # with a mark, no two are equal

    monkeypatch.setattr(house.easel.lifecycle._tracker, "_stamp", bare)
    same = "a fox --seed 7 --count 1"
    mine = await house.painted(same)
    add_picture, painted, go_on = house.store.add_picture, asyncio.Event(), asyncio.Event()

    async def slow(id: str, picture: StoredPicture) -> bool:
        painted.set()
        await go_on.wait()
        return await add_picture(id, picture)

    monkeypatch.setattr(house.store, "add_picture", slow)
    theirs = await house.ask(same, BEN)
    await painted.wait()  # the file is there, the row is not
    await house.press(f"v1:delete:{mine.id}")
    await house.easel.images.sweep()
    go_on.set()
    await house.surface.until(theirs.id, "done")

    (picture,) = (await house.row(theirs.id)).pictures
    assert picture.blob == mine.pictures[0].blob
    assert await house.easel.images.get(picture.blob)


async def test_pictures_of_a_cancelled_job_do_not_stay(
    opened: Opens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened() as house:

        async def never(*args: object, **options: object) -> None:
            finished.set()
            await asyncio.Event().wait()

        finished, end = asyncio.Event(), house.store.end
        monkeypatch.setattr(house.store, "end", never)
        job = await house.ask("a fox")
        await finished.wait()
        monkeypatch.setattr(house.store, "end", end)
        await house.press(f"v1:cancel:{job.id}")
        assert len(files(tmp_path)) == 5
        await house.easel.images.sweep(older_than=0)

        assert files(tmp_path) == []


async def test_a_start_sweeps_what_a_killed_process_left(opened: Opens, tmp_path: Path) -> None:
    async with opened() as house:
        left, kept = await house.painted("a fox --count 1"), await house.painted("a wolf --count 1")
        await house.store.delete(left.id)
    for file in files(tmp_path):
        os.utime(file, (0, 0))

    async with opened() as house:
        async with asyncio.timeout(PATIENCE):
            while len(files(tmp_path)) > 1:  # noqa: ASYNC110 only the folder knows
                await asyncio.sleep(0.01)
        assert await house.easel.images.get(kept.pictures[0].blob)


async def test_delete_of_a_running_job_ends_it(opened: Opens) -> None:
    async with opened(step_seconds=0.1) as house:
        job = await house.ask("a fox")
        await house.surface.until(job.id, "painting")
        await house.press(f"v1:delete:{job.id}")
        await house.surface.until(job.id, "deleted")

        assert (await house.row(job.id)).pictures == ()
        await house.painted("the engine is free")
        assert house.surface.kinds(job.id)[-1] == "deleted"


# ---- whose buttons


async def test_anyone_in_the_place_may_derive_on_their_own_account(house: House) -> None:
    _, card = await shown(house, "a fox")
    answer = await house.press(button(card, "Again"), BEN)

    assert isinstance(answer, Receipt)
    assert answer.job.origin.member == BEN
    await house.surface.until(answer.job.id, "done")


@pytest.mark.parametrize("action", ["cancel", "delete"])
async def test_only_the_owner_or_an_administrator_ends_it(opened: Opens, action: str) -> None:
    async with opened(step_seconds=0.05) as house:
        job = await house.ask("a fox")
        with pytest.raises(Refusal, match="Only Ada or an administrator can do that"):
            await house.press(f"v1:{action}:{job.id}", BEN)
        answer = await house.press(f"v1:{action}:{job.id}", BOSS)

        assert isinstance(answer, Card)
        assert (await house.row(job.id)).state.value in ("cancelled", "deleted")


async def test_another_place_knows_nothing_of_it(house: House) -> None:
    job, card = await shown(house, "a fox")
    for each in (each for row in card.rows for each in row):
        with pytest.raises(Refusal, match="There is no job"):
            await house.press(each.id, EVE)
    with pytest.raises(Refusal, match="There is no job"):
        await house.easel.router.handle("imagine", {"prompt": f"x --source {job.id}"}, house.origin(EVE))
    assert await house.easel.visibility.jobs(EVE) == []


async def test_private_jobs_are_seen_by_their_owner_alone(house: House) -> None:
    job, card = await shown(house, "a secret fox --private")

    assert card.private
    assert [each.id for each in await house.easel.visibility.jobs(ADA)] == [job.id]
    assert await house.easel.visibility.jobs(BEN) == []
    assert await house.easel.visibility.jobs(BOSS) == []
    with pytest.raises(Refusal, match="There is no job"):
        await house.press(button(card, "Again"), BEN)
    assert (await pressed(house, card, "Again")).origin.private


async def in_the_den(house: House, text: str, member: Member = ADA) -> Job:
    """A finished job that was asked for in a closed channel."""
    origin = house.origin(member, channel="den")
    answer = await house.easel.router.handle("imagine", {"prompt": text}, origin)
    assert isinstance(answer, Receipt)
    await house.surface.until(answer.job.id, "done")
    return await house.row(answer.job.id)


async def share(house: House, job: Job, there: Origin) -> None:
    """As an adapter does it."""
    shown = await house.easel.router.press(f"v1:share:{job.id}", there)
    assert isinstance(shown, Card) and not shown.private
    await house.easel.messages.shared(job, {"message": job.id}, there)


async def test_download_hands_over_the_pictures_as_they_are(house: House) -> None:
    job = await house.painted("a fox in snow --seed 7 --count 2")
    answer = await house.press(f"v1:download:{job.id}", BEN)

    single = [each for each in job.pictures if each.index >= 0]
    assert answer.private and dict(answer.files) == {
        f"fox-in-snow_7_{each.index + 1}.png": await house.easel.images.get(each.blob) for each in single
    }
    await house.press(f"v1:delete:{job.id}")
    with pytest.raises(Refusal, match="were deleted"):
        await house.press(f"v1:download:{job.id}")


async def listed(house: House, member: Member, channel: str = "lobby") -> str:
    answer = await house.easel.router.handle(
        "history", {"everyone": True}, house.origin(member, channel=channel)
    )
    return repr(answer)


async def test_what_is_asked_in_a_closed_channel_stays_there(house: House) -> None:
    job = await in_the_den(house, "a secret fox --count 1")

    for member in (BEN, BOSS):
        assert "secret" not in await listed(house, member)
        assert "secret" in await listed(house, member, "den")
        assert await house.easel.visibility.jobs(member) == []
        for press in ("again", "info", "download", "edit", "show", "share", "report", "cancel", "delete"):
            with pytest.raises(Refusal, match="There is no job"):
                await house.press(f"v1:{press}:{job.id}", member)
        for command, options in (
            ("show", {"job": job.id}),
            ("upscale", {"job": job.id}),
            ("cancel", {"job": job.id}),
            ("imagine", {"prompt": f"x --source {job.id}"}),
        ):
            with pytest.raises(Refusal, match="There is no job"):
                await house.easel.router.handle(command, options, house.origin(member))
    there = await house.easel.router.press(f"v1:show:{job.id}", house.origin(BEN, channel="den"))
    assert isinstance(there, Card) and "secret" in there.title


async def test_the_owner_finds_what_they_asked_in_a_closed_channel_everywhere(house: House) -> None:
    job = await in_the_den(house, "a secret fox --count 1")

    assert "secret" in await listed(house, ADA)
    child = await house.press(f"v1:again:{job.id}")
    assert child.job.origin.private  # or the lobby would see what the den alone may
    origin = house.origin(channel="den")
    child = await house.easel.router.press(f"v1:again:{job.id}", origin)
    assert (child.job.origin.private, child.job.origin.seen_in) == (False, ("den",))
    answer = await house.easel.router.handle(
        "imagine", {"prompt": f"a wolf --source {job.id}"}, house.origin()
    )
    assert isinstance(answer, Receipt) and answer.job.origin.private
    assert await house.easel.planner.is_private({"prompt": "a wolf", "source": job.id}, ADA)
    assert not await house.easel.planner.is_private({"prompt": "a wolf", "source": job.id}, ADA, ("den",))


async def test_an_ancestor_in_a_closed_channel_is_not_named_elsewhere(house: House) -> None:
    parent = await in_the_den(house, "a secret fox --count 1")
    shared = await house.press(f"v1:again:{parent.id}")
    await house.surface.until(shared.job.id, "done")
    await share(house, shared.job, house.origin())

    for member, channel, named in ((BEN, "lobby", False), (BEN, "den", True), (ADA, "lobby", True)):
        origin = house.origin(member, channel=channel)
        info = await house.easel.router.press(f"v1:info:{shared.job.id}", origin)
        assert isinstance(info, Card) and (parent.id in repr(info.body)) is named


async def test_a_private_picture_that_is_shared_in_a_closed_channel_stays_there(house: House) -> None:
    job, _ = await shown(house, "a secret fox --private --count 1")

    await share(house, job, house.origin(channel="den"))

    assert "secret" in await listed(house, BEN, "den")
    assert "secret" not in await listed(house, BEN)


async def test_a_guest_reaches_what_was_asked_where_they_are_and_nothing_else(house: House) -> None:
    guest = replace(BEN, guest=True)
    elsewhere = await house.painted("a fox --count 1")
    origin = house.origin(guest, channel="den")

    assert "fox" not in repr(await house.easel.router.handle("history", {"everyone": True}, origin))
    with pytest.raises(Refusal, match="There is no job"):
        await house.easel.router.press(f"v1:again:{elsewhere.id}", origin)
    assert "fox" in await listed(house, guest)
    child = await house.press(f"v1:again:{elsewhere.id}", guest)
    assert child.job.parent == elsewhere.id


async def test_what_could_not_be_shown_elsewhere_stays_private(house: House) -> None:
    job, _ = await shown(house, "a secret fox --private --count 1")

    await house.easel.router.press(f"v1:share:{job.id}", house.origin())

    assert "secret" not in await listed(house, BEN)


async def test_nothing_is_shared_where_easel_is_not_let_in(house: House) -> None:
    job, _ = await shown(house, "a secret fox --private --count 1")
    closing = {"channel": "den", "rule": "refuse"}
    await house.easel.router.handle("admin set channel", closing, house.origin(BOSS))

    with pytest.raises(Refusal) as refused:
        await house.easel.router.press(f"v1:share:{job.id}", house.origin(channel="den"))

    assert refused.value.code == "channel"


async def test_what_is_shared_where_a_guest_is_they_may_press(house: House) -> None:
    guest = replace(BEN, guest=True)
    job, _ = await shown(house, "a fox --private --count 1")
    await share(house, job, house.origin(channel="den"))

    child = await house.easel.router.press(f"v1:again:{job.id}", house.origin(guest, channel="den"))

    assert isinstance(child, Receipt) and not child.job.origin.private


async def test_the_line_hides_what_waits_in_closed_channels(opened: Opens) -> None:
    async with opened(step_seconds=0.05) as house:
        origin = house.origin(channel="den")
        await house.easel.router.handle("imagine", {"prompt": "a secret fox"}, origin)

        assert "secret" not in repr(await house.easel.router.handle("queue", {}, house.origin(BEN)))
        there = await house.easel.router.handle("queue", {}, house.origin(BEN, channel="den"))
        assert isinstance(there, Card)


@pytest.mark.parametrize("which", ["", ":1", ":source"])
async def test_a_child_of_a_private_picture_is_private(house: House, which: str) -> None:
    first = await house.painted("a fox --count 1")
    secret = await house.painted(f"a secret fox --private --count 1 --source {first.id}")
    child = await house.painted(f"a wolf --count 1 --source {secret.id}{which}")
    open_child = await house.painted(f"a wolf --count 1 --source {first.id}")

    assert child.origin.private
    assert [each.id for each in await house.easel.visibility.jobs(BEN)] == [open_child.id, first.id]


async def test_the_line_hides_what_is_private(opened: Opens) -> None:
    async with opened(step_seconds=0.05) as house:
        await house.ask("open", BEN)
        await house.ask("hidden", EVE)
        card = await house.easel.router.handle("queue", {}, house.origin(ADA))

        assert isinstance(card, Card)
        assert any("Ben: 1 job" in line for line in card.body)
        assert any("someone elsewhere" in line for line in card.body)
        assert "Eve" not in repr(card)


GARBAGE = (
    "",
    "v1",
    "v1:fly:1a2b3c4d5e6f",
    "v1:upscale:abc",  # of which picture?
    "v1:again:abc:1",
    "v9:again:abc",
    "v1:again:" + "a" * 99,
)


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_a_button_that_is_none(house: House, garbage: str) -> None:
    with pytest.raises(Refusal, match="Easel does not know this"):
        await house.press(garbage)


# ---- questions


async def test_history_finds_by_words_style_and_person(house: House) -> None:
    fox = await house.painted("a fox as pixel art")
    await house.painted("a wolf")
    await house.painted("a fox of Ben's", BEN)

    async def titles(**options: object) -> str:
        card = await house.easel.router.handle("history", options, house.origin())
        assert isinstance(card, Card)
        return "\n".join(card.body)

    assert (await titles()).count("\n") == 1
    assert fox.id in await titles(search="FOX")
    assert "Ben's" in await titles(search="fox", everyone=True)
    assert "wolf" not in await titles(style="Pixel Art")
    card = await house.easel.router.handle("history", {"search": "fox"}, house.origin())
    assert isinstance(card, Card)
    again = await house.press(button(card, "1"))
    assert isinstance(again, Card) and again.job == fox.id and again.kind == "done"


async def test_what_is_asked_is_answered(house: House) -> None:
    job = await house.painted("a fox")
    for command, options, said in [
        ("show", {"job": job.id}, "a fox"),
        ("queue", {}, "The queue is empty"),
        ("quota", {}, "of 3600 GPU seconds used"),
        ("styles", {}, "oil-painting"),
        ("settings", {}, "Style: none"),
        ("help", {}, "/imagine"),
        ("help", {"command": "/imagine"}, "--no, --negative"),
    ]:
        card = await house.easel.router.handle(command, options, house.origin())
        assert isinstance(card, Card)
        assert said in repr(card), command

    for command, options, said in [
        ("fly", {}, "There is no command /fly"),
        ("histry", {}, "Did you mean /history"),
        ("show", {}, "needs a job"),
        ("show", {"jab": "x"}, "Did you mean job"),
        ("settings", {"model": "nothing"}, "There is memory"),
        ("settings", {"count": 9}, "4 images at once"),
        ("settings", {"style": "oyle"}, "There is no style"),
        ("help", {"command": "imagin"}, "Did you mean /imagine"),
    ]:
        with pytest.raises(Refusal) as caught:
            await house.easel.router.handle(command, options, house.origin())
        assert said in caught.value.notice, command


async def test_choices_while_someone_types(house: House) -> None:
    job = await house.painted("a fox")

    assert ("oil-painting", "Oil painting") in await house.easel.vocabulary.complete("styles", "OIL", ADA)
    assert await house.easel.vocabulary.complete("jobs", "fox", ADA) == [(job.id, "a fox")]
    assert await house.easel.vocabulary.complete("jobs", "fox", EVE) == []
    assert await house.easel.vocabulary.complete("models", "", ADA) == [("memory", "Shapes in memory")]

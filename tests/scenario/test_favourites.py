"""Favourites: marked by a button or a reaction, listed for one person, and never a way to see anything."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.errors import Refusal
from bot.messages.types import Card
from bot.models import Member, State
from tests.scenario.conftest import ADA, BEN, House, Opens, button

CAL = replace(BEN, id="test:cal", name="Cal", guest=True)
STRANGER = replace(BEN, tenant="test:elsewhere")


async def listed(house: House, member: Member = BEN, channel: str = "lobby", **options: Any) -> str:
    """Everything that /favourites says and offers."""
    card = await house.easel.router.handle("favourites", options, house.origin(member, channel=channel))
    assert isinstance(card, Card) and card.private
    return repr(card)


async def marked(house: House, job: str, member: Member = BEN) -> str:
    card = await house.press(f"v1:favourite:{job}", member)
    assert card.private
    return str(card.body[0])


async def test_a_press_adds_a_second_one_removes_and_only_that_person_is_told(house: House) -> None:
    fox, owl = [await house.painted(f"{what} --count 1") for what in ("a fox", "an owl")]
    assert "⭐ in the ⋯ menu" in await listed(house)

    assert "now" in await marked(house, fox.id) and "now" in await marked(house, owl.id)

    found = await listed(house)
    assert "a fox" in found and f"v1:show:{owl.id}" in found and found.index("an owl") < found.index("a fox")
    assert "There are none" in await listed(house, ADA)
    assert "no longer" in await marked(house, fox.id)
    assert "a fox" not in await listed(house) and "an owl" in await listed(house)


async def test_the_card_of_a_result_has_the_button_behind_the_dots_for_everybody(house: House) -> None:
    job = await house.painted("a fox")
    more = await house.press(f"v1:more:{job.id}", BEN)
    assert button(more, "Favourite") == f"v1:favourite:{job.id}"


async def test_many_are_found_by_their_words_and_in_pages(house: House) -> None:
    for number in range(12):
        await marked(house, (await house.painted(f"fox number {number} --count 1")).id)
    first, second = await listed(house), await listed(house, page=2)
    assert "fox number 11" in first and "fox number 1 " not in first and "page: 2" in first
    assert "fox number 1 " in second and "fox number 11" not in second and "page: 3" not in second
    assert "There are no more." in await listed(house, page=3)
    assert "fox number 3" in await listed(house, search="3") and "Nothing" in await listed(
        house, search="cat"
    )


# ---- what it does not show


async def test_what_a_person_may_not_see_any_more_is_not_shown(house: House) -> None:
    job = await house.delivered((await house.painted("a fox --count 1")).id)
    for who in (ADA, BEN):
        await marked(house, job.id, who)
    await house.easel.departures.deleted_jobs([job.id], ADA.tenant)
    assert "a fox" not in await listed(house)
    assert "a fox" in await listed(house, ADA), "its owner still sees it"


async def test_a_place_that_was_closed_keeps_its_pictures(house: House) -> None:
    job = await house.painted("a fox --count 1")
    await marked(house, job.id)
    await house.easel.visibility.close_place(ADA.tenant, "lobby")
    assert "a fox" not in await listed(house, channel="den")
    assert "a fox" in await listed(house, channel="lobby")


async def test_what_was_never_to_be_seen_cannot_be_marked(house: House) -> None:
    private = await house.painted("a fox --count 1 --private")
    open_one = await house.painted("an owl --count 1")
    for job, who in ((private, BEN), (open_one, STRANGER)):
        with pytest.raises(Refusal, match="There is no job"):
            await marked(house, job.id, who)
        assert await house.store.favour(job.id, who.id), "however the row came there"
        assert job.prompt not in await listed(house, who)


async def test_a_guest_finds_only_what_was_asked_where_they_are(house: House) -> None:
    job = await house.painted("a fox --count 1")
    await marked(house, job.id, CAL)
    assert "a fox" in await listed(house, CAL) and "a fox" not in await listed(house, CAL, channel="den")


async def test_a_blocked_person_can_mark_and_list_nothing(house: House) -> None:
    job = await house.painted("a fox --count 1")
    boss = replace(ADA, id="test:boss", admin=True)
    await house.easel.router.handle("admin person block", {"person": BEN.id}, house.origin(boss))
    for work in (marked(house, job.id), listed(house)):
        with pytest.raises(Refusal, match="You cannot use Easel here"):
            await work


async def test_what_is_not_finished_is_none(house: House) -> None:
    job = await house.painted("a fox --count 1")
    await house.store._change(job.id, (State.RENDERED,), state=State.CANCELLED.value)
    with pytest.raises(Refusal, match="Only finished images"):
        await marked(house, job.id)


# ---- deletion, retention, a person's own data


async def test_a_deleted_picture_leaves_no_mark(house: House) -> None:
    job = await house.painted("a fox --count 1")
    await marked(house, job.id)
    await house.press(f"v1:delete:{job.id}", ADA)
    assert await house.store.favourites_of([BEN.id]) == []
    assert "a fox" not in await listed(house)


async def test_retention_takes_the_marks_with_the_pictures(house: House) -> None:
    old, new = [await house.painted(f"{what} --count 1") for what in ("a fox", "an owl")]
    for job in (old, new):
        await marked(house, job.id)
    finished = (await house.row(old.id)).finished
    assert finished
    await house.store.expire(finished + timedelta(microseconds=1))
    assert [job for job, _ in await house.store.favourites_of([BEN.id])] == [new.id]


async def test_a_copy_of_one_s_data_lists_them_and_deletion_takes_them(house: House) -> None:
    job = await house.painted("a fox --count 1")
    await marked(house, job.id)
    card = await house.easel.router.handle("privacy export", {}, house.origin(BEN))
    assert isinstance(card, Card)
    with zipfile.ZipFile(io.BytesIO(card.files[0][1])) as archive:
        about = json.loads(archive.read("about.json"))
    assert [each["job"] for each in about["favourites"]] == [job.id]

    asked = await house.easel.router.handle("privacy delete", {}, house.origin(BEN))
    assert isinstance(asked, Card)
    await house.press(button(asked, "Delete everything"), BEN)
    assert await house.store.favourites_of([BEN.id]) == []


async def test_names_that_were_linked_share_their_favourites(opened: Opens) -> None:
    async with opened() as house:
        job = await house.painted("a fox --count 1")
        await marked(house, job.id)
        other = replace(BEN, id="test:ben2")
        await house.store.favour(job.id, other.id)
        code = await house.easel.router.handle("link", {}, house.origin(BEN))
        assert isinstance(code, Card)
        await house.easel.router.handle("link", {"code": code.body[0]}, house.origin(other))

        assert "a fox" in await listed(house, other)
        assert "no longer" in await marked(house, job.id, other)
        assert "a fox" not in await listed(house) and "a fox" not in await listed(house, other)

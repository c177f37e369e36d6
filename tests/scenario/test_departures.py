"""What platforms and moderators take away: who sees what afterwards, and what it cost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from bot.adapters.base import MessageRef, Receipt
from bot.errors import Refusal, StoreError
from bot.i18n import _
from bot.messages.types import Card
from bot.models import EVERYWHERE, Job, Member, Origin, State
from tests.databases import unfinished
from tests.scenario.conftest import ADA, BEN, BOSS, EVE, House, Opens, RecordingAdapter

MOD = replace(BEN, id="test:mod", name="Mod", moderates=(EVERYWHERE,))
HELPER = replace(BEN, id="test:helper", name="Helper", roles=("helpers",))


class Channels(RecordingAdapter):
    """A surface whose messages stand in channels."""

    async def post(self, job: Job, card: Card) -> MessageRef:
        await super().post(job, card)
        return {"channel": job.origin.channel, "message": f"m-{job.id}"}

    async def edit(self, job: Job, ref: MessageRef, card: Card) -> MessageRef:
        await super().edit(job, {"message": job.id}, card)
        return ref


@pytest.fixture
async def house(opened: Opens) -> AsyncIterator[House]:
    async with opened(surface=Channels()) as house:
        yield house


async def shown(house: House, text: str = "a red fox --count 1", member: Member = ADA) -> Job:
    """A job whose end stands in a message."""
    return await house.delivered((await house.painted(text, member)).id)


async def refused(house: House, name: str, member: Member = BEN, **options: object) -> str:
    with pytest.raises(Refusal) as caught:
        await house.easel.router.handle(name, options, house.origin(member))
    return caught.value.code


def name_of(job: Job) -> str:
    return f"{job.origin.channel}:m-{job.id}"


# ---- deleted messages


@pytest.mark.parametrize("way", ["one", "bulk", "channel", "place", "named"])
async def test_what_was_deleted_is_its_owner_s_alone(house: House, way: str) -> None:
    job, other = await shown(house), await shown(house, "a blue bird --count 1")
    departures = house.easel.departures
    match way:
        case "one":
            await departures.deleted("test", messages=[name_of(job)])
        case "bulk":
            await departures.deleted("test", messages=["lobby:m-1", name_of(job), "lobby:m-2"])
        case "channel":
            await departures.deleted("test", tenant=ADA.tenant, channel="lobby")
        case "place":
            await departures.deleted("test", tenant=ADA.tenant)
        case "named":
            await departures.deleted_jobs([job.id], ADA.tenant)

    for member in (BEN, BOSS, MOD):
        found = await house.easel.visibility.jobs(member, here=("lobby",))
        assert job.id not in [each.id for each in found]
        for button in ("show", "info", "edit", "again", "upscale:0", "vary_subtle:0", "share", "delete"):
            verb, _, index = button.partition(":")
            with pytest.raises(Refusal) as caught:
                await house.press(f"v1:{verb}:{job.id}" + (f":{index}" if index else ""), member)
            assert caught.value.code == "unknown"
        for name in ("show", "upscale", "vary"):
            assert await refused(house, name, member, job=job.id) == "unknown"
        assert await refused(house, "imagine", member, prompt="x", source=f"{job.id}:1") == "unknown"
    card = await house.easel.router.handle("history", {"everyone": True}, house.origin(BEN))
    assert isinstance(card, Card) and "red fox" not in str(card.body)
    if way in ("one", "bulk", "named"):
        assert "blue bird" in str(card.body) and (await house.row(other.id)).is_open()

    mine = await house.easel.router.handle("history", {}, house.origin(ADA))
    assert isinstance(mine, Card) and "red fox" in str(mine.body)
    assert (await house.press(f"v1:show:{job.id}", ADA)).pictures


async def test_what_its_owner_makes_of_it_is_private_and_it_is_not_shared_again(house: House) -> None:
    job = await shown(house)
    await house.easel.departures.deleted("test", messages=[name_of(job)])

    again = await house.press(f"v1:again:{job.id}", ADA)
    asked = house.origin(ADA)
    reused = await house.easel.router.handle("imagine", {"prompt": "x", "source": f"{job.id}:1"}, asked)
    with pytest.raises(Refusal) as caught:
        await house.press(f"v1:share:{job.id}", ADA)

    assert isinstance(reused, Receipt)
    assert again.job.origin.private and reused.job.origin.private
    assert caught.value.code == "hidden"


async def test_another_surface_s_or_place_s_messages_are_left(house: House) -> None:
    job = await shown(house)

    await house.easel.departures.deleted("other", messages=[name_of(job)])
    await house.easel.departures.deleted("test", tenant=EVE.tenant, channel="lobby")
    await house.easel.departures.deleted("test", tenant=EVE.tenant)
    await house.easel.departures.deleted_jobs([job.id], EVE.tenant)
    await house.easel.departures.deleted("test", messages=["lobby:m-", "lobby", f"lobby:m-{job.id}x"])
    await house.easel.departures.deleted("test", tenant=ADA.tenant, channel="lob")

    assert not (await house.row(job.id)).hidden
    assert (await house.press(f"v1:show:{job.id}", BEN)).pictures


async def test_a_job_that_still_paints_is_hidden_and_goes_on(opened: Opens) -> None:
    async with opened(surface=Channels(), step_seconds=0.05) as house:
        job = await house.ask("a fox --count 1")
        await house.surface.until(job.id, "painting")
        await house.easel.departures.deleted("test", messages=[name_of(job)])

        line = await house.easel.router.handle("queue", {}, house.origin(BEN))
        ended = await house.ended(job.id)

        assert isinstance(line, Card) and "Ada" not in str(line.body)
        assert ended.state is State.RENDERED and ended.hidden


async def test_it_stays_hidden_over_a_restart_and_until_it_is_deleted(opened: Opens) -> None:
    async with opened(surface=Channels()) as house:
        job = await shown(house)
        await house.easel.departures.deleted("test", messages=[name_of(job)])
    async with opened(surface=Channels()) as house:
        assert await refused(house, "show", job=job.id) == "unknown"
        await house.press(f"v1:delete:{job.id}", ADA)
        assert (await house.row(job.id)).state is State.DELETED


async def test_what_cannot_be_saved_is_tried_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    job, hide, troubles = await shown(house), house.store.hide, [StoreError("full")] * 2

    async def unsteady(*args: Any, **more: Any) -> list[str]:
        if troubles:
            raise troubles.pop()
        return await hide(*args, **more)

    monkeypatch.setattr(house.store, "hide", unsteady)
    monkeypatch.setattr("bot.jobs.departures.LONGEST_DELAY", 0.0)
    monkeypatch.setattr("bot.jobs.departures.SHORTEST_DELAY", 0.0)

    await house.easel.departures.deleted("test", messages=[name_of(job)])

    assert (await house.row(job.id)).hidden


# ---- places that Easel was removed from


async def held(house: House, account: str = ADA.id) -> float:
    """Device-seconds that are held or used."""
    lines = [line async for line in house.store.lines(account=account)]
    return round(sum({"hold": 1, "release": -1}.get(line.kind, 0) * line.seconds for line in lines), 6)


async def test_what_waits_and_runs_in_a_place_that_was_left_is_cancelled(opened: Opens) -> None:
    async with opened(surface=Channels(), step_seconds=0.2) as house:
        jobs = [await house.ask(f"fox {number} --count 1") for number in range(4)]
        elsewhere = await house.ask("a bear --count 1", EVE)
        await house.surface.until(jobs[0].id, "painting")

        count = await house.easel.departures.left(
            "test", _("Easel was removed from this server."), tenant=ADA.tenant
        )

        assert count == 4
        for job in jobs:
            row = await house.row(job.id)
            assert (row.state, row.reason, row.device_seconds) == (
                State.CANCELLED,
                "Easel was removed from this server.",
                0.0,
            )
        assert await held(house) == 0
        [line] = [each for each in await house.store.audit(ADA.tenant) if each.what == "removed"]
        assert line.after == "4 jobs cancelled: Easel was removed from this server." and line.by == "test"
        assert (await house.row(elsewhere.id)).state in (State.QUEUED, State.RUNNING)
        assert not house.easel.queries.living(job.id for job in jobs)
        assert all(set(lane.waiting) <= {elsewhere.id} for lane in house.easel.queries.lanes())


async def test_some_jobs_of_a_place_can_be_spared(opened: Opens) -> None:
    async with opened(surface=Channels(), step_seconds=0.2) as house:
        first, second = await house.ask("a fox --count 1"), await house.ask("a bear --count 1")

        await house.easel.departures.left(
            "test", _("The channel was deleted."), tenant=ADA.tenant, which=lambda job: job.id == first.id
        )

        assert (await house.row(first.id)).state is State.CANCELLED
        assert not (await house.row(second.id)).state.ended


async def test_leaving_twice_cancels_once(opened: Opens) -> None:
    async with opened(surface=Channels(), step_seconds=0.2) as house:
        await house.ask("a fox --count 1")

        counts = [await house.easel.departures.left("test", "Gone.", tenant=ADA.tenant) for _ in range(2)]

        assert counts == [1, 0]


# ---- a block cancels


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_a_block_cancels_what_waits_and_what_runs(opened: Opens, count: int) -> None:
    async with opened(surface=Channels(), step_seconds=0.2) as house:
        jobs = [await house.ask(f"fox {number} --count 1") for number in range(count)]
        other = await house.ask("a bear --count 1", BEN)

        card = await house.easel.router.handle("admin person block", {"person": ADA.id}, house.origin(BOSS))

        told = {
            0: "They had nothing waiting or running.",
            1: "1 of their jobs was cancelled; nothing was charged.",
            3: "3 of their jobs were cancelled; nothing was charged.",
        }
        assert isinstance(card, Card) and card.body[0].endswith(told[count])
        for job in jobs:
            row = await house.row(job.id)
            assert (row.state, row.reason) == (State.CANCELLED, "An administrator has blocked you.")
            assert "blocked" in str((await house.surface.until(job.id, "cancelled")).body)
        assert await held(house) == 0
        assert not (await house.row(other.id)).state.ended
        assert await refused(house, "imagine", ADA, prompt="x") == "blocked"


async def test_a_block_in_one_place_leaves_jobs_of_another_and_one_of_the_house_leaves_none(
    opened: Opens,
) -> None:
    async with opened(surface=Channels(), step_seconds=0.2) as house:
        here = await house.ask("a fox --count 1")
        there = await house.ask("a fox --count 1", replace(ADA, tenant=EVE.tenant))

        await house.easel.router.handle("admin person block", {"person": ADA.id}, house.origin(BOSS))
        assert (await house.row(here.id)).state is State.CANCELLED
        assert not (await house.row(there.id)).state.ended

        house_rules = replace(BOSS, tenant="*", id="cli:boss")
        origin = replace(house.origin(house_rules), surface="cli")
        await house.easel.router.handle("admin person block", {"person": ADA.id}, origin)
        assert (await house.row(there.id)).state is State.CANCELLED


async def test_a_block_reaches_the_jobs_of_linked_names(opened: Opens) -> None:
    async with opened(surface=Channels(), step_seconds=0.2) as house:
        other = replace(ADA, id="test:ada2", name="Ada too")
        code = await house.store.link_code(ADA.id)
        await house.store.link(code, other.id)
        job = await house.ask("a fox --count 1", other)

        await house.easel.router.handle("admin person block", {"person": ADA.id}, house.origin(BOSS))

        assert (await house.row(job.id)).state is State.CANCELLED


# ---- moderators


async def name(house: House, by: Member = BOSS, **options: object) -> Card:
    card = await house.easel.router.handle("admin set moderators", options, house.origin(by))
    assert isinstance(card, Card)
    return card


@pytest.mark.parametrize("way", ["platform", "channel", "role", "person"])
async def test_moderators_delete_and_cancel_and_that_is_written_down(opened: Opens, way: str) -> None:
    async with opened(surface=Channels(), step_seconds=0.1) as house:
        member = {"platform": MOD, "channel": replace(MOD, moderates=("lobby",))}.get(way, HELPER)
        if way == "role":
            await name(house, role="helpers")
        if way == "person":
            await name(house, person=HELPER.id)
        done, living = await house.painted("a fox --count 1"), await house.ask("a bear --count 1")

        await house.press(f"v1:delete:{done.id}", member)
        await house.press(f"v1:cancel:{living.id}", member)

        assert (await house.row(done.id)).state is State.DELETED
        assert (await house.row(living.id)).state is State.CANCELLED
        written = [(each.what, each.target, each.by) for each in await house.store.audit(ADA.tenant)]
        assert ("delete", done.id, member.id) in written and ("cancel", living.id, member.id) in written


async def test_a_moderator_of_one_channel_moderates_there_alone(house: House) -> None:
    member = replace(MOD, moderates=("den",))
    job = await shown(house)

    with pytest.raises(Refusal) as caught:
        await house.press(f"v1:delete:{job.id}", member)

    assert caught.value.code == "forbidden"


async def test_a_moderator_does_not_reach_what_they_cannot_see(house: House) -> None:
    await name(house, role="helpers")
    private = await house.delivered((await house.painted("a fox --count 1 --private")).id)
    asked = house.origin(ADA, channel="den")
    receipt = await house.easel.router.handle("imagine", {"prompt": "a fox --count 1"}, asked)
    assert isinstance(receipt, Receipt)
    await house.surface.until(receipt.job.id, "done")

    for member in (MOD, HELPER, replace(HELPER, tenant=EVE.tenant)):
        for id in (private.id, receipt.job.id):
            with pytest.raises(Refusal) as caught:
                await house.press(f"v1:delete:{id}", member)
            assert caught.value.code == "unknown"


async def test_who_was_named_can_be_removed_and_everyone_cannot_be_named(house: House) -> None:
    job = await shown(house)
    assert "no one" in str((await name(house)).body)
    assert "helpers, test:mod" in str((await name(house, role="helpers", person="test:mod")).body)
    await name(house, role="helpers", rule="remove")

    assert "Named here: test:mod" in str((await name(house)).body)
    with pytest.raises(Refusal):
        await house.press(f"v1:delete:{job.id}", HELPER)
    with pytest.raises(Refusal, match="Not everyone"):
        await name(house, role="everyone")
    [line, *_] = await house.store.audit(ADA.tenant)
    assert line.what == "admin set moderators" and line.before == "moderators: helpers, test:mod"


async def test_names_of_one_place_moderate_in_no_other(house: House) -> None:
    await name(house, by=EVE, role="helpers")
    job = await shown(house)

    with pytest.raises(Refusal):
        await house.press(f"v1:delete:{job.id}", HELPER)


async def reports(house: House, member: Member, **where: Any) -> Card:
    card = await house.easel.router.handle("reports", {}, house.origin(member, **where))
    assert isinstance(card, Card)
    return card


async def test_moderators_see_reports_of_what_they_moderate_and_decide_nothing(house: House) -> None:
    job, other = await shown(house), await shown(house, "a bear --count 1", EVE)
    await house.press(f"v1:report:{job.id}", BEN)
    await house.press(f"v1:report:{other.id}", replace(EVE, id="test:eve2", admin=False))

    card = await reports(house, MOD)

    assert job.id in str(card.body) and other.id not in str(card.body) and card.private
    buttons = [each.id for row in card.rows for each in row]
    assert buttons == [f"v1:show:{job.id}"]
    assert "delete" in str((await house.press(buttons[0], MOD)).more)
    for verb in ("keep", "remove"):
        with pytest.raises(Refusal) as caught:
            await house.press(f"v1:{verb}:{job.id}", MOD)
        assert caught.value.code == "forbidden"
    await house.press(f"v1:delete:{job.id}", MOD)
    assert "No open reports." in (await reports(house, MOD)).body
    assert await house.store.strikes_of([ADA.id]) == []


async def test_reports_are_for_moderators_and_administrators(house: House) -> None:
    job = await shown(house)
    await house.press(f"v1:report:{job.id}", BEN)

    for member in (ADA, BEN):
        assert await refused(house, "reports", member) == "forbidden"
    assert "No open reports" in str((await reports(house, replace(MOD, moderates=("den",)))).body)
    for title in ("reports", "admin review"):
        card = await house.easel.router.handle(title, {}, house.origin(BOSS))
        assert isinstance(card, Card) and "v1:remove" in str(card.rows)


async def test_a_blocked_moderator_moderates_nothing(house: House) -> None:
    job = await shown(house)
    await house.easel.router.handle("admin person block", {"person": MOD.id}, house.origin(BOSS))

    for press in (f"v1:delete:{job.id}", f"v1:cancel:{job.id}"):
        with pytest.raises(Refusal) as caught:
            await house.press(press, MOD)
        assert caught.value.code == "blocked"
    assert await refused(house, "reports", MOD) == "blocked"


async def test_two_blocks_at_once_cancel_each_job_once(opened: Opens) -> None:
    async with opened(surface=Channels(), step_seconds=0.2) as house:
        for number in range(3):
            await house.ask(f"fox {number} --count 1")
        origins: list[Origin] = [house.origin(BOSS), house.origin(replace(BOSS, id="test:boss2"))]

        cards = await asyncio.gather(
            *(house.easel.router.handle("admin person block", {"person": ADA.id}, each) for each in origins)
        )

        said = sorted(str(card.body[0]).split(". ")[-1] for card in cards if isinstance(card, Card))
        assert said == [
            "3 of their jobs were cancelled; nothing was charged.",
            "They had nothing waiting or running.",
        ]
        assert await held(house) == 0


@pytest.mark.parametrize("everywhere", [False, True], ids=["here", "everywhere"])
async def test_a_block_wins_over_a_request_that_is_being_admitted(opened: Opens, everywhere: bool) -> None:
    """The block comes after the request's rules were read, and before its row is written."""
    async with opened(surface=Channels(), step_seconds=0.2) as house:
        admit_all = house.store.admit_all
        boss = replace(BOSS, tenant="*", id="cli:boss") if everywhere else BOSS
        origin = replace(house.origin(boss), surface="cli" if everywhere else "test")

        async def blocked_first(*args: Any, **more: Any) -> Any:
            await house.easel.router.handle(
                "admin person block", {"person": ADA.id, "reason": "Spam"}, origin
            )
            return await admit_all(*args, **more)

        house.store.admit_all = blocked_first  # type: ignore[method-assign]

        with pytest.raises(Refusal) as caught:
            await house.ask("a fox --count 1")

        assert caught.value.code == "blocked"
        assert caught.value.notice == "You cannot use Easel here. Spam. An administrator can lift this."
        assert await unfinished(house.store) == []
        assert await held(house) == 0
        assert house.easel.queries.lanes() == ()

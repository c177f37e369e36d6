"""An administrator's day: what each command does, and what it does to everybody else."""

from __future__ import annotations

import asyncio
import csv
import io
from dataclasses import replace
from typing import Any

import pytest

from bot.adapters.base import Receipt
from bot.errors import Refusal, StoreError
from bot.messages import job_cards
from bot.messages.types import Card
from bot.models import INSTANCE, Job, Member, Origin, State
from tests.examples import a_tier
from tests.scenario.conftest import ADA, BEN, BOSS, EVE, PATIENCE, House, Opens, button

OPERATOR = Member(tenant="test:house", id="discord:77", name="Olga")
SHELL = Member(tenant=INSTANCE, id="cli:root", name="root", admin=True)


def said(card: Any) -> str:
    assert isinstance(card, Card) and card.private
    return "\n".join((card.title, *card.facts, *card.body)).strip()


async def admin(house: House, command: str, member: Member = BOSS, **options: object) -> str:
    return said(await house.easel.router.handle(f"admin {command}", options, house.origin(member)))


async def shell(house: House, command: str, tenant: str = INSTANCE, **options: object) -> str:
    origin = replace(house.origin(replace(SHELL, tenant=tenant)), surface="cli")
    return said(await house.easel.router.handle(f"admin {command}", options, origin))


async def refused(house: House, work: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await work
    return caught.value


async def audit(house: House) -> list[tuple[str, str, str, str]]:
    return [(line.by, line.what, line.target, line.after) for line in await house.store.audit()]


# ---- who may


async def test_an_administrator_of_another_tenant_changes_nothing_here(house: House) -> None:
    await admin(house, "pause", EVE)
    await admin(house, "block", EVE, person=ADA.id)
    await admin(house, "channel", EVE, channel="lobby", rule="refuse")
    await admin(house, "tier", EVE, person=ADA.id, tier="team")

    await house.painted("a fox")
    assert (await house.easel.access.rules(ADA)).tier.name == "everyone"
    assert await admin(house, "audit") == "Audit\nNothing was changed yet."
    assert "pause" in await admin(house, "audit", EVE)


async def test_a_named_operator_and_the_command_line_may_do_what_counts_everywhere(opened: Opens) -> None:
    async with opened(operators=(OPERATOR.id,)) as house:
        await admin(house, "gift", OPERATOR, person=ADA.id, seconds=60)
        await shell(house, "gift", person=ADA.id, seconds=40)
        gift = (await house.store.balances(ADA.id, a_tier()))[-1]
        assert (gift.name, gift.cap) == ("gift", 100.0)


async def test_help_shows_administration_to_those_who_may_use_it(house: House) -> None:
    async def help(member: Member, **options: object) -> str:
        return said(await house.easel.router.handle("help", options, house.origin(member)))

    assert "admin" not in await help(ADA)
    assert "/help admin" in await help(BOSS)
    assert "/admin person gift" in await help(BOSS, command="admin")
    assert "/admin person gift" not in await help(ADA, command="admin")
    assert (await refused(house, help(ADA, command="admin person gift"))).code == "forbidden"
    assert not any("admin" in name for name, _ in await house.easel.vocabulary.complete("commands", "", ADA))


# ---- people


async def test_a_blocked_person_is_refused_everything_privately(house: House) -> None:
    job = await house.painted("a fox")
    await admin(house, "block", person=ADA.id, hours=2, reason="spam")
    done = job_cards.done(job)

    for work in (
        house.ask("a wolf"),
        house.press(button(done, "U1")),
        house.press(button(done, "Info")),
        house.press("v1:try:a wolf"),
        house.easel.router.handle("vary", {"job": job.id}, house.origin()),
        house.easel.router.handle("history", {}, house.origin()),
    ):
        refusal = await refused(house, work)
        assert refusal.code == "blocked" and " spam. An administrator can lift this." in refusal.notice
        assert job_cards.refused(refusal).private
    await house.easel.router.handle("quota", {}, house.origin())
    await house.painted("of another", BEN)
    await admin(house, "unblock", person=ADA.id)
    await house.painted("a wolf")


async def test_a_block_is_for_one_tenant_and_one_by_the_operator_for_all(house: House) -> None:
    visitor = replace(ADA, tenant="test:elsewhere")
    await admin(house, "block", person=ADA.id)
    await house.painted("elsewhere", visitor)
    await admin(house, "unblock", person=ADA.id)
    await shell(house, "block", person=ADA.id)
    for member in (ADA, visitor):
        assert (await refused(house, house.ask("a fox", member))).code == "blocked"
    await admin(house, "unblock", person=ADA.id)
    assert (await refused(house, house.ask("a fox"))).code == "blocked"


async def test_who_links_two_names_cannot_escape_a_block(house: House) -> None:
    other = replace(ADA, id="slack:ada")
    code = said(await house.easel.router.handle("link", {}, house.origin(ADA))).splitlines()[1]
    await house.easel.router.handle("link", {"code": code}, house.origin(other))
    await admin(house, "block", person=ADA.id)
    assert (await refused(house, house.ask("a fox", other))).code == "blocked"


async def test_linked_names_share_jobs_and_allowance(opened: Opens) -> None:
    other = replace(ADA, id="slack:ada", tenant="slack:t", name="Ada S.")
    async with opened(tiers=[a_tier(1.0)]) as house:  # a picture costs 0.2
        mine = await house.painted("a private fox --private --count 3")
        assert (await refused(house, house.easel.visibility.job(mine.id, other))).code == "unknown"
        code = said(await house.easel.router.handle("link", {}, house.origin(ADA))).splitlines()[1]
        joined = await house.easel.router.handle("link", {"code": code}, house.origin(other))
        assert "test:ada and" in said(joined) or "slack:ada and" in said(joined)
        again = house.easel.router.handle("link", {"code": code}, house.origin(other))
        assert (await refused(house, again)).notice == "That code was used already: ask for a new one."

        assert (await house.easel.visibility.job(mine.id, other)).id == mine.id
        assert (await refused(house, house.ask("a wolf --count 3", other))).code == "quota"
        await house.press(f"v1:delete:{mine.id}", other)

        left = await house.easel.router.handle("link", {"leave": True}, house.origin(other))
        assert "account of your own" in said(left)
        for member in (ADA, other):
            assert (await refused(house, house.ask("a wolf --count 3", member))).code == "quota"
            alone = house.easel.router.handle("link", {"leave": True}, house.origin(member))
            assert (await refused(house, alone)).notice == "Your account is not linked."


async def test_linked_names_have_one_history_in_all_places_and_nobody_else_has(opened: Opens) -> None:
    other = replace(ADA, id="slack:ada", tenant="test:elsewhere", name="Ada S.")
    stranger = replace(BEN, id="slack:ben", tenant="test:elsewhere")
    async with opened(step_seconds=0.05) as house:
        secret = await house.painted("a private fox --private --count 1")
        theirs = await house.painted("of somebody else --count 1", BEN)

        async def history(member: Member) -> str:
            return said(await house.easel.router.handle("history", {}, house.origin(member)))

        assert "fox" not in await history(other)
        await house.store.link(await house.store.link_code(ADA.id), other.id)
        waiting = [await house.ask(f"a wolf {n}") for n in range(6)][-1]

        assert "a private fox" in await history(other) and "somebody" not in await history(other)
        shown = await house.easel.router.handle("show", {"job": secret.id}, house.origin(other))
        assert isinstance(shown, Card) and shown.title == "a private fox"
        again = await house.press(button(shown, "Again"), other)
        assert again.job.origin.private and again.job.origin.member.tenant == other.tenant
        await house.easel.router.handle("cancel", {"job": waiting.id}, house.origin(other))
        assert (await house.row(waiting.id)).state is State.CANCELLED
        assert (await refused(house, house.press(f"v1:report:{secret.id}", other))).code == "own"
        sharing = await refused(house, house.press(f"v1:share:{secret.id}", other))
        assert sharing.notice == "These images can be shared where they were asked for."

        for member in (stranger, EVE):
            assert "fox" not in await history(member)
            assert (await refused(house, house.easel.visibility.job(secret.id, member))).code == "unknown"
        assert (await refused(house, house.easel.visibility.job(theirs.id, other))).code == "unknown"


async def test_linked_names_stand_in_one_lane_at_home(opened: Opens) -> None:
    """Wherever they ask, and after a restart; each place knows the lane by its own name."""
    other = replace(ADA, id="slack:ada", tenant="test:elsewhere", name="Ada S.")
    async with opened(step_seconds=0.05, crash=True) as house:

        def waiting() -> set[tuple[str, str]]:
            return {(lane.tenant, lane.user) for lane in house.easel.queries.lanes() if lane.waiting}

        await house.painted("a fox")
        jobs = [await house.ask(f"a wolf {n} --count 1", other) for n in range(6)]
        assert waiting() == {("test:elsewhere", other.id)}
        code = await house.store.link_code(ADA.id)
        await house.easel.router.handle("link", {"code": code}, house.origin(other))
        assert waiting() == {("test:house", ADA.id)}, "what waits comes along"
        jobs += [await house.ask(f"a fox {n} --count 1", each) for n in range(3) for each in (ADA, other)]
        assert waiting() == {("test:house", ADA.id)}

        for member, name in ((ADA, "Ada"), (other, "Ada S.")):
            assert f"{name}: " in await admin(house, "status", replace(BOSS, tenant=member.tenant))
            assert "you: " in said(await house.easel.router.handle("queue", {}, house.origin(member)))
        line = said(
            await house.easel.router.handle("queue", {}, house.origin(replace(BEN, tenant="test:third")))
        )
        assert "someone elsewhere: " in line and "Ada" not in line
    async with opened(step_seconds=0.05) as house, asyncio.timeout(60):
        while not house.easel.queries.lanes():  # noqa: ASYNC110 a start takes up what waits while it serves
            await asyncio.sleep(0.01)
        assert {(lane.tenant, lane.user) for lane in house.easel.queries.lanes()} == {("test:house", ADA.id)}
        for job in jobs:
            assert (await house.ended(job.id)).state is State.RENDERED


async def test_an_allowance_of_one_s_own_holds_everywhere_in_place_of_the_tier_s(opened: Opens) -> None:
    async with opened(tiers=[a_tier(0.5)], operators=(OPERATOR.id,)) as house:
        assert (await refused(house, house.ask("a fox --count 4"))).code == "quota"  # it costs 0.8
        await house.painted("a fox --count 2")
        answer = await admin(house, "set", OPERATOR, person=ADA.id, seconds=2, per="week")
        assert answer == "test:ada may use 2 GPU seconds a week, whatever their tier."

        for member in (ADA, replace(ADA, tenant="test:elsewhere")):
            await house.painted("a fox --count 4", member)
        refusal = await refused(house, house.ask("a fox --count 4"))
        assert refusal.code == "quota" and "your 2 GPU seconds a week are used up" in refusal.notice
        assert (await refused(house, house.ask("a fox --count 4", BEN))).code == "quota"
        assert "Their own quota: 2 GPU seconds a week" in await admin(house, "person", person=ADA.id)

        await shell(house, "set", person=ADA.id, seconds=0)
        assert (await refused(house, house.ask("a fox --count 1"))).notice.count("a day") == 1
        changes = [(line.what, line.before, line.after) for line in await house.store.audit()]
        assert changes == [
            ("admin quota person", "allowance: 2 GPU seconds a week", "allowance: none"),
            ("admin quota person", "allowance: none", "allowance: 2 GPU seconds a week"),
        ]
        assert await house.store.check() == "ok"


@pytest.mark.parametrize("seconds", ["nan", "inf", "-5", "1e12", "many"])
async def test_an_allowance_of_no_sense_is_refused(house: House, seconds: str) -> None:
    refusal = await refused(house, shell(house, "set", person=ADA.id, seconds=seconds))
    assert "Seconds" in refusal.notice
    assert await house.store.audit() == []


async def test_a_gift_is_used_when_the_allowance_does_not_suffice(opened: Opens) -> None:
    async with opened(tiers=[a_tier(0.5)]) as house:
        refusal = await refused(house, house.ask("a fox --count 4"))
        assert refusal.code == "quota"
        await shell(house, "gift", person=ADA.id, seconds=1)
        job = await house.painted("a fox --count 4")
        assert job.device_seconds == pytest.approx(0.8)
        assert "Your gifts: 0.8 of 1 GPU seconds used" in said(
            await house.easel.router.handle("quota", {}, house.origin())
        )
        await shell(house, "reset", person=ADA.id)
        assert await house.store.check() == "ok"


async def test_the_same_event_gives_once(house: House) -> None:
    origin = replace(house.origin(SHELL, event="once"), surface="cli")
    for _ in range(2):
        await house.easel.router.handle("admin person gift", {"person": ADA.id, "seconds": 5}, origin)
    assert (await house.store.balances(ADA.id, a_tier()))[-1].cap == 5.0
    assert len(await house.store.audit()) == 1


@pytest.mark.parametrize("seconds", ["nan", "inf", "-5", "0", "1e12", "many"])
async def test_a_gift_of_no_sense_is_refused(house: House, seconds: str) -> None:
    refusal = await refused(house, shell(house, "gift", person=ADA.id, seconds=seconds))
    assert "Seconds" in refusal.notice
    assert await house.store.audit() == []


async def test_a_person_shows_tier_use_and_last_jobs(house: House) -> None:
    await house.painted("a fox --count 1")
    await house.painted("a secret wolf --private --count 1")
    there = house.origin(channel="den")
    await house.easel.router.handle("imagine", {"prompt": "a secret heron --count 1"}, there)
    await admin(house, "tier", person=ADA.id, tier="team")
    await admin(house, "block", person=ADA.id, reason="loud")
    text = await admin(house, "person", person=ADA.id)

    assert "Tier: Team" in text and "of 14400 GPU seconds used today" in text
    assert "Blocked here until /admin person unblock. loud." in text
    assert "a fox · done" in text and "a private job · done" in text and "secret" not in text
    assert "used" not in await admin(house, "person", EVE, person=ADA.id)


# ---- tiers


async def test_roles_give_tiers_and_a_role_that_is_gone_gives_none(house: House) -> None:
    member = replace(ADA, roles=("r1", "r9"))
    await admin(house, "role", role="<@&r1>", tier="supporter")
    await admin(house, "role", role="r2", tier="team")
    assert (await house.easel.access.rules(member)).tier.name == "supporter"
    assert (await house.easel.access.rules(replace(member, roles=("r2", "r1")))).tier.name == "team"
    assert (await house.easel.access.rules(replace(member, roles=()))).tier.name == "everyone"
    assert "Role r1: Supporter" in await admin(house, "tiers")

    await admin(house, "role", role="r1", tier="none")
    assert (await house.easel.access.rules(member)).tier.name == "everyone"
    await admin(house, "role", role="everyone", tier="team")
    assert (await house.easel.access.rules(BEN)).tier.name == "team"


async def test_a_tier_is_named_rightly_and_a_restricted_one_given_by_operators(house: House) -> None:
    refusal = await refused(house, admin(house, "tier", person=ADA.id, tier="tema"))
    assert refusal.notice == "There is no tier called tema. Did you mean team?"
    refusal = await refused(house, admin(house, "tier", person=ADA.id, tier="staff"))
    assert refusal.notice == "Only those who run this Easel give people the tier Staff."
    await shell(house, "tier", "test:house", person=ADA.id, tier="Staff")
    assert (await house.easel.access.rules(ADA)).tier.name == "staff"
    await house.painted("a fox --count 5")
    assert "no limit" in said(await house.easel.router.handle("quota", {}, house.origin()))
    await admin(house, "tier", person=ADA.id, tier="none")
    assert (await refused(house, house.ask("a fox --count 5"))).code == "count"


async def test_what_a_tier_forbids_is_offered_within_its_bounds(opened: Opens) -> None:
    tier = a_tier(max_pixels=128 * 128, max_steps=10, max_count=2)
    async with opened(tiers=[tier]) as house:
        for text, label in [
            ("a fox --size 256x128", "Make it 176 × 88"),
            ("a fox --steps 12", "Set Steps to 10"),
            ("a fox --count 3", "Make 2 images"),
        ]:
            refusal = await refused(house, house.ask(text))
            shown = job_cards.refused(refusal)
            answer = await house.press(button(shown, label))
            assert isinstance(answer, Receipt)


async def test_a_relaxed_job_is_free_and_offered_when_nothing_is_left(opened: Opens) -> None:
    async with opened(tiers=[a_tier(0.2)]) as house:
        job = await house.painted("a fox --count 1")
        shown = job_cards.refused(await refused(house, house.press(button(job_cards.done(job), "Upscale"))))
        answer = await house.press(button(shown, "Relaxed: free, later"))
        assert isinstance(answer, Receipt) and answer.job.relaxed
        await house.surface.until(answer.job.id, "upscaled")
        assert (await house.row(answer.job.id)).device_seconds == 0

        shown = job_cards.refused(await refused(house, house.ask("a wolf --count 1")))
        answer = await house.press(button(shown, "Relaxed: free, later"))
        card = house.surface.messages[answer.job.id][0]
        assert "relaxed (free)" in card.facts
        await house.surface.until(answer.job.id, "done")
        assert await house.store.check() == "ok"


# ---- budgets


async def test_a_channel_s_budget_stands_above_the_person_s(house: House) -> None:
    await admin(house, "budget", seconds="0.9", per="week", channel="lobby")
    await house.painted("a fox --count 4")  # costs 0.8
    refusal = await refused(house, house.ask("a wolf --count 1", BEN))
    assert refusal.notice.startswith(
        "This needs about 1 GPU second, and the 1 GPU seconds a week of this channel are used up."
    )
    assert "channel lobby" in (await admin(house, "budget")).casefold()
    await admin(house, "budget", seconds=0, channel="lobby")
    await house.painted("a wolf --count 1", BEN)


async def test_what_the_operator_set_an_administrator_does_not_lift(house: House) -> None:
    await admin(house, "budget", seconds=100, per="day")
    await shell(house, "budget", "test:house", seconds=10, per="day")
    assert (await refused(house, admin(house, "budget", seconds=1000))).code == "forbidden"
    policy = await house.store.policy("test:house")
    assert policy.budget is not None and policy.budget.seconds == 10


# ---- pause, drain, the queue


async def shows(house: House, job: Job, fact: str) -> None:
    """Wait until the job's message says so."""
    async with asyncio.timeout(PATIENCE):
        while fact not in house.surface.messages.get(job.id, [job_cards.waiting(job)])[-1].facts:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_pause_keeps_what_waits_in_line_and_resume_goes_on(opened: Opens) -> None:
    async with opened(step_seconds=0.05) as house:
        waiting = [await house.ask(f"a fox {n}") for n in range(8)][-1]
        await admin(house, "pause")
        assert (await refused(house, house.ask("a wolf", BEN))).code == "paused"
        await shows(house, waiting, "on hold")
        assert "Paused here" in await admin(house, "status")
        await house.painted("elsewhere they go on", EVE)
        assert (await house.row(waiting.id)).state is State.QUEUED
        await admin(house, "resume")
        await house.surface.until(waiting.id, "done")
        assert [what for _, what, _, _ in await audit(house)] == ["admin resume", "admin pause"]


async def test_a_pause_outlives_a_restart(opened: Opens) -> None:
    async with opened(step_seconds=0.05, crash=True) as house:
        jobs = [await house.ask(f"a fox {n}") for n in range(6)]
        await shell(house, "pause")
    async with opened() as house:
        await asyncio.sleep(0.2)
        states = [(await house.row(job.id)).state for job in jobs]
        assert State.QUEUED in states and State.RUNNING not in states
        await shell(house, "resume")
        for job in jobs:
            assert (await house.ended(job.id)).state is State.RENDERED


async def test_drain_takes_nothing_new_and_paints_what_it_has(opened: Opens) -> None:
    async with opened(step_seconds=0.02) as house:
        jobs = [await house.ask(f"a fox {n}") for n in range(4)]
        await admin(house, "drain")
        assert (await refused(house, house.ask("a wolf"))).code == "drained"
        assert (await refused(house, house.press(f"v1:again:{jobs[0].id}"))).code == "drained"
        for job in jobs:
            await house.surface.until(job.id, "done")
        await admin(house, "resume")
        await house.painted("a wolf")


async def test_one_job_is_held_released_relaxed_and_cancelled(opened: Opens) -> None:
    async with opened(step_seconds=0.05) as house:
        jobs = [await house.ask(f"a fox {n}") for n in range(8)]
        last = jobs[-1].id
        await admin(house, "job", job=last, do="hold")
        for job in jobs[:-1]:
            await house.surface.until(job.id, "done")
        assert (await house.row(last)).state is State.QUEUED
        await admin(house, "job", job=last, do="release")
        await house.surface.until(last, "done")

        blocker = [await house.ask(f"a wolf {n}") for n in range(6)]
        cheap, gone = blocker[-1].id, blocker[-2].id
        await admin(house, "job", job=cheap, do="relax")
        await shows(house, blocker[-1], "relaxed (free)")
        await admin(house, "job", job=gone, do="cancel")
        await house.surface.until(gone, "cancelled")
        await house.surface.until(cheap, "done")
        row = await house.row(cheap)
        assert row.relaxed and row.device_seconds == 0
        assert (await refused(house, admin(house, "job", job=gone, do="hold"))).code == "ended"
        assert await house.store.check() == "ok"
        assert [after for _, _, _, after in await audit(house)] == [
            "cancelled",
            "relaxed",
            "released",
            "on hold",
        ]


async def test_status_says_why_it_is_slow(opened: Opens) -> None:
    async with opened(step_seconds=0.05) as house:
        for number in range(6):
            await house.ask(f"a fox {number}")
        await house.ask("elsewhere", EVE)
        text = await admin(house, "status")
        assert "waiting" in text and "Ada: " in text and "someone elsewhere" in text and "Eve" not in text
        assert "The longest wait so far is" in text
        assert "Eve: " in await shell(house, "status")


# ---- what a place allows


async def test_channels_models_and_styles_of_a_place(house: House) -> None:
    await admin(house, "channel", rule="refuse")  # the one it is said in
    assert (await refused(house, house.ask("a fox"))).code == "channel"
    await house.painted("elsewhere", EVE)
    await admin(house, "channel", channel="<#lobby>", rule="clear")

    await admin(house, "styles", style="Pixel art", rule="refuse")
    refusal = await refused(house, house.ask("a fox --style pixel-art"))
    assert refusal.code == "style"
    await house.painted(refusal.offers[0].text)
    listed = said(await house.easel.router.handle("styles", {}, house.origin()))
    assert "pixel-art" not in listed and "oil-painting" in listed
    assert "pixel-art" not in dict(await house.easel.vocabulary.complete("styles", "pix", ADA))

    refusal = await refused(house, admin(house, "models", model="memory", rule="refuse"))
    assert refusal.notice == "Then no model would be left. Allow another one first."
    refusal = await refused(house, admin(house, "models", model="memroy", rule="refuse"))
    assert "Did you mean memory?" in refusal.notice
    assert await admin(house, "channel") == "Channels here\nAllowed: all"


async def test_defaults_of_a_place_stand_in_for_a_person_s(house: House) -> None:
    await admin(house, "defaults", style="oil painting", count=1)
    job = await house.painted("a fox")
    assert (job.style, job.request.count) == ("oil-painting", 1)
    await house.easel.router.handle("settings", {"count": 2}, house.origin())
    assert (await house.painted("a fox")).request.count == 2
    assert "Images: 1" in await admin(house, "defaults")
    await admin(house, "defaults", reset=True)
    assert (await house.painted("a fox", BEN)).request.count == 4


async def test_a_size_is_a_person_s_default_too(house: House) -> None:
    shown = await house.easel.router.handle("settings", {"size": "128x64"}, house.origin())
    assert "Aspect ratio: 128 × 64" in said(shown)
    job = await house.painted("a fox --count 1")
    assert (job.request.width, job.request.height) == (128, 64)
    await house.easel.router.handle("settings", {"aspect": "square"}, house.origin())
    assert (await house.store.preferences(ADA.id)).size == ""
    for wrong in ("63x64", "9" * 13, "-1x5", "1e9"):
        await refused(house, house.easel.router.handle("settings", {"size": wrong}, house.origin()))
    both = house.easel.router.handle("settings", {"size": "64x64", "aspect": "wide"}, house.origin())
    assert (await refused(house, both)).notice == "Give a size or an aspect ratio, not both."


async def test_moderation_is_kept(house: House) -> None:
    await admin(house, "moderation", strictness="strict", refuse="Rival  Brand")
    text = await admin(house, "moderation", allow="sunrise")
    assert "Strictness: Strict" in text and "rival brand" in text and "sunrise" in text
    assert "rival" not in await admin(house, "moderation", clear="rival brand")


# ---- records


async def test_two_administrators_at_once_lose_nothing(house: House) -> None:
    styles = ["3d", "oil-painting", "pixel-art", "watercolour", "photo"]
    others = [admin(house, "styles", style=each, rule="refuse") for each in styles]
    roles = [
        admin(house, "role", replace(BOSS, id="test:boss2"), role=f"r{n}", tier="team") for n in range(20)
    ]
    budgets = [admin(house, "budget", seconds=n, channel=f"c{n}") for n in range(1, 10)]
    await asyncio.gather(*others, *roles, *budgets)

    found = await house.store.policy("test:house")
    assert set(found.styles.refused) == set(styles)
    assert len(found.roles) == 20 and len(found.channel_budgets) == 9
    assert len(await house.store.audit(limit=100)) == len(styles) + 20 + 9


async def test_every_change_has_its_line_and_what_changes_nothing_has_none(house: House) -> None:
    await admin(house, "tier", person=ADA.id, tier="team")
    await admin(house, "tier", person=ADA.id, tier="team")
    await refused(house, admin(house, "tier", person=ADA.id, tier="nothing"))
    (line,) = await house.store.audit()
    assert (line.by, line.name, line.surface, line.tenant) == (BOSS.id, "Boss", "test", "test:house")
    assert (line.what, line.target, line.before, line.after) == (
        "admin tier person",
        ADA.id,
        "tier: none",
        "tier: team",
    )
    assert f"/admin tier person {ADA.id} · tier: none → tier: team" in await admin(
        house, "audit", search="TEAM"
    )
    assert "Nothing" in await admin(house, "audit", search="gift")


async def test_a_press_on_somebody_else_s_job_has_its_line_too(house: House) -> None:
    mine, theirs = await house.painted("a fox"), await house.painted("a wolf")
    await house.press(f"v1:delete:{mine.id}", ADA)
    await house.press(f"v1:delete:{theirs.id}", BOSS)
    (line,) = await house.store.audit()
    assert (line.by, line.what, line.target) == (BOSS.id, "delete", theirs.id)
    assert (line.before, line.after) == ("rendered", "deleted")


async def test_what_cannot_be_written_down_is_not_done(
    opened: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An administrator's deed and its line of the audit are one, whatever comes between."""

    def full(*_: object) -> None:
        raise StoreError("The disk is full.")

    async with opened(step_seconds=0.05) as house:
        jobs = [await house.ask(f"a fox {n}") for n in range(6)]
        last = jobs[-1].id
        with monkeypatch.context() as patch:
            for module in ("rows", "people", "accounts"):
                patch.setattr(f"bot.store.{module}.write_down", full)
            for work in (
                admin(house, "job", job=last, do="hold"),
                admin(house, "job", job=last, do="cancel"),
                house.press(f"v1:cancel:{last}", BOSS),
                house.press(f"v1:delete:{last}", BOSS),
                admin(house, "job", job=last, do="relax"),
                admin(house, "block", person=ADA.id),
                shell(house, "gift", person=ADA.id, seconds=5),
                shell(house, "reset", person=ADA.id),
            ):
                assert (await refused(house, work)).code == "store"
        assert not (await house.row(last)).relaxed
        assert not any(person.blocked for person in await house.store.persons("test:house"))
        for job in jobs:
            await house.surface.until(job.id, "done")
        assert [line.kind async for line in house.store.lines() if line.kind in ("gift", "reset")] == []


async def test_the_ledger_is_exported_and_each_tenant_sees_its_own(house: House) -> None:
    job = await house.painted("a fox")
    await house.painted("elsewhere", EVE)
    await shell(house, "gift", person=ADA.id, seconds=5)

    async def lines(work: Any) -> list[dict[str, str]]:
        ((name, data),) = (await work).files
        assert name.endswith(".csv")
        return list(csv.DictReader(io.StringIO(data.decode())))

    here = await lines(house.easel.router.handle("admin export", {}, house.origin(BOSS)))
    assert {line["job"] for line in here} == {job.id}
    origin = Origin(surface="cli", member=SHELL, channel="terminal", event="x")
    everywhere = await lines(house.easel.router.handle("admin export", {"days": "1"}, origin))
    assert {line["kind"] for line in everywhere} >= {"hold", "charge", "gift"}
    assert len(everywhere) > len(here)


async def test_what_words_do_in_a_channel_is_set_shown_and_written_down(house: House) -> None:
    async def heard(channel: str) -> str:
        return await house.easel.changes.heard(house.origin(ADA, channel=channel))

    shown = await admin(house, "channel", channel="den", words="buttons")
    assert "Words in den: Ask by a button" in shown
    assert [await heard("den"), await heard("lobby")] == ["buttons", "paint"]
    await admin(house, "channel", channel="den", words="off")
    assert await heard("den") == "off"
    assert "Words in" not in await admin(house, "channel", channel="den", words="paint")
    assert await heard("den") == "paint"
    assert len([each for each in await audit(house) if "admin set channel" in each]) == 3
    assert (
        await refused(house, admin(house, "channel", BEN, channel="den", words="off"))
    ).code == "forbidden"


async def test_a_place_that_is_marked_commercial_tells_what_it_does_not_use(house: House) -> None:
    assert "not marked commercial" in await admin(house, "licence")

    told = await admin(house, "licence", use="commercial")
    assert "models whose licence forbids it are not used" in told
    assert "Commercial: models whose licence forbids it are not used" in await admin(house, "show")
    assert (BOSS.id, "admin licence") in [line[:2] for line in await audit(house)]

    assert "not marked commercial" in await admin(house, "licence", use="any")

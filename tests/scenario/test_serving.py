"""What administrators set in chat: quotas by names, a log, spoilers, and the way through the setup."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from bot.adapters.base import Receipt
from bot.admin import log_channel
from bot.errors import TryLater, Unreachable
from bot.messages import marks
from bot.messages.types import Card
from bot.models import Allowance, Member, Policy, State
from engine.errors import EngineError
from engine.types import EngineJob
from tests.examples import a_tier
from tests.scenario.conftest import ADA, BEN, BOSS, House, Opens, RecordingAdapter, button
from tests.scenario.test_admin import admin, refused, said

ROLE = "r1"
TROUBLE = "The log channel cannot be used: the channel is gone. Choose one with /admin log."
TIERS = (a_tier(0.5), a_tier(3600, name="team", title="Team"))


class Logged(RecordingAdapter):
    """A surface with channels."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, str, Card]] = []
        self.error: Exception | None = None

    async def announce(self, tenant: str, channel: str, card: Card) -> None:
        if self.error:
            raise self.error
        self.told.append((tenant, channel, card))

    async def until_told(self, messages: int) -> list[str]:
        async with asyncio.timeout(60):
            while len(self.told) < messages:  # noqa: ASYNC110 nobody is told
                await asyncio.sleep(0.01)
        return [marks.plain("\n".join(card.body)) for _tenant, _channel, card in self.told]


# ---- quotas


async def test_a_role_s_quota_holds_for_each_person_who_has_it(opened: Opens) -> None:
    async with opened(tiers=TIERS) as house:
        ada, ben = (replace(each, roles=(ROLE,)) for each in (ADA, BEN))
        assert (await refused(house, house.ask("a fox --count 4", ada))).code == "quota"  # it costs 0.8

        answer = await admin(house, "quota role", role=ROLE, seconds=1, per="hour")

        assert answer == "Each person with r1 may use 1 GPU seconds an hour here."
        for member in (ada, ben):
            await house.painted("a fox --count 4", member)
        refusal = await refused(house, house.ask("a fox --count 4", ada))
        assert "your 1 GPU seconds an hour are used up" in refusal.notice
        assert (await refused(house, house.ask("a fox --count 4"))).code == "quota"  # without the role
        assert "Quota of r1: 1 GPU seconds an hour" in await admin(house, "show")

        await admin(house, "quota role", role=ROLE, seconds=0)
        assert (await house.store.policy(ADA.tenant)).quotas == {}


async def test_an_administrator_gives_no_more_than_a_tier_that_they_could_give(opened: Opens) -> None:
    async with opened(tiers=(*TIERS, a_tier(10**6, name="staff", restricted=True))) as house:
        for command, whom in (("quota role", {"role": ROLE}), ("quota person", {"person": ADA.id})):
            refusal = await refused(house, admin(house, command, **whom, seconds=3601, per="day"))
            assert refusal.code == "forbidden" and "more than the tier Team has" in refusal.notice
            refusal = await refused(house, admin(house, command, **whom, seconds=151, per="hour"))
            assert refusal.code == "forbidden"
            await admin(house, command, **whom, seconds=150, per="hour")
        assert (await house.store.policy(ADA.tenant)).quotas == {ROLE: Allowance(seconds=150, per="hour")}


async def test_a_person_s_quota_that_an_administrator_sets_holds_in_their_place_alone(opened: Opens) -> None:
    async with opened(tiers=TIERS) as house:
        answer = await admin(house, "quota person", person=ADA.id, seconds=2, per="day")

        assert answer == f"{ADA.id} may use 2 GPU seconds a day here, whatever their tier."
        await house.painted("a fox --count 4")
        elsewhere = replace(ADA, tenant="test:elsewhere")
        assert (await refused(house, house.ask("a fox --count 4", elsewhere))).code == "quota"


def _foxes(job: EngineJob) -> Exception | None:
    return EngineError("no foxes") if "fox" in job.request.prompt else None


# ---- the log


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_channel, "GATHER", 0.05)


async def test_the_log_tells_of_changes_reports_blocks_and_failures(opened: Opens) -> None:
    surface = Logged()
    async with opened(surface=surface, fault=_foxes) as house:
        log = house.easel.admin._log
        log.gather, log.pause = 0.05, 0.0
        answer = await admin(house, "log", channel="office")
        assert answer == "office tells of reports, blocks, failures and changes here."
        assert await surface.until_told(1) == ["Boss · /admin log office · log: none → log: office"]

        job = await house.painted("a wolf --count 1")
        await house.press(f"v1:report:{job.id}", BEN)
        (_, reported) = await surface.until_told(2)
        assert reported == f"Images of Ada were reported (job {job.id}). /reports shows them."
        assert "Ben" not in reported  # who reports is not told

        await admin(house, "person block", person=BEN.id, hours=1)
        blocked = (await surface.until_told(3))[2]
        assert blocked.startswith(f"Boss · /admin person block {BEN.id} · blocked: no")

        failed = await house.ended((await house.ask("a fox --count 1")).id)
        assert failed.state is State.FAILED
        assert (await surface.until_told(4))[3] == f"Job {failed.id} of Ada failed: {failed.reason}"
        assert {(tenant, channel) for tenant, channel, _ in surface.told} == {(ADA.tenant, "office")}


async def test_many_changes_at_once_are_one_message_of_few_lines(opened: Opens) -> None:
    surface = Logged()
    async with opened(surface=surface) as house:
        log = house.easel.admin._log
        log.gather = 60.0
        await admin(house, "log", channel="office")
        for number in range(30):
            await admin(house, "person block", person=f"test:{number}")
        waiting = log._waiting[ADA.tenant]

        assert len(waiting.lines) == log_channel.MOST_LINES and waiting.more == 21

        log.gather, log.pause = 0.0, 0.0
        await log._send(ADA.tenant, log._waiting.pop(ADA.tenant))
        assert (await surface.until_told(1))[0].endswith("\nand 21 more")


async def test_a_log_whose_channel_is_gone_is_told_with_the_next_answer(opened: Opens) -> None:
    surface = Logged()
    async with opened(surface=surface) as house:
        log = house.easel.admin._log
        log.gather, log.pause = 0.0, 0.0
        surface.error = Unreachable("the channel is gone.")
        await admin(house, "log", channel="office")
        async with asyncio.timeout(60):
            while not log.trouble(ADA.tenant):  # noqa: ASYNC110 nobody is told
                await asyncio.sleep(0.01)

        answer = await admin(house, "pause")

        assert answer.endswith(TROUBLE)
        surface.error = None
        assert "cannot be used" not in await admin(house, "log", channel="den")
        assert "/admin log den" in (await surface.until_told(1))[0]


async def test_a_surface_that_is_away_for_a_moment_is_no_trouble(opened: Opens) -> None:
    surface = Logged()
    async with opened(surface=surface) as house:
        log = house.easel.admin._log
        log.gather, log.pause = 0.0, 0.0
        surface.error = TryLater("away")
        await admin(house, "log", channel="office")
        async with asyncio.timeout(60):
            while log._telling:  # noqa: ASYNC110 nobody is told
                await asyncio.sleep(0.01)
        assert log.trouble(ADA.tenant) == ""


# ---- spoilers


async def test_pictures_are_covered_in_a_channel_and_for_a_role(house: House) -> None:
    assert "Images are shown at once." in await admin(house, "spoiler")
    assert "Images are covered in, or for: lobby, r1" in (
        await admin(house, "spoiler", channel="lobby") and await admin(house, "spoiler", role=ROLE)
    )
    job = await house.painted("a fox --count 1")  # in the lobby
    assert house.surface.messages[job.id][-1].spoiler
    with_role = replace(ADA, roles=(ROLE,))
    covered = [await _in_den(house, member) for member in (with_role, ADA)]
    assert covered == [True, False]

    await admin(house, "spoiler", channel="lobby", rule="remove")
    job = await house.painted("a fox --count 1")
    assert not house.surface.messages[job.id][-1].spoiler


async def _in_den(house: House, member: Member) -> bool:
    origin = house.origin(member, channel="den")
    receipt = await house.easel.router.handle("imagine", {"prompt": "a fox --count 1"}, origin)
    assert isinstance(receipt, Receipt)
    return (await house.surface.until(receipt.job.id, "done")).spoiler


async def test_slack_has_no_spoilers(house: House) -> None:
    boss = Member(tenant="slack:T1", id="slack:T1:U4", name="Boss", admin=True)

    refusal = await refused(house, admin(house, "spoiler", boss, channel="C1"))

    assert refusal.notice == "Slack has no spoilers: an image there is always shown."


# ---- direct messages


async def test_direct_messages_can_be_closed_to_requests(opened: Opens) -> None:
    async with opened(direct_messages=False) as house:
        direct = replace(house.origin(ADA), direct=True)
        refusal = await refused(house, house.easel.router.handle("imagine", {"prompt": "a fox"}, direct))
        assert refusal.code == "direct" and "Ask in a channel" in refusal.notice
        await house.easel.router.handle("quota", {}, direct)  # what is about oneself is answered
        await house.painted("a fox --count 1")


# ---- the setup


async def setup(house: House, member: Member = BOSS) -> Card:
    card = await house.easel.router.handle("setup", {}, house.origin(member))
    assert isinstance(card, Card)
    return card


async def test_an_administrator_finishes_the_setup_by_buttons(house: House) -> None:
    card = await setup(house)
    seen = []
    for label in ("In this channel only", "Supporter", "Strict", "Deutsch", "Es geht"):
        seen.append(card.title)
        card = await house.press(button(card, label), BOSS)

    assert seen[0] == "Setup, step 1 of 5: Channels" and seen[4].endswith("5 von 5: Ein erstes Bild")
    policy = await house.store.policy(ADA.tenant)
    assert policy.channels.allowed == ("lobby",) and policy.tier == "supporter"
    assert (policy.strictness, policy.language) == ("strict", "de")
    assert card.title == "Die Einrichtung ist fertig" and any("lobby" in line for line in card.body)
    whats = {line.what for line in await house.store.audit()}
    assert {"admin set channel", "admin tier role", "admin set moderation", "admin set language"} <= whats


async def test_each_step_is_skipped_and_the_next_administrator_goes_on(house: House) -> None:
    card = await setup(house)
    await house.press(button(card, "Skip"), BOSS)

    other = replace(BEN, admin=True)
    card = await setup(house, other)

    assert card.title == "Setup, step 2 of 5: Tiers"
    for _ in range(4):
        card = await house.press(button(card, "Skip"), other)
    assert card.title == "Setup is complete"
    assert await house.store.policy(ADA.tenant) == Policy(
        setup=("channels", "tier", "moderation", "language", "picture")
    )
    card = await house.press(button(card, "Start again"), other)
    assert card.title == "Setup, step 1 of 5: Channels"


async def test_the_setup_is_for_administrators_and_takes_no_forged_choice(house: House) -> None:
    card = await setup(house)
    assert (await refused(house, house.press(button(card, "Skip"), ADA))).code == "forbidden"
    assert (await refused(house, setup(house, ADA))).code == "forbidden"
    assert "Staff" not in {each.label for row in (await _second(house, card)).rows for each in row}
    for forged in ("v1:setup:tier_staff", "v1:setup:nothing_x", "v1:setup:moderation_off"):
        assert (await refused(house, house.press(forged, BOSS))).code == "expired"
    assert (await house.store.policy(ADA.tenant)).tier == ""


async def _second(house: House, card: Card) -> Card:
    answer = await house.press(button(card, "Skip"), BOSS)
    assert isinstance(answer, Card)
    return answer


async def test_the_first_image_is_painted_by_a_button(house: House) -> None:
    card = await setup(house)
    for _ in range(4):
        card = await house.press(button(card, "Skip"), BOSS)

    receipt = await house.press(button(card, "Generate an image"), BOSS)

    assert (await house.ended(receipt.job.id)).state is State.RENDERED
    assert "Nothing yet" not in said(await setup(house))

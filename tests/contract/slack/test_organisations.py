"""Organisations that installed the app for all of their workspaces, and channels that two of them share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.models import Job
from tests.contract.slack.conftest import Opens
from tests.contract.slack.house import DONE, House
from tests.contract.slack.people import Person
from tests.contract.slack.state import BOT, BOT_TOKEN, GENERAL, Channel, Install, Message, User
from tests.contract.slack.test_http import install, many
from tests.contract.slack.wire import Wire

NORTH, SOUTH = "T5NORTH", "T6SOUTH"  # workspaces of two organisations
SHARED = "C7SHARED"  # a channel of both


def inhabit(wire: Wire, team: str, organisation: str) -> tuple[Person, Person]:
    """Somebody and an administrator of a workspace, with a channel."""
    wire.organisations[team] = organisation
    user, boss, channel = f"W{team}", f"U{team}BOSS", f"C{team}"
    wire.users[user] = User(user, f"eve of {team}", team=team)
    wire.users[boss] = User(boss, f"boss of {team}", team=team, admin=True)
    wire.channels[channel] = Channel(channel, "lobby", members={user, boss, BOT}, team=team)
    return Person(wire, user), Person(wire, boss)


@pytest.fixture
async def house(opened: Opens) -> AsyncIterator[House]:
    async with many(opened) as house:
        for team, organisation in ((NORTH, "E1"), (SOUTH, "E2")):
            inhabit(house.wire, team, organisation)
            assert await install(house, organisation) == 200
        yield house


def people_of(house: House, team: str) -> tuple[Person, Person]:
    return Person(house.wire, f"W{team}"), Person(house.wire, f"U{team}BOSS")


async def by_every_way(house: House, person: Person, channel: str) -> list[Job]:
    """Ask for a picture in each way there is; the jobs."""
    count = 0

    async def done() -> Job:
        nonlocal count
        count += 1
        return await house.ended(count=count)

    await person.slash("/imagine a fox --count 1", channel)
    message = house.message(await done())
    await person.press(message, "Again")
    await done()
    await person.shortcut("Variations", message)
    await done()
    await person.say("make it blue", channel, thread=message.ts)
    await done()
    await person.say(f"<@{BOT}> a wolf --count 1", channel)
    await done()
    await person.say("a bear --count 1", house.wire.direct(person.id).id)
    await done()
    await person.slash("/imagine", channel)
    await person.submit(await person.form(), prompt="a cat", count="1")
    await done()
    await person.shortcut("Generate an image")
    await person.submit(await person.form(), prompt="a dog", count="1")
    await done()
    await person.opens_home()
    await person.press(await person.home("a dog"), "Generate an image")
    await person.submit(await person.form(), prompt="a cow", count="1")
    await done()
    return await house.jobs()


@pytest.mark.parametrize("terse", [False, True])
async def test_one_person_is_one_member_by_every_way(house: House, terse: bool) -> None:
    house.wire.terse = terse
    eve, _ = people_of(house, NORTH)

    jobs = await by_every_way(house, eve, f"C{NORTH}")

    assert len(jobs) == 9
    members = {(job.origin.member.tenant, job.origin.member.id) for job in jobs}
    assert members == {(f"slack:{NORTH}", f"slack:{NORTH}:W{NORTH}")}
    assert {job.origin.reply["team"] for job in jobs} == {NORTH}
    assert all(job.delivered and not job.reason for job in jobs)


@pytest.mark.parametrize("terse", [False, True])
async def test_organisations_see_and_stop_nothing_of_each_other(house: House, terse: bool) -> None:
    house.wire.terse = terse
    eve, _ = people_of(house, NORTH)
    adam, boss = people_of(house, SOUTH)
    await eve.say(f"<@{BOT}> a secret fox --count 1", f"C{NORTH}")
    job = await house.ended()

    await adam.say(f"<@{BOT}> /history everyone=yes", f"C{SOUTH}")
    await adam.see("none yet")
    await adam.say(f"<@{BOT}> /show {job.id}", f"C{SOUTH}")
    await adam.see("There is no job")
    await boss.say(f"<@{BOT}> /admin pause", f"C{SOUTH}")
    await boss.see("aused")

    await eve.say(f"<@{BOT}> a wolf --count 1", f"C{NORTH}")
    await house.ended(count=2)
    assert not [m for m in house.wire.visible(adam.id) if "secret" in m.shown]
    tenants = {job.origin.member.tenant for job in await house.jobs()}
    assert tenants == {f"slack:{NORTH}"}


async def test_workspaces_of_one_organisation_are_tenants_of_their_own(house: House) -> None:
    eve, _ = people_of(house, NORTH)
    inhabit(house.wire, "T8EAST", "E1")
    east, _ = people_of(house, "T8EAST")

    await eve.slash("/imagine a secret fox --count 1", f"C{NORTH}")
    await house.ended()
    await east.slash("/easel history everyone=yes", "CT8EAST")
    await east.see("none yet")
    await east.slash("/imagine a wolf --count 1", "CT8EAST")
    await house.ended(count=2)

    tenants = {job.origin.member.tenant for job in await house.jobs()}
    assert tenants == {f"slack:{NORTH}", "slack:T8EAST"}


async def test_an_event_without_a_workspace_is_refused_and_logged(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor does Slack tell where the person is at home."""
    eve, _ = people_of(house, NORTH)
    house.wire.terse = True
    house.wire.users.pop("W5ALIEN", None)
    nobody = {"type": "app_mention", "user": "W5ALIEN", "text": f"<@{BOT}> a fox", "ts": "1.5"}

    sent = await eve.event(nobody | {"channel": f"C{NORTH}", "event_ts": "1.5"})
    await house.acked(sent)
    await eve.slash("/imagine a wolf --count 1", f"C{NORTH}")
    await house.ended()

    assert [job.prompt for job in await house.jobs()] == ["a wolf"]
    assert "refused: no workspace is named" in capsys.readouterr().out


async def test_an_organisation_s_own_token_serves_all_of_its_workspaces(opened: Opens) -> None:
    """SLACK_BOT_TOKEN of an organisation-wide installation."""
    async with opened() as house:
        wire = house.wire
        eve, _ = inhabit(wire, NORTH, "E1")
        scopes = wire.installs[BOT_TOKEN].scopes
        wire.installs = {BOT_TOKEN: Install(BOT_TOKEN, "", scopes, enterprise="E1", whole=True)}
    async with opened() as house:
        for terse in (False, True):
            wire.terse = terse
            await eve.say(f"<@{BOT}> a fox --count 1", f"C{NORTH}")
            job = await house.ended(count=1 + terse)
            assert job.origin.member.tenant == f"slack:{NORTH}"


# ---- channels that are shared with another organisation


def share(wire: Wire, *people: Person) -> None:
    wire.channels[SHARED] = Channel(
        SHARED, "both", members={BOT, *(each.id for each in people)}, team=NORTH, shared=(SOUTH,)
    )


@pytest.mark.parametrize("terse", [False, True])
async def test_strangers_in_a_shared_channel_are_refused_and_ours_are_served(
    opened: Opens, terse: bool
) -> None:
    async with many(opened) as house:
        wire = house.wire
        (eve, _), (adam, _) = inhabit(wire, NORTH, "E1"), inhabit(wire, SOUTH, "E2")
        wire.users[adam.id].admin = True  # in his own workspace
        await install(house, "E1")
        wire.terse = terse
        share(wire, eve, adam)

        await eve.say(f"<@{BOT}> a fox --count 1", SHARED)
        job = await house.ended()
        message = house.message(job)
        if not terse:  # else not even our own are told from strangers
            await adam.say(f"<@{BOT}> a wolf", SHARED)
            assert "Only members of this workspace" in (await adam.see("Only members of this")).shown
        await adam.say("make it blue", SHARED, thread=message.ts)
        await eve.say("make it red", SHARED, thread=message.ts)
        await house.ended(count=2)

        jobs = await house.jobs()
        assert {each.origin.member.id for each in jobs} == {f"slack:{NORTH}:W{NORTH}"}
        assert len(jobs) == 2


async def test_a_channel_that_a_workspace_s_own_installation_shares(opened: Opens) -> None:
    """No organisations: the token of one workspace, and somebody of another one in its channel."""
    async with opened() as house:
        house.wire.users["U9EVE"] = User("U9EVE", "eve", admin=True, team="T9ELSEWHERE")
        place = house.wire.channels[GENERAL]
        place.shared = ("T9ELSEWHERE",)
        place.members.add("U9EVE")
        eve = Person(house.wire, "U9EVE")
        message = await house.painted("/imagine a fox")

        for label in ("Again", "Delete", "Info"):
            await house.acked(await eve.press(message, label))
        await eve.say(f"<@{BOT}> a wolf")
        refusals = await house.wire.until(
            lambda: [m for m in house.wire.visible(eve.id) if "your own workspace" in m.shown][3:]
        )

        assert refusals and message.pictures and len(await house.jobs()) == 1


# ---- people of several workspaces


async def test_a_colleague_of_another_workspace_sees_what_guests_see(opened: Opens) -> None:
    """In a channel that workspaces of one organisation share; her rights at home are none here."""
    async with opened() as house:
        wire = house.wire
        wire.organisations |= {"T1HOME": "E1", SOUTH: "E1"}
        wire.installs[BOT_TOKEN].enterprise = "E1"
        wire.users["W9MAY"] = User("W9MAY", "may", admin=True, team=SOUTH)
        wire.channels[GENERAL].members.add("W9MAY")
        may = Person(wire, "W9MAY")
    async with opened() as house:
        await house.painted("/imagine a fox", channel="C3RANDOM")
        await may.say(f"<@{BOT}> a wolf --count 1")
        job = await house.ended(count=2)
        assert job.origin.member.id == "slack:T1HOME:W9MAY"
        assert job.origin.member.guest and not job.origin.member.admin

        await may.say(f"<@{BOT}> /history everyone=yes")
        told = await may.see("1. a wolf")
        assert "a fox" not in told.shown


async def test_somebody_of_two_workspaces_is_served_in_each(house: House) -> None:
    inhabit(house.wire, "T8EAST", "E1")
    eve, _ = people_of(house, NORTH)
    house.wire.users[eve.id].teams = ("T8EAST",)
    house.wire.channels["CT8EAST"].members.add(eve.id)

    await eve.slash("/imagine a fox --count 1", f"C{NORTH}")
    await house.ended()
    await Person(house.wire, eve.id, "T8EAST").slash("/imagine a wolf --count 1", "CT8EAST")
    job = await house.ended(count=2)

    assert job.origin.member.tenant == "slack:T8EAST" and not job.origin.member.guest
    assert _result(house, "CT8EAST").channel == "CT8EAST"


def _result(house: House, channel: str) -> Message:
    found = house.wire.said(DONE, house.wire.users[f"W{NORTH}"].id, channel)
    assert found
    return found


async def test_a_log_channel_is_written_to_in_a_workspace_of_an_organisation(house: House) -> None:
    _, boss = people_of(house, NORTH)
    lobby = f"C{NORTH}"
    await boss.slash(f"/easel admin log <#{lobby}|lobby>", lobby)

    def told() -> Message | None:
        logged = (m for m in house.wire.messages.values() if m.channel == lobby and not m.only)
        return next((m for m in logged if "log: none →" in m.text), None)

    assert await house.wire.until(told)

"""A workspace that Slack is slow about holds up nobody else, and is answered in time itself."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from tests.contract.slack.conftest import Opens
from tests.contract.slack.house import DONE, House
from tests.contract.slack.people import Person
from tests.contract.slack.state import BOT, Channel, Fault, User
from tests.contract.slack.test_http import inhabit, install, many

NORTH, SOUTH = "T5NORTH", "T6SOUTH"
SLOW = 8.0  # seconds
IN_TIME = 3.0
ON_THE_WAY = (
    "usergroups.list",
    "users.info",
    "conversations.info",
    "conversations.open",
    "views.open",
    "views.publish",
    "chat.postMessage",
    "chat.postEphemeral",
    "chat.update",
    "files.getUploadURLExternal",
    "files.completeUploadExternal",
    "files.info",
)


@pytest.fixture
async def house(opened: Opens, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    monkeypatch.setattr(
        "bot.adapters.slack.workspaces.CALLS", 5
    )  # at a time, so that fewer than it exhaust it
    monkeypatch.setattr("bot.adapters.slack.client.LAST_WORDS", 0.1)
    async with many(opened) as house:
        for team in (NORTH, SOUTH):
            await install(house, team)
            inhabit(house.wire, team)
        yield house


def slow(house: House, method: str, team: str = NORTH) -> None:
    house.wire.faults.append(Fault(method, token=f"xoxb-ours-{team}", seconds=SLOW, times=1000))


def crowd(house: House, team: str, count: int) -> list[Person]:
    ids = [f"U{team}{number}" for number in range(count)]
    house.wire.users |= {id: User(id, id.lower(), team=team) for id in ids}
    house.wire.channels[f"C{team}"].members |= set(ids)
    return [Person(house.wire, id) for id in ids]


@pytest.mark.parametrize("method", ON_THE_WAY)
async def test_another_workspace_is_answered_in_time(house: House, method: str) -> None:
    slow(house, method)
    for person in crowd(house, NORTH, 12):
        await person.slash("/imagine a fox --count 1", f"C{NORTH}")
        await person.opens_home()
    south = Person(house.wire, f"U{SOUTH}")

    began = time.monotonic()
    await south.slash("/imagine", f"C{SOUTH}")
    await south.form("Generate an image")
    assert time.monotonic() - began < IN_TIME

    began = time.monotonic()
    await south.slash("/easel quota", f"C{SOUTH}")
    await south.see("Your quota")
    assert time.monotonic() - began < IN_TIME


@pytest.mark.parametrize("method", ["usergroups.list", "users.info", "conversations.info"])
async def test_its_own_people_get_their_forms_and_answers_in_time(house: House, method: str) -> None:
    slow(house, method)
    north = Person(house.wire, f"U{NORTH}")

    began = time.monotonic()
    await north.slash("/imagine", f"C{NORTH}")
    first = await north.form(ready=False)
    assert time.monotonic() - began < IN_TIME
    form = await north.form("Generate an image")
    assert form.id == first.id, "the same view, filled"

    await north.submit(form, prompt="a fox", count="1")
    await house.ended()
    began = time.monotonic()
    await north.slash("/easel quota", f"C{NORTH}")
    await north.see("Your quota")
    assert time.monotonic() - began < IN_TIME


async def test_a_form_that_must_be_refused_says_so_in_its_place(house: House) -> None:
    message = await _painted(house, f"U{NORTH}")
    await house.store.delete((await house.newest()).id)
    slow(house, "conversations.info")
    house.wire.channels["C8OTHER"] = Channel("C8OTHER", "other", members={f"U{NORTH}", BOT}, team=NORTH)
    copied = house.wire.keep(type(message)(house.wire.new_ts(), "C8OTHER", BOT, blocks=message.blocks))

    await Person(house.wire, f"U{NORTH}").press(copied, "Edit")

    form = await Person(house.wire, f"U{NORTH}").form("Easel")
    await house.wire.until(lambda: "deleted" in form.shown)


async def test_old_user_groups_stand_in_while_slack_is_slow(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.wire.groups["S1"] = ("designers", {f"U{NORTH}"})
    monkeypatch.setattr("bot.adapters.slack.users.REMEMBERED", 0.001)
    await _painted(house, f"U{NORTH}")
    slow(house, "usergroups.list")

    await _painted(house, f"U{NORTH}")

    assert [job.origin.member.roles for job in await house.jobs()] == [("S1",), ("S1",)]


async def test_pictures_that_slack_looks_at_for_long_hold_up_no_others(house: House) -> None:
    """Neither in another workspace nor in their own."""
    house.wire.ready_after = 60.0
    for person in crowd(house, NORTH, 8):
        await person.slash("/imagine a fox --count 1", f"C{NORTH}")
    await house.wire.until(lambda: len(house.wire.calls_of("files.completeUploadExternal")) == 8)
    house.wire.ready_after = 0.0

    for team in (SOUTH, NORTH):
        message = await _painted(house, f"U{team}")
        assert message.pictures


async def _painted(house: House, user: str) -> object:
    """A picture of somebody's, once it is shown."""
    team = house.wire.users[user].team
    before = {m.ts for m in house.wire.visible(user) if DONE in m.shown and m.pictures}
    await Person(house.wire, user).slash("/imagine a wolf --count 1", f"C{team}")

    def there() -> object:
        found = [m for m in house.wire.visible(user) if "wolf" in m.shown and m.pictures]
        return next((m for m in found if m.ts not in before), None)

    return await house.wire.until(there)

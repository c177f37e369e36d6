"""Who may do what: role × command × place × surface, and role × button × place."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from bot import commands
from bot.accounts.access_rules import OPERATED
from bot.errors import Refusal
from bot.messages.types import Card
from bot.models import EVERYWHERE, Job, Member, Origin, State
from bot.options import Command, Option
from tests.scenario.conftest import ADA, BEN, BOSS, House, Opens

SURFACES = ("discord", "slack", "web", "cli", "api")
ROLES = ("member", "moderator", "administrator", "operator")
HERE, ELSEWHERE = ADA.tenant, "test:elsewhere"
OPERATOR = "discord:77"
ACCOUNTS = ("admin person gift", "admin person reset")
"""What concerns an account, wherever its person is."""


def caller(house: House, surface: str, role: str, place: str) -> Origin:
    id = OPERATOR if role == "operator" else f"{surface}:5"
    moderates = (EVERYWHERE,) if role == "moderator" else ()
    member = Member(tenant=place, id=id, name="Cal", admin=role == "administrator", moderates=moderates)
    return replace(house.origin(member), surface=surface)


def operates(surface: str, role: str) -> bool:
    return role == "operator" or (role == "administrator" and surface in OPERATED)


def expected(command: Command, surface: str, role: str, place: str) -> str:
    """The code of the refusal; empty where the command is obeyed."""
    if not operates(surface, role) and (role in ("member", "moderator") or command.operator):
        return "forbidden"
    if place == HERE or command.option("job") is None:
        return ""
    return "" if command.name == "admin decide" and operates(surface, role) else "unknown"


def options(command: Command, job: Job | None) -> dict[str, object]:
    """Something that can be done."""
    said = {each.name: example(each, job) for each in command.options if each.required}
    more: dict[str, dict[str, object]] = {
        "admin quota budget": {"seconds": 100, "channel": "lobby"},
        "admin quota money": {"amount": 50, "currency": "EUR"},
        "admin set channel": {"channel": "den", "rule": "refuse"},
        "admin set models": {"model": "memory", "rule": "allow"},
        "admin set styles": {"style": "noir", "rule": "refuse"},
        "admin set defaults": {"count": 2},
        "admin set language": {"language": "de"},
        "admin set moderation": {"refuse": "rival"},
        "admin set moderators": {"role": "r2"},
    }
    return said | more.get(command.name, {}) | ({"tier": "team"} if "tier" in said else {})


def example(option: Option, job: Job | None) -> object:
    if option.choices:
        return option.choices[0]
    known = {"job": job.id if job else "", "person": BEN.id, "role": "r1", "seconds": 60}
    return known.get(option.name, option.example)


async def code(work: Any) -> str:
    """The code of the refusal, or nothing."""
    try:
        await work
    except Refusal as refusal:
        return refusal.code
    return ""


async def set_in(house: House, place: str) -> Any:
    """All that administrators have set in a place, what they wrote down there, and who pays what."""
    store = house.store
    said = await store.policy(place), await store.persons(place), await store.audit(place, limit=1000)
    return *said, [line.key async for line in store.lines(tenant=place)]


UNDERSTOOD = {
    "admin job": "ended",
    "contest start": "place",  # these places have no channels that a contest could be shown in
    "contest end": "none",
    "contest export": "ended",
}
"""How what may be asked for is refused for another reason."""
ADMINISTRATION = [each for each in commands.COMMANDS if each.admin]


@pytest.mark.parametrize("surface", SURFACES)
async def test_who_may_use_which_command_in_which_place(opened: Opens, surface: str) -> None:
    """Elsewhere, one surface whose administrators operate and one where they do not stand for all."""
    places = (HERE, ELSEWHERE) if surface in ("discord", "cli") else (HERE,)
    async with opened(operators=(OPERATOR,)) as house:
        for role, place in itertools.product(ROLES, places):
            other = HERE if place == ELSEWHERE else ELSEWHERE
            after = [await set_in(house, each) for each in (place, other)]
            for command in ADMINISTRATION:
                job = await house.painted("a fox --count 1") if command.option("job") else None
                if job:
                    await house.press(f"v1:report:{job.id}", BEN)
                before = [await set_in(house, each) for each in (place, other)] if job else after
                origin = caller(house, surface, role, place)

                got = await code(house.easel.router.handle(command.name, options(command, job), origin))

                wanted = expected(command, surface, role, place)

                said = f"{role} on {surface}, /{command.name} {'here' if place == HERE else 'elsewhere'}"
                if command.name in UNDERSTOOD and not wanted:
                    wanted = UNDERSTOOD[command.name]
                assert got == wanted, said
                after = [await set_in(house, each) for each in (place, other)]
                if wanted:
                    assert after == before, said
                if command.name not in ("admin decide", *ACCOUNTS):
                    assert after[1] == before[1], f"{said} changed something in another place"


PEOPLE = {
    "owner": ADA,
    "member": BEN,
    "administrator": BOSS,
    "moderator": replace(BEN, id="test:mod", moderates=(EVERYWHERE,)),
    "moderator of this channel": replace(BEN, id="test:mod2", moderates=("lobby",)),
    "moderator of another channel": replace(BEN, id="test:mod3", moderates=("den",)),
    "named moderator": replace(BEN, id="test:named"),
    "moderator by a role": replace(BEN, id="test:helper", roles=("helpers",)),
    "stranger": replace(BEN, id="test:stranger", tenant=ELSEWHERE),
    "administrator elsewhere": replace(BOSS, id="test:boss2", tenant=ELSEWHERE),
    "moderator elsewhere": replace(BEN, id="test:mod4", tenant=ELSEWHERE, moderates=(EVERYWHERE,)),
    "named moderator elsewhere": replace(BEN, id="test:named", tenant=ELSEWHERE, roles=("helpers",)),
    "the same name elsewhere": replace(ADA, tenant=ELSEWHERE),
}
STRANGERS = [who for who in PEOPLE if PEOPLE[who].tenant == ELSEWHERE]
UNKNOWN = dict.fromkeys(STRANGERS, "unknown")
MODERATORS = (
    "administrator",
    "moderator",
    "moderator of this channel",
    "named moderator",
    "moderator by a role",
)
OTHERS = ("member", "moderator of another channel")
"""Who sees the job and may do no more than look at it, and make others of it."""
ALL = UNKNOWN
FORBIDDEN = dict.fromkeys(OTHERS, "forbidden")
ENDED = {"owner": "ended", **dict.fromkeys(MODERATORS, "ended"), **FORBIDDEN}
DECISION = dict.fromkeys(PEOPLE, "forbidden") | {
    "administrator": "",
    "administrator elsewhere": "unknown",
}
BUTTONS: dict[str, dict[str, str]] = {
    "info": ALL,
    "favourite": ALL,
    "download": ALL,
    "edit": ALL,
    "show": ALL,
    "pick:0": ALL,
    "upscale:0": ALL,
    "vary_subtle:0": ALL,
    "vary_strong:0": ALL,
    "cut_out:0": ALL,
    "again": ALL,
    "share": UNKNOWN | dict.fromkeys((*OTHERS, *MODERATORS), "forbidden"),
    "enter": UNKNOWN | dict.fromkeys((*OTHERS, *MODERATORS), "forbidden") | {"owner": "none"},
    "enter_image:0": UNKNOWN | dict.fromkeys((*OTHERS, *MODERATORS), "forbidden") | {"owner": "none"},
    "report": UNKNOWN | {"owner": "own"},
    "cancel": UNKNOWN | ENDED,
    "delete": UNKNOWN | FORBIDDEN,
    "keep": DECISION,
    "remove": DECISION,
}
"""Button → who is refused it, and how."""
CHANGING = ("share", "report", "cancel", "delete", "keep", "remove")
"""Buttons after which a job is not as it was before."""


async def name_moderators(house: House) -> None:
    for named in ({"person": "test:named"}, {"role": "helpers"}):
        await house.easel.router.handle("admin set moderators", named, house.origin(BOSS))


@pytest.mark.parametrize("pressed", BUTTONS)
async def test_who_may_press_what(house: House, pressed: str) -> None:
    await name_moderators(house)
    name, _, index = pressed.partition(":")
    job = await house.painted("a fox --count 1")
    for who, member in PEOPLE.items():
        if name in CHANGING:
            job = await house.painted("a fox --count 1")
        if name in ("keep", "remove"):
            await house.press(f"v1:report:{job.id}", BEN)
        button = f"v1:{name}:{job.id}" + (f":{index}" if index else "")
        assert await code(house.press(button, member)) == BUTTONS[pressed].get(who, ""), who
        await code(house.ask("what tells of a strike --count 1"))


@pytest.mark.parametrize("pressed", BUTTONS)
async def test_what_is_private_is_its_owner_s_to_press(house: House, pressed: str) -> None:
    await name_moderators(house)
    job = await house.delivered((await house.painted("a fox --count 1 --private")).id)
    name, _, index = pressed.partition(":")
    for who, member in PEOPLE.items():
        if who == "owner":
            continue
        got = await code(house.press(f"v1:{name}:{job.id}" + (f":{index}" if index else ""), member))
        nothing = {"forbidden", "unknown"} | ({"decided"} if name in ("keep", "remove") else set())
        assert got in nothing, who
    assert await house.row(job.id) == job, "nothing was done to it"


@pytest.mark.parametrize("pressed", BUTTONS)
async def test_what_was_deleted_on_the_platform_is_its_owner_s_to_press(house: House, pressed: str) -> None:
    await name_moderators(house)
    job = await house.delivered((await house.painted("a fox --count 1")).id)
    await house.easel.departures.deleted_jobs([job.id], HERE)
    name, _, index = pressed.partition(":")
    for who, member in PEOPLE.items():
        if who == "owner" or name in ("keep", "remove"):
            continue
        got = await code(house.press(f"v1:{name}:{job.id}" + (f":{index}" if index else ""), member))
        assert got == "unknown", who
    assert await house.row(job.id) == replace(job, hidden=True), "nothing was done to it"


async def test_who_may_see_reports_and_of_what(opened: Opens) -> None:
    async with opened(operators=(OPERATOR,)) as house:
        await name_moderators(house)
        job = await house.delivered((await house.painted("a fox --count 1")).id)
        await house.press(f"v1:report:{job.id}", BEN)
        everybody = {**PEOPLE, "operator": replace(BEN, id=OPERATOR, tenant=ELSEWHERE)}
        for who, member in everybody.items():
            got = house.easel.router.handle("reports", {}, house.origin(member))
            if who in ("owner", "member", "stranger", "the same name elsewhere", "named moderator elsewhere"):
                assert await code(got) == "forbidden", who
                continue
            card = await got
            assert isinstance(card, Card)
            sees = who in (*MODERATORS, "operator")
            assert (job.id in str(card.body)) == sees, who
            decides = any(f"v1:remove:{job.id}" == each.id for row in card.rows for each in row)
            assert decides == (who in ("administrator", "operator")), who


async def test_a_favourite_is_shown_to_whoever_may_see_the_picture(house: House) -> None:
    """A mark in the books opens nothing, whoever made it."""
    await name_moderators(house)
    shown, hidden, private = [
        await house.delivered((await house.painted(f"{what} --count 1")).id)
        for what in ("a fox", "an owl", "a cat --private")
    ]
    await house.easel.departures.deleted_jobs([hidden.id], HERE)
    for who, member in PEOPLE.items():
        for job in (shown, hidden, private):
            await house.store.favour(job.id, member.id)
        card = await house.easel.router.handle("favourites", {}, house.origin(member))
        found = {job.prompt for job in (shown, hidden, private) if job.id in repr(card)}
        everything = {"a fox", "an owl", "a cat"}
        assert found == (everything if who == "owner" else set() if who in STRANGERS else {"a fox"}), who


@pytest.mark.parametrize("name", ["favourite", "download", "delete"])
async def test_a_reaction_does_what_the_button_does_for_whom_it_does(house: House, name: str) -> None:
    await name_moderators(house)
    for prompt, hidden in (("a fox", False), ("an owl --private", False), ("a cat", True)):
        for who, member in PEOPLE.items():
            job = await house.delivered((await house.painted(f"{prompt} --count 1")).id)
            if hidden:
                await house.easel.departures.deleted_jobs([job.id], HERE)
            sees = who == "owner" or (prompt == "a fox" and who not in STRANGERS)
            deletes = sees and who in ("owner", *MODERATORS)
            work = house.easel.router.react(name, job.id, house.origin(member))

            got = await code(work)

            assert got == ("unknown" if name == "download" and not sees else ""), who
            marked = bool(await house.store.favourites_of([member.id]))
            assert marked == (name == "favourite" and sees), who
            gone = (await house.row(job.id)).state is State.DELETED
            assert gone == (name == "delete" and deletes), who
            await house.easel.router.unreact("favourite", job.id, member.id)
    marks = [await house.store.favourites_of([each.id]) for each in PEOPLE.values()]
    assert not any(marks), "whoever takes the star away has no favourite any more"


@pytest.mark.parametrize("command", ["show", "upscale", "vary", "cancel"])
async def test_who_may_name_a_job_in_a_command(house: House, command: str) -> None:
    await name_moderators(house)
    wanted = UNKNOWN | (ENDED if command == "cancel" else {})
    for who, member in PEOPLE.items():
        job = await house.painted("a fox --count 1")
        work = house.easel.router.handle(command, {"job": job.id}, house.origin(member))
        assert await code(work) == wanted.get(who, ""), who

"""A server's own rules as Discord shows them, and what Discord tells of people and channels."""

from __future__ import annotations

from typing import Any

import pytest

from bot.messages.types import Card
from bot.models import Job, Origin
from tests.contract.discord.line import DONE, Connects, Line, requests
from tests.contract.discord.wire import (
    ADA,
    CHANNEL,
    EPHEMERAL,
    GUILD,
    VIEW_CHANNEL,
    Fault,
    Pick,
    member,
    place,
)

MANAGE_SERVER = 1 << 5
THREAD, BEN, ROLE = 3005, 4002, 7001
GONE = {"code": 10003, "message": "Unknown Channel"}


async def test_administration_is_shown_to_those_who_manage_a_server(line: Line) -> None:
    (put,) = await line.wire.until(lambda: requests(line, "PUT", "/commands"))
    admin = next(each for each in put.json if each["name"] == "admin")
    assert admin["default_member_permissions"] == MANAGE_SERVER
    assert admin["contexts"] == [0] and admin["integration_types"] == [0]
    inside = {each["name"]: each for each in admin["options"]}
    assert {"pause", "resume", "audit", "person", "tier", "quota", "set"} <= inside.keys()
    assert {each["type"] for each in inside.values()} == {1, 2}
    for group in ("person", "tier", "set"):
        inside |= {each["name"]: each for each in inside[group]["options"]}
    assert inside["pause"]["description_localizations"]["de"].startswith("Beginnt nichts")
    kinds = {
        each["name"]: each["type"] for name in ("gift", "role", "channel") for each in inside[name]["options"]
    }
    assert (kinds["person"], kinds["role"], kinds["channel"]) == (6, 8, 7)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any], Origin]]:
    """What reaches the studio, which answers "done"."""
    seen: list[tuple[str, dict[str, Any], Origin]] = []

    async def handle(
        self: object, name: str, options: dict[str, Any], origin: Origin, *, parent: str = ""
    ) -> Card:
        seen.append((name, options, origin))
        return Card(kind="text", body=("done",), private=True)

    monkeypatch.setattr("bot.router.Router.handle", handle)
    return seen


@pytest.mark.parametrize(
    ("name", "picked", "told"),
    [
        (
            "admin person gift",
            {"person": Pick(6, BEN), "seconds": 60.0},
            {"person": f"discord:{BEN}", "seconds": 60.0},
        ),
        ("admin tier role", {"role": Pick(8, ROLE), "tier": "team"}, {"role": str(ROLE), "tier": "team"}),
        ("admin tier role", {"role": Pick(8, GUILD), "tier": "team"}, {"role": "everyone", "tier": "team"}),
        (
            "admin set channel",
            {"channel": Pick(7, CHANNEL), "rule": "refuse"},
            {"channel": str(CHANNEL), "rule": "refuse"},
        ),
        ("admin pause", {}, {}),
    ],
)
async def test_what_is_picked_reaches_the_studio_by_its_id(
    line: Line, asked: list[Any], name: str, picked: dict[str, Any], told: dict[str, Any]
) -> None:
    about = {"member": member(permissions=MANAGE_SERVER)}
    token = await line.wire.command(name, about, **picked)

    answer = await line.wire.answered(token, "done")

    ((got, options, origin),) = asked
    assert (got, options) == (name, told)
    assert origin.member.admin and origin.member.tenant == f"discord:{GUILD}"
    assert answer.flags & EPHEMERAL


async def test_who_does_not_manage_the_server_is_refused_by_the_studio_itself(line: Line) -> None:
    token = await line.wire.slash("admin pause")

    answer = await line.wire.until(lambda: _told(line, token))

    assert answer.flags & EPHEMERAL and "administrator" in answer.text
    await line.painted(count=1)  # and nothing is paused


def _told(line: Line, token: str) -> Any:
    found = line.wire.response(token)
    return found if found and found.text else None


async def test_roles_are_those_of_the_member(line: Line) -> None:
    token = await line.wire.command("imagine", {"member": member(roles=(ROLE, 7002))}, prompt="a fox")
    await line.wire.answered(token, DONE)

    assert (await line.ended()).origin.member.roles == (str(ROLE), "7002")


async def test_a_mention_tells_the_roles_too(line: Line) -> None:
    await line.wire.say("<@1002> a fox", member=member(roles=(ROLE,)))

    await line.wire.until(lambda: [m for m in line.wire.messages.values() if DONE in m.text])
    assert (await line.ended()).origin.member.roles == (str(ROLE),)


# ---- age-restricted channels


@pytest.mark.parametrize("adult", [True, False])
async def test_a_job_knows_whether_its_channel_was_age_restricted(line: Line, adult: bool) -> None:
    token = await line.wire.command("imagine", {"channel": place(CHANNEL, nsfw=adult)}, prompt="a fox")
    await line.wire.answered(token, DONE)

    assert (await line.ended()).origin.adult is adult


async def test_a_thread_stands_for_its_channel(line: Line) -> None:
    parent = place(CHANNEL, nsfw=True)
    await line.wire.join(parent)
    token = await line.wire.command(
        "imagine", {"channel": _thread(), "channel_id": str(THREAD)}, prompt="a fox"
    )
    await line.wire.answered(token, DONE)

    job = await line.ended()
    assert job.origin.channel == str(CHANNEL) and job.origin.adult
    assert job.origin.reply["channel"] == THREAD


CLOSED = place(
    CHANNEL,
    permission_overwrites=[{"id": str(GUILD), "type": 0, "allow": "0", "deny": str(VIEW_CHANNEL)}],
)
PUBLIC_THREAD, PRIVATE_THREAD = 11, 12


@pytest.mark.parametrize(
    ("known", "kind", "seen_in"),
    [
        (place(CHANNEL), 0, ()),
        (CLOSED, 0, (str(CHANNEL),)),
        (place(CHANNEL), PUBLIC_THREAD, ()),
        (CLOSED, PUBLIC_THREAD, (str(CHANNEL),)),
        (place(CHANNEL), PRIVATE_THREAD, (str(THREAD),)),
        (place(5), 0, (str(CHANNEL),)),  # a channel of which nothing is known
        (None, 0, (str(CHANNEL),)),  # a server that the bot is not in
    ],
)
async def test_what_is_asked_where_not_everybody_may_look_is_seen_there_alone(
    line: Line, known: Any, kind: int, seen_in: tuple[str, ...]
) -> None:
    if known:
        await line.wire.join(known)
    channel = _thread(kind) if kind else place(CHANNEL)
    token = await line.wire.command(
        "imagine", {"channel": channel, "channel_id": channel["id"]}, prompt="a fox"
    )
    await line.wire.answered(token, DONE)

    assert (await line.ended()).origin.seen_in == seen_in


def _thread(kind: int = PUBLIC_THREAD) -> dict[str, Any]:
    about = {"archived": False, "auto_archive_duration": 60, "archive_timestamp": "2026-01-01T00:00:00+00:00"}
    more = {"parent_id": str(CHANNEL), "owner_id": str(ADA), "thread_metadata": about, "message_count": 0}
    return place(THREAD, kind=kind, **more, member_count=1, rate_limit_per_user=0)


async def _job(line: Line, channel: int = CHANNEL) -> Job:
    token = await line.wire.command("imagine", {"channel": place(channel)}, prompt="a fox", count=1)
    await line.wire.answered(token, DONE)
    job: Job = await line.ended()
    return job


async def test_the_channel_is_asked_again_when_a_result_is_posted(line: Line) -> None:
    job = await _job(line)
    before = await line.house.adapter.adult(job)

    line.wire.places[CHANNEL] = place(CHANNEL, nsfw=True)

    assert not before and await line.house.adapter.adult(job)


async def test_a_thread_is_as_restricted_as_its_channel(line: Line) -> None:
    job = await _job(line, THREAD)
    line.wire.places |= {THREAD: _thread(), CHANNEL: place(CHANNEL, nsfw=True)}

    assert await line.house.adapter.adult(job)

    line.wire.places[CHANNEL] = place(CHANNEL)
    assert not await line.house.adapter.adult(job)


@pytest.mark.parametrize("case", ["gone", "direct", "broken", "nonsense"])
async def test_what_cannot_be_seen_is_not_age_restricted(connected: Connects, case: str) -> None:
    async with connected() as line:
        job = await _job(line)
        match case:
            case "gone":
                line.wire.faults.append(Fault("GET", rf"/channels/{CHANNEL}", 404, GONE, times=9))
            case "direct":
                ada = {"id": str(ADA), "username": "ada", "discriminator": "0", "avatar": None}
                line.wire.places[CHANNEL] = {"id": str(CHANNEL), "type": 1, "recipients": [ada]}
            case "broken":
                line.wire.faults.append(
                    Fault("GET", rf"/channels/{CHANNEL}", 400, {"code": 0, "message": ""})
                )
            case "nonsense":
                line.wire.places[CHANNEL] = place(CHANNEL, kind=99)

        assert not await line.house.adapter.adult(job)

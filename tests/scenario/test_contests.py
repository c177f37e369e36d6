"""A contest from its start to its result: blind entries, one vote a person, ties, and what goes wrong."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.contests.service import RETRY
from bot.errors import Refusal, TryLater, Unreachable
from bot.messages.types import Card
from bot.models import Job, Member, Origin
from tests.scenario.conftest import ADA, BEN, BOSS, House, Opens, button

CAL, DOT = (replace(BEN, id=f"test:{name.casefold()}", name=name) for name in ("Cal", "Dot"))
STRANGER = replace(BEN, tenant="test:elsewhere")
OPERATOR = "discord:77"


async def ask(house: House, command: str, member: Member = BOSS, **options: Any) -> Card:
    channel = options.pop("channel", "lobby")
    answer = await house.easel.router.handle(command, options, house.origin(member, channel=channel))
    assert isinstance(answer, Card) and answer.private
    return answer


async def started(house: House, **options: Any) -> None:
    await ask(house, "contest start", theme="foxes", **options)


async def entered(house: House, member: Member, prompt: str = "a fox") -> Job:
    job = await house.painted(f"{prompt} --count 1", member)
    card = await house.press(f"v1:enter:{job.id}", member)
    assert "Entered in “foxes”" in card.body[0]
    return job


async def refused(work: Any) -> str:
    with pytest.raises(Refusal) as told:
        await work
    return told.value.notice


def boards(house: House) -> list[Card]:
    return [card for _where, card in house.surface.boards.values()]


async def ids(house: House) -> dict[str, str]:
    """The key of each member's entry."""
    contest = (await house.store.contests(ADA.tenant))[0]
    found = await house.store.entries(contest.id)
    return {each.member: f"{contest.id}_{each.number}" for each in found}


async def vote(house: House, member: Member, whose: Member) -> Card:
    key = (await ids(house))[whose.id]
    look = await house.press(f"v1:contest_entry:{key}", member)
    return await house.press(button(look, "Vote for this one"), member)


# ---- from the start to the result


async def test_the_whole_of_a_contest(house: House) -> None:
    await started(house, days=2, entries=1)
    assert "Contest: foxes" in boards(house)[0].title and "stays secret" in boards(house)[0].body[1]
    foxes = {member.id: await entered(house, member, f"a fox of {member.name}") for member in (ADA, BEN, CAL)}
    assert len(boards(house)) == 1, "nothing is said of entries"
    assert "You have 1 entry." in repr(await ask(house, "contest show", ADA))

    await ask(house, "contest end")

    page = boards(house)[1]
    assert [each.label for row in page.rows for each in row] == ["1", "2", "3"]
    assert page.body[:3] == ("Entry 1", "Entry 2", "Entry 3") and len(page.pictures) == 3
    said = repr(page)
    assert not any(
        word in said for word in ("Ada", "Ben", "Cal", "a fox of", *[j.id for j in foxes.values()])
    )

    await vote(house, ADA, BEN)
    await vote(house, BEN, ADA)
    await vote(house, DOT, CAL)
    told = await vote(house, DOT, BEN)
    assert "You can change that" in told.body[0]
    await ask(house, "contest end")

    pages, result = boards(house)[1], boards(house)[2]
    assert pages.rows == () and "Voting has ended." in pages.body
    assert re.match(r"1\. Ben \(entry \d\), 2 votes", result.body[0])
    assert re.match(r"2\. Ada \(entry \d\), 1 vote", result.body[1])
    assert re.match(r"3\. Cal \(entry \d\), 0 votes", result.body[2])
    assert len(result.pictures) == 3 and result.facts == ("3 entries", "3 votes")
    assert "No contest runs here" in await refused(ask(house, "contest end"))


async def test_who_has_as_many_votes_shares_the_place(house: House) -> None:
    await started(house)
    for member in (ADA, BEN, CAL):
        await entered(house, member)
    await ask(house, "contest end")
    await vote(house, ADA, BEN)
    await vote(house, BEN, ADA)
    await ask(house, "contest end")
    body = boards(house)[-1].body
    assert [line.split(".")[0] for line in body] == ["1", "1", "3"]
    assert body[0].endswith("1 vote, a tie") and body[1].endswith("1 vote, a tie")
    assert body[2].endswith("0 votes")


@pytest.mark.parametrize("count", [1, 8, 9, 50])
async def test_any_number_of_entries_can_be_voted_on(house: House, count: int) -> None:
    await started(house, entries=10)
    job = await house.painted("a fox --count 1")
    contest = (await house.store.contests(ADA.tenant))[0]
    for number in range(count):
        one = job if number == 0 else await copied(house, job)
        owner = f"test:person{number}"
        assert await house.store.enter(contest.id, one.id, 0, owner, f"Person {number}") == ""
    await ask(house, "contest end")
    pages = boards(house)[1:]
    labels = [each.label for page in pages for row in page.rows for each in row]
    assert labels == [str(number) for number in range(1, count + 1)]
    assert len(pages) == -(-count // 8) and all(len(page.pictures) <= 8 for page in pages)
    key = next(iter((await ids(house)).values()))
    await house.press(f"v1:vote:{key}", DOT)
    await ask(house, "contest end")
    result = boards(house)[-1]
    assert result.body[0].endswith("1 vote") and len(result.body) == min(count, 8) + (count > 8)


async def copied(house: House, job: Job) -> Job:
    """Another finished job with the same picture: painting fifty takes a while."""
    from bot.models import State, new_id
    from tests.examples import a_tier

    id = new_id()
    fresh = replace(job, id=id, origin=replace(job.origin, event=id), state=State.QUEUED, pictures=())
    await house.store.admit(fresh, tier=a_tier(1e9))
    await house.store.add_picture(id, job.singles[0])
    await house.store.end(id, State.RENDERED)
    return fresh


async def test_time_closes_entries_and_the_vote_also_after_a_restart(opened: Opens) -> None:
    async with opened(crash=True) as house:
        await started(house, days=1, voting=1)
        await entered(house, ADA)
    async with opened() as house:
        job = await house.painted("an owl --count 1", BEN)
        more = await house.press(f"v1:more:{job.id}", BEN)
        assert button(more, "Enter contest"), "the entries are open still"
        soon = house.store.now() + timedelta(days=1, seconds=1)
        house.store._clock = lambda: soon
        await house.easel.contests.tick()
        assert "Entry 1" in boards(house)[-1].body
        later = soon + timedelta(days=1, seconds=1)
        house.store._clock = lambda: later
        await house.easel.contests.tick()
        assert "1. Ada (entry 1), 0 votes" in boards(house)[-1].body
        count = len(boards(house))
        await house.easel.contests.tick()
        assert len(boards(house)) == count


async def test_a_message_that_could_not_be_posted_is_posted_later_and_once(house: House) -> None:
    house.surface.troubles = [TryLater("away")]
    await started(house)
    await house.easel.contests.tick()
    assert boards(house) == [], "not at once"
    soon = house.store.now() + RETRY
    house.store._clock = lambda: soon
    await house.easel.contests.tick()
    await house.easel.contests.tick()
    assert len(boards(house)) == 1


async def test_a_platform_that_stays_away_is_given_up_at_last(house: House) -> None:
    await started(house)
    await entered(house, ADA)
    house.surface.troubles = [TryLater("away")] * 9
    for days in (7, 10, 18):
        later = house.store.now() + timedelta(days=days)
        house.store._clock = lambda later=later: later
        await house.easel.contests.tick()
    assert await house.store.contests(ADA.tenant) == [] and len(boards(house)) == 1
    assert await house.store.contests_due(house.store.now()) == []


# ---- entering


async def test_which_of_several_images_is_asked(house: House) -> None:
    await started(house)
    job = await house.painted("a fox --count 3")
    asked = await house.press(f"v1:enter:{job.id}", ADA)
    await house.press(button(asked, "2"), ADA)
    contest = (await house.store.contests(ADA.tenant))[0]
    assert [each.index for each in await house.store.entries(contest.id)] == [1]


async def test_an_older_result_is_entered_by_a_command(house: House) -> None:
    job = await house.painted("a fox --count 2")
    await started(house)
    await ask(house, "contest enter", ADA, job=job.id, picture=2)
    contest = (await house.store.contests(ADA.tenant))[0]
    assert [each.index for each in await house.store.entries(contest.id)] == [1]


async def test_what_cannot_be_entered_is_said_in_one_sentence(house: House) -> None:
    job = await house.painted("a fox --count 1")
    assert "No contest runs here" in await refused(house.press(f"v1:enter:{job.id}", ADA))
    await started(house)
    private = await house.painted("a fox --count 1 --private")
    assert "everyone in the contest's channel" in await refused(house.press(f"v1:enter:{private.id}", ADA))
    assert "Only the person who asked" in await refused(house.press(f"v1:enter:{job.id}", BEN))
    await house.press(f"v1:enter:{job.id}", ADA)
    assert "entered already" in await refused(house.press(f"v1:enter:{job.id}", ADA))
    other = await house.painted("an owl --count 1")
    assert "as many entries" in await refused(house.press(f"v1:enter:{other.id}", ADA))
    await ask(house, "contest end")
    assert "not taken any more" in await refused(house.press(f"v1:enter:{other.id}", ADA))


async def test_the_button_is_there_while_entries_are_taken_for_the_owner(
    house: House,
) -> None:
    job = await house.painted("a fox --count 1")
    private = await house.painted("an owl --count 1 --private")

    async def has(job: Job, member: Member) -> bool:
        return "Enter contest" in repr(await house.press(f"v1:more:{job.id}", member))

    assert not await has(job, ADA)
    await started(house)
    assert await has(job, ADA) and not await has(job, BEN) and not await has(private, ADA)
    assert "Enter contest" in repr(house.easel.cards.card(job)), "and in the menu of the message"
    await entered(house, BEN)
    await ask(house, "contest end")
    assert not await has(job, ADA) and "Enter contest" not in repr(house.easel.cards.card(job))


# ---- voting


async def test_who_may_not_vote_is_told_so_in_one_sentence(house: House) -> None:
    await started(house)
    await entered(house, ADA)
    assert "Voting is not open" in await refused(house.press(f"v1:vote:{(await ids(house))[ADA.id]}", BEN))
    await ask(house, "contest end")
    key = (await ids(house))[ADA.id]
    assert "your own entry" in await refused(house.press(f"v1:vote:{key}", ADA))
    assert "in another place" in await refused(house.press(f"v1:vote:{key}", STRANGER))
    guest = replace(DOT, guest=True)
    away = house.easel.router.press(f"v1:vote:{key}", house.origin(guest, channel="den"))
    assert "where you are not" in await refused(away)
    await house.easel.router.handle("admin person block", {"person": CAL.id}, house.origin(BOSS))
    assert "You cannot use Easel here" in await refused(house.press(f"v1:vote:{key}", CAL))
    contest = key.partition("_")[0]
    for nonsense in (f"{contest}_9", f"{contest}_x", contest, f"{contest}_01"):
        assert "withdrawn" in await refused(house.press(f"v1:vote:{nonsense}", BEN))
    assert "in another place" in await refused(house.press("v1:vote:1a2b3c_1", BEN))
    assert (await house.store.entries(contest))[0].votes == 0


async def test_a_picture_that_is_deleted_or_hidden_is_withdrawn_at_once(house: House) -> None:
    await started(house)
    jobs = {member.id: await entered(house, member) for member in (ADA, BEN, CAL)}
    await ask(house, "contest end")
    keys = await ids(house)
    await vote(house, DOT, ADA)
    await house.press(f"v1:delete:{jobs[ADA.id].id}", ADA)
    await house.easel.departures.deleted_jobs([jobs[BEN.id].id], BEN.tenant)

    await house.easel.contests.tick()

    page = boards(house)[1]
    assert len(page.pictures) == 1 and page.body[0] == f"Entry {keys[CAL.id].split('_')[1]}"
    for gone in (ADA, BEN):
        assert "withdrawn" in await refused(house.press(f"v1:vote:{keys[gone.id]}", DOT))
    await vote(house, DOT, CAL)
    await ask(house, "contest end")
    assert [line.split(" (")[0] for line in boards(house)[-1].body] == ["1. Cal"]

    await house.press(f"v1:delete:{jobs[CAL.id].id}", CAL)
    await house.easel.contests.tick()
    assert "Cal" not in repr(boards(house)) and all(card.pictures == () for card in boards(house))


async def test_who_is_forgotten_withdraws(house: House) -> None:
    await started(house)
    await entered(house, ADA)
    await entered(house, BEN)
    await ask(house, "contest end")
    await vote(house, ADA, BEN)
    forget = await ask(house, "privacy delete", ADA)
    await house.press(button(forget, "Delete everything"), ADA)
    await house.easel.contests.tick()
    page = boards(house)[1]
    assert len(page.pictures) == 1
    contest = (await house.store.contests(ADA.tenant))[0]
    assert [(each.member, each.votes) for each in await house.store.entries(contest.id)] == [(BEN.id, 0)]


async def test_an_entry_can_be_reported_and_removed(house: House) -> None:
    await started(house)
    job = await entered(house, ADA)
    await ask(house, "contest end")
    key = (await ids(house))[ADA.id]
    look = await house.press(f"v1:contest_entry:{key}", BEN)
    card = await house.press(button(look, "Report"), BEN)
    assert "The administrators will look at it" in card.body[0]
    await house.press(f"v1:remove:{job.id}", BOSS)
    await house.easel.contests.tick()
    assert all(card.pictures == () for card in boards(house))


async def test_what_is_covered_is_covered_in_a_contest_too(house: House) -> None:
    await house.easel.router.handle("admin spoiler", {"channel": "den"}, house.origin(BOSS))
    await started(house, channel="den")
    await entered(house, ADA)
    await ask(house, "contest end")
    look = await house.press(f"v1:contest_entry:{(await ids(house))[ADA.id]}", BEN)
    assert boards(house)[1].spoiler and look.spoiler and not boards(house)[0].pictures


# ---- administrators, and what goes wrong


async def test_only_administrators_start_end_and_export(house: House) -> None:
    for command, options in (
        ("contest start", {"theme": "foxes"}),
        ("contest end", {}),
        ("contest export", {}),
    ):
        assert "Only an administrator" in await refused(ask(house, command, ADA, **options))
    await started(house)
    assert "runs here already" in await refused(started(house))
    assert "until its end" in await refused(ask(house, "contest export"))
    await entered(house, ADA)
    await ask(house, "contest end")
    audit = await house.store.audit(BOSS.tenant)
    assert [(each.what, each.before, each.after) for each in audit] == [
        ("contest end", "entries", "voting"),
        ("contest start", "", "foxes"),
    ]


@pytest.mark.parametrize(
    ("until", "told"),
    [
        ("tomorrow", "Say until when"),
        ("2020-01-01", "within the next 90 days"),
        ("9999-12-31 23:59", "within the next 90 days"),
        ("2026-13-45", "Say until when"),
        ("0001-01-01T00:00+23:59", "within the next 90 days"),
    ],
)
async def test_a_time_that_is_none_is_refused(house: House, until: str, told: str) -> None:
    assert told in await refused(started(house, until=until))
    assert await house.store.contests(ADA.tenant) == []


async def test_a_time_may_be_given(house: House) -> None:
    when = (house.store.now() + timedelta(days=3)).replace(microsecond=0)
    await started(house, until=f"{when:%Y-%m-%d %H:%M:%S}")
    assert (await house.store.contests(ADA.tenant))[0].closes == when


async def test_the_file_has_places_votes_and_names(house: House) -> None:
    assert "No contest runs here" in await refused(ask(house, "contest export"))
    await started(house)
    await entered(house, replace(ADA, name="=cmd()"))
    await entered(house, BEN)
    await ask(house, "contest end")
    await vote(house, CAL, BEN)
    await ask(house, "contest end")
    card = await ask(house, "contest export")
    name, content = card.files[0]
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    assert name.endswith(".csv") and [(row["place"], row["name"], row["votes"]) for row in rows] == [
        ("1", "Ben", "1"),
        ("2", "'=cmd()", "0"),
    ]
    card = await ask(house, "contest export", format="json")
    told = json.loads(card.files[0][1])
    assert told["theme"] == "foxes" and [each["member"] for each in told["entries"]] == [BEN.id, ADA.id]
    assert CAL.id not in repr(told), "who voted is nobody's business"


async def test_a_contest_without_entries_ends_so(house: House) -> None:
    await started(house)
    await ask(house, "contest end")
    assert boards(house)[-1].body == ("The contest has ended without an entry.",)


async def test_a_channel_that_takes_no_posts_starts_none(house: House) -> None:
    house.surface.troubles = [Unreachable("the channel is gone.")]
    assert "cannot post in this channel" in await refused(started(house))
    assert await house.store.contests(ADA.tenant) == []


@pytest.mark.parametrize("way", ["deleted", "left", "unreachable"])
async def test_a_channel_that_goes_ends_it_quietly_and_the_log_says_so(
    house: House, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(
        house.easel.contests._log, "tell", lambda tenant, line: told.append(f"{tenant} {line}")
    )
    await started(house)
    await entered(house, ADA)
    told.clear()
    if way == "deleted":
        await house.easel.departures.deleted("test", tenant=ADA.tenant, channel="lobby")
    elif way == "left":
        await house.easel.departures.deleted("test", tenant=ADA.tenant)
    else:
        house.surface.troubles = [Unreachable("the channel is gone.")]
        await ask(house, "contest end")
    assert await house.store.contests(ADA.tenant) == [] and len(boards(house)) == 1
    assert any("“foxes” has ended early" in line for line in told)
    job = await house.painted("an owl --count 1")
    assert "Enter contest" not in repr(await house.press(f"v1:more:{job.id}", ADA))


async def test_another_channel_that_goes_ends_nothing(house: House) -> None:
    await started(house)
    await house.easel.departures.deleted("test", tenant=ADA.tenant, channel="den")
    await house.easel.departures.deleted("test", tenant="test:elsewhere")
    await house.easel.departures.deleted("test", messages=["lobby:1"])
    assert len(await house.store.contests(ADA.tenant)) == 1


async def test_where_there_are_no_channels_there_is_no_contest(house: House) -> None:
    member = replace(BOSS, tenant="web:local", id="web:boss")
    origin = Origin(surface="web", member=member, channel="", event="e1")
    work = house.easel.router.handle("contest start", {"theme": "foxes"}, origin)
    assert "a channel of Discord or Slack" in await refused(work)


async def test_a_copy_of_one_s_data_has_entries_and_votes(house: House) -> None:
    await started(house)
    await entered(house, ADA)
    await entered(house, BEN)
    await ask(house, "contest end")
    await vote(house, ADA, BEN)
    found = await house.store.entered_by([ADA.id])
    assert len(found["entries"]) == len(found["votes"]) == 1

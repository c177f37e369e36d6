"""Contests in the database: one a place, one vote a person, and entries that go with their pictures."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.models import Contest, State, StoredPicture, new_id
from bot.store import Store
from bot.store.contests import MOST_ENTRIES
from tests.examples import a_job, a_tier
from tests.unit.conftest import Hand

HERE = "test:home"
ADA, BEN, CAL = "test:ada", "test:ben", "test:cal"


def a_contest(store: Store, **changes: object) -> Contest:
    now = store.now()
    made = Contest(
        id=new_id(),
        surface="test",
        tenant=HERE,
        channel="lobby",
        theme="foxes",
        by="test:boss",
        started=now,
        closes=now + timedelta(days=7),
        voting_days=3,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


async def a_picture(store: Store) -> str:
    job, _ = await store.admit(a_job(id=new_id(), event=new_id()), tier=a_tier(1e6))
    await store.add_picture(job.id, StoredPicture(index=0, blob=f"{job.id}.png", seed=1, width=64, height=64))
    await store.end(job.id, State.RENDERED)
    return job.id


async def with_entries(store: Store, *members: str) -> Contest:
    """A contest that is voted on, with an entry of each member."""
    contest = a_contest(store, each=MOST_ENTRIES)
    assert await store.start_contest(contest)
    for member in members:
        assert await store.enter(contest.id, await a_picture(store), 0, member, member) == ""
    assert await store.advance_contest(contest.id, "entries", "voting")
    return contest


async def numbers(store: Store, contest: Contest) -> dict[str, int]:
    return {each.member: each.number for each in await store.entries(contest.id)}


async def test_one_runs_in_a_place_at_a_time(store: Store) -> None:
    first = a_contest(store)
    assert await store.start_contest(first)
    assert not await store.start_contest(a_contest(store))
    assert await store.start_contest(a_contest(store, tenant="test:elsewhere"))
    await store.advance_contest(first.id, "entries", "ended")
    assert await store.start_contest(a_contest(store))


async def test_entries_are_counted_and_each_is_one(store: Store) -> None:
    contest = a_contest(store, each=2)
    await store.start_contest(contest)
    pictures = [await a_picture(store) for _ in range(3)]
    assert await store.enter(contest.id, pictures[0], 0, ADA, "Ada") == ""
    assert await store.enter(contest.id, pictures[0], 0, ADA, "Ada") == "again"
    assert await store.enter(contest.id, pictures[1], 0, ADA, "Ada") == ""
    assert await store.enter(contest.id, pictures[2], 0, ADA, "Ada") == "most"
    assert await store.enter(contest.id, pictures[2], 0, BEN, "Ben") == ""
    assert {each.number for each in await store.entries(contest.id)} == {0}
    await store.advance_contest(contest.id, "entries", "voting")
    assert await store.enter(contest.id, pictures[2], 0, CAL, "Cal") == "closed"


async def test_it_is_full_at_some_time_and_numbers_are_from_one(store: Store) -> None:
    contest = a_contest(store, each=MOST_ENTRIES + 1)
    await store.start_contest(contest)
    job = await a_picture(store)
    said = [await store.enter(contest.id, job, index, ADA, "Ada") for index in range(MOST_ENTRIES + 1)]
    assert said == [""] * MOST_ENTRIES + ["full"]
    await store.advance_contest(contest.id, "entries", "voting")
    found = [each.number for each in await store.entries(contest.id)]
    assert found == list(range(1, MOST_ENTRIES + 1))


async def test_a_phase_ends_once(store: Store, clock: Hand) -> None:
    contest = await with_entries(store, ADA)
    done = await asyncio.gather(*(store.advance_contest(contest.id, "voting", "ended") for _ in range(5)))
    assert sorted(done) == [False] * 4 + [True]


async def test_what_is_due_is_found_by_time_and_by_what_is_not_shown(store: Store, clock: Hand) -> None:
    contest = a_contest(store, closes=clock.now + timedelta(days=1))
    await store.start_contest(contest)
    assert [each.id for each in await store.contests_due(clock.now)] == [contest.id], "nothing is shown yet"
    await store.contest_messages(contest.id, {"start": {"message": 1}}, shown=1)
    assert await store.contests_due(clock.now) == []
    assert [each.id for each in await store.contests_due(clock.now + timedelta(days=1))] == [contest.id]


async def test_a_vote_changes_and_nobody_votes_for_themselves(store: Store) -> None:
    contest = await with_entries(store, ADA, BEN)
    found = await numbers(store, contest)
    assert await store.vote(contest.id, found[BEN], ADA) == ""
    assert await store.vote(contest.id, found[ADA], CAL) == ""
    assert await store.vote(contest.id, found[BEN], CAL) == ""
    assert await store.vote(contest.id, found[ADA], ADA) == "own"
    assert await store.vote(contest.id, 3, CAL) == "gone"
    assert await store.voted(contest.id, CAL) == found[BEN] and await store.voted(contest.id, BEN) == 0
    assert {each.member: each.votes for each in await store.entries(contest.id)} == {ADA: 0, BEN: 2}
    await store.advance_contest(contest.id, "voting", "ended")
    assert await store.vote(contest.id, found[ADA], CAL) == "closed"


async def test_linked_names_are_one_voter_and_one_owner(store: Store) -> None:
    contest = await with_entries(store, ADA, CAL)
    found = await numbers(store, contest)
    await store.vote(contest.id, found[CAL], BEN)
    await store.vote(contest.id, found[ADA], "test:ben2")
    code = await store.link_code(BEN)
    await store.link(code, "test:ben2")
    assert await store.vote(contest.id, found[CAL], "test:ben2") == ""
    assert {each.member: each.votes for each in await store.entries(contest.id)} == {ADA: 0, CAL: 1}


VOTERS, ENTRANTS = tuple(f"test:voter{number}" for number in range(4)), (ADA, BEN, CAL)
BALLOTS = st.lists(
    st.tuples(st.sampled_from((*VOTERS, *ENTRANTS)), st.integers(0, len(ENTRANTS) + 1)), max_size=30
)


@settings(max_examples=8, deadline=None)
@given(ballots=BALLOTS, chunk=st.integers(1, 8))
def test_one_vote_a_person_whatever_the_interleaving(ballots: list[tuple[str, int]], chunk: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_one_vote_each(f"sqlite:///{folder}/easel.db", ballots, chunk))


async def _one_vote_each(url: str, ballots: list[tuple[str, int]], chunk: int) -> None:
    store = await Store.open(url)
    try:
        contest = await with_entries(store, *ENTRANTS)
        owners = {number: member for member, number in (await numbers(store, contest)).items()}
        accepted: dict[str, set[int]] = {}
        for start in range(0, len(ballots), chunk):
            together = ballots[start : start + chunk]
            said = await asyncio.gather(*(store.vote(contest.id, number, who) for who, number in together))
            now: dict[str, set[int]] = {}
            for (who, number), answer in zip(together, said, strict=True):
                expected = "gone" if number not in owners else "own" if owners[number] == who else ""
                assert answer == expected
                if not answer:
                    now.setdefault(who, set()).add(number)
            accepted |= now
        entries = await store.entries(contest.id)
        assert sum(each.votes for each in entries) == len(accepted), "one vote a person"
        voted = {who: await store.voted(contest.id, who) for who in accepted}
        assert all(voted[who] in last for who, last in accepted.items()), "the last word counts"
        assert {each.number: each.votes for each in entries if each.votes} == Counter(voted.values())
    finally:
        await store.close()


@pytest.mark.parametrize("way", ["delete", "expire", "hide"])
async def test_an_entry_goes_with_its_picture_and_takes_its_votes(store: Store, way: str) -> None:
    contest = await with_entries(store, ADA, BEN)
    found = {each.member: each for each in await store.entries(contest.id)}
    await store.vote(contest.id, found[ADA].number, CAL)
    await store.contest_messages(contest.id, {}, shown=2)
    assert await store.contests_due(store.now()) == []

    if way == "delete":
        await store.delete(found[ADA].job)
    elif way == "hide":
        await store.hide_jobs([found[ADA].job])
    else:
        await store.expire(store.now() + timedelta(days=1))

    left = [each.member for each in await store.entries(contest.id)]
    assert left == {"delete": [BEN], "expire": [], "hide": left}[way]
    assert [each.id for each in await store.contests_due(store.now())] == [contest.id], "it is shown anew"
    assert await store.voted(contest.id, CAL) == (found[ADA].number if way == "hide" else 0)


async def test_who_is_forgotten_votes_no_more_and_keeps_no_name(store: Store) -> None:
    contest = await with_entries(store, ADA, BEN)
    found = await numbers(store, contest)
    for voter in (CAL, "test:dot"):
        await store.vote(contest.id, found[ADA], voter)
    await store.begin_erasure([CAL])
    await store.erase([CAL])
    assert {each.member: each.votes for each in await store.entries(contest.id)} == {ADA: 1, BEN: 0}

    await store.advance_contest(contest.id, "voting", "ended")
    await store.begin_erasure(["test:dot"])
    await store.erase(["test:dot"])
    assert {each.member: each.votes for each in await store.entries(contest.id)} == {ADA: 1, BEN: 0}
    assert await store.voted(contest.id, "test:dot") == 0, "the sum stays, the name does not"
    assert (await store.entered_by(["test:dot"]))["votes"] == []


async def test_old_contests_are_forgotten(store: Store, clock: Hand) -> None:
    contest = await with_entries(store, ADA)
    await store.drop_contests(clock.now + timedelta(days=9))
    assert await store.contest(contest.id), "one that runs is kept"
    await store.advance_contest(contest.id, "voting", "ended")
    await store.drop_contests(clock.now + timedelta(days=9))
    assert await store.contest(contest.id) is None and await store.entries(contest.id) == []

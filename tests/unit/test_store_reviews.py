"""Reports, strikes, cool-offs, erasure: what the store promises of them, on both databases."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.models import INSTANCE, AuditLine, Job, State, StoredPicture, Strike
from bot.store import Store
from bot.store.privacy import ERASED, NOBODY
from bot.store.reviews import FIRST_COOL_OFF, LIMIT, WINDOW
from tests.examples import a_job, a_member, a_tier
from tests.unit.conftest import Hand

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ADA, BEN = a_member("ada").id, a_member("ben").id
HERE = "web:local"


async def rendered(store: Store, user: str = "ada", **fields: Any) -> Job:
    job, _ = await store.admit(a_job(user=user, **fields), tier=a_tier())
    picture = StoredPicture(index=0, blob=f"{job.id}.png", seed=1, width=8, height=8, adult=True)
    await store.add_picture(job.id, picture)
    job, _ = await store.end(job.id, State.RENDERED, device_seconds=3.0)
    return job


def line(what: str = "admin decide", **more: Any) -> AuditLine:
    return AuditLine(at=NOW, by=BEN, name="Ben", surface="web", tenant=HERE, what=what, **more)


def strike(key: str, category: str = "hate", member: str = ADA, tenant: str = HERE) -> Strike:
    return Strike(key=key, member=member, tenant=tenant, category=category)


# ---- reports


async def test_a_report_counts_once_for_each_person(store: Store) -> None:
    job = await rendered(store)
    assert [await store.report(job.id, who, HERE) for who in (BEN, BEN, "eve")] == [True, False, True]
    [review] = await store.open_reviews(HERE)
    assert (review.job, review.reports, review.at) == (job.id, 2, NOW)
    assert await store.open_reviews("elsewhere") == [] and len(await store.open_reviews()) == 1


async def test_many_reports_at_once_are_all_counted(store: Store) -> None:
    job = await rendered(store)
    await asyncio.gather(*(store.report(job.id, f"m{n % 10}", HERE) for n in range(40)))
    assert [review.reports for review in await store.open_reviews()] == [10]


@pytest.mark.parametrize("decision", ["keep", "remove"])
async def test_the_first_decision_stands_with_its_line_and_strike(store: Store, decision: str) -> None:
    job = await rendered(store)
    await store.report(job.id, BEN, HERE)
    decided = [
        await store.decide(job.id, decision, line(after=decision), strike(f"review/{job.id}"))
        for _ in range(2)
    ]
    assert decided == [True, False]
    found = await store.job(job.id)
    assert found and (found.state is State.DELETED) is (decision == "remove")
    assert bool(found.prompt) is (decision == "keep")
    assert len(await store.strikes(ADA, HERE)) == len(await store.audit(HERE)) == 1
    assert await store.open_reviews() == []


async def test_what_nobody_reported_cannot_be_decided(store: Store) -> None:
    job = await rendered(store)
    assert not await store.decide(job.id, "remove", line())
    assert not await store.decide("unknown", "remove", line())
    assert await store.audit(HERE) == []


# ---- strikes


async def test_a_key_strikes_once(store: Store) -> None:
    for _ in range(LIMIT + 1):
        assert (await store.strike(strike("event-1"))).cool_off is None
    assert len(await store.strikes(ADA, HERE)) == 1


async def test_strikes_add_up_within_30_days_only(store: Store, clock: Hand) -> None:
    for number in range(LIMIT - 1):
        await store.strike(strike(f"old-{number}"))
    clock.now += WINDOW
    assert (await store.strike(strike("new"))).cool_off is None
    assert [each.key for each in await store.strikes(ADA, HERE)] == ["new"]


async def test_each_cool_off_within_a_year_is_twice_as_long(store: Store, clock: Hand) -> None:
    spans = []
    for number in range(9):
        done = await store.strike(strike(f"{number}", "minors", tenant=INSTANCE))
        assert done.cool_off
        spans.append((done.cool_off - clock.now) / FIRST_COOL_OFF)
        clock.now = done.cool_off + timedelta(minutes=1)
    assert spans == [1, 2, 4, 8, 16, 32, 64, 64, 64]


async def test_a_cool_off_shortens_no_longer_block(store: Store) -> None:
    forever = line("admin person block", target=ADA)
    await store.change_person(
        HERE, ADA, lambda p: replace(p, blocked=True, reason="Spam."), lambda b, a: forever
    )
    for number in range(LIMIT):
        await store.strike(strike(f"{number}"))
    [person] = await store.persons(HERE)
    assert (person.blocked, person.until, person.reason) == (True, None, "Spam.")


async def test_linked_names_share_their_strikes_and_places_do_not(store: Store) -> None:
    await store.link(await store.link_code(ADA), BEN)
    await store.strike(strike("1", member=ADA))
    await store.strike(strike("2", member=BEN))
    assert (await store.strike(strike("3", member=ADA, tenant="elsewhere"))).cool_off is None
    assert (await store.strike(strike("4", member=ADA))).cool_off


async def test_a_strike_is_told_once(store: Store) -> None:
    await store.strike(strike("1"))
    await store.strike(replace(strike("2"), told=True))
    assert await store.untold(ADA, "elsewhere") is None
    told = [await store.untold(ADA, HERE) for _ in range(2)]
    assert told[0] and told[0].key == "1" and told[1] is None


# ---- being forgotten


async def forget(store: Store, *members: str) -> None:
    await store.begin_erasure(members)
    for job in await store.jobs_of(members):
        await store.delete(job.id)
        await store.delivered(job.id, State.DELETED)
    await store.erase(members)
    await store.finish_erasures()


async def test_books_stay_and_names_go(store: Store) -> None:
    job = await rendered(store)
    other = await rendered(store, "ben")
    await store.note(line(target=ADA))
    before = [(each.kind, each.seconds) async for each in store.lines()]
    await forget(store, ADA)

    lines = [each async for each in store.lines()]
    assert [(each.kind, each.seconds) for each in lines] == before
    assert ADA not in {each.account for each in lines} and BEN in {each.account for each in lines}
    found = await store.job(job.id)
    assert found and (found.prompt, found.pictures, found.message) == ("", (), None)
    assert found.origin.member.name == NOBODY and found.origin.member.id.startswith(ERASED)
    assert (await store.audit(HERE))[0].target.startswith(ERASED)
    kept = await store.job(other.id)
    assert kept and kept.prompt and kept.pictures


async def test_a_name_that_begins_another_is_not_that_one(store: Store) -> None:
    longer = f"{ADA}2"
    await rendered(store, "ada")
    await rendered(store, "ada2")
    await forget(store, ADA)
    assert [job.origin.member.id for job in await store.jobs_of([longer])] == [longer]
    assert longer in {each.account async for each in store.lines()}


async def test_the_used_quota_outlives_the_name(store: Store, clock: Hand) -> None:
    await rendered(store)
    tier = a_tier()
    before = (await store.balances(await store.account_of(ADA), tier))[0].used
    await forget(store, ADA)
    assert (await store.balances(await store.account_of(ADA), tier))[0].used == before == 3.0
    clock.now += timedelta(days=2)
    await store.finish_erasures()
    assert await store.account_of(ADA) == ADA


async def test_unlinked_accounts_are_forgotten_too(store: Store) -> None:
    await store.link(await store.link_code(ADA), BEN)
    await store.unlink(BEN)
    await rendered(store, "ben")
    await forget(store, BEN)
    assert not [each async for each in store.lines() if BEN in f"{each.account} {each.key} {each.by}"]


async def test_a_job_accepted_meanwhile_keeps_the_erasure_open(store: Store) -> None:
    await rendered(store)
    await store.begin_erasure([ADA])
    await store.erase([ADA])  # its job is not deleted yet
    assert await store.erasing() == [ADA]
    await forget(store, ADA)
    assert await store.erasing() == []


async def test_old_jobs_expire_with_their_pictures(store: Store, clock: Hand) -> None:
    old = await rendered(store)
    clock.now += timedelta(days=3)
    new = await rendered(store)
    assert await store.expire(clock.now - timedelta(days=1)) == 1
    assert await store.expire(clock.now - timedelta(days=1)) == 0
    assert await store.blobs() == {f"{new.id}.png"}
    found = await store.job(old.id)
    assert found and (found.state, found.prompt, found.pictures) == (State.DELETED, "", ())


async def test_a_picture_remembers_whom_it_is_for(store: Store) -> None:
    job = await rendered(store)
    assert [each.adult for each in job.pictures] == [True]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["paint", "forget", "link", "unlink", "finish"]), max_size=8), st.data())
async def test_books_agree_whatever_comes_between(
    store: Store, steps: list[str], data: st.DataObject
) -> None:
    for step in steps:
        who = data.draw(st.sampled_from(["ada", "ben"]))
        member, other = a_member(who).id, a_member("ben" if who == "ada" else "ada").id
        match step:
            case "paint":
                await rendered(store, who)
            case "forget":
                await forget(store, *await store.sharing(member))
            case "link" if await store.account_of(member) != await store.account_of(other):
                await store.link(await store.link_code(member), other)
            case "unlink" if len(await store.sharing(member)) > 1:
                await store.unlink(member)
            case "finish":
                await store.finish_erasures()
        assert await store.check() == "ok"

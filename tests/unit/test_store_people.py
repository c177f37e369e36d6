"""What administrators set, on each database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.errors import Refusal
from bot.i18n import _, speech
from bot.models import (
    INSTANCE,
    Allowance,
    AuditLine,
    Filter,
    Member,
    Person,
    Policy,
    Preferences,
    State,
)
from bot.store import Store
from bot.store.people import Note
from engine.errors import OutOfMemory
from tests.examples import a_job, a_member, a_tier

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HERE = "discord:1"
ADA = Member(tenant=HERE, id="discord:ada", name="Ada")


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    store = await Store.open(database_url)
    yield store
    await store.close()


def line(what: str = "admin test", tenant: str = HERE, **more: str) -> AuditLine:
    return AuditLine(
        at=NOW, by="discord:boss", name="Boss", surface="discord", tenant=tenant, what=what, **more
    )


def noted(what: str = "admin test", tenant: str = HERE) -> Note:
    return lambda before, after: line(what, tenant, before=str(before)[:20], after=str(after)[:20])


async def test_a_policy_comes_back_as_it_was_set(store: Store) -> None:
    full = Policy(
        channels=Filter(allowed=("c",), refused=("d", "e")),
        models=Filter(refused=("big",)),
        defaults=Preferences(style="3d", count=2, size="64x64", private=True),
        language="de",
        roles={"r1": "team", "r2": "staff"},
        tier="team",
        budget=Allowance(seconds=12.5, per="week", rolling=True, zone="Europe/Berlin"),
        budget_by_operator=True,
        channel_budgets={"c": Allowance(seconds=1, per="hour")},
        paused=True,
        drained=True,
        strictness="strict",
        refused_terms=("foo",),
    )
    assert await store.policy(HERE) == Policy()
    await store.change_policy(HERE, lambda before: full, noted())
    assert await store.policy(HERE) == full
    assert await store.policies() == {HERE: full}
    standing = await store.standing(ADA)
    assert (standing.account, standing.place, standing.everywhere) == (ADA.id, full, Policy())


async def test_a_policy_of_another_version_is_understood(store: Store) -> None:
    """Keys that are not known (any more) are passed over, and those that are missing have their default."""
    from sqlalchemy import insert

    from bot.store.people import _policies

    values = {"tenant": HERE, "policy": {"paused": True, "hue": "green"}}
    await store._write(lambda session: session.connection().execute(insert(_policies), values) and None)
    assert await store.policy(HERE) == Policy(paused=True)


async def test_a_change_and_its_line_are_one(store: Store) -> None:
    def broken(before: object, after: object) -> AuditLine:
        raise Refusal("No.")

    with pytest.raises(Refusal):
        await store.change_policy(HERE, lambda before: replace(before, paused=True), broken)
    with pytest.raises(Refusal):
        await store.change_person(HERE, ADA.id, lambda before: replace(before, blocked=True), broken)
    assert await store.policy(HERE) == Policy()
    assert not any(person.blocked for person in await store.persons(HERE))

    await store.change_policy(HERE, lambda before: before, noted())
    assert await store.audit() == []


async def test_changes_at_once_lose_nothing(store: Store) -> None:
    def add(number: int) -> asyncio.Future[Policy]:
        return asyncio.ensure_future(
            store.change_policy(
                HERE, lambda before: replace(before, roles={**before.roles, str(number): "team"}), noted()
            )
        )

    await asyncio.gather(*(add(number) for number in range(50)))
    assert len((await store.policy(HERE)).roles) == 50
    assert len(await store.audit(HERE, limit=100)) == 50


async def test_a_person_is_kept_by_tenant_and_found_by_every_name(store: Store) -> None:
    until = NOW + timedelta(hours=3)

    def block(before: Person) -> Person:
        return replace(before, blocked=True, until=until, reason="Spam.", strikes=before.strikes + 1)

    for _attempt in range(2):
        await store.change_person(HERE, ADA.id, block, noted())
    own = Allowance(seconds=5, per="week", rolling=True)

    def favour(before: Person) -> Person:
        return replace(before, tier="team", allowance=own)

    await store.change_person(INSTANCE, "slack:ada", favour, noted())
    code = await store.link_code(ADA.id)
    await store.link(code, "slack:ada")

    expected = Person(tenant=HERE, member=ADA.id, blocked=True, until=until, reason="Spam.", strikes=2)
    assert (await store.standing(ADA)).persons == (
        expected,
        Person(tenant=INSTANCE, member="slack:ada", tier="team", allowance=own),
    )
    elsewhere = await store.standing(replace(ADA, tenant="discord:2"))
    assert [each.tenant for each in elsewhere.persons] == [INSTANCE]
    assert await store.persons(HERE) == [expected]
    assert (await store.standing(replace(ADA, id="discord:ben"))).persons == ()


async def test_a_gift_reaches_the_account_that_others_share(store: Store) -> None:
    code = await store.link_code(ADA.id)
    account = await store.link(code, "slack:ada")
    for _attempt in range(2):
        await store.gift("slack:ada", 5.0, line("admin person gift"), "once")
    gift = (await store.balances(account, a_tier()))[-1]
    assert (gift.name, gift.cap) == ("gift", 5.0)
    await store.gift(ADA.id, 1.5, line("admin person gift"), "twice")
    changes = [(each.before, each.after) for each in await store.audit()]
    assert changes == [("gifts: 0 of 5 s", "gifts: 0 of 6.5 s"), ("", "gifts: 0 of 5 s")]
    for wrong in (0.0, -1.0, float("nan"), float("inf"), 1e300):
        with pytest.raises(ValueError, match="a gift of"):
            await store.gift(ADA.id, wrong, line(), "other")
    assert await store.check() == "ok"


async def test_names_that_are_linked_are_at_home_where_their_account_first_asked(store: Store) -> None:
    async def home(member: Member) -> str:
        return (await store.standing(member)).home

    ada, ben = a_member("ada", "discord:1"), a_member("ben", "slack:T")
    await store.gift(ada.id, 5.0, line("admin person gift"), "before any request")
    for user, tenant in (("ben", "slack:T"), ("ada", "discord:1"), ("ada", "discord:2")):
        assert await home(ada) == await home(ben) == "", "alone, each stands where they ask"
        await store.admit(a_job(user=user, tenant=tenant), tier=a_tier())
    await store.link(await store.link_code(ada.id), ben.id)
    assert await home(ada) == await home(ben) == "discord:1"
    await store.unlink(ben.id)
    assert await home(ada) == await home(ben) == ""


async def test_a_reset_forgets_what_was_charged_once(store: Store) -> None:
    job, _ = await store.admit(a_job(), tier=a_tier(100))
    await store.end(job.id, State.RENDERED, device_seconds=6.0)
    for _attempt in range(2):
        await store.reset(a_member().id, line("admin person reset"), "once")
        (balance,) = await store.balances(job.account, a_tier(100))
        assert balance.used == 0
    (written,) = await store.audit()
    assert written.before.endswith(": 6 of 100 s") and written.after.endswith(": 0 of 100 s")
    assert await store.check() == "ok"


async def test_a_relaxed_job_gives_back_what_it_held_and_costs_nothing(store: Store) -> None:
    job, _ = await store.admit(a_job(), tier=a_tier(100))
    assert await store.relax(job.id, line())
    assert not await store.relax(job.id, line())
    (balance,) = await store.balances(job.account, a_tier(100))
    assert balance.used == 0
    ended, _ = await store.end(job.id, State.RENDERED, device_seconds=6.0)
    assert ended.relaxed and ended.device_seconds == 0
    assert await store.check() == "ok"
    running, _ = await store.admit(a_job(), tier=a_tier(100))
    await store.started(running.id)
    assert not await store.relax(running.id, line())
    assert not await store.relax("unheard-of", line())


async def test_the_audit_is_searched_and_paged(store: Store) -> None:
    for number in range(5):
        await store.note(
            replace(line(f"admin {number}", target="100%_x"), at=NOW + timedelta(seconds=number))
        )
    await store.note(line("admin elsewhere", tenant="discord:2"))

    assert [each.what for each in await store.audit(HERE, limit=2)] == ["admin 4", "admin 3"]
    assert len(await store.audit()) == 6
    assert [each.what for each in await store.audit(search="BOSS elsewhere")] == ["admin elsewhere"]
    assert len(await store.audit(search="0%_")) == 5 and await store.audit(search="0__") == []
    assert [each.what for each in await store.audit(HERE, skip=3)] == ["admin 1", "admin 0"]


async def test_who_asked_lately_is_found_by_name_or_id(store: Store) -> None:
    for user, tenant in (("ada", HERE), ("ben", HERE), ("ada", HERE), ("eve", "discord:2")):
        await store.admit(a_job(user=user, tenant=tenant), tier=a_tier())
    assert await store.names(HERE) == {"web:ada": "ada", "web:ben": "ben"}
    assert await store.names(HERE, "BE") == {"web:ben": "ben"}
    assert set(await store.names()) == {"web:ada", "web:ben", "web:eve"}
    assert [job.origin.member.id for job in await store.recent("web:ada", HERE)] == ["web:ada"] * 2
    assert await store.recent("web:ada", "discord:2") == []


async def test_a_message_in_a_row_stays_one(store: Store) -> None:
    """A reason and a note are translated for whoever looks, also after a restart."""
    reason, note_of = _("This is a cool-off after three strikes within 30 days."), _("Use {model}", model="a")
    await store.change_person(
        HERE, ADA.id, lambda before: replace(before, blocked=True, reason=reason), noted()
    )
    job = replace(a_job(), note=note_of)
    await store.admit(job, tier=a_tier())
    await store.end(job.id, State.FAILED, reason=OutOfMemory.advice, device_seconds=0.0)

    (person,) = await store.persons(HERE)
    found = await store.job(job.id)
    assert found is not None
    for kept, said in ((person.reason, reason), (found.note, note_of), (found.reason, OutOfMemory.advice)):
        assert kept == said and speech.say(kept, "de") == speech.say(said, "de") != said

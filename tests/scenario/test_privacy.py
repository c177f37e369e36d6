"""A copy of one's data, and being forgotten: from the command to the files on the disk."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import signal
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.accounts import privacy
from bot.errors import Refusal
from bot.messages.job_cards import refused as refused_card
from bot.messages.types import Card
from bot.models import Member, State
from bot.store import Store
from bot.store.sqlite import library
from tests.processes import Process
from tests.scenario.conftest import ADA, BEN, BOSS, PATIENCE, House, Opens, button

CANARY = "kanarienvogel"


async def exported(house: House, member: Member = ADA, part: int = 1) -> tuple[Card, zipfile.ZipFile]:
    card = await house.easel.router.handle("privacy export", {"part": part}, house.origin(member))
    assert isinstance(card, Card) and card.private
    [(_, content)] = card.files
    return card, zipfile.ZipFile(io.BytesIO(content))


async def forget(house: House, member: Member = ADA) -> Card:
    asked = await house.easel.router.handle("privacy delete", {}, house.origin(member))
    assert isinstance(asked, Card) and asked.private
    done = await house.press(button(asked, "Delete everything"), member)
    assert isinstance(done, Card)
    return done


def everything_on(disk: Path) -> Iterator[bytes]:
    """Every byte that is kept: the database's tables as text, and the files.

    Through the library that has the file open: another one in this process would drop its locks.
    """
    database = library().connect(disk / "easel.db")
    for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        yield repr(database.execute(f'SELECT * FROM "{table}"').fetchall()).encode()
    database.close()
    yield from (path.read_bytes() for path in (disk / "pictures").rglob("*") if path.is_file())


async def test_a_copy_holds_everything(house: House) -> None:
    job = await house.painted(f"a {CANARY} --count 2")
    await house.easel.router.handle("settings", {"style": "noir"}, house.origin())
    other = await house.painted("somebody else's --count 1", BEN)

    card, archive = await exported(house)

    assert card.files[0][0] == "easel.zip"
    [told] = json.loads(archive.read("jobs.json"))
    assert (told["id"], told["prompt"], told["request"]["seed"]) == (job.id, f"a {CANARY}", job.request.seed)
    about = json.loads(archive.read("about.json"))
    assert about["identities"] == [ADA.id] and about["preferences"][ADA.id]["style"] == "noir"
    lines = list(csv.DictReader(io.StringIO(archive.read("ledger.csv").decode())))
    assert {line["kind"] for line in lines} >= {"hold", "charge"} and {line["job"] for line in lines} == {
        job.id
    }
    pictures = [name for name in archive.namelist() if name.startswith("pictures/")]
    assert pictures == [f"pictures/{job.id}-1.png", f"pictures/{job.id}-2.png"]
    assert archive.read(pictures[0]).startswith(b"\x89PNG")
    assert other.id.encode() not in b"".join(archive.read(name) for name in archive.namelist())


async def test_a_copy_holds_what_was_set_and_what_was_used_before_a_link(house: House) -> None:
    other = Member(tenant="test:dm:ada", id="other:ada", name="Ada L")
    job = await house.painted("a wolf --count 1", other)
    await house.store.link(await house.store.link_code(ADA.id), other.id)
    await house.easel.router.handle(
        "admin person block", {"person": ADA.id, "hours": 1, "reason": "loud"}, house.origin(BOSS)
    )

    _, archive = await exported(house)

    [told] = json.loads(archive.read("about.json"))["set by administrators"]
    assert (told["member"], told["blocked"], told["reason"]) == (ADA.id, True, "loud.")
    lines = list(csv.DictReader(io.StringIO(archive.read("ledger.csv").decode())))
    assert job.id in {line["job"] for line in lines if line["kind"] == "hold"}


async def test_a_large_copy_comes_in_parts(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await house.painted("a fox --count 3")
    monkeypatch.setattr(privacy, "PART", 1)

    names = []
    for part in (1, 2, 3):
        _, archive = await exported(house, part=part)
        names += [name for name in archive.namelist() if name.startswith("pictures/")]
    assert len(names) == len(set(names)) == 3
    with pytest.raises(Refusal, match="your copy has 3"):
        await exported(house, part=4)


async def test_somebody_unknown_gets_an_empty_copy(house: House) -> None:
    _, archive = await exported(house, BEN)
    assert json.loads(archive.read("jobs.json")) == []


async def test_deletion_asks_first_and_its_button_is_for_one_person(house: House) -> None:
    await house.painted("a fox --count 1")
    asked = await house.easel.router.handle("privacy delete", {}, house.origin())
    assert isinstance(asked, Card) and "cannot be undone" in asked.body[0]
    assert await house.easel.visibility.jobs(ADA)

    with pytest.raises(Refusal, match="someone else"):
        await house.press(button(asked, "Delete everything"), BEN)
    assert await house.easel.visibility.jobs(ADA)


async def test_nothing_of_a_forgotten_person_is_left(house: House, tmp_path: Path) -> None:
    job = await house.painted(f"a {CANARY} --count 2 --no {CANARY}s")
    await house.easel.router.handle("settings", {"style": "noir"}, house.origin())
    kept = await house.painted("a wolf --count 1", BEN)
    await house.press(f"v1:report:{kept.id}", ADA)
    before = (await house.store.check(), sum([line.seconds async for line in house.store.lines()]))

    await forget(house)
    await house.surface.until(job.id, "deleted")
    await house.delivered(job.id)
    await house.easel.lifecycle._privacy.resume()
    await house.easel.images.sweep(older_than=0)

    after = (await house.store.check(), sum([line.seconds async for line in house.store.lines()]))
    assert before == after == ("ok", before[1])
    left = b"".join(everything_on(tmp_path))
    assert CANARY.encode() not in left and ADA.name.encode() not in left
    for picture in job.pictures:
        with pytest.raises(KeyError):
            await house.easel.images.get(picture.blob)
    assert (await house.image(kept.pictures[0].blob)).size
    assert left.count(ADA.id.encode()) == 2  # what keeps the quota: the identity and its erasure


async def test_a_direct_message_and_the_audit_do_not_name_who_was_forgotten(
    opened: Opens, tmp_path: Path
) -> None:
    direct = Member(tenant="test:dm:7654321", id="test:7654321", name="Ada Unmistakable")
    async with opened(step_seconds=0.05) as house:
        jobs = [
            await house.painted("a fox --count 1", replace(direct, tenant=place))
            for place in (direct.tenant, BOSS.tenant)
        ]
        await house.press(f"v1:delete:{jobs[1].id}", BOSS)
        waiting = [await house.ask(f"a wolf {n}", replace(direct, tenant=BOSS.tenant)) for n in range(6)]
        await house.press(f"v1:cancel:{waiting[-1].id}", BOSS)
        await forget(house, direct)
        for job in jobs:
            await house.delivered(job.id)
        for job in waiting:
            await house.delivered(job.id)
        await house.easel.lifecycle._privacy.resume()
        assert len(await house.store.audit()) == 2
        left = b"".join(everything_on(tmp_path))
        assert direct.name.encode() not in left and direct.tenant.encode() not in left
        assert left.count(b"7654321") == 2  # what keeps the quota: the identity and its erasure


async def test_being_forgotten_gives_no_fresh_quota(house: House) -> None:
    await house.painted("a fox --count 2")
    card = await house.easel.router.handle("quota", {}, house.origin())
    await forget(house)

    again = await house.easel.router.handle("quota", {}, house.origin())
    assert isinstance(card, Card) and isinstance(again, Card)
    assert card.bar == again.bar


async def test_the_id_goes_when_its_periods_have_ended(opened: Opens, tmp_path: Path) -> None:
    async with opened() as house:
        job = await house.painted("a fox --count 1")
        await forget(house)
        await house.surface.until(job.id, "deleted")
        await house.delivered(job.id)
    later = datetime.now(UTC) + timedelta(days=40)
    store = await Store.open(f"sqlite:///{tmp_path}/easel.db", clock=lambda: later)
    await store.finish_erasures()
    assert await store.check() == "ok"
    await store.close()
    assert ADA.id.encode() not in b"".join(everything_on(tmp_path))


async def test_running_jobs_are_stopped_and_uncharged(opened: Opens) -> None:
    async with opened(step_seconds=0.2) as house:
        job = await house.ask("a fox")
        await house.surface.until(job.id, "painting")
        await forget(house)

        card = await house.surface.until(job.id, "deleted")
        assert not card.title
        row = await house.row(job.id)
        assert (row.state, row.device_seconds, row.prompt) == (State.DELETED, 0.0, "")
        assert await house.store.check() == "ok"


async def test_linked_names_are_forgotten_together(house: House) -> None:
    elsewhere = Member(tenant="other:place", id="other:ada", name="Ada L")
    code = await house.store.link_code(ADA.id)
    await house.store.link(code, elsewhere.id)
    await house.painted("a fox --count 1")
    await house.painted("a wolf --count 1", elsewhere)

    done = await forget(house, elsewhere)

    assert "2 names" in done.body[0]
    assert await house.easel.visibility.jobs(ADA) == [] and await house.easel.visibility.jobs(elsewhere) == []
    assert await house.store.check() == "ok"
    audit = await house.store.sharing(ADA.id)
    assert audit == sorted([ADA.id, elsewhere.id])  # still one quota


async def test_a_block_outlives_being_forgotten(house: House) -> None:
    await house.easel.router.handle("admin person block", {"person": ADA.id, "hours": 5}, house.origin(BOSS))
    await forget(house)

    with pytest.raises(Refusal) as caught:
        await house.ask("a fox")
    assert caught.value.code == "blocked"


async def test_whoever_was_forgotten_may_begin_anew(house: House) -> None:
    await house.painted("a fox --count 1")
    await forget(house)
    job = await house.painted("a wolf --count 1")
    await house.easel.lifecycle._privacy.resume()

    assert (await house.row(job.id)).state is State.RENDERED
    assert [each.id for each in await house.easel.visibility.jobs(ADA)] == [job.id]
    await forget(house)
    assert await house.easel.visibility.jobs(ADA) == [] and await house.store.check() == "ok"


async def test_a_deleted_job_keeps_no_words(house: House, tmp_path: Path) -> None:
    job = await house.painted(f"a {CANARY} --count 1 --no {CANARY}")
    await house.press(f"v1:delete:{job.id}")

    row = await house.row(job.id)
    assert (row.prompt, row.request.prompt, row.request.negative_prompt) == ("", "", "")
    await house.easel.images.sweep(older_than=0)
    assert CANARY.encode() not in b"".join(everything_on(tmp_path))


async def test_what_is_older_than_allowed_goes(opened: Opens, tmp_path: Path) -> None:
    async with opened(retention_days=30) as house:
        old, new = await house.painted("an old one --count 1"), await house.painted("a new one --count 1")
        past = datetime.now(UTC) - timedelta(days=31)
        database = library().connect(tmp_path / "easel.db")
        database.execute(
            "UPDATE jobs SET finished = ? WHERE id = ?", (f"{past:%Y-%m-%d %H:%M:%S.%f}", old.id)
        )
        database.commit()
        database.close()

        await house.easel.lifecycle._privacy.expire()
        await house.easel.images.sweep(older_than=0)

        assert [each.id for each in await house.easel.visibility.jobs(ADA)] == [new.id]
        with pytest.raises(KeyError):
            await house.easel.images.get(old.pictures[0].blob)
        assert (await house.row(old.id)).prompt == ""
        assert await house.store.check() == "ok"


async def gone(house: House, id: str) -> None:
    """Wait until the job is deleted and its message was changed."""
    async with asyncio.timeout(PATIENCE):
        while not ((row := await house.row(id)).state is State.DELETED and row.delivered):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert (row.prompt, row.request.prompt) == ("", "")


# ---- killed on the way


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["begin_erasure", "delete", "erase", "finish_erasures"])
async def test_deletion_goes_on_after_a_kill_between_any_two_steps(
    opened: Opens, tmp_path: Path, step: str, when: str
) -> None:
    async with opened() as house:
        jobs = [await house.painted(f"a {CANARY} --count 1") for _ in range(2)]
    killed = Process("tests.scenario.forgetting", str(tmp_path), step, when)
    _, said = killed.communicate()
    assert killed.returncode == -signal.SIGKILL, said

    async with opened() as house:
        if (step, when) == ("begin_erasure", "before"):  # nothing was promised yet
            await forget(house)
        for job in jobs:
            await gone(house, job.id)
        await house.easel.lifecycle._privacy.resume()
        await house.easel.images.sweep(older_than=0)
        assert await house.store.check() == "ok"
        assert await house.store.erasing() == []
    left = b"".join(everything_on(tmp_path))
    assert CANARY.encode() not in left and ADA.name.encode() not in left


async def test_another_persons_private_data_are_not_in_reach(house: House) -> None:
    await house.ask("a fox --private --count 1", replace(BEN))
    _, archive = await exported(house, ADA)
    assert b"test:ben" not in b"".join(archive.read(name) for name in archive.namelist())


# ---- what was offered


async def offered(house: House) -> str:
    """The id of a button whose text is too long for it."""
    with pytest.raises(Refusal) as refused:
        await house.ask(f"{CANARY} {'in snow ' * 30}--count 16")
    [[made]] = refused_card(refused.value).rows
    assert made.id.startswith("v1:offer:") and CANARY not in made.id
    return made.id


async def test_a_long_offer_is_in_the_copy_and_goes_with_its_person(house: House, tmp_path: Path) -> None:
    kept = await offered(house)
    _, archive = await exported(house)
    [told] = json.loads(archive.read("about.json"))["offered"]
    assert CANARY in told["text"] and "--count 4" in told["text"]

    await forget(house)

    assert CANARY.encode() not in b"".join(everything_on(tmp_path))
    with pytest.raises(Refusal, match="has expired"):
        await house.press(kept)


async def test_a_long_offer_goes_with_time(house: House, tmp_path: Path) -> None:
    kept = await offered(house)
    await house.easel.lifecycle._privacy.expire()
    assert await house.store.offer(kept.rpartition(":")[2], ADA.id)

    await house.store.drop_offers(datetime.now(UTC) + timedelta(seconds=1))

    assert CANARY.encode() not in b"".join(everything_on(tmp_path))


async def test_a_long_offer_is_its_person_s_alone(house: House) -> None:
    kept = await offered(house)
    with pytest.raises(Refusal, match="has expired"):
        await house.press(kept, BEN)

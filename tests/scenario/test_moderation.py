"""Words, pictures, reports, strikes: from what somebody asks to what they are told."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot import telemetry
from bot.adapters.base import Receipt
from bot.errors import Refusal
from bot.messages import job_cards
from bot.messages.types import Card
from bot.models import INSTANCE, Job, Member, State
from bot.moderation import MobileNetClassifier, NotSeen, Scores
from bot.store.reviews import LIMIT
from bot.surfaces import Settings
from tests.scenario.conftest import ADA, BEN, BOSS, EVE, PATIENCE, House, Opens, button

EXPLICIT, SAFE = Scores(explicit=0.99), Scores(explicit=0.01)
NUDE = "a nude woman"


class Seeing:
    """Eyes that see what they are told, or fail."""

    busy = False

    def __init__(self, *sights: Scores | Exception, wait: float = 0.0) -> None:
        self._sights = list(sights)
        self._wait = wait
        self.looks = 0

    async def look(self, picture: bytes) -> Scores:
        self.looks += 1
        await asyncio.sleep(self._wait)
        sight = self._sights.pop(0) if len(self._sights) > 1 else self._sights[0]
        if isinstance(sight, Exception):
            raise sight
        return sight

    async def close(self) -> None:
        return None


async def refused(house: House, text: str, member: Member = ADA, **options: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await house.ask(text, member, **options)
    return caught.value


async def strictness(house: House, level: str, member: Member = BOSS, **more: str) -> None:
    await house.easel.router.handle(
        "admin set moderation", {"strictness": level, **more}, house.origin(member)
    )


async def in_adult_channel(house: House, text: str, member: Member = ADA) -> Job:
    answer = await house.easel.router.handle(
        "imagine", {"prompt": text, "count": 1}, house.origin(member, adult=True)
    )
    assert isinstance(answer, Receipt)
    return answer.job


# ---- words


@pytest.mark.parametrize(
    ("text", "category"),
    [
        (NUDE, "sexual content"),
        ("a n.u.d.e woman", "sexual content"),
        ("a ｎｕｄｅ woman", "sexual content"),
        ("a nu\u200bde woman", "sexual content"),
        ("a crowd --no a fucking woman", "sexual content"),
        ("severed head on a table", "violence"),
        ("a nazi parade", "hateful"),
        ("a girl cutting herself", "self-harm"),
        ("donald trump in a boat", "real person"),
    ],
)
async def test_refused_words_are_explained_by_category_and_cost_nothing(
    house: House, text: str, category: str
) -> None:
    refusal = await refused(house, text)

    assert category in refusal.notice and refusal.code == "moderation"
    assert await house.easel.visibility.jobs(ADA) == []
    assert await house.store.check() == "ok"
    assert [line async for line in house.store.lines()] == []


async def test_the_whole_way_in_is_watched(house: House) -> None:
    job = await house.painted("a fox --count 2")
    ways = [
        house.easel.router.handle(
            "imagine", {"prompt": NUDE}, house.origin(), parent=job.id
        ),  # the edit form
        house.easel.router.handle("imagine", {"prompt": "a fox", "negative": "fucking"}, house.origin()),
        house.press(f"v1:try:{NUDE}"),
    ]
    for way in ways:
        with pytest.raises(Refusal, match="sexual content"):
            await way


async def test_a_parents_words_are_checked_again_under_todays_rules(house: House) -> None:
    job = await house.painted("a blood stain --count 1")
    await strictness(house, "strict")

    for name in ("again", "vary_subtle", "upscale"):
        index = "" if name == "again" else ":0"
        with pytest.raises(Refusal, match="violence"):
            await house.press(f"v1:{name}:{job.id}{index}")


async def test_a_place_adds_words_and_excuses_some(house: House) -> None:
    await strictness(house, "standard", refuse="broccoli", allow="topless")

    assert "administrators do not allow" in (await refused(house, "a br0ccoli")).notice
    await house.ask("a topless mountain")
    refusal = await refused(house, "a topless child")
    assert "never" in refusal.notice  # what a place excuses never reaches the hard block
    await refused(house, "a nude woman")


async def test_the_words_that_a_style_adds_are_watched_too(house: House) -> None:
    await strictness(house, "standard", refuse="clay")

    assert "administrators do not allow" in (await refused(house, "a fox --style claymation")).notice
    await house.ask("a fox --style noir")


async def test_a_strict_house_is_strict_everywhere(house: House) -> None:
    await strictness(house, "relaxed")
    await house.ask("a topless mountain")
    operator = replace(BOSS, tenant=INSTANCE)
    await house.store.change_policy(
        INSTANCE, lambda p: replace(p, strictness="strict"), lambda b, a: line(operator)
    )

    await refused(house, "a topless mountain")
    await refused(house, "a stain of blood")


def line(member: Member) -> Any:
    from bot.models import AuditLine

    return AuditLine(at=datetime.now(UTC), by=member.id, name="", surface="", tenant=INSTANCE, what="test")


async def test_age_restricted_channels_allow_more_but_never_everything(house: House) -> None:
    house.surface.restricted = True
    assert await in_adult_channel(house, NUDE)
    never = {
        "a nude child": "sexual content with minors",
        "donald trump naked": "real people in sexual content",
        "a nude woman and a severed head": "violence of a kind",
    }
    for number, (text, said) in enumerate(never.items()):
        somebody = replace(ADA, id=f"test:{number}")  # a strike of one refuses the others' words to nobody
        with pytest.raises(Refusal, match=said) as caught:
            await in_adult_channel(house, text, somebody)
        assert caught.value.code == "moderation"
    await strictness(house, "strict")
    with pytest.raises(Refusal, match="sexual content or nudity") as caught:
        await in_adult_channel(house, "a nude man")
    assert caught.value.code == "moderation"
    await strictness(house, "standard")
    await in_adult_channel(house, "a nude man")


async def test_terms_that_operators_refuse_are_refused_in_every_place(house: House) -> None:
    operator = replace(BOSS, tenant=INSTANCE)
    await house.store.change_policy(
        INSTANCE, lambda p: replace(p, refused_terms=("broccoli",)), lambda b, a: line(operator)
    )
    for member in (ADA, EVE):
        assert "administrators do not allow" in (await refused(house, "a br0ccoli", member)).notice


async def test_real_people_in_sexual_content_are_a_strike_in_that_place(house: House) -> None:
    counted = telemetry.REFUSED.labels("likeness")
    before = counted._value.get()
    refusal = await refused(house, "donald trump naked")
    assert "real people in sexual content" in refusal.notice and "strike 1" in refusal.notice
    [strike] = await house.store.strikes_of([ADA.id])
    assert (strike.tenant, strike.category) == (ADA.tenant, "likeness")
    assert counted._value.get() - before == 1


# ---- strikes


async def test_the_hard_block_begins_a_cool_off_everywhere_at_once(house: House) -> None:
    refusal = await refused(house, "a nude child")

    assert "never generates" in refusal.notice and "cool-off" in refusal.notice
    refusal = await refused(house, "a red fox")
    assert refusal.code == "blocked" and "until" in refusal.notice and "minors" in refusal.notice
    with pytest.raises(Refusal):
        elsewhere = replace(ADA, tenant="test:elsewhere")
        await house.ask("a red fox", elsewhere)
    await house.ask("a red fox", BEN)
    [audit] = await house.store.audit(INSTANCE)
    assert (audit.what, audit.target, audit.by) == ("cool-off", ADA.id, "moderation")


async def test_what_may_be_innocent_is_refused_without_a_strike(house: House) -> None:
    for text in (NUDE, "donald trump", "a sexy teen", "children --no clothes", "suicide", "a nazi"):
        assert "strike" not in (await refused(house, text)).notice
    await house.ask("a red fox")


async def test_three_strikes_bring_a_cool_off_and_the_next_lasts_longer(house: House) -> None:
    for count in range(1, LIMIT):
        assert f"strike {count}" in (await refused(house, "a sieg heil poster")).notice
    assert "cool-off after three strikes" in (await refused(house, "a sieg heil poster")).notice
    assert (await refused(house, "a red fox")).code == "blocked"
    await house.easel.router.handle("admin person unblock", {"person": ADA.id}, house.origin(BOSS))
    for _ in range(LIMIT):
        last = await refused(house, "a sieg heil poster")
    assert "cool-off" in last.notice
    strikes = await house.store.strikes_of([ADA.id])
    first, second = (each.cool_off - each.at for each in strikes if each.cool_off and each.at)
    assert (round(first / timedelta(hours=24)), round(second / timedelta(hours=24))) == (1, 2)


async def test_the_same_event_strikes_once(house: House) -> None:
    origin = house.origin(event="delivered-thrice")
    for _ in range(3):
        with pytest.raises(Refusal, match="strike 1"):
            await house.easel.router.handle("imagine", {"prompt": "sieg heil"}, origin)
    await house.ask("a red fox")


# ---- pictures


async def test_a_picture_that_may_not_be_shown_ends_the_job_uncharged(opened: Opens) -> None:
    async with opened(classifier=Seeing(SAFE, EXPLICIT)) as house:
        job = await house.ask("a red fox --count 4")
        card = await house.surface.until(job.id, "failed", "done")

        assert card.body == (
            "An image came out in a way that is not shown here. Try other words or another seed. "
            "Nothing was charged.",
        )
        shown = [picture for each in house.surface.messages[job.id] for picture in each.pictures]
        assert not any(picture.blob for picture in shown)
        row = await house.delivered(job.id)
        assert (row.state, row.device_seconds) == (State.FAILED, 0.0)
        assert {each.seconds async for each in house.store.lines() if each.kind == "charge"} == {0.0}
        await house.easel.images.sweep(older_than=0)
        with pytest.raises(KeyError):
            await house.easel.images.get(row.pictures[0].blob if row.pictures else "0" * 64 + ".png")


@pytest.mark.parametrize("sight", [NotSeen("it died"), NotSeen("no answer within 60 s")])
async def test_an_error_of_the_eyes_fails_closed(opened: Opens, sight: Exception) -> None:
    stream = io.StringIO()
    telemetry.set_up(Settings(), stream)
    async with opened(classifier=Seeing(sight)) as house:
        job = await house.ask("a canary fox --count 1")
        card = await house.surface.until(job.id, "failed")
        assert "could not be checked" in card.body[0]
        assert (await house.row(job.id)).device_seconds == 0.0
    said = stream.getvalue()
    assert job.id in said and str(sight) in said and "canary" not in said


async def test_whatever_else_the_eyes_raise_fails_closed_too(opened: Opens) -> None:
    async with opened(classifier=Seeing(RuntimeError("a mistake in the program"))) as house:
        job = await house.ask("a fox --count 2")
        card = await house.surface.until(job.id, "failed")
        assert not card.pictures and "mistake" not in card.body[0]
        row = await house.row(job.id)
        assert (row.state, row.device_seconds, row.pictures) == (State.FAILED, 0.0, ())


async def test_the_shipped_classifier_refuses_and_passes(opened: Opens, tmp_path: Path) -> None:
    """An abstract pattern that the network takes for what it looks for."""
    classifier = MobileNetClassifier()
    pattern = (Path(__file__).parents[1] / "redteam" / "pattern.png").read_bytes()
    assert (await classifier.look(pattern)).explicit > 0.9
    async with opened(classifier=classifier) as house:
        job = await house.painted("a red fox --count 2")
        assert [each.adult for each in job.pictures] == [False] * 3


async def test_adult_pictures_are_shown_only_while_the_channel_is_restricted(opened: Opens) -> None:
    async with opened(classifier=Seeing(EXPLICIT)) as house:
        house.surface.restricted = True
        job = await in_adult_channel(house, NUDE)
        card = await house.surface.until(job.id, "done")
        assert card.pictures and (await house.row(job.id)).pictures[0].adult

        house.surface.restricted = False  # changed while the next one was painted
        job = await in_adult_channel(house, NUDE)
        card = await house.surface.until(job.id, "done")
        assert not card.pictures and not card.title and "age-restricted" in card.body[0]
        shown = await house.easel.router.handle("show", {"job": job.id}, house.origin())
        assert isinstance(shown, Card) and not shown.pictures
        shown = await house.easel.router.handle("show", {"job": job.id}, house.origin(adult=True))
        assert isinstance(shown, Card) and shown.pictures


async def test_where_minors_are_mentioned_nothing_sexual_is_shown_anywhere(opened: Opens) -> None:
    async with opened(classifier=Seeing(Scores(suggestive=0.6))) as house:
        house.surface.restricted = True
        job = await in_adult_channel(house, "a child on a beach")
        assert (await house.surface.until(job.id, "failed", "done")).kind == "failed"
        job = await in_adult_channel(house, "a woman on a beach")
        assert (await house.surface.until(job.id, "failed", "done")).kind == "done"


async def test_previews_are_looked_at_too(opened: Opens) -> None:
    async with opened(classifier=Seeing(EXPLICIT), step_seconds=0.03) as house:
        job = await house.ask("a red fox --count 1")
        await house.surface.until(job.id, "failed")

        assert not any(each.pictures for each in house.surface.messages[job.id])


async def test_previews_of_what_is_for_adults_are_not_shown(opened: Opens) -> None:
    """A message keeps them, also once its channel is no longer restricted."""
    classifier = Seeing(EXPLICIT)
    async with opened(classifier=classifier, step_seconds=0.03) as house:
        house.surface.restricted = True
        job = await in_adult_channel(house, "a red fox")
        await house.surface.until(job.id, "done")

        assert classifier.looks > 1, "previews were looked at too"
        assert not any(each.pictures for each in house.surface.messages[job.id] if each.kind == "painting")


class Staring:
    """Eyes that look at a picture for ever."""

    busy = False

    def __init__(self) -> None:
        self.looking = 0
        self.began = asyncio.Event()
        self.closed_at_rest = False

    async def look(self, picture: bytes) -> Scores:
        self.looking += 1
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.looking -= 1
        raise AssertionError("for ever")

    async def close(self) -> None:
        self.closed_at_rest = not self.looking


async def test_eyes_close_at_rest_also_when_a_job_ends_while_its_picture_is_looked_at(opened: Opens) -> None:
    classifier = Staring()
    async with opened(classifier=classifier) as house:
        job = await house.ask("a red fox --count 1")
        await asyncio.wait_for(classifier.began.wait(), PATIENCE)
        await house.press(f"v1:delete:{job.id}")

    assert classifier.closed_at_rest


# ---- reports


async def test_a_report_reaches_the_administrators_once_for_each_person(house: House) -> None:
    job = await house.painted("a red fox --count 1")
    done = house.surface.messages[job.id][-1]
    for member, said in ((BEN, "Thank you"), (BEN, "already"), (BOSS, "Thank you")):
        answer = await house.press(button(done, "Report"), member)
        assert said in answer.body[0] and answer.private
    with pytest.raises(Refusal, match="yours"):
        await house.press(button(done, "Report"), ADA)

    card = await review(house)
    assert "reported by 2 people" in card.facts and card.pictures and card.private


async def review(house: House, member: Member = BOSS) -> Card:
    card = await house.easel.router.handle("admin review", {}, house.origin(member))
    assert isinstance(card, Card)
    return card


async def reported(house: House, text: str = "a red fox --count 1") -> Job:
    job = await house.painted(text)
    await house.press(f"v1:report:{job.id}", BEN)
    return job


async def test_removing_deletes_the_job_with_a_strike_that_its_owner_is_told_of_once(house: House) -> None:
    job = await reported(house)
    answer = await house.press(button(await review(house), "Remove"), BOSS)

    assert "No open reports." in answer.body
    await house.surface.until(job.id, "deleted")
    refusal = await refused(house, "a red fox")
    assert job.id in refusal.notice and "strike 1" in refusal.notice
    await house.ask("a red fox")
    [audit, *_] = await house.store.audit(ADA.tenant)
    assert (audit.what, audit.target, audit.after) == ("admin decide", job.id, "remove")


async def test_keeping_keeps_and_a_second_decision_changes_nothing(house: House) -> None:
    job = await reported(house)
    await house.easel.router.handle("admin decide", {"job": job.id, "do": "keep"}, house.origin(BOSS))

    with pytest.raises(Refusal, match="before you"):
        await house.press(f"v1:remove:{job.id}", BOSS)
    assert (await house.row(job.id)).state is State.RENDERED
    assert await house.store.strikes_of([ADA.id]) == []
    await house.press(f"v1:report:{job.id}", replace(BOSS, id="test:third"))
    assert "No open reports." in (await review(house)).body


async def test_two_administrators_at_once_make_one_decision(house: House) -> None:
    job = await reported(house)
    ways = [house.press(f"v1:{each}:{job.id}", BOSS) for each in ("remove", "keep", "remove")]
    answers = await asyncio.gather(*ways, return_exceptions=True)

    assert sum(isinstance(answer, Card) for answer in answers) == 1
    assert len([each for each in await house.store.audit(ADA.tenant) if each.what == "admin decide"]) == 1


async def test_administrators_review_what_was_reported_in_their_own_place(house: House) -> None:
    job = await reported(house)
    elsewhere = replace(ADA, tenant=EVE.tenant, id="test:far")
    other = await house.painted("a red fox --count 1", elsewhere)
    await house.press(f"v1:report:{other.id}", EVE)

    for boss, mine in ((BOSS, job), (EVE, other)):
        card = await review(house, boss)
        assert button(card, "Remove") == f"v1:remove:{mine.id}"
        assert card.facts[0] == "1 job to decide"


async def test_only_finished_pictures_are_reported(house: House) -> None:
    job = await house.ask("a red fox --count 1")
    with pytest.raises(Refusal, match="Only finished images"):
        await house.press(f"v1:report:{job.id}", BEN)


async def test_what_its_owner_deleted_is_not_decided_about(house: House) -> None:
    job = await reported(house)
    await house.press(f"v1:delete:{job.id}")
    await house.surface.until(job.id, "deleted")

    for name in ("remove", "keep"):
        with pytest.raises(Refusal, match="deleted already"):
            await house.press(f"v1:{name}:{job.id}", BOSS)
    assert await house.store.strikes_of([ADA.id]) == []


@pytest.mark.parametrize("member", [ADA, BEN, EVE])
async def test_only_the_places_administrators_decide(house: House, member: Member) -> None:
    job = await reported(house)

    for id in (f"v1:remove:{job.id}", f"v1:keep:{job.id}"):
        with pytest.raises(Refusal):
            await house.press(id, member)
    assert (await house.row(job.id)).state is State.RENDERED


@pytest.mark.parametrize("id", ["v1:report:ffffffffffff", "v1:keep:ffffffffffff", "v1:report:x:1"])
async def test_a_report_of_nothing_is_refused(house: House, id: str) -> None:
    with pytest.raises(Refusal):
        await house.press(id, BOSS)


# ---- words that stay out of the log


async def test_no_refused_prompt_is_logged(house: House) -> None:
    stream = io.StringIO()
    telemetry.set_up(Settings(log_level="debug"), stream)
    canaries: Iterable[str] = (
        "kanarienvogel nude",
        "kanarienvogel nude child",
        "fox --no kanarienvogel fucking",
    )
    for text in canaries:
        await refused(house, text, replace(ADA, id=f"test:{hash(text)}"))
    assert "kanarienvogel" not in stream.getvalue()
    assert "words refused" in stream.getvalue()


def test_a_withheld_card_keeps_nothing_but_its_last_row() -> None:
    from tests.examples import a_job

    job = replace(a_job(), state=State.RENDERED)
    card = job_cards.withheld(job_cards.done(job))
    assert not card.title and not card.pictures and len(card.rows) == 1

"""Several jobs of one request, by choices in braces or --repeat: asked about once, then all or none."""

from __future__ import annotations

from typing import Any

import pytest

from bot.adapters.base import Receipt
from bot.errors import Refusal
from bot.messages.types import Card
from bot.models import Job, Member, State
from tests.examples import a_tier
from tests.scenario.conftest import ADA, BEN, House, Opens, button

NEVER = 3600.0  # seconds of a step


async def asked(house: House, text: str, member: Member = ADA, **options: object) -> Card:
    answer = await house.easel.router.handle("imagine", {"prompt": text, **options}, house.origin(member))
    assert isinstance(answer, Card)
    return answer


async def started(house: House, text: str, member: Member = ADA, **options: object) -> list[Job]:
    question = await asked(house, text, member, **options)
    answer = await house.press(question.rows[0][0].id, member)
    assert isinstance(answer, Receipt)
    return [answer.job, *answer.others]


async def refusal(house: House, text: str, member: Member = ADA, **options: object) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await asked(house, text, member, **options)
    return caught.value


async def mine(house: House) -> list[Job]:
    return await house.store.jobs(tenant=ADA.tenant)


async def test_it_asks_once_and_then_starts_all_of_them(house: House) -> None:
    question = await asked(house, "a {red, blue} fox --repeat 2 --count 1 --seed 7")
    assert question.body == (
        "Start 4 jobs with 4 images? They cost about 0.8 GPU seconds together.",
        "1. a red fox --count 1 --seed 7",
        "2. a red fox --count 1 --seed 7",
        "3. a blue fox --count 1 --seed 7",
        "4. a blue fox --count 1 --seed 7",
    )
    assert await mine(house) == []

    answer = await house.press(button(question, "Start 4 jobs"))
    jobs = [answer.job, *answer.others]
    for number, job in enumerate(jobs, start=1):
        done = await house.surface.until(job.id, "done")
        assert done.facts[0] == f"{number} of 4"
    rows = [await house.row(job.id) for job in jobs]
    assert [(row.prompt, row.request.prompt, row.request.seed) for row in rows] == [
        ("a red fox", "a red fox", 7),
        ("a red fox", "a red fox", 8),
        ("a blue fox", "a blue fox", 7),
        ("a blue fox", "a blue fox", 8),
    ]
    assert await house.store.check() == "ok"


async def test_nothing_is_started_twice_or_by_somebody_else(house: House) -> None:
    question = await asked(house, "a {red, blue} fox")
    start = button(question, "Start 2 jobs")
    with pytest.raises(Refusal, match="expired"):
        await house.press(start, BEN)
    assert isinstance(await house.press(start), Receipt)
    again = await house.press(start)
    assert isinstance(again, Card) and again.body == ("These 2 jobs were started already.",)
    assert len(await mine(house)) == 2

    assert len(await started(house, "a {red, blue} fox")) == 2  # asked anew, it is another series
    assert len(await mine(house)) == 4


async def test_a_question_can_be_declined(house: House) -> None:
    question = await asked(house, "a fox", repeat=3)
    declined = await house.press(button(question, "Cancel"))
    assert declined.body == ("Nothing was started.",) and await mine(house) == []


async def test_one_prompt_with_one_repetition_needs_no_question(house: House) -> None:
    job = await house.painted(r"a \{red, blue\} fox --repeat 1 --no {text")
    assert (job.series, job.prompt) == (None, r"a \{red, blue\} fox")
    assert job.request.prompt == "a {red, blue} fox"
    form = await house.press(f"v1:edit:{job.id}")
    assert form.values["prompt"] == r"a \{red, blue\} fox" and form.values["negative"] == r"\{text"


async def test_options_beside_the_text_hold_for_each(house: House) -> None:
    jobs = await started(house, "a {red, blue} fox", aspect="16:9", count=2, private=True)
    assert {job.request.count for job in jobs} == {2}
    assert all(job.origin.private and job.request.width > job.request.height for job in jobs)


async def test_flags_may_be_choices(house: House) -> None:
    jobs = await started(house, "a fox --ar {1:1, 16:9}")
    assert [job.request.width == job.request.height for job in jobs] == [True, False]


async def test_all_of_them_can_be_cancelled_at_once(opened: Opens) -> None:
    async with opened(step_seconds=NEVER) as house:
        jobs = await started(house, "a fox --repeat 3")
        other = await house.ask("an owl")
        card = await house.surface.until(jobs[1].id, "waiting", "painting")
        with pytest.raises(Refusal):
            await house.press(button(card, "Cancel all of them"), BEN)
        await house.press(button(card, "Cancel all of them"))
        assert {(await house.row(job.id)).state for job in jobs} == {State.CANCELLED}
        assert not (await house.row(other.id)).state.ended
        lonely = await house.surface.until(other.id, "waiting", "painting")
        assert "Cancel all of them" not in [each.label for row in lonely.rows for each in row]
        with pytest.raises(Refusal, match="ended already"):
            await house.press(f"v1:cancel_series:{jobs[0].id}")


async def test_one_of_them_can_be_cancelled_alone(opened: Opens) -> None:
    async with opened(step_seconds=NEVER) as house:
        first, second = await started(house, "a fox --repeat 2")
        await house.press(f"v1:cancel:{first.id}")
        assert (await house.row(first.id)).state is State.CANCELLED
        assert not (await house.row(second.id)).state.ended


async def test_limits_count_for_all_of_them_together(opened: Opens) -> None:
    tier = a_tier(100.0, waiting=4)
    async with opened(step_seconds=NEVER, tiers=[tier]) as house:
        assert "allows 4 at once" in (await refusal(house, "a fox --repeat 5")).notice
        await house.ask("an owl")
        await house.ask("an owl")
        full = await refusal(house, "a fox --repeat 3")
        assert "You have 2 jobs waiting or running, and these are 3 more; 4 are the most" in full.notice
        question = await asked(house, "a fox --repeat 2")
        await house.ask("an owl")
        with pytest.raises(Refusal, match="these are 2 more"):  # meanwhile there is no room any more
            await house.press(question.rows[0][0].id)
        assert len(await mine(house)) == 3


async def test_they_are_paid_together_or_refused_together(opened: Opens) -> None:
    tier = a_tier(1.0, priorities=("fast", "relax"))
    async with opened(tiers=[tier], step_seconds=NEVER) as house:  # a picture costs 0.2
        dear = await refusal(house, "a fox --repeat 6 --count 1")
        assert "Together these jobs cost about 2 GPU seconds, and 1 are left." in dear.notice
        relaxed = await asked(house, dear.offers[0].text)
        assert "relaxed (free)" in relaxed.body[0]
        question = await asked(house, "a fox --repeat 4 --count 1")
        await house.ask("an owl --count 2")
        with pytest.raises(Refusal, match="Together these jobs cost"):
            await house.press(question.rows[0][0].id)
        assert len(await mine(house)) == 1 and await house.store.check() == "ok"


async def test_they_are_one_request_for_the_cooldown(opened: Opens) -> None:
    async with opened(tiers=[a_tier(cooldown=60.0)]) as house:
        assert len(await started(house, "a fox --repeat 3")) == 3
        with pytest.raises(Refusal, match="may ask once"):
            await house.ask("an owl")


async def test_one_offer_puts_all_of_them_right(house: House) -> None:
    wrong = await refusal(house, "a {fox --sed 7, owl --ar 9:1, hen, hat}, red --steps 500")
    for part in ("There is no flag --sed", "you asked for 9:1", "500"):
        assert part in wrong.notice
    question = await asked(house, wrong.offers[0].text)
    assert question.body[0].startswith("Start 4 jobs")


@pytest.mark.parametrize(
    ("text", "options", "part"),
    [
        ("{a,b}{a,b}{a,b}{a,b}{a,b}{a,b} fox", {}, "at most 40 jobs"),
        ("a {red, blue} fox --repeat 21", {}, "at most 40 jobs"),
        ("a fox --repeat 41", {}, "Repeat can be 1 to 40"),
        ("a fox --repeat 0", {}, "Repeat can be 1 to 40"),
        ("a {red, blue} fox", {"source": b"x"}, "one prompt at a time"),
    ],
)
async def test_what_cannot_be_a_series_is_refused(
    house: House, text: str, options: dict[str, Any], part: str
) -> None:
    assert part in (await refusal(house, text, **options)).notice
    assert await mine(house) == []


async def test_words_that_may_not_be_painted_stop_all_of_them(house: House) -> None:
    refused = await refusal(house, "a {fox, naked child} in snow")
    assert refused.code == "moderation" and await mine(house) == []


async def test_nothing_of_it_is_lost_or_doubled_by_a_crash(opened: Opens) -> None:
    async with opened(step_seconds=NEVER, crash=True) as house:
        question = await asked(house, "a {red, blue} fox --repeat 3 --count 1")
        start = question.rows[0][0].id
        house.easel.router._series._tracker.begin = _killed  # type: ignore[method-assign,assignment]
        with pytest.raises(SystemError):
            await house.press(start)
    async with opened() as house:
        assert isinstance(await house.press(start), Card)  # they were started already
        jobs = await mine(house)
        assert len(jobs) == 6
        for job in jobs:
            assert (await house.delivered(job.id)).state is State.RENDERED
        assert await house.store.check() == "ok"


def _killed(*given: object, **more: object) -> None:
    raise SystemError

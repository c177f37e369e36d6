"""`--best`: several images are generated and paid for, and the one that a judge finds closest is shown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from bot.describing import judging
from bot.describing.judging import Judging
from bot.errors import Refusal
from bot.images.picture_process import Unanswered
from bot.messages.types import Card, Form
from bot.models import Allowance, Job, State, Tier
from engine.types import CutOut, ImageToImage, Letter, Upscale
from engine.workers.fake import FakeEngine
from tests.scenario.conftest import SMALL, House, Opens, button

UNJUDGED = replace(SMALL, name="other", judge="")


class Scorer:
    """Scores pictures in the order in which they come; while it is not `free`, it hangs."""

    def __init__(self, *scores: float | None) -> None:
        self.scores: Sequence[float | None] = scores or (1.0, 2.0, 9.0, 4.0)
        self.seen: list[tuple[str, bytes]] = []
        self.free, self.asked = asyncio.Event(), asyncio.Event()
        self.free.set()
        self.fails = False

    async def score(self, prompt: str, picture: bytes) -> float | None:
        self.asked.set()
        await self.free.wait()
        if self.fails:
            raise Unanswered("broken")
        self.seen.append((prompt, picture))
        return self.scores[(len(self.seen) - 1) % len(self.scores)]

    async def close(self) -> None:
        self.free.set()


@pytest.fixture
def scorer() -> Scorer:
    return Scorer()


@pytest.fixture
async def house(opened: Opens, scorer: Scorer) -> AsyncIterator[House]:
    async with opened(judging=Judging(scorer, None)) as house:
        yield house


async def told(house: House, job: Job) -> tuple[str, ...]:
    card = await house.press(f"v1:info:{job.id}")
    assert isinstance(card, Card)
    return card.body


async def test_the_closest_is_shown_and_the_others_are_not_kept(house: House, scorer: Scorer) -> None:
    plain = await house.painted("a red fox --count 4 --seed 7")
    job = await house.painted("a red fox --best 4 --seed 7")

    (kept,) = job.pictures
    assert (kept.index, kept.seed) == (2, 9)
    assert [words for words, _ in scorer.seen] == ["a red fox"] * 4
    assert scorer.seen[2][1] == await house.blobs.get(kept.blob)
    assert (job.estimate, job.device_seconds) == (plain.estimate, pytest.approx(plain.device_seconds))
    card = house.surface.messages[job.id][-1]
    assert {"best of 4", "seed 9"} <= set(card.facts) and len(card.pictures) == 1
    assert {"Best of 4", "Seed: 9"} <= set(await told(house, job))
    used = await house.store.blobs()
    assert kept.blob in used and len(used) == len(plain.pictures) + 1


async def test_what_it_costs_is_said_before(opened: Opens, scorer: Scorer) -> None:
    scorer.free.clear()
    async with opened(judging=Judging(scorer, None)) as house:
        job = await house.ask("a red fox --best 4")
        await scorer.asked.wait()
        cards = house.surface.messages[job.id]
        assert any("best of 4, for the cost of 4" in card.facts for card in cards if card.kind == "waiting")


async def test_a_quota_of_less_than_all_of_them_refuses_it(opened: Opens) -> None:
    async with opened() as house:
        cost = house.engine.estimate((await house.painted("a fox --count 1")).request)
    tier = Tier(name="everyone", title="Everyone", allowances=(Allowance(seconds=2.5 * cost, per="day"),))
    async with opened(tiers=[tier]) as house:
        with pytest.raises(Refusal, match="GPU second") as refused:
            await house.ask("a fox --best 4")
        assert refused.value.offers[0].text.endswith("--count 1")


@pytest.mark.parametrize(
    ("text", "notice", "offer"),
    [
        ("a fox --best 4 --count 3", "--best shows one image, so leave --count out.", "a fox --best 4"),
        ("two pictures of a fox --best 4", "--best shows one image, so leave --count out.", "a fox --best 4"),
        ("a fox --best 4 --model other", "set JUDGE to a CLIP or SigLIP model", "a fox --model other"),
        ("a fox --best 9", "Best of can be 1 to 3 images; you asked for 9.", "a fox --best 3"),
    ],
)
async def test_what_cannot_be_is_refused_with_what_can(
    opened: Opens, text: str, notice: str, offer: str
) -> None:
    tier = Tier(name="everyone", title="Everyone", max_count=3 if "9" in text else 4)
    models = (SMALL, UNJUDGED)
    async with opened(tiers=[tier], make_engine=lambda blobs: FakeEngine(blobs.read, models=models)) as house:
        with pytest.raises(Refusal) as refused:
            await house.ask(text)
    assert notice in refused.value.notice
    assert [each.text for each in refused.value.offers] == [offer]


async def test_a_judge_that_hangs_costs_the_choice_and_nothing_else(opened: Opens, scorer: Scorer) -> None:
    scorer.free.clear()
    async with opened(judging=Judging(scorer, None, patience=0.3)) as house:
        first = await house.ask("a fox --best 4 --seed 7")
        assert (await house.painted("a dog --count 1")).state is State.RENDERED
        job = await house.delivered(first.id)
        (kept,) = job.pictures
        assert (job.state, kept.index, job.note) == (State.RENDERED, 0, judging.UNANSWERED.format(count=4))
        assert job.note in house.surface.messages[job.id][-1].body
        scorer.free.set()
        assert [each.index for each in (await house.painted("a fox --best 4")).pictures] == [2]


async def test_a_judge_that_fails_or_knows_nothing_is_told_of(house: House, scorer: Scorer) -> None:
    scorer.fails = True
    job = await house.painted("a fox --best 2")
    assert (len(job.pictures), job.note) == (1, judging.UNANSWERED.format(count=2))
    scorer.fails, scorer.scores = False, (None,)
    job = await house.painted("a fox --best 2")
    assert (len(job.pictures), job.note) == (1, judging.UNKNOWN.format(count=2))


async def test_it_can_be_cancelled_while_the_judge_looks(house: House, scorer: Scorer) -> None:
    scorer.free.clear()
    job = await house.ask("a fox --best 4")
    await scorer.asked.wait()
    await house.press(f"v1:cancel:{job.id}")
    scorer.free.set()

    ended = await house.delivered(job.id)
    assert (ended.state, ended.device_seconds) == (State.CANCELLED, 0)
    assert (await house.painted("a fox --best 4")).state is State.RENDERED
    assert (await house.row(job.id)).state is State.CANCELLED


async def test_a_kill_while_the_judge_looks_loses_nothing(opened: Opens) -> None:
    hung = Scorer()
    hung.free.clear()
    async with opened(crash=True, judging=Judging(hung, None)) as house:
        id = (await house.ask("a fox --best 4 --seed 7")).id
        await hung.asked.wait()
    async with opened(judging=Judging(Scorer(), None)) as house:
        job = await house.delivered(id)
        assert job.state is State.RENDERED and [each.seed for each in job.pictures] == [9]


async def test_what_is_made_of_it_goes_on_from_the_one_that_is_shown(house: House) -> None:
    best = await house.painted("a fox --best 4 --seed 7")
    (kept,) = best.pictures
    card = house.surface.messages[best.id][-1]

    async def made(label: str) -> Job:
        return await house.row((await house.press(button(card, label))).job.id)

    again = (await made("Again")).request
    assert (again.best, again.count) == (4, 4) and again.seed != 7
    varied = (await made("Vary (subtle)")).request
    assert isinstance(varied.task, ImageToImage) and varied.task.source == kept.unlettered
    assert (varied.best, varied.count) == (1, 4)
    for label, task in (("Upscale", Upscale), ("Cut out", CutOut)):
        one = (await made(label)).request
        assert isinstance(one.task, task) and (one.best, one.count, one.seed) == (1, 1, 9)


async def test_a_form_asks_for_it_again_and_other_words_are_set_on_the_one_alone(house: House) -> None:
    best = await house.painted("a fox --best 4 --seed 7 --text ONE")
    form = await house.press(f"v1:edit:{best.id}")
    assert isinstance(form, Form)
    assert (form.values["best"], "count" in form.values) == ("4", False)

    async def sent(**changes: Any) -> Job:
        values = {**form.values, **changes}
        answer = await house.easel.router.handle("imagine", values, house.origin(), parent=best.id)
        return await house.row(answer.job.id)  # type: ignore[union-attr]

    assert (await sent()).request == best.request
    lettered = (await sent(text="TWO")).request
    assert isinstance(lettered.task, Letter) and lettered.task.sources == (best.pictures[0].unlettered,)
    assert (lettered.count, lettered.best, lettered.seed) == (1, 1, 9)


async def test_a_draft_is_finished_as_the_one_that_was_chosen(house: House) -> None:
    draft = await house.painted("a fox --best 4 --seed 7 --draft")
    full = (await house.press(f"v1:full:{draft.id}")).job.request
    assert (full.draft, full.count, full.best, full.seed) == (False, 1, 1, 9)


async def test_every_job_of_a_series_chooses_its_own(house: House) -> None:
    question = await house.easel.router.handle(
        "imagine", {"prompt": "a {red, blue} fox --best 2"}, house.origin()
    )
    assert isinstance(question, Card)
    receipt = await house.press(question.rows[0][0].id)
    for each in (receipt.job, *receipt.others):
        assert len((await house.delivered(each.id)).pictures) == 1

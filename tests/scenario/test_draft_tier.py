"""A tier whose people get drafts, whatever they ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot import commands
from bot.accounts import tiers
from bot.errors import Refusal
from engine import drafts
from tests.scenario.conftest import BOSS, SMALL, House, Opens

RULES = tiers.read('[free]\ntitle = "Free"\ndraft = true\n\n[everyone]\n', "tiers.toml")


@pytest.fixture
async def easel(opened: Opens) -> AsyncIterator[House]:
    async with opened(tiers=RULES.all) as house:
        given = {"person": "test:ada", "tier": "free"}
        await house.easel.router.handle("admin tier person", given, house.origin(BOSS))
        yield house


async def test_what_they_ask_for_is_a_draft_and_said_to_be_one(easel: House) -> None:
    full = easel.engine.estimate((await easel.ask("a fox", BOSS)).request)
    job = await easel.painted("a fox --count 1")
    said_no = await easel.painted("a fox --draft=no --count 1")

    assert job.request.draft and said_no.request.draft
    assert job.request.steps_taken == drafts.length(job.request.steps) < job.request.steps
    assert job.estimate < full
    info = await easel.press(f"v1:info:{job.id}")
    assert f"Draft: {job.request.steps_taken} steps" in info.body


async def test_others_paint_in_full(easel: House) -> None:
    assert not (await easel.ask("a fox", BOSS)).request.draft


async def test_a_draft_of_theirs_is_not_painted_in_full(easel: House) -> None:
    job = await easel.painted("a fox --count 1")

    with pytest.raises(Refusal) as refused:
        await easel.press(f"v1:full:{job.id}")
    again = await easel.press(f"v1:again:{job.id}")

    assert refused.value.notice == "Your tier, Free, generates drafts only."
    assert again.job.request.draft


def test_the_option_is_not_offered_to_them() -> None:
    def offered(name: str) -> bool:
        tier = RULES.named(name)
        assert tier is not None
        (imagine,) = (each for each in commands.vocabulary((SMALL,), (tier,)) if each.name == "imagine")
        return "draft" in {each.name for each in imagine.options}

    assert (offered("free"), offered("everyone")) == (False, True)

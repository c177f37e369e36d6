"""In which language people are answered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.adapters.base import Receipt
from bot.errors import Refusal
from bot.messages.types import Card, Form
from bot.models import INSTANCE, Member, Origin
from tests.scenario.conftest import ADA, BEN, BOSS, House, Opens, RecordingAdapter

SHELL = Member(tenant=INSTANCE, id="cli:root", name="root", admin=True)


def german(house: House, member: Member = ADA, **more: Any) -> Origin:
    return replace(house.origin(member, **more), language="de")


async def ask(house: House, command: str, origin: Origin, **options: object) -> str:
    card = await house.easel.router.handle(command, options, origin)
    assert isinstance(card, Card)
    return "\n".join((card.title, *card.facts, *card.body)).strip()


async def test_people_are_answered_in_their_own_language(house: House) -> None:
    assert "Die Warteschlange ist leer. Dein Prompt beginnt sofort." in await ask(
        house, "queue", german(house)
    )
    assert "The queue is empty." in await ask(house, "queue", house.origin())


async def test_a_message_is_in_the_language_of_whoever_asked(house: House) -> None:
    answer = await house.easel.router.handle("imagine", {"prompt": "Cancel"}, german(house))
    assert isinstance(answer, Receipt)
    done = await house.surface.until(answer.job.id, "done")

    assert done.title == "Cancel" and done.language == "de"
    assert [button.label for button in done.rows[-1]][:2] == ["Noch einmal", "Bearbeiten"]
    waiting = house.surface.messages[answer.job.id][0]
    assert waiting.rows[0][0].label == "Abbrechen"


async def test_who_looks_at_somebody_else_s_job_sees_it_in_their_own(house: House) -> None:
    answer = await house.easel.router.handle("imagine", {"prompt": "a fox"}, german(house))
    assert isinstance(answer, Receipt)
    await house.surface.until(answer.job.id, "done")

    seen = await house.press(f"v1:show:{answer.job.id}", BEN)
    assert seen.rows[-1][0].label == "Again" and seen.language == "en"


async def test_refusals_and_their_offers_are_translated(house: House) -> None:
    with pytest.raises(Refusal) as caught:
        await house.easel.router.handle("imagine", {"prompt": "a fox", "count": 99}, german(house))

    assert caught.value.notice == "Das sind 99 Bilder; du darfst 4 auf einmal haben. Versuch --count 4."
    with pytest.raises(Refusal) as caught:
        await house.easel.router.handle("imagine", {"prompt": "a fox", "count": 16}, german(house))
    assert caught.value.offers[0].label == "4 Bilder erzeugen"
    assert caught.value.offers[0].text.startswith("a fox --count ")


async def test_forms_are_translated(house: House) -> None:
    job = await house.painted("a fox")
    form = await house.easel.router.press(f"v1:edit:{job.id}", german(house))

    assert isinstance(form, Form) and form.title == "Ändern und neu erzeugen"
    assert form.values["prompt"] == "a fox"


async def test_a_place_s_language_comes_before_each_person_s_and_can_be_taken_back(house: House) -> None:
    boss = house.origin(BOSS)
    assert (
        await ask(house, "admin set language", boss, language="de")
        == "Easel antwortet hier in dieser Sprache: Deutsch."
    )
    assert "Die Warteschlange ist leer." in await ask(house, "queue", house.origin())

    elsewhere = Member(tenant="test:elsewhere", id="test:eve", name="Eve")
    assert "The queue is empty." in await ask(house, "queue", house.origin(elsewhere))

    said = await ask(house, "admin set language", house.origin(BOSS), language="own")
    assert said == "Easel answers here in the language of each person."
    assert "The queue is empty." in await ask(house, "queue", house.origin())


async def test_the_house_speaks_for_places_that_have_chosen_nothing(house: House) -> None:
    shell = replace(house.origin(SHELL), surface="cli")
    await house.easel.router.handle("admin set language", {"language": "de"}, shell)

    assert "Die Warteschlange ist leer." in await ask(house, "queue", house.origin())
    await ask(house, "admin set language", house.origin(BOSS), language="en")
    assert "The queue is empty." in await ask(house, "queue", german(house))


async def test_languages_outlive_a_restart(opened: Opens) -> None:
    async with opened(crash=True, step_seconds=0.3) as house:
        await ask(house, "admin set language", house.origin(BOSS), language="de")
        other = replace(german(house), member=replace(ADA, tenant="test:elsewhere"))
        here = await house.ask("a fox")
        answer = await house.easel.router.handle("imagine", {"prompt": "a cat"}, other)
        assert isinstance(answer, Receipt)

    async with opened(surface=RecordingAdapter()) as house:
        for job in (here, answer.job):
            assert (await house.surface.until(job.id, "done")).language == "de"
        assert "Die Warteschlange ist leer." in await ask(house, "queue", house.origin())

"""Weights in a prompt: taken by models that can, else left out with a sentence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.errors import Refusal
from engine.workers.fake import FakeEngine
from tests.scenario.conftest import SMALL, House, Opens

TAKES = replace(SMALL, name="takes", weights=True)
PLAIN = replace(SMALL, name="plain")
NOTHING = replace(SMALL, name="nothing", negative_prompt=False)


@pytest.mark.parametrize(
    ("prompt", "note"),
    [
        ("fox::2 snow::1 --model takes", ""),
        ("a (red:1.3) fox::1 snow::-0.5 --model takes", ""),
        ("fox::2 --model plain", ""),
        ("fox::2 snow::1 --model plain", "plain takes no weights in a prompt, so they were left out."),
        ("a (red:1.3) fox --model plain", "plain takes no weights in a prompt, so they were left out."),
        ("fox::1 snow::-0.5 --model plain", ""),  # it is a negative prompt
        (
            "fox::1 snow::-0.5 --model nothing",
            "nothing takes no negative prompt, so this was left out: snow",
        ),
        (
            "fox::2 snow --q 2 --model plain",
            "Nothing here does the same, so it was left out: --q "
            "plain takes no weights in a prompt, so they were left out.",
        ),
    ],
)
async def test_what_a_model_does_not_take_is_said(opened: Opens, prompt: str, note: str) -> None:
    models = (TAKES, PLAIN, NOTHING)
    async with opened(make_engine=lambda blobs: FakeEngine(blobs.read, models=models)) as house:
        job = await house.painted(prompt)
        assert (job.note, job.prompt) == (note, prompt.partition(" --")[0])
        form = await house.press(f"v1:edit:{job.id}")
        assert form.values["prompt"] == job.prompt


async def test_a_style_dresses_every_part(house: House) -> None:
    job = await house.ask("fox::2 snow::1 --style 3d")
    assert job.request.prompt.count("3d") == 2 and job.request.prompt.startswith("fox, ")


async def test_too_many_weights_are_refused_with_an_offer(house: House) -> None:
    with pytest.raises(Refusal, match="may have 16 weights") as caught:
        await house.ask(" ".join(f"fox{number} ::1" for number in range(17)))
    job = await house.ask(caught.value.offers[0].text)
    assert "::" not in job.prompt and job.note == ""


@pytest.mark.parametrize(
    "prompt",
    ["a na[ked] child", "a [naked] child", "a (naked:1.2) child", "naked:: child"],
)
async def test_marks_hide_no_words_from_moderation(house: House, prompt: str) -> None:
    with pytest.raises(Refusal) as caught:
        await house.ask(prompt)
    assert caught.value.code == "moderation"

"""Somebody whose prompt is longer than the model reads is told so, once, on the job's card."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from engine.types import EngineEvent, Picture
from engine.workers.fake import FakeEngine
from tests.scenario.conftest import SMALL, Opens


def reads(**told: Any) -> type[FakeEngine]:
    """An engine that tells this of the prompt with each picture."""

    class Reads(FakeEngine):
        async def events(self) -> AsyncIterator[EngineEvent]:
            async for event in super().events():
                yield replace(event, **told) if isinstance(event, Picture) else event

    return Reads


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        (
            {"left_out": "beside a frozen lake"},
            "The model reads only the beginning of this prompt. Left out: “beside a frozen lake”.",
        ),
        (
            {"parts": 3},
            "The prompt is longer than the model reads at once, so it was read in 3 parts.",
        ),
        ({}, None),
    ],
)
async def test_what_became_of_a_long_prompt_is_told_once(
    told: dict[str, Any], sentence: str | None, opened: Opens
) -> None:
    async with opened(make_engine=lambda blobs: reads(**told)(blobs.read, models=(SMALL,))) as house:
        job = await house.painted("a fox --count 3")
        card = await house.surface.until(job.id, "done")

    assert card.body == ((sentence,) if sentence else ())
    assert job.note == (sentence or "")


async def test_it_is_told_beside_what_else_is_not_as_it_was_asked_for(opened: Opens) -> None:
    async with opened(make_engine=lambda blobs: reads(parts=2)(blobs.read, models=(SMALL,))) as house:
        job = await house.painted("a fox --chaos 3 --count 1")

    told = "The prompt is longer than the model reads at once, so it was read in 2 parts. "
    assert job.note.removeprefix(told) == "Nothing here does the same, so it was left out: --chaos"

"""Pictures of different prompts meet at every step, whatever the text encoder of their model is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from engine.pipelines import run as pipelines
from tests.gpu.bench import Bench, request, source
from tests.gpu.card import NoCard
from tests.gpu.models import Recipe, made_up


@pytest.fixture(autouse=True)
def _few_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    pipelines.silence_libraries()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", ["sd15", "sdxl", "klein", "z-image", "qwen-image"])
def test_three_prompts_take_the_passes_of_one(name: str) -> None:
    card, recipe = NoCard(), Recipe.read(name, tiny=True)
    with made_up(card, tiny=True):
        bench = Bench(card, [source(name)])
        with bench.noting() as alone:
            bench.paint([request(recipe, 1, steps=2)])
        for first in (1, 4):  # a module that could not be joined once is not tried again
            with bench.noting() as passes:
                bench.paint([request(recipe, first + n, steps=2) for n in range(3)], "somebody")
            assert {each.pictures for each in passes} == {3}
            assert [each.point for each in passes] == [each.point for each in alone]
        bench.unload()

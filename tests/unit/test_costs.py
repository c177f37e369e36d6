from __future__ import annotations

import pytest

from engine import catalog
from engine.costs import PassCosts, RequestCosts, smoothed
from engine.types import GenerationRequest


def test_a_moving_average_starts_at_what_was_and_ends_at_what_is() -> None:
    assert smoothed(1.0, 3.0, 0.0) == 1.0
    assert smoothed(1.0, 3.0, 0.25) == 1.5
    assert smoothed(1.0, 3.0, 1.0) == 3.0


def test_the_first_measurement_replaces_the_guess_and_later_ones_move_it() -> None:
    costs = RequestCosts(catalog.load(["easel-tiny"]))
    request = GenerationRequest(prompt="a fox", seed=1, count=1, steps=10)

    costs.observe(request, 10.0)
    assert costs.estimate(request) == pytest.approx(10.0)
    costs.observe(request, 20.0)

    assert costs.estimate(request) == pytest.approx(12.0)


def test_pass_costs_scale_the_nearest_size_seen() -> None:
    costs = PassCosts()
    assert costs.predict("unet", 4) == 0.0

    costs.observe("unet", 2, 0.1)

    assert costs.predict("unet", 2) == pytest.approx(0.1)
    assert costs.predict("unet", 4) == pytest.approx(0.2)
    costs.observe("unet", 4, 0.12)
    assert costs.predict("unet", 4) == pytest.approx(0.12)
    assert costs.predict("unet", 1) == pytest.approx(0.05)

from __future__ import annotations

from dataclasses import replace

import pytest

from engine import catalog
from engine.scheduling.cost_model import PassCosts, RequestCosts, smoothed
from engine.types import GenerationRequest, Letter


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


def test_setting_type_is_no_work_and_teaches_nothing() -> None:
    costs = RequestCosts(catalog.load(["easel-tiny"]))
    painted = GenerationRequest(prompt="a fox", seed=1, count=1, steps=10)
    before = costs.estimate(painted)

    costs.observe(replace(painted, task=Letter(sources=("a",))), 0.05)

    assert costs.estimate(painted) == before


def test_what_grows_otherwise_than_in_proportion_is_learned_by_size_and_steps() -> None:
    """As a device is: something for every picture, and attention that grows faster than the picture."""

    def took(request: GenerationRequest) -> float:
        pixels = request.width * request.height / 512**2
        return request.count * (2.0 + request.steps * (0.1 * pixels + 0.1 * pixels**2))

    costs = RequestCosts(catalog.load(["easel-tiny"]))
    requests = [
        GenerationRequest(prompt="a fox", seed=1, count=count, width=side, height=side, steps=steps)
        for count in (1, 4)
        for side in (256, 512, 1024)
        for steps in (4, 20, 50)
    ]
    by_model = {request: took(request) / costs.estimate(request) for request in requests}
    assert max(by_model.values()) > 4 * min(by_model.values()), "one rate for the model is far off"

    for request in requests * 3:
        costs.observe(request, took(request))

    for request in requests:
        assert costs.estimate(request) == pytest.approx(took(request))
    unseen = replace(requests[0], steps=21)
    assert took(unseen) / 10 < costs.estimate(unseen) < took(unseen) * 10


def test_only_so_many_kinds_of_requests_are_remembered() -> None:
    costs = RequestCosts(catalog.load(["easel-tiny"]))
    request = GenerationRequest(prompt="a fox", seed=1)
    for steps in range(1, 2000):
        costs.observe(replace(request, steps=steps, guidance=steps), steps)
    assert len(costs._rates) == RequestCosts._KINDS
    assert costs.estimate(replace(request, steps=1)) > 0, "by what the model costs otherwise"


def test_pass_costs_scale_the_nearest_size_seen() -> None:
    costs = PassCosts()
    assert costs.predict("unet", 4) == 0.0

    costs.observe("unet", 2, 0.1)

    assert costs.predict("unet", 2) == pytest.approx(0.1)
    assert costs.predict("unet", 4) == pytest.approx(0.2)
    costs.observe("unet", 4, 0.12)
    assert costs.predict("unet", 4) == pytest.approx(0.12)
    assert costs.predict("unet", 1) == pytest.approx(0.05)


def test_one_slow_first_pass_does_not_keep_requests_apart_for_good() -> None:
    """As on a GPU that prepares its kernels for a new number of rows."""
    costs = PassCosts()
    for rows, seconds in ((1, 0.1), (2, 3.0), (1, 0.1)):
        costs.observe("unet", rows, seconds)
    assert costs.predict("unet", 2) == pytest.approx(0.2)
    assert costs.predict("unet", 3) == pytest.approx(0.3)

    for _ in range(20):  # so two are joined again, and what they take is learned
        costs.observe("unet", 2, 0.12)
    assert costs.predict("unet", 2) == pytest.approx(0.12, rel=0.05)
    assert costs.predict("unet", 3) == pytest.approx(0.18, rel=0.05)
    assert costs.predict("unet", 1) == pytest.approx(0.1)

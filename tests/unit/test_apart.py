"""Calls that must not be joined are not: their keys differ. Those that may be have equal ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.families import family_of
from engine.pipelines.batching import InterceptionPoint, Request, run_joined


class FluxTransformer2DModel(torch.nn.Module):
    """Has the name of one that takes `img_ids` without a batch dimension; adds up what it is given."""

    def forward(self, hidden: Tensor, img_ids: Tensor, scale: Any = 1.0, extra: Any = None) -> Tensor:
        return hidden * 2 + img_ids.sum()


class Other(FluxTransformer2DModel):
    pass


class QwenImageTransformer2DModel(torch.nn.Module):
    """Has the name of one that reads the first row's shape alone."""

    def forward(self, hidden: Tensor, img_shapes: list[Any], txt_seq_lens: list[int]) -> Tensor:
        return hidden


Call = Callable[[torch.nn.Module], Any]


def hidden(rows: int = 1, width: int = 4, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.arange(rows * width, dtype=dtype).reshape(rows, width)


IDS = torch.arange(6.0).reshape(2, 3)


def parked(module: torch.nn.Module, call: Call) -> Request:
    request = Request(lambda: call(module))
    request.resume()
    assert request.call is not None
    return request


PIPELINES = {"FluxTransformer2DModel": "FluxPipeline", "QwenImageTransformer2DModel": "QwenImagePipeline"}


def point(module: torch.nn.Module) -> InterceptionPoint:
    """The module's calls, with what its family says of its arguments."""
    kind = type(module).__name__
    family = family_of(PIPELINES.get(kind, ""))
    shared, lists = family.shared.get(kind, frozenset()), family.row_lists.get(kind, frozenset())
    return InterceptionPoint("module", module, "forward", shared=shared, row_lists=lists)


def keys(module: torch.nn.Module, *calls: Call) -> list[Any]:
    point(module)
    return [parked(module, call).call.key for call in calls]  # type: ignore[union-attr]


APART: dict[str, tuple[Call, Call]] = {
    "other values that rows share": (
        lambda m: m.forward(hidden(), IDS),
        lambda m: m.forward(hidden(), IDS + 1),
    ),
    "shared values of another shape": (
        lambda m: m.forward(hidden(), IDS),
        lambda m: m.forward(hidden(), IDS.reshape(3, 2)),
    ),
    "shared values of another type": (
        lambda m: m.forward(hidden(), IDS),
        lambda m: m.forward(hidden(), IDS.double()),
    ),
    "rows of another shape": (
        lambda m: m.forward(hidden(), IDS),
        lambda m: m.forward(hidden(width=5), IDS),
    ),
    "rows of another type": (
        lambda m: m.forward(hidden(), IDS),
        lambda m: m.forward(hidden(dtype=torch.float64), IDS),
    ),
    "another number": (
        lambda m: m.forward(hidden(), IDS, 1.0),
        lambda m: m.forward(hidden(), IDS, 2.0),
    ),
    "the same number of another type": (
        lambda m: m.forward(hidden(), IDS, 1),
        lambda m: m.forward(hidden(), IDS, True),
    ),
    "a number or none": (
        lambda m: m.forward(hidden(), IDS, None),
        lambda m: m.forward(hidden(), IDS, 0),
    ),
    "another argument": (
        lambda m: m.forward(hidden(), IDS),
        lambda m: m.forward(hidden(), IDS, extra=1),
    ),
    "scalars of another type": (
        lambda m: m.forward(hidden(), IDS, torch.tensor(1)),
        lambda m: m.forward(hidden(), IDS, torch.tensor(1.0)),
    ),
    "other values in a dictionary": (
        lambda m: m.forward(hidden(), IDS, extra={"mask": torch.ones(3)}),
        lambda m: m.forward(hidden(), IDS, extra={"mask": torch.zeros(3)}),
    ),
    "other names in a dictionary": (
        lambda m: m.forward(hidden(), IDS, extra={"mask": 1}),
        lambda m: m.forward(hidden(), IDS, extra={"mark": 1}),
    ),
    "equal tensors that have no rows, where no family says so": (
        lambda m: m.forward(hidden(), IDS, extra=torch.ones(3)),
        lambda m: m.forward(hidden(), IDS, extra=torch.ones(3)),
    ),
    "other values in a list": (
        lambda m: m.forward(hidden(), IDS, extra=[1, 2]),
        lambda m: m.forward(hidden(), IDS, extra=[1, 3]),
    ),
    "a longer list": (
        lambda m: m.forward(hidden(), IDS, extra=[1]),
        lambda m: m.forward(hidden(), IDS, extra=[1, 1]),
    ),
    "objects that nobody knows": (
        lambda m: m.forward(hidden(), IDS, extra=CACHE),
        lambda m: m.forward(hidden(), IDS, extra=CACHE),
    ),
}
CACHE = object()


@pytest.mark.parametrize("case", APART)
def test_calls_that_differ_in_what_rows_share_stay_apart(case: str) -> None:
    one, other = keys(FluxTransformer2DModel(), *APART[case])
    assert one != other


TOGETHER: dict[str, tuple[Call, Call]] = {
    "other rows": (
        lambda m: m.forward(hidden(), IDS),
        lambda m: m.forward(hidden() + 1, IDS),
    ),
    "more rows": (
        lambda m: m.forward(hidden(), IDS),
        lambda m: m.forward(hidden(rows=3), IDS),
    ),
    "equal values in another tensor": (
        lambda m: m.forward(hidden(), IDS),
        lambda m: m.forward(hidden(), IDS.clone()),
    ),
    "scalars that become rows": (
        lambda m: m.forward(hidden(), IDS, torch.tensor(1.0)),
        lambda m: m.forward(hidden(), IDS, torch.tensor(2.0)),
    ),
    "rows in a dictionary": (
        lambda m: m.forward(hidden(), IDS, extra={"embeds": hidden()}),
        lambda m: m.forward(hidden(), IDS, extra={"embeds": hidden() + 1}),
    ),
}


@pytest.mark.parametrize("case", TOGETHER)
def test_calls_that_differ_in_their_rows_alone_are_joined(case: str) -> None:
    one, other = keys(FluxTransformer2DModel(), *TOGETHER[case])
    assert one == other


def test_what_one_model_shares_is_rows_to_another() -> None:
    ids = hidden(), hidden() + 1
    calls = [lambda m, each=each: m.forward(hidden(), each) for each in ids]
    one, other = keys(Other(), *calls)
    assert one == other
    one, other = keys(FluxTransformer2DModel(), *calls)
    assert one != other


def test_a_shape_that_only_the_first_row_tells_must_be_equal() -> None:
    shapes = [(1, 2, 2)], [(1, 4, 1)], [(1, 2, 2)]
    calls = [lambda m, each=each: m.forward(hidden(), each, [5]) for each in shapes]
    one, other, same = keys(QwenImageTransformer2DModel(), *calls)
    assert one != other and one == same


def test_a_shared_tensor_that_has_changed_is_looked_at_again() -> None:
    module, ids = FluxTransformer2DModel(), IDS.clone()
    point(module)
    seen: list[Any] = []

    def run() -> None:
        for change in (0, 1, 0):
            ids.add_(change)
            module.forward(hidden(), ids)

    request = Request(run)
    request.resume()
    while request.call is not None:
        seen.append(request.call.key)
        request.resume(hidden())
    first, changed, same = seen
    assert first != changed and changed == same


def test_another_shared_tensor_is_looked_at_too() -> None:
    module, others = FluxTransformer2DModel(), (IDS.clone(), IDS + 1, IDS.clone())
    point(module)
    seen: list[Any] = []

    def run() -> None:
        for ids in others:
            module.forward(hidden(), ids)

    request = Request(run)
    request.resume()
    while request.call is not None:
        seen.append(request.call.key)
        request.resume(hidden())
    first, different, equal = seen
    assert first != different and first == equal


def test_two_points_are_never_joined_nor_is_one_that_keeps_its_calls_apart() -> None:
    call: Call = lambda m: m.forward(hidden(), IDS)  # noqa: E731
    (one,), (other,) = keys(FluxTransformer2DModel(), call), keys(FluxTransformer2DModel(), call)
    assert one != other
    module = FluxTransformer2DModel()
    InterceptionPoint("module", module, "forward", alone=True)
    first, second = parked(module, call), parked(module, call)
    assert first.call is not None and second.call is not None
    assert first.call.key != second.call.key


def test_each_gets_the_rows_that_are_its_own() -> None:
    module = FluxTransformer2DModel()
    point(module)
    requests = [parked(module, lambda m, n=n: m.forward(hidden(rows=n) + n, IDS)) for n in (1, 3, 2)]
    results = run_joined(requests)
    for n, result in zip((1, 3, 2), results, strict=True):
        assert torch.equal(result, (hidden(rows=n) + n) * 2 + IDS.sum())


def test_equal_words_are_computed_once_and_others_are_not_taken_for_them() -> None:
    class Encoder(torch.nn.Module):
        def forward(self, ids: Tensor, layer: int = 0) -> Tensor:
            ran.append(len(ids))
            return ids * 10 + layer

    ran: list[int] = []
    module = Encoder()
    point(module)
    words = [torch.tensor([[1, 2]]), torch.tensor([[1, 2]]), torch.tensor([[2, 1]])]
    results = run_joined([parked(module, lambda m, each=each: m.forward(each)) for each in words])
    assert ran == [2]
    assert [result.tolist() for result in results] == [[[10, 20]], [[10, 20]], [[20, 10]]]

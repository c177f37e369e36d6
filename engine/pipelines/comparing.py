"""Compares joined calls with the same calls alone, for pipeline classes that no test has compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from engine.pipelines.verdicts import ClassVerdict, Joins

EXACT = {torch.float32: 2e-5, torch.float64: 2e-5}
"""By how much results may differ by rounding, of their root mean square."""
IN_HALVES = 0.03
"""The same in half precision, between passes of other sizes, for which devices add up in another order."""
ROWS_IN_HALVES = 0.005
"""The same between rows at one place in passes of one size, which differ in their neighbours alone."""
DISTINCT = 3  # times rounding; two results that are nearer to each other tell nothing


class Comparison:
    """Lets calls of one pipeline class join only after joined calls were compared with the same calls alone.

    What holds is found for each form of a call, and for each argument that differs between the calls of a
    pass. `save` is called when something was learned.
    """

    def __init__(self, verdict: ClassVerdict, save: Callable[[], None]) -> None:
        self._verdict, self._save = verdict, save

    def known(self, form: str) -> Joins:
        """Return what is known of calls of this form."""
        return self._verdict.calls.get(form) or Joins()

    def run(
        self,
        form: str,
        arguments: Sequence[Mapping[str, Any]],
        *,
        joined: Callable[[Sequence[int]], list[Any]],
        alone: Callable[[], list[Any]],
    ) -> list[Any]:
        """Return the results of some calls: joined where that is known to be right, else alone.

        `joined` runs calls in one pass, given by their numbers.
        """
        every = range(len(arguments))
        varied = {name for name in arguments[0] if not _same([each[name] for each in arguments])}
        if varied <= self.known(form).varied:
            return joined(every)
        results = alone()
        if not any(near(results[0], each, DISTINCT) for each in results[1:]):
            self._learn(form, varied, equal=_agrees(joined, results))
        return results

    def _learn(self, form: str, varied: set[str], *, equal: bool) -> None:
        known = self._verdict.calls.setdefault(form, Joins())
        if equal:
            known.varied |= varied
        elif known.varied:
            known.equal |= varied - known.varied
        else:
            known.wrong = True
        self._save()


def _agrees(joined: Callable[[Sequence[int]], list[Any]], results: Sequence[Any]) -> bool:
    """Return whether joined calls give these results, each whatever its neighbours are.

    In half precision rounding hides much of what neighbours do to a row, but not where it stands at the same
    place of two passes of one size: once among the others, once among its like. Raises what says that memory
    does not suffice.
    """
    every = range(len(results))
    try:
        together = joined(every)
        among_its_like = [joined([number] * len(results))[number] for number in every]
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception:  # they cannot be joined
        return False
    right = all(map(near, together, results))
    return right and all(
        near(one, other, ROWS_IN_HALVES / IN_HALVES, exact=1)
        for one, other in zip(together, among_its_like, strict=True)
    )


def near(one: Any, other: Any, times: float = 1, exact: float | None = None) -> bool:
    """Return whether two results differ by no more than rounding, or than so many times as much.

    `exact` is how many times in full precision, if not as many.
    """
    ones, others = tensors_of(one), tensors_of(other)
    most = (times if exact is None else exact, times)
    return len(ones) == len(others) and all(_close(*pair, *most) for pair in zip(ones, others, strict=True))


def _close(one: torch.Tensor, other: torch.Tensor, exact: float, in_halves: float) -> bool:
    if one.shape != other.shape:
        return False
    if not one.is_floating_point():
        return torch.equal(one, other)
    size = other.float().square().mean().sqrt()
    far = (one.float() - other.float()).square().mean().sqrt()
    most = exact * EXACT[one.dtype] if one.dtype in EXACT else in_halves * IN_HALVES
    return bool(far <= most * size)


def tensors_of(value: Any) -> list[torch.Tensor]:
    """Return all tensors in a value, through the lists and dictionaries around them."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [each for part in value for each in tensors_of(part)] if isinstance(value, list | tuple) else []


def _same(values: Sequence[Any]) -> bool:
    """Return whether an argument has the same tensors in all calls. What is no tensor is in their key."""
    first, *others = map(tensors_of, values)
    return all(len(first) == len(each) and all(map(torch.equal, first, each)) for each in others)

"""Compares joined calls with the same calls alone, for pipeline classes that no test has compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from engine.pipelines.verdicts import ClassVerdict, Joins

DEVIATION = {torch.float32: 5e-4, torch.float64: 5e-4}
"""Of a result's root mean square: by how much joined calls may differ from the same calls by rounding."""
DEVIATION_IN_HALVES = 0.03
DISTINCT = 3  # times that deviation; two results that are nearer to each other tell nothing


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
        joined: Callable[[], list[Any]],
        alone: Callable[[], list[Any]],
    ) -> list[Any]:
        """Return the results of some calls: joined where that is known to be right, else alone."""
        varied = {name for name in arguments[0] if not _same([each[name] for each in arguments])}
        if varied <= self.known(form).varied:
            return joined()
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


def _agrees(joined: Callable[[], list[Any]], results: Sequence[Any]) -> bool:
    """Return whether joined calls give these results. Raises what says that memory does not suffice."""
    try:
        together = joined()
    except (torch.OutOfMemoryError, MemoryError):
        raise
    except Exception:  # they cannot be joined
        return False
    return all(map(near, together, results))


def near(one: Any, other: Any, times: float = 1) -> bool:
    """Return whether two results differ by no more than rounding, or than so many times as much."""
    ones, others = tensors_of(one), tensors_of(other)
    return len(ones) == len(others) and all(_close(*pair, times) for pair in zip(ones, others, strict=True))


def _close(one: torch.Tensor, other: torch.Tensor, times: float) -> bool:
    if one.shape != other.shape:
        return False
    if not one.is_floating_point():
        return torch.equal(one, other)
    size = other.float().square().mean().sqrt()
    far = (one.float() - other.float()).square().mean().sqrt()
    return bool(far <= times * DEVIATION.get(one.dtype, DEVIATION_IN_HALVES) * size)


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

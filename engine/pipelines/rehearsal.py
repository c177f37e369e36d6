"""Finds out at load, with small pictures that nobody sees, how requests of a class may meet in the engine.

Only for pipeline classes that no test has compared. Two requests are painted alone, then step by step in
turns: where that gives other pictures, one of them changes what the other sees, and requests of the class run
one after another. Else they meet once more and join, so that each of their calls is compared.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping, Sequence

import torch

from engine.pipelines.batching import Request, run_joined
from engine.pipelines.comparing import near
from engine.pipelines.run import Loaded, paint
from engine.types import GenerationRequest

_log = logging.getLogger(__name__)

STEPS = 2  # of the first request. The second takes one more: it goes on when the first has ended
PROMPTS = ("a red circle on the left", "a city at night, seen from above")

Run = Callable[[], torch.Tensor]


def rehearse(loaded: Loaded, save: Callable[[], None] = lambda: None) -> None:
    """Complete the model's verdict, if its class has none yet. What cannot be painted leaves it open."""
    compare(loaded, [functools.partial(_paint, loaded, number) for number in range(len(PROMPTS))])
    save()


def compare(loaded: Loaded, runs: Sequence[Run]) -> None:
    """Complete the model's verdict by requests that differ."""
    verdict = loaded.verdict
    if loaded.family.joins != "compared" or verdict.apart is not None:
        return
    try:
        alone = [run() for run in runs]
        exact = torch.equal(alone[-1], runs[-1]())  # so it is wherever a device counts the same twice
        in_turns = meet(runs, together=False)
        verdict.apart = not all(map(torch.equal if exact else near, in_turns, alone))
        if not verdict.apart:
            meet(runs, together=True)
    except Exception as error:
        _log.warning("calls of %s could not be compared: %s", type(loaded.pipe).__name__, error)


def _paint(loaded: Loaded, number: int) -> torch.Tensor:
    info = loaded.entry.info
    side = -(-info.min_side // info.multiple) * info.multiple
    request = GenerationRequest(
        prompt=PROMPTS[number],
        seed=number,
        model=info.name,
        width=side,
        height=side,
        steps=STEPS + number,
        guidance=info.guidance,
        count=1,
    )
    return paint(loaded, request, 0, (), lambda *_: None)


def meet(runs: Sequence[Run], *, together: bool) -> list[torch.Tensor]:
    """Run requests step by step in turns; `together` joins the calls that may be. Raises their errors."""
    requests = [Request(run) for run in runs]
    taken = dict.fromkeys(requests, 0)  # calls of each request
    for request in requests:
        request.resume()
    while live := [each for each in requests if not each.ended]:
        for batch in [_next(live, taken)] if together else [[each] for each in live]:
            for request, result in zip(batch, run_joined(batch), strict=True):
                taken[request] += 1
                (request.fail_call if isinstance(result, Exception) else request.resume)(result)
    for request in requests:
        if request.error is not None:
            raise request.error
    return [request.result for request in requests]


def _next(live: Sequence[Request], taken: Mapping[Request, int]) -> list[Request]:
    """Return the request that is furthest behind, and all that can join it: so others wait for it."""
    leader = min(reversed(live), key=lambda each: taken[each])
    assert leader.call is not None
    return [each for each in live if each.call is not None and each.call.key == leader.call.key]

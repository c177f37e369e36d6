"""Joins the calls of several running pipelines into one forward pass.

Each request runs the unmodified `pipe(...)` of diffusers inside a greenlet. The shared modules' methods
(denoiser, text encoders, VAE, upscaler) are replaced by an `InterceptionPoint`: a call there parks its
greenlet and returns when the worker's loop has run it, alone or joined with calls of equal keys of other
requests.

All greenlets live on one thread. The worker holds `torch.no_grad()` around its whole loop: a pipeline that
ends inside a greenlet would otherwise change the grad mode of the others.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import math
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from greenlet import getcurrent, greenlet

from engine.errors import OutOfMemory
from engine.pipelines.comparing import Comparison, tensors_of
from engine.pipelines.components import ModuleComponent
from engine.pipelines.lora import Additions, Unmixable, Uses, uses
from engine.pipelines.sights import Sight, Sights, rows_of, seen
from engine.pipelines.verdicts import Joins

T = TypeVar("T")


class Unmergeable(Exception):
    """A result cannot be split by rows, so calls of this point have to run alone."""


@dataclass(slots=True, eq=False)
class Call:
    """One parked call."""

    point: InterceptionPoint
    arguments: dict[str, Any]
    rows: int
    key: Hashable
    shape: Hashable  # types and sizes of its tensors without their rows: calls of one shape need equal memory
    form: str = ""  # what its arguments are: rows, shared, plain values; for calls that are compared
    loras: Uses = ()  # that are added to the module's layers
    sights: tuple[Sight, ...] = ()  # what it sees of pictures

    @property
    def most_rows(self) -> float:
        """Return how many rows a pass of such calls may have; more have run out of memory."""
        return max(self.rows, self.point.fitting.get(self.shape, math.inf))


class InterceptionPoint:
    """A method of a shared module at which requests wait for one another.

    `alone` keeps its calls apart: they are ordered and charged, but never joined. `shared` arguments have no
    row for each picture: calls join only if their values are equal. `row_lists` are lists with an item for
    each picture; "return" is the result. Whatever else is a tensor has a row for each picture; where a first
    dimension says otherwise, the call runs alone. With a `comparison` nothing is declared, and calls are
    joined once that has shown to be right. `component`: the module's weights, where those come to the card
    and leave it.
    """

    def __init__(
        self,
        name: str,
        module: Any,
        method: str,
        *,
        alone: bool = False,
        shared: frozenset[str] = frozenset(),
        row_lists: frozenset[str] = frozenset(),
        component: ModuleComponent | None = None,
        comparison: Comparison | None = None,
    ) -> None:
        self.name = name
        self.alone = alone
        self.component = component
        self._comparison = comparison
        self._crowded: set[Hashable] = set()  # shapes that had too little memory beside other components
        self.shared, self.row_lists = shared, row_lists
        self.fitting: dict[Hashable, int] = {}  # rows by shape, where a pass has run out of memory
        self.additions = Additions(module)
        self.sights = Sights(module)
        self._mixes = True  # rows with different LoRAs share a pass
        self._module, self._method = module, method
        # Offloading and caching hooks may live there too: put back what was found.
        self._instance_attribute = module.__dict__.get(method)
        self.function: Callable[..., Any] = getattr(module, method)
        self._signature = inspect.signature(self.function)
        functools.update_wrapper(self, self.function)
        setattr(module, method, self)

    def restore(self) -> None:
        """Put the module's own method back."""
        if self._instance_attribute is None:
            delattr(self._module, self._method)
        else:
            setattr(self._module, self._method, self._instance_attribute)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        request = getcurrent()
        if not isinstance(request, Request):
            if self.component is not None:
                self.component.enter()
            given = dict(self._signature.bind(*args, **kwargs).arguments)
            sights = rows_of(seen.get() if self.sights.attached else (), _rows(given))
            with self.additions.of([uses(self.name)]), self.sights.of(sights):
                return self.function(*args, **kwargs)
        return request.park(self._call(request, args, kwargs))

    def _call(self, request: Request, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
        arguments = dict(self._signature.bind(*args, **kwargs).arguments)
        for parameter in self._signature.parameters.values():
            if parameter.kind is parameter.VAR_KEYWORD:
                arguments |= arguments.pop(parameter.name, {})
        if self._method == "decode":
            arguments.pop("generator", None)  # no decoder uses it, and it would keep calls apart
        rows = _rows(arguments)
        call = Call(self, arguments, rows, (id(request), "alone"), _shape(arguments, rows))
        call.loras = uses(self.name)
        call.sights = seen.get() if self.sights.attached else ()
        if not self.alone:
            keys = {name: self._key(request, name, value, rows) for name, value in sorted(arguments.items())}
            call.key = id(self), tuple(keys.items())
            if self._comparison is not None:
                call.form = f"{self.name} {_form(tuple(keys.items()))}"
                self._narrow(call, request, self._comparison.known(call.form))
            if not self._mixes:
                call.key = call.key, call.loras, call.sights
        return call

    @staticmethod
    def _narrow(call: Call, request: Request, known: Joins) -> None:
        """Add to the key of a call what must be equal in all that it joins; all, if it joins none."""
        if known.wrong:
            call.key = id(request), "alone"
        elif known.equal:
            equal = {name: tensors_of(call.arguments.get(name)) for name in sorted(known.equal)}
            call.key = (
                call.key,
                tuple(
                    (name, i, tuple(each.shape), request.digest(f"{name}.{i}", each))
                    for name, tensors in equal.items()
                    for i, each in enumerate(tensors)
                ),
            )

    def _key(self, request: Request, name: str, value: Any, rows: int) -> Hashable:
        """Return what must be equal for two calls to be joined: shapes, and the values that rows share."""
        if isinstance(value, torch.Tensor):
            if value.ndim == 0:
                return "scalar", value.dtype
            if name in self.shared or (self._comparison is not None and value.shape[0] != rows):
                return "shared", value.dtype, tuple(value.shape), request.digest(name, value)
            if value.shape[0] != rows:
                return "object", id(request), id(value)
            return "rows", value.dtype, tuple(value.shape[1:])
        if isinstance(value, list | tuple):
            if name in self.row_lists:
                return "row list", repr(value[0]) if name in self.shared else ""
            return tuple(self._key(request, f"{name}.{i}", item, rows) for i, item in enumerate(value))
        if isinstance(value, dict):
            return tuple((k, self._key(request, f"{name}.{k}", v, rows)) for k, v in sorted(value.items()))
        if isinstance(value, int | float | bool | str | torch.dtype | None):
            return type(value), value
        return "object", id(request), id(value)  # a key-value cache, say: never joined

    def bring(self, calls: Sequence[Call]) -> None:
        """See that the weights for a pass of these calls are on the card. Raises OutOfMemory."""
        parts = [part.component for call in calls for part, _weight in call.loras]
        parts += [sight.attentions.component for call in calls for sight in call.sights]
        for component in dict.fromkeys(parts):
            if component is not None:
                component.enter()
        if (
            self.component is not None
        ):  # last: of the others, what has no room beside it is copied in the pass
            self.component.enter(alone=calls[0].shape in self._crowded)

    def leaving(self, call: Call) -> tuple[ModuleComponent, ...]:
        """Return the components that leave the card when such a call runs."""
        if self.component is None:
            return ()
        return self.component.leaving(alone=call.shape in self._crowded)

    def make_room(self, calls: Sequence[Call]) -> bool:
        """Note that a pass has run out of memory beside other components; return whether there were any."""
        if self.component is None or not self.component.make_room():
            return False
        self._crowded |= {call.shape for call in calls}
        return True

    def learn_to_fit(self, calls: Sequence[Call]) -> bool:
        """Note that a pass has run out of memory; return whether trying again with less makes sense.

        From now on passes of these shapes have half as many rows, but at least one call's.
        """
        for call in calls:
            self.fitting[call.shape] = max(1, sum(each.rows for each in calls) // 2)
        return len(calls) > 1

    def run(self, calls: Sequence[Call]) -> list[Any]:
        """Run one forward pass for all `calls` and return their results, in order. Raises Unmergeable."""
        self.bring(calls)
        if len(calls) == 1:
            return [self._pass(calls, calls[0].arguments)]
        try:
            return self._run_several(calls)
        except Unmixable:
            self._mixes = False
        results: dict[Call, Any] = {}
        for own in dict.fromkeys((call.loras, call.sights) for call in calls):
            same = [call for call in calls if (call.loras, call.sights) == own]
            results |= zip(same, self.run(same), strict=True)
        return [results[call] for call in calls]

    def _run_several(self, calls: Sequence[Call]) -> list[Any]:
        if self._comparison is not None:
            return self._comparison.run(
                calls[0].form,
                [call.arguments for call in calls],
                joined=lambda numbers: self._run_joined([calls[number] for number in numbers]),
                alone=lambda: [self._pass([call], call.arguments) for call in calls],
            )
        return self._run_joined(calls)

    def _pass(self, calls: Sequence[Call], arguments: dict[str, Any]) -> Any:
        sights = [row for call in calls for row in rows_of(call.sights, call.rows)]
        loras = [call.loras for call in calls for _row in range(call.rows)]
        with self.additions.of(loras), self.sights.of(sights):
            return self.function(**arguments)

    def _run_joined(self, calls: Sequence[Call]) -> list[Any]:
        rows = [call.rows for call in calls]
        joined = {name: self._join(name, [call.arguments[name] for call in calls], rows)
                  for name in calls[0].arguments}  # fmt: skip
        return self._split(self._pass(calls, joined), rows)

    def _join(self, name: str, values: Sequence[Any], rows: Sequence[int]) -> Any:
        first = values[0]
        if isinstance(first, torch.Tensor):
            if first.ndim == 0:
                return torch.cat([value.expand(n) for value, n in zip(values, rows, strict=True)])
            if name in self.shared or first.shape[0] != rows[0]:
                return first
            return torch.cat(list(values))
        if isinstance(first, list | tuple):
            if name in self.row_lists:
                return [item for value in values for item in value]
            return type(first)(self._join(f"{name}.{i}", items, rows)
                               for i, items in enumerate(zip(*values, strict=True)))  # fmt: skip
        if isinstance(first, dict):
            return {key: self._join(f"{name}.{key}", [v[key] for v in values], rows) for key in first}
        return first

    def _split(self, result: Any, rows: Sequence[int]) -> list[Any]:
        starts = [sum(rows[:i]) for i in range(len(rows))]
        return [self._part(result, start, n, sum(rows)) for start, n in zip(starts, rows, strict=True)]

    def _part(self, result: Any, start: int, rows: int, total: int) -> Any:
        """Return rows `start` … `start + rows` of a result, through the dataclasses and lists around them."""
        if isinstance(result, torch.Tensor):
            if result.ndim == 0 or result.shape[0] != total:
                raise Unmergeable(f"{self.name} returned a tensor of shape {tuple(result.shape)}")
            return result[start : start + rows]
        if isinstance(result, dict):
            return type(result)(**{k: self._part(v, start, rows, total) for k, v in result.items()})
        if isinstance(result, list) and "return" in self.row_lists:
            return result[start : start + rows]
        if isinstance(result, list | tuple):
            return type(result)(self._part(item, start, rows, total) for item in result)
        if result is None:
            return None
        raise Unmergeable(f"{self.name} returned a {type(result).__name__}")


TILED = 2**21
"""Pixels above which pictures are decoded in tiles: the whole would need many times the model's memory."""


class _Seeded(DiagonalGaussianDistribution):  # type: ignore[misc]
    """A distribution whose samples are a request's own: without its generator, the middle is taken."""

    def sample(self, generator: Any = None) -> torch.Tensor:
        sampled: torch.Tensor = self.mode() if generator is None else super().sample(generator)
        return sampled


def _seeded(result: Any) -> Any:
    """Return what a VAE has encoded, so that nothing in it depends on what else runs."""
    found = getattr(result, "latent_dist", None)
    if isinstance(found, DiagonalGaussianDistribution):
        result.latent_dist = _Seeded(found.parameters, found.deterministic)
    return result


class EncodePoint(InterceptionPoint):
    """The encoder of a VAE, whose weights may have another type than the pipeline's others.

    It returns a distribution instead of rows, so each call runs alone. What is sampled from that without a
    generator would be another picture each time.
    """

    def __init__(self, name: str, vae: Any, *, component: ModuleComponent | None = None) -> None:
        super().__init__(name, vae, "encode", alone=True, component=component)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _seeded(super().__call__(*args, **kwargs))

    def run(self, calls: Sequence[Call]) -> list[Any]:
        asked = _dtype(calls[0].arguments)
        _cast(calls, self._module)
        return [result if asked is None else _as(result, asked) for result in super().run(calls)]


class DecodePoint(InterceptionPoint):
    """The decoder of a VAE: one picture after another, and in tiles, where memory would not suffice else.

    `scale` is how many pixels a side of a latent stands for.
    """

    def __init__(
        self,
        name: str,
        vae: Any,
        scale: int,
        *,
        alone: bool = False,
        component: ModuleComponent | None = None,
        comparison: Comparison | None = None,
    ) -> None:
        super().__init__(name, vae, "decode", alone=alone, component=component, comparison=comparison)
        self._vae, self._scale = vae, scale
        self._too_large: set[Hashable] = set()  # shapes of which not even one picture fitted as a whole

    def learn_to_fit(self, calls: Sequence[Call]) -> bool:
        worth = super().learn_to_fit(calls) or not {call.shape for call in calls} <= self._too_large
        if len(calls) == 1:
            self._too_large.add(calls[0].shape)
        return worth

    def run(self, calls: Sequence[Call]) -> list[Any]:
        _cast(calls, self._vae)
        pixels = self._pixels(calls[0])
        too_large = pixels > TILED or calls[0].shape in self._too_large
        self._switch("tiling", too_large)
        self._switch("slicing", pixels * sum(call.rows for call in calls) > TILED)
        results = super().run(calls)
        if all(map(_finite, results)) or not all(_finite(call.arguments) for call in calls):
            return results
        return self._run_in_fp32(calls)

    def _run_in_fp32(self, calls: Sequence[Call]) -> list[Any]:
        """Decode again what came out as no numbers: in half precision some decoders overflow."""
        dtype = next(self._vae.parameters()).dtype
        self._vae.to(torch.float32)
        _cast(calls, self._vae)
        try:
            return super().run(calls)
        finally:
            self._vae.to(dtype)

    def _pixels(self, call: Call) -> int:
        """Return the pixels of one picture."""
        latents = next(
            (v for v in call.arguments.values() if isinstance(v, torch.Tensor) and v.ndim > 3), None
        )
        return 0 if latents is None else latents.shape[-2] * latents.shape[-1] * self._scale**2

    def _switch(self, what: str, on: bool) -> None:
        if hasattr(self._vae, f"use_{what}"):
            setattr(self._vae, f"use_{what}", on)


def _finite(value: Any) -> bool:
    """Return whether all tensors in a value hold numbers."""
    if isinstance(value, torch.Tensor):
        return bool(torch.isfinite(value).all())
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    return all(map(_finite, value)) if isinstance(value, list | tuple) else True


def _cast(calls: Sequence[Call], module: Any) -> None:
    """Give the calls' numbers the type of a module's weights."""
    dtype = next((weight.dtype for weight in module.parameters()), None)
    for call in calls:
        if dtype not in (None, _dtype(call.arguments)):
            call.arguments = {name: _as(value, dtype) for name, value in call.arguments.items()}


def _dtype(value: Any) -> torch.dtype | None:
    """Return the type of the first floating-point tensor in a call."""
    tensors = (each for each in value.values() if isinstance(each, torch.Tensor))
    return next((each.dtype for each in tensors if each.is_floating_point()), None)


def _as(value: Any, dtype: torch.dtype | None) -> Any:
    """Return a value with its floating-point tensors in another type, a distribution of latents too."""
    if isinstance(value, torch.Tensor):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, DiagonalGaussianDistribution):
        return DiagonalGaussianDistribution(value.parameters.to(dtype), value.deterministic)
    if isinstance(value, dict):
        return type(value)(**{name: _as(each, dtype) for name, each in value.items()})
    return type(value)(_as(each, dtype) for each in value) if isinstance(value, list | tuple) else value


def _rows(arguments: dict[str, Any]) -> int:
    """Return the batch size of a call: the first dimension of its first tensor or list."""
    for value in arguments.values():
        if isinstance(value, torch.Tensor) and value.ndim:
            return int(value.shape[0])
        if isinstance(value, list | tuple) and value:
            return len(value)
    return 1


def _form(key: Any) -> str:
    """Return what a call's arguments are, by their keys, without sizes and values."""
    if not isinstance(key, tuple) or not key or isinstance(key[0], type):
        return "="
    if isinstance(key[0], str):
        return f"{key[0]}:{_form(key[1])}" if len(key) == 2 and isinstance(key[1], tuple) else key[0]
    return f"({','.join(map(_form, key))})"


def _shape(value: Any, rows: int) -> Hashable:
    """Return the types and sizes of all tensors in a call, whatever their values and the number of rows."""
    if isinstance(value, torch.Tensor):
        one = value.shape[1:] if value.ndim and value.shape[0] == rows else value.shape
        return value.dtype, tuple(one)
    if isinstance(value, dict):
        return tuple((name, _shape(each, rows)) for name, each in sorted(value.items()))
    if isinstance(value, list | tuple):
        return tuple(dict.fromkeys(_shape(each, rows) for each in value))
    return None


class Request(greenlet):  # type: ignore[misc]
    """One pipeline's run in a greenlet: parked at a point, or ended with a `result` or an `error`."""

    def __init__(self, run: Callable[[], Any]) -> None:
        super().__init__(lambda _: run(), parent=getcurrent())
        self.call: Call | None = None
        self.result: Any = None
        self.error: BaseException | None = None
        self._digests: dict[str, tuple[torch.Tensor, int, int]] = {}

    def park(self, call: Call) -> Any:
        """Switch to the worker's loop until the call has been run; return its result."""
        self.call = call
        return self.parent.switch()

    def resume(self, value: Any = None) -> None:
        """Go on until the next point or the end."""
        self._enter(self.switch, value)

    def fail_call(self, error: BaseException) -> None:
        """Let the parked call raise `error`."""
        self._enter(self.throw, error)

    def _enter(self, switch: Callable[[Any], Any], value: Any) -> None:
        self.call = None
        try:
            result = switch(value)
        except Exception as error:
            self.error = error
        else:
            self.result = result if self.dead else None

    @property
    def ended(self) -> bool:
        return bool(self.dead)

    def digest(self, name: str, value: torch.Tensor) -> int:
        """Return a hash of the values, computed once as long as the same tensor comes back unchanged."""
        known = self._digests.get(name)
        if known is None or known[0] is not value or known[1] != value._version:
            content = value.detach().to("cpu", torch.float64).numpy().tobytes()
            known = self._digests[name] = (value, value._version, hash(content))
        return known[2]


class Clock:
    """Measures device-seconds: by the wall clock on a CPU, by CUDA events on a GPU."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def measure(self, work: Callable[[], T]) -> tuple[T, float]:
        """Do a piece of work; return its result and the device-seconds it took."""
        if self._device.type != "cuda":
            start = time.perf_counter()
            return work(), time.perf_counter() - start
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        begin.record()
        result = work()
        end.record()
        end.synchronize()
        return result, begin.elapsed_time(end) / 1000


def run_joined(requests: Sequence[Request]) -> list[Any]:
    """Run one forward pass for requests parked with equal keys; return a result or an exception for each.

    Equal calls of a text encoder are computed once. A pass that runs out of memory is tried again in halves,
    and the rows that fit are remembered (`Call.most_rows`). Where joining fails for another reason, each runs
    alone, so that only the request that causes an error gets it.
    """
    calls = [request.call for request in requests if request.call is not None]
    unique, position = _distinct(calls)
    results = _results_of(unique)
    return [results[i] for i in position]


def _results_of(calls: Sequence[Call]) -> list[Any]:
    done: list[Any] = []
    apart = False
    while len(done) < len(calls):
        part = calls[len(done) :][:1] if apart else _fitting(calls[len(done) :])
        made = _results(part)
        # What failed is tried again only now: a traceback holds all that its pass had in memory.
        if not isinstance(made, Exception):
            done += made
        elif isinstance(made, OutOfMemory) and _may_fit(part):
            continue
        elif len(part) > 1:
            apart = True
        else:
            done.append(made)
    return done


def _may_fit(calls: Sequence[Call]) -> bool:
    """Make room for a pass that has run out of memory; return whether trying it again makes sense."""
    point = calls[0].point
    return point.make_room(calls) or point.learn_to_fit(calls)


def _fitting(calls: Sequence[Call]) -> Sequence[Call]:
    """Return the first of these calls that fit into one pass; at least one."""
    rows = itertools.accumulate(call.rows for call in calls)
    return calls[: max(1, sum(each <= calls[0].most_rows for each in rows))]


def _results(calls: Sequence[Call]) -> list[Any] | Exception:
    point = calls[0].point
    try:
        return point.run(calls)
    except Exception as error:
        if isinstance(error, Unmergeable):
            point.alone = True
        return translate_memory_error(error).with_traceback(None)


def translate_memory_error(error: Exception) -> Exception:
    """Return OutOfMemory for torch's and Python's errors of that kind, any other error as it is."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return OutOfMemory(str(error))
    return error


def _distinct(calls: Sequence[Call]) -> tuple[list[Call], list[int]]:
    """Return the distinct calls, and for each call its index among them.

    Only calls without floating-point input can be told apart cheaply; those are the text encoders', where
    the pictures of one request ask for the same prompt again and again.
    """
    unique: list[Call] = []
    seen: dict[Hashable, int] = {}
    position: list[int] = []
    for call in calls:
        values = _content(call.arguments.values())
        content = None if values is None else (call.loras, values)
        index = seen.get(content, len(unique)) if content is not None else len(unique)
        if index == len(unique):
            unique.append(call)
            if content is not None:
                seen[content] = index
        position.append(index)
    return unique, position


def _content(values: Iterable[Any]) -> Hashable | None:
    content: list[Hashable] = []
    for value in values:
        if isinstance(value, torch.Tensor):
            if value.is_floating_point():
                return None
            content.append((tuple(value.shape), value.cpu().numpy().tobytes()))
        elif isinstance(value, int | float | bool | str | None):
            content.append(value)
        else:
            return None
    return tuple(content)

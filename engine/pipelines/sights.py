"""What rows of a pass see of pictures: the part of an IP-Adapter that runs inside a U-Net's pass.

An IP-Adapter adds to each cross-attention of a U-Net what its queries find in a picture. diffusers replaces
the model's processors for that, and then every request must bring a picture. Here hooks add it to the rows
that have one, before the attention's last layer: the model stays as it is, and rows with different pictures
and rows with none share a pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from engine.pipelines.components import ModuleComponent
from engine.pipelines.lora import Unmixable


class Attentions(torch.nn.Module):
    """The keys and values of an IP-Adapter by the name of the attention that they are for."""

    component: ModuleComponent | None = None

    def __init__(self, layers: Mapping[str, tuple[torch.Tensor, torch.Tensor]]) -> None:
        super().__init__()
        pairs = [torch.nn.Parameter(each, requires_grad=False) for pair in layers.values() for each in pair]
        self.weights = torch.nn.ParameterList(pairs)
        self.layers = {name: (pairs[2 * i], pairs[2 * i + 1]) for i, name in enumerate(layers)}


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """What one request sees: tokens of pictures, and how much they count."""

    attentions: Attentions
    names: frozenset[str]  # of the attentions that see them
    tokens: torch.Tensor  # (1, tokens, width)
    without: torch.Tensor  # the same of no picture, for the row of the negative prompt
    weight: float


seen: ContextVar[tuple[Sight, ...]] = ContextVar("seen", default=())
"""What the request that runs sees: each greenlet has its own."""


def rows_of(sights: tuple[Sight, ...], rows: int) -> list[tuple[tuple[Sight, bool], ...]]:
    """Return for each row what it sees, and whether no picture: of two rows, the first is negative."""
    return [tuple((each, rows == 2 and row == 0) for each in sights) for row in range(rows)]


class Sights:
    """Adds what rows see to the cross-attentions of one module, while a pass of it runs."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._hooks: dict[str, list[Any]] = {}
        self._given: dict[str, torch.Tensor] = {}  # what each attention was given in the pass that runs
        self._rows: Sequence[tuple[tuple[Sight, bool], ...]] = ()

    @property
    def attached(self) -> bool:
        """Return whether rows may see anything here."""
        return bool(self._hooks)

    def attach(self, attentions: Attentions) -> None:
        """Let these attentions be added to."""
        for name in attentions.layers.keys() - self._hooks.keys():
            attention = self._module.get_submodule(name)
            note = attention.register_forward_pre_hook(partial(self._note, name))
            add = attention.to_out[0].register_forward_pre_hook(partial(self._add, name, attention))
            self._hooks[name] = [note, add]

    def unload(self) -> None:
        """Take all hooks off."""
        for hook in (each for hooks in self._hooks.values() for each in hooks):
            hook.remove()
        self._hooks.clear()

    @contextmanager
    def of(self, rows: Sequence[tuple[tuple[Sight, bool], ...]]) -> Iterator[None]:
        """Let each row of a pass see its own. Raises Unmixable."""
        self._rows = rows if any(rows) else ()
        try:
            yield
        finally:
            self._rows = ()
            self._given.clear()

    def _note(self, name: str, attention: Any, given: tuple[Any, ...]) -> None:
        if self._rows:
            self._given[name] = given[0]

    def _add(self, name: str, attention: Any, layer: Any, given: tuple[Any, ...]) -> Any:
        if not any(name in sight.names for row in self._rows for sight, _ in row):
            return None
        output, asked = given[0], self._given.pop(name)
        if len(asked) != len(self._rows):
            raise Unmixable(f"an attention takes {len(asked)} rows of {len(self._rows)}")
        added = [
            _found(attention, name, row, asked[i : i + 1], output[i : i + 1])
            for i, row in enumerate(self._rows)
        ]
        return (torch.cat(added), *given[1:])


def _found(
    attention: Any, name: str, row: tuple[tuple[Sight, bool], ...], asked: torch.Tensor, output: torch.Tensor
) -> torch.Tensor:
    """Return an attention's output for one row with what its queries find in the row's pictures."""
    for sight, nothing in row:
        if name not in sight.names:
            continue
        tokens = (sight.without if nothing else sight.tokens).to(asked.device, asked.dtype)
        # A device with little memory may not hold them beside the component that they are for.
        keys, values = (each.to(asked) for each in sight.attentions.layers[name])
        query = _heads(attention.to_q(asked), attention.heads)
        shown = [_heads(F.linear(tokens, each), attention.heads) for each in (keys, values)]
        found = F.scaled_dot_product_attention(query, shown[0], shown[1]).transpose(1, 2).flatten(2)
        output = output + sight.weight * found.to(output.dtype)
    return output


def _heads(rows: torch.Tensor, heads: int) -> torch.Tensor:
    return rows.view(*rows.shape[:2], heads, -1).transpose(1, 2)

"""How each component of a model is held on a card: as it is, quantised, or streamed by blocks. No torch.

The catalog says for cards of some sizes which components are quantised, and how. What is larger, even alone,
than all that a card has for components is streamed: its blocks come to the card one by one, at each step.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

STREAM = "stream"
STREAMED = 0.1  # of a streamed component's bytes are on the card at once, about: two of its blocks
NOMINAL = 1.03  # a card that is called 16 GB has a little less or more


@dataclass(frozen=True, slots=True)
class Method:
    """A way of quantising: the package that does it, and what is left of 16-bit weights' bytes."""

    package: str
    left: float


METHODS: Mapping[str, Method] = {
    "nf4": Method("bitsandbytes", 0.3),
    "int8": Method("bitsandbytes", 0.55),
    "int8-torchao": Method("torchao", 0.55),
    "gguf": Method("gguf", 0.6),
}
"""`gguf:<file>` names the file: a path, or owner/repository/file on the hub."""


@dataclass(frozen=True, slots=True)
class Held:
    """How one component is held."""

    how: str  # "", a method, or STREAM
    size: int  # bytes on the card
    whole: int  # bytes in host memory, or of what is streamed at each step


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model's components as a card holds them, and the packages that would quantise more."""

    parts: Mapping[str, Held]
    missing: tuple[str, ...]


def profile(cards: Mapping[str, Mapping[str, str]], card: float) -> Mapping[str, str]:
    """Return the profile for a card of so many bytes, from those by GB: the largest that is no larger.

    A card smaller than all of them gets the smallest; one that no profile speaks of, none.
    """
    by_size = sorted(cards, key=int)
    fit = [size for size in by_size if int(size) * 1e9 <= card * NOMINAL]
    return cards[fit[-1] if fit else by_size[0]] if by_size else {}


def installed(package: str) -> bool:
    """Return whether a package can be imported."""
    return importlib.util.find_spec(package) is not None


def fitted(
    sizes: Mapping[str, int],
    wanted: Mapping[str, str],
    memory: float,
    there: Callable[[str], bool] = installed,
) -> Fitted:
    """Return how a card with so many bytes for components holds a model of these `sizes`.

    `wanted`: a method by component. Where its package is not `there`, the component stays as it is.
    """
    parts: dict[str, Held] = {}
    missing: dict[str, None] = {}
    for name, size in sizes.items():
        how = wanted.get(name, "")
        if quantises(how) and not there(package := _method(how).package):
            missing[package] = None
            how = ""
        parts[name] = _held(how, size, memory)
    return Fitted(parts, tuple(missing))


def quantises(how: str) -> bool:
    """Return whether a way of holding a component quantises it."""
    return how not in ("", STREAM)


def _method(how: str) -> Method:
    return METHODS[how.partition(":")[0]]


def _held(how: str, size: int, memory: float) -> Held:
    if quantises(how):  # it cannot be streamed: where it is too large, it is tried as it is
        size = int(size * _method(how).left)
    elif how == STREAM or size > memory:
        return Held(STREAM, int(size * STREAMED), size)
    return Held(how, size, size)


def extra(packages: Iterable[str]) -> str:
    """Return the command that installs packages."""
    return f'pip install "easel[{",".join(packages)}]"'
